//! [`FileCache`] as a [`Backend`]: each operation is one piece of work for a blocking thread.

use std::sync::Arc;

use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Key, Space, UnixMillis, When, renew_space,
};
use tokio::runtime::Handle;

use crate::FileCache;
use crate::disk::Disk;

impl Backend for FileCache {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("file")
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let key = key.clone();
        self.run(move |disk| disk.read(&key, now)).await
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let keys = keys.to_vec();
        self.run(move |disk| keys.iter().map(|key| disk.read(key, now)).collect()).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let key = key.clone();
        let stored = self.run(move |disk| disk.write(&key, &entry, when, now)).await?;
        self.tidy_behind(now);
        Ok(stored)
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        let key = key.clone();
        self.run(move |disk| disk.remove(&key, now)).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        let key = key.clone();
        self.run(move |disk| disk.touch(&key, expires, now)).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        let key = key.clone();
        self.run(move |disk| disk.incr(&key, delta, now)).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        // From here on nothing older is valid. The sweep leaves these two records where they are, so once is enough.
        renew_space(self, space, now).await?;
        let space = space.clone();
        self.run(move |disk| disk.sweep(space.prefix().as_bytes())).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.run(Disk::probe).await
    }
}

impl FileCache {
    /// Runs on a blocking thread, or right here where there is no runtime. What was begun is finished even if nobody waits.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Ok(runtime) = Handle::try_current() else { return work(&self.disk) };
        let disk = Arc::clone(&self.disk);
        match runtime.spawn_blocking(move || work(&disk)).await {
            Ok(done) => done,
            Err(error) => {
                Err(Error::new(ErrorKind::Unavailable, "the file cache's work was cut off")
                    .with_source(error))
            }
        }
    }

    /// Tidies, if it is time, without letting anybody wait for it.
    fn tidy_behind(&self, now: UnixMillis) {
        if !self.disk.wants_tidying() {
            return;
        }
        // An error shows again, to a caller, at the next write; until then there is nobody to tell.
        let Ok(runtime) = Handle::try_current() else { return drop(self.disk.tidy(now)) };
        let disk = Arc::clone(&self.disk);
        runtime.spawn_blocking(move || disk.tidy(now));
    }
}
