//! [`Redis`] as a [`Backend`].

use larder_core::{
    Backend, Capabilities, Entry, Error, Fetched, Fill, Key, Space, Stamp, Tag, UnixMillis, When,
};

use crate::Redis;
use crate::change::{self, Change};
use crate::link::Link;
use crate::look::{Seen, State, decode, look};
use crate::names::Names;
use crate::records::{self, nonce};

impl Backend for Redis {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("redis").verifying()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(self.get_many(std::slice::from_ref(key), now).await?.pop().flatten())
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let link = self.link().await?;
        let names = Names::around(first);
        let mut found = Vec::with_capacity(keys.len());
        // Those of one cache are all of one namespace.
        if keys.iter().all(|key| names.is_around(key)) {
            let keys: Vec<&Key> = keys.iter().collect();
            let seen = look(&link, &self.remembered, names, &keys, now).await?;
            for (key, seen) in keys.into_iter().zip(seen) {
                found.push(self.tidied(&link, key, seen, now).await?);
            }
        } else {
            for key in keys {
                let seen = look(&link, &self.remembered, Names::around(key), &[key], now).await?.pop();
                found.push(self.tidied(&link, key, seen.flatten(), now).await?);
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
        let link = self.link().await?;
        let names = Names::of(space);
        let mut ask: Vec<String> = keys.iter().map(|key| key.name().into_owned()).collect();
        ask.push(names.space());
        ask.extend(tags.iter().map(|tag| names.tag(tag)));
        let mut raw = link.mget(&ask).await?;
        let records = raw.split_off(keys.len());
        let space = nonce(records.first().and_then(Option::as_ref), link.run());
        let entries = raw.into_iter().map(|raw| decode(&raw?, space).filter(|entry| !entry.is_expired(now)));
        let tags = records.iter().skip(1).map(|record| nonce(record.as_ref(), ""));
        Ok(Fetched { entries: entries.collect(), space, tags: tags.collect() })
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.change(&self.link().await?, key, now).set(&entry, when).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.change(&self.link().await?, key, now).remove().await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.change(&self.link().await?, key, now).touch(expires).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        self.change(&self.link().await?, key, now).incr(delta).await
    }

    async fn clear(&self, space: &Space, _: UnixMillis) -> Result<(), Error> {
        change::clear(&self.link().await?, space).await
    }

    async fn begin(&self, space: &Space, tags: &[Tag], _: UnixMillis) -> Result<Fill, Error> {
        records::begin(&self.link().await?, space, tags).await
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        records::seal(&self.link().await?, space, fill, late, until, now).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], _: UnixMillis) -> Result<(), Error> {
        records::invalidate(&self.link().await?, space, tags).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.link().await?.ask(&redis::cmd("PING")).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.connector.close();
        Ok(())
    }
}

impl Redis {
    async fn link(&self) -> Result<Link, Error> {
        self.connector.link().await
    }

    fn change<'a>(&'a self, link: &'a Link, key: &'a Key, now: UnixMillis) -> Change<'a> {
        Change { link, remembered: &self.remembered, key, now }
    }

    /// The entry, if it is valid. What can't be read is removed; what is dead goes when the server finds it expired.
    async fn tidied(
        &self,
        link: &Link,
        key: &Key,
        seen: Option<Seen>,
        now: UnixMillis,
    ) -> Result<Option<Entry>, Error> {
        match seen {
            Some(seen) if matches!(seen.state, State::Garbage) => {
                // Whether or not that succeeds, it is a miss.
                _ = self.change(link, key, now).remove_garbage(&seen).await;
                Ok(None)
            }
            seen => Ok(seen.and_then(Seen::valid)),
        }
    }
}
