//! The suite over the least that an author may write: five operations, and none of the provided ones.

use larder_core::{Backend, Capabilities, Entry, Error, Key, Space, UnixMillis, When};
use larder_testkit::{Plain, Stage};

#[derive(Clone, Debug, Default)]
struct Least(Plain);

impl Backend for Least {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("least")
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        self.0.get(key, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.0.set(key, entry, when, now).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.0.remove(key, now).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        self.0.clear(space, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.0.touch(key, expires, now).await
    }
}

larder_testkit::backend_suite! {
    least => async {
        let store = Least::default();
        let same = store.clone();
        Stage::opening(move || same.clone()).rewriting(move |key, change| store.0.rewrite(key, change))
    }
}
