//! [`FileCache`] as a [`Backend`]: each operation is one piece of work for a blocking thread.

use std::sync::Arc;

use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Fetched, Fill, Key, Scanned, Space, Stamp, Tag,
    UnixMillis, When, renew_space,
};
use tokio::runtime::Handle;

use crate::FileCache;
use crate::disk::Disk;
use crate::raw::{Raw, read, ready};

impl Backend for FileCache {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("file").verifying().listing()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        self.read_only(key, now).await
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let keys = keys.to_vec();
        self.run(move |files| keys.iter().map(|key| read(files, key, now)).collect()).await
    }

    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        let (space, keys, tags) = (space.clone(), keys.to_vec(), tags.to_vec());
        self.run(move |files| {
            let records = ready(files.fetch(&space, &[], &tags, now))?;
            let entries = keys.iter().map(|key| read(files, key, now)).collect::<Result<_, _>>()?;
            Ok(Fetched { entries, ..records })
        })
        .await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let key = key.clone();
        let valid = move |files: &Raw| {
            files.0.write(&key, &entry, when, now, &|there| files.is_valid(&key, there, now))
        };
        let stored = self.run(valid).await?;
        self.tidy_behind(now);
        Ok(stored)
    }

    async fn set_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        let write = move |files: &Raw| {
            let mut refused = Vec::new();
            for (place, (key, entry)) in entries.iter().enumerate() {
                let valid = |there: &Entry| files.is_valid(key, there, now);
                match files.0.write(key, entry, When::Always, now, &valid) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Backend => return Err(error),
                    Err(error) => refused.push((place, error)),
                }
            }
            Ok(refused)
        };
        let refused = self.run(write).await?;
        self.tidy_behind(now);
        Ok(refused)
    }

    async fn remove_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        let keys = keys.to_vec();
        self.run(move |files| {
            let mut removed = 0;
            for key in &keys {
                let there = files.0.remove(key, now, &|there| files.is_valid(key, there, now))?;
                removed += usize::from(there);
            }
            Ok(removed)
        })
        .await
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let (key, expected) = (key.clone(), expected.to_vec());
        self.run(move |files| {
            files.0.replace(&key, &expected, with.as_ref(), now, &|there| files.is_valid(&key, there, now))
        })
        .await
    }

    async fn scan(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        let (space, front, after) = (space.clone(), front.to_owned(), after.map(str::to_owned));
        self.run(move |files| files.scan(&space, front.as_bytes(), after.as_deref(), limit, now)).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        let key = key.clone();
        self.run(move |files| files.0.remove(&key, now, &|there| files.is_valid(&key, there, now))).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        let key = key.clone();
        self.run(move |files| files.0.touch(&key, expires, now, &|there| files.is_valid(&key, there, now)))
            .await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        let key = key.clone();
        self.run(move |files| files.0.incr(&key, delta, now, &|there| files.is_valid(&key, there, now))).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        let space = space.clone();
        self.run(move |files| {
            // From here on nothing older is valid. The sweep leaves these two records where they are, so once is enough.
            ready(renew_space(files, &space, now))?;
            ready(files.clear(&space, now))
        })
        .await
    }

    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        let (space, tags) = (space.clone(), tags.to_vec());
        self.run(move |files| ready(files.begin(&space, &tags, now))).await
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        if fill.held().next().is_none() && late.is_empty() {
            return Ok(Some(fill.stamp([])));
        }
        let (space, fill, late) = (space.clone(), fill.clone(), late.to_vec());
        self.run(move |files| ready(files.seal(&space, &fill, &late, until, now))).await
    }

    async fn is_current(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        let (space, stamp) = (space.clone(), stamp.clone());
        self.run(move |files| ready(files.is_current(&space, &stamp, now))).await
    }

    async fn soften(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        let (space, tags) = (space.clone(), tags.to_vec());
        self.run(move |files| ready(files.soften(&space, &tags, now))).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        let (space, tags) = (space.clone(), tags.to_vec());
        self.run(move |files| ready(files.invalidate(&space, &tags, now))).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.run(|files| files.0.probe()).await
    }
}

impl FileCache {
    /// Runs on a blocking thread, or right here where there is no runtime. What was begun is finished even if nobody waits.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Raw) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let files = Raw(Arc::clone(&self.disk));
        let Ok(runtime) = Handle::try_current() else { return work(&files) };
        match runtime.spawn_blocking(move || work(&files)).await {
            Ok(done) => done,
            Err(error) => {
                Err(Error::new(ErrorKind::Unavailable, "the file cache's work was cut off")
                    .with_source(error))
            }
        }
    }

    /// Tidies and sweeps, if it is time, without letting anybody wait for it.
    fn tidy_behind(&self, now: UnixMillis) {
        let (tidy, shard) = (self.disk.wants_tidying(), self.disk.wants_sweeping(now));
        if !tidy && shard.is_none() {
            return;
        }
        // An error shows again, to a caller, at the next write; until then there is nobody to tell.
        let tidy = move |disk: &Disk| {
            if tidy {
                _ = disk.tidy(now);
            }
            if let Some(shard) = shard {
                _ = disk.sweep_shard(shard, now);
            }
        };
        let Ok(runtime) = Handle::try_current() else { return tidy(&self.disk) };
        let disk = Arc::clone(&self.disk);
        runtime.spawn_blocking(move || tidy(&disk));
    }
}
