//! [`SqlCache`] as a [`Backend`]: what it reads is valid, since entries and the records that they depend on come in one statement.

use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Fetched, Fill, Key, Scanned, Space, Stamp, Tag,
    UnixMillis, Value, When,
};

use crate::SqlCache;
use crate::raw::Counts;

impl Backend for SqlCache {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.raw.engine.name()).verifying().listing()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        self.valid_only(key, now).await
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        self.valid(keys, now).await
    }

    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        self.raw.fetch(space, keys, tags, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.note(key, &entry);
        let stored = self.raw.store(key, entry, when, Counts::Valid, now).await?;
        self.raw.cull_behind(1, now).await;
        Ok(stored)
    }

    async fn set_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        let writes = entries.len();
        for (key, entry) in &entries {
            self.note(key, entry);
        }
        let refused = self.raw.store_many(entries, now).await?;
        self.raw.cull_behind(writes, now).await;
        Ok(refused)
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        Ok(self.raw.take(std::slice::from_ref(key), Counts::Valid, now).await? > 0)
    }

    async fn remove_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        self.raw.take(keys, Counts::Valid, now).await
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        self.raw.swap(key, expected, with, Counts::Valid, now).await
    }

    async fn scan(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        self.raw.list(space, front, after, limit, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.raw.prolong(key, expires, Counts::Valid, now).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        let add = |there: Option<&Entry>| {
            let Some(entry) = there else { return Ok(None) };
            let sum = integer(entry)?.checked_add(delta).ok_or_else(not_an_integer)?;
            Ok(Some(entry.with_value(Value::Bytes(sum.to_string().into()))))
        };
        let counted = self.raw.change(key, Counts::Valid, now, add).await?;
        counted.as_ref().map(integer).transpose()
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        self.raw.clear(space, now).await
    }

    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        self.raw.begin(space, tags, now).await
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        self.raw.seal(space, fill, late, until, now).await
    }

    async fn is_current(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        self.raw.is_current(space, stamp, now).await
    }

    async fn soften(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.raw.soften(space, tags, now).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.raw.invalidate(space, tags, now).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.raw.ping().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.raw.close().await
    }
}

fn integer(entry: &Entry) -> Result<i64, Error> {
    let bytes = entry.value().to_bytes()?;
    std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(not_an_integer)
}

fn not_an_integer() -> Error {
    Error::new(ErrorKind::Value, "the stored value is not an integer, or the sum would not fit an i64")
}
