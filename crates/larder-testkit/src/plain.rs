//! The reference backend: short enough to be read in one go, and right. The guide in `docs/writing-a-backend.md`
//! explains it piece by piece.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Key, Scanned, Space, UnixMillis, Value, When,
    renew_space, wire,
};
use parking_lot::Mutex;

use crate::Stage;

/// A backend over a map of names to bytes, as a server far away is. Clones share the map.
///
/// For tests and for reading: it has no bound, and removes nothing that expired until somebody looks.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    map: Arc<Mutex<Map>>,
}

type Map = BTreeMap<String, Bytes>;

/// The entry that counts as being there. What can't be read goes, and so does what expired.
fn read(map: &mut Map, key: &Key, now: UnixMillis) -> Option<Entry> {
    let name = key.name();
    let entry = wire::decode(map.get(&*name)?).ok().filter(|entry| !entry.is_expired(now));
    if entry.is_none() {
        map.remove(&*name);
    }
    entry
}

fn write(map: &mut Map, key: &Key, entry: &Entry) -> Result<(), Error> {
    map.insert(key.name().into_owned(), wire::encode(entry)?);
    Ok(())
}

impl Plain {
    /// Replaces the bytes under a key by what `change` makes of them, as an older version or a fault would; see
    /// [`Stage::rewriting`](crate::Stage::rewriting).
    pub fn rewrite(&self, key: &Key, change: impl FnOnce(&[u8]) -> Vec<u8>) {
        if let Some(bytes) = self.map.lock().get_mut(&*key.name()) {
            *bytes = change(bytes).into();
        }
    }

    /// A stage over one of its own, as the suite wants it.
    pub fn stage() -> Stage {
        let store = Self::default();
        let same = store.clone();
        Stage::opening(move || same.clone()).rewriting(move |key, change| store.rewrite(key, change))
    }
}

impl Backend for Plain {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("plain").listing()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(read(&mut self.map.lock(), key, now))
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let mut map = self.map.lock();
        let there = read(&mut map, key, now).is_some();
        let stores = match when {
            When::Always => true,
            When::Absent => !there,
            When::Present => there,
        };
        if stores {
            write(&mut map, key, &entry)?;
        }
        Ok(stores)
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        let mut map = self.map.lock();
        let there = read(&mut map, key, now).is_some();
        map.remove(&*key.name());
        Ok(there)
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        renew_space(self, space, now).await?;
        let front = format!("{}:", space.prefix());
        self.map.lock().retain(|name, _| !name.starts_with(&front));
        renew_space(self, space, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        let mut map = self.map.lock();
        let Some(entry) = read(&mut map, key, now) else { return Ok(false) };
        write(&mut map, key, &entry.with_expiry(expires))?;
        Ok(true)
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let mut map = self.map.lock();
        Ok(keys.iter().map(|key| read(&mut map, key, now)).collect())
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        let mut map = self.map.lock();
        let Some(entry) = read(&mut map, key, now) else { return Ok(None) };
        let bytes = entry.value().to_bytes()?;
        let number: Option<i64> = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        let sum = number
            .and_then(|number| number.checked_add(delta))
            .ok_or_else(|| Error::new(ErrorKind::Value, "not an integer, or too large"))?;
        write(&mut map, key, &entry.with_value(Value::Bytes(sum.to_string().into())))?;
        Ok(Some(sum))
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let mut map = self.map.lock();
        let Some(entry) = read(&mut map, key, now) else { return Ok(false) };
        if entry.value().to_bytes()? != expected {
            return Ok(false);
        }
        match with {
            Some(with) => write(&mut map, key, &with)?,
            None => _ = map.remove(&*key.name()),
        }
        Ok(true)
    }

    async fn scan(
        &self,
        _space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        let map = self.map.lock();
        let begin = after.map_or(Unbounded, Excluded);
        let mut page = Scanned::default();
        for (name, bytes) in map.range::<str, _>((begin, Unbounded)) {
            if page.keys.len() >= limit.max(1) {
                page.next = page.keys.last().map(|key| key.name().into_owned());
                break;
            }
            let fresh = name.starts_with(front) && wire::decode(bytes).is_ok_and(|e| !e.is_expired(now));
            page.keys.extend(Key::named(name).filter(|_| fresh));
        }
        Ok(page)
    }
}
