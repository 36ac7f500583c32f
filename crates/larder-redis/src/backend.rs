//! [`Redis`] as a [`Backend`].

use larder_core::{
    Backend, Capabilities, Entry, Error, Fetched, Fill, Key, Scanned, Space, Stamp, Tag, UnixMillis, When,
};

use crate::Redis;
use crate::ask::Answer;
use crate::change::{self, Change};
use crate::look::{Seen, State, Stored, asked_for, decode, look};
use crate::names::Names;
use crate::records::{self, nonce};
use crate::store::Read;
use crate::sweep;

impl Backend for Redis {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("redis").verifying().listing()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        self.read_only(key, now).await
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let names = Names::around(first);
        let mut found = Vec::with_capacity(keys.len());
        // Those of one cache are all of one namespace.
        if keys.iter().all(|key| names.is_around(key)) {
            if let Some(server) = self.store.only() {
                return self.read(server, names, keys, now).await;
            }
            let keys: Vec<&Key> = keys.iter().collect();
            let seen = look(&self.store, &self.remembered, names, &keys, now).await?;
            for (key, seen) in keys.into_iter().zip(seen) {
                found.push(self.tidied(key, seen, now).await?);
            }
        } else {
            for key in keys {
                let seen = look(&self.store, &self.remembered, Names::around(key), &[key], now).await?.pop();
                found.push(self.tidied(key, seen.flatten(), now).await?);
            }
        }
        Ok(found)
    }

    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        let names: Vec<String> = keys.iter().map(|key| self.store.name(key)).collect();
        let Read { entries, records } = self.store.read(&names, &asked_for(Names::of(space), tags)).await?;
        let space = records.first().and_then(nonce);
        let entries = entries.into_iter().map(|found| match decode(&found.bytes?, found.run, space) {
            Stored::Entry(entry) => Some(entry).filter(|entry| !entry.is_expired(now)),
            Stored::Elsewhere | Stored::Garbage => None,
        });
        let tags = records.iter().skip(1).map(nonce);
        Ok(Fetched { entries: entries.collect(), space, tags: tags.collect() })
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.change(key, now).set(&entry, when).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.change(key, now).remove().await
    }

    async fn set_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        change::set_many(&self.store, &self.remembered, entries, now).await
    }

    async fn remove_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        let mut removed = 0;
        let mut rest: Vec<&Key> = keys.iter().collect();
        // Those of one cache are all of one namespace.
        while let Some(first) = rest.first() {
            let names = Names::around(first);
            let (here, others): (Vec<&Key>, Vec<&Key>) = rest.iter().partition(|key| names.is_around(key));
            removed += change::remove(&self.store, &self.remembered, names, &here, now).await?;
            rest = others;
        }
        Ok(removed)
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        self.change(key, now).compare_and_set(expected, with.as_ref()).await
    }

    async fn scan(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        sweep::part(&self.store, space, front, after, limit, now).await
    }

    async fn expiry(&self, key: &Key, entry: &Entry, now: UnixMillis) -> Result<Option<UnixMillis>, Error> {
        if entry.expires().is_some() {
            return Ok(entry.expires());
        }
        self.change(key, now).expiry().await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.change(key, now).touch(expires).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        self.change(key, now).incr(delta).await
    }

    async fn clear(&self, space: &Space, _: UnixMillis) -> Result<(), Error> {
        sweep::clear(&self.store, space).await
    }

    async fn begin(&self, space: &Space, tags: &[Tag], _: UnixMillis) -> Result<Fill, Error> {
        records::begin(&self.store, space, tags).await
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        records::seal(&self.store, space, fill, late, until, now).await
    }

    async fn soften(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        records::soften(&self.store, space, tags, now).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], _: UnixMillis) -> Result<(), Error> {
        records::invalidate(&self.store, space, tags).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.store.everywhere(&redis::cmd("PING")).await?.into_iter().try_for_each(Answer::to)
    }

    async fn close(&self) -> Result<(), Error> {
        self.store.close();
        Ok(())
    }
}

impl Redis {
    fn change<'a>(&'a self, key: &'a Key, now: UnixMillis) -> Change<'a> {
        Change { store: &self.store, remembered: &self.remembered, key, now }
    }

    /// The entry, if it is valid. What can't be read is removed; what is dead goes when the server finds it expired.
    pub(crate) async fn tidied(
        &self,
        key: &Key,
        seen: Option<Seen>,
        now: UnixMillis,
    ) -> Result<Option<Entry>, Error> {
        match seen {
            Some(seen) if matches!(seen.state, State::Garbage) => {
                // Whether or not that succeeds, it is a miss.
                _ = self.change(key, now).remove_garbage(&seen).await;
                Ok(None)
            }
            seen => Ok(seen.and_then(Seen::readable)),
        }
    }
}
