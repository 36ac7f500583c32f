//! [`Tiered`] as a [`Backend`].

use larder_core::backplane::{Backplane, What};
use larder_core::{
    Backend, Capabilities, Entry, Error, Fetched, Fill, Key, Scanned, Space, Stamp, Tag, UnixMillis, When,
};

use crate::Tiered;
use crate::change::{Change, Keeping};
use crate::near::Look;

impl Backend for Tiered {
    fn capabilities(&self) -> Capabilities {
        let l2 = self.shared().far.l2().capabilities();
        let mut own = Capabilities::new("tiered").verifying();
        (own.shared, own.stores, own.lists) = (l2.shared, l2.stores, l2.lists);
        own
    }

    fn get_now(&self, key: &Key, now: UnixMillis) -> Option<Option<Entry>> {
        let near = &self.shared().near;
        match near.look(near.trust.stand()?, key, now) {
            Look::Known(found) => Some(found),
            Look::Doubtful(_) | Look::Nothing => None,
        }
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(self.get_many(std::slice::from_ref(key), now).await?.pop().flatten())
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        self.awake(now);
        self.read(keys, now).await
    }

    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        self.awake(now).far.l2().fetch(space, keys, tags, now).await
    }

    async fn expiry(&self, key: &Key, entry: &Entry, now: UnixMillis) -> Result<Option<UnixMillis>, Error> {
        self.awake(now).far.l2().expiry(key, entry, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let shared = self.awake(now);
        let keeping = Keeping::begin(shared, vec![(key.clone(), entry.clone())]);
        let stored = shared.far.set(key, entry, when, now).await;
        match &stored {
            Ok(true) => keeping.keep(&[], now).await,
            _ => keeping.give_up(stored.is_err()).await,
        }
        stored
    }

    async fn set_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        let shared = self.awake(now);
        let keeping = Keeping::begin(shared, entries.clone());
        let refused = shared.far.l2().set_many(entries, now).await;
        match &refused {
            Ok(refused) => keeping.keep(refused, now).await,
            Err(_) => keeping.give_up(true).await,
        }
        refused
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        let shared = self.awake(now);
        let change = change_of(self, std::slice::from_ref(key));
        // Even if there was nothing in L2: others may have a copy of what L2 has evicted.
        change.settle(shared.far.remove(key, now).await, |_| true).await
    }

    async fn remove_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        let shared = self.awake(now);
        let change = change_of(self, keys);
        change.settle(shared.far.remove_many(keys, now).await, |_| !keys.is_empty()).await
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let shared = self.awake(now);
        let change = change_of(self, std::slice::from_ref(key));
        change.settle(shared.far.compare_and_set(key, expected, with, now).await, |swapped| *swapped).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        let shared = self.awake(now);
        let change = change_of(self, std::slice::from_ref(key));
        change.settle(shared.far.touch(key, expires, now).await, |touched| *touched).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        let shared = self.awake(now);
        let change = change_of(self, std::slice::from_ref(key));
        change.settle(shared.far.incr(key, delta, now).await, Option::is_some).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        let shared = self.awake(now);
        let change = Change::new(shared, space.clone(), What::Clear);
        change.settle(shared.far.l2().clear(space, now).await, |()| true).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        let shared = self.awake(now);
        let change = Change::new(shared, space.clone(), What::Tags(tags.to_vec()));
        change.settle(shared.far.l2().invalidate(space, tags, now).await, |()| true).await
    }

    async fn soften(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        let shared = self.awake(now);
        // Copies go; what is read again from L2 is marked.
        let change = Change::new(shared, space.clone(), What::Tags(tags.to_vec()));
        change.settle(shared.far.l2().soften(space, tags, now).await, |()| true).await
    }

    async fn scan(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        self.awake(now).far.l2().scan(space, front, after, limit, now).await
    }

    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        self.awake(now).far.l2().begin(space, tags, now).await
    }

    fn begin_now(&self, space: &Space, tags: &[Tag]) -> Option<Fill> {
        self.shared().far.l2().begin_now(space, tags)
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        self.awake(now).far.l2().seal(space, fill, late, until, now).await
    }

    async fn is_current(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        self.awake(now).far.l2().is_current(space, stamp, now).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.shared().far.l2().ping().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.sleep();
        let shared = self.shared();
        if let Some(outbox) = &shared.outbox {
            outbox.backplane().close().await?;
        }
        shared.near.l1().close().await?;
        shared.far.l2().close().await
    }
}

/// A change of entries that is about to begin.
fn change_of<'a>(tiered: &'a Tiered, keys: &[Key]) -> Change<'a> {
    Change::of_keys(tiered.shared(), keys.to_vec())
}
