//! The one place that boxes: a backend whose type nobody above has to know.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::backend::{Backend, Capabilities, Fetched, Scanned, When};
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::error::Error;
use crate::key::{Key, Space};
use crate::tag::{Fill, Stamp, Tag};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Any [`Backend`], behind one pointer. Clones share it.
#[derive(Clone)]
pub struct DynBackend(Arc<dyn Erased>);

impl DynBackend {
    /// Erases a backend; one that is erased already stays as it is.
    pub fn new(backend: impl Backend) -> Self {
        match (&backend as &dyn Any).downcast_ref::<Self>() {
            Some(erased) => erased.clone(),
            None => Self(Arc::new(backend)),
        }
    }
}

impl DynBackend {
    /// Whether both are the same backend.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for DynBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// [`Backend`] with boxed futures.
trait Erased: fmt::Debug + Send + Sync {
    fn capabilities(&self) -> Capabilities;
    fn get_now(&self, key: &Key, now: UnixMillis) -> Option<Option<Entry>>;
    fn begin_now(&self, space: &Space, tags: &[Tag]) -> Option<Fill>;
    fn get<'a>(&'a self, key: &'a Key, now: UnixMillis) -> Boxed<'a, Option<Entry>>;
    fn set<'a>(&'a self, key: &'a Key, entry: Entry, when: When, now: UnixMillis) -> Boxed<'a, bool>;
    fn remove<'a>(&'a self, key: &'a Key, now: UnixMillis) -> Boxed<'a, bool>;
    fn clear<'a>(&'a self, space: &'a Space, now: UnixMillis) -> Boxed<'a, ()>;
    fn get_many<'a>(&'a self, keys: &'a [Key], now: UnixMillis) -> Boxed<'a, Vec<Option<Entry>>>;
    fn set_many<'a>(&'a self, entries: Vec<(Key, Entry)>, now: UnixMillis) -> Boxed<'a, Vec<(usize, Error)>>;
    fn remove_many<'a>(&'a self, keys: &'a [Key], now: UnixMillis) -> Boxed<'a, usize>;
    fn compare_and_set<'a>(
        &'a self,
        key: &'a Key,
        expected: &'a [u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Boxed<'a, bool>;
    fn scan<'a>(
        &'a self,
        space: &'a Space,
        front: &'a str,
        after: Option<&'a str>,
        limit: usize,
        now: UnixMillis,
    ) -> Boxed<'a, Scanned>;
    fn fetch<'a>(
        &'a self,
        space: &'a Space,
        keys: &'a [Key],
        tags: &'a [Tag],
        now: UnixMillis,
    ) -> Boxed<'a, Fetched>;
    fn expiry<'a>(&'a self, key: &'a Key, entry: &'a Entry, now: UnixMillis)
    -> Boxed<'a, Option<UnixMillis>>;
    fn touch<'a>(&'a self, key: &'a Key, expires: Option<UnixMillis>, now: UnixMillis) -> Boxed<'a, bool>;
    fn incr<'a>(&'a self, key: &'a Key, delta: i64, now: UnixMillis) -> Boxed<'a, Option<i64>>;
    fn begin<'a>(&'a self, space: &'a Space, tags: &'a [Tag], now: UnixMillis) -> Boxed<'a, Fill>;
    fn seal<'a>(
        &'a self,
        space: &'a Space,
        fill: &'a Fill,
        late: &'a [Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Boxed<'a, Option<Stamp>>;
    fn is_current<'a>(&'a self, space: &'a Space, stamp: &'a Stamp, now: UnixMillis) -> Boxed<'a, bool>;
    fn invalidate<'a>(&'a self, space: &'a Space, tags: &'a [Tag], now: UnixMillis) -> Boxed<'a, ()>;
    fn soften<'a>(&'a self, space: &'a Space, tags: &'a [Tag], now: UnixMillis) -> Boxed<'a, ()>;
    fn ping<'a>(&'a self) -> Boxed<'a, ()>;
    fn close<'a>(&'a self) -> Boxed<'a, ()>;
}

impl<B: Backend> Erased for B {
    fn capabilities(&self) -> Capabilities {
        Backend::capabilities(self)
    }
    fn get_now(&self, key: &Key, now: UnixMillis) -> Option<Option<Entry>> {
        Backend::get_now(self, key, now)
    }
    fn begin_now(&self, space: &Space, tags: &[Tag]) -> Option<Fill> {
        Backend::begin_now(self, space, tags)
    }
    fn get<'a>(&'a self, key: &'a Key, now: UnixMillis) -> Boxed<'a, Option<Entry>> {
        Box::pin(Backend::get(self, key, now))
    }
    fn set<'a>(&'a self, key: &'a Key, entry: Entry, when: When, now: UnixMillis) -> Boxed<'a, bool> {
        Box::pin(Backend::set(self, key, entry, when, now))
    }
    fn remove<'a>(&'a self, key: &'a Key, now: UnixMillis) -> Boxed<'a, bool> {
        Box::pin(Backend::remove(self, key, now))
    }
    fn clear<'a>(&'a self, space: &'a Space, now: UnixMillis) -> Boxed<'a, ()> {
        Box::pin(Backend::clear(self, space, now))
    }
    fn get_many<'a>(&'a self, keys: &'a [Key], now: UnixMillis) -> Boxed<'a, Vec<Option<Entry>>> {
        Box::pin(Backend::get_many(self, keys, now))
    }
    fn set_many<'a>(&'a self, entries: Vec<(Key, Entry)>, now: UnixMillis) -> Boxed<'a, Vec<(usize, Error)>> {
        Box::pin(Backend::set_many(self, entries, now))
    }
    fn remove_many<'a>(&'a self, keys: &'a [Key], now: UnixMillis) -> Boxed<'a, usize> {
        Box::pin(Backend::remove_many(self, keys, now))
    }
    fn compare_and_set<'a>(
        &'a self,
        key: &'a Key,
        expected: &'a [u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Boxed<'a, bool> {
        Box::pin(Backend::compare_and_set(self, key, expected, with, now))
    }
    fn scan<'a>(
        &'a self,
        space: &'a Space,
        front: &'a str,
        after: Option<&'a str>,
        limit: usize,
        now: UnixMillis,
    ) -> Boxed<'a, Scanned> {
        Box::pin(Backend::scan(self, space, front, after, limit, now))
    }
    fn fetch<'a>(
        &'a self,
        space: &'a Space,
        keys: &'a [Key],
        tags: &'a [Tag],
        now: UnixMillis,
    ) -> Boxed<'a, Fetched> {
        Box::pin(Backend::fetch(self, space, keys, tags, now))
    }
    fn expiry<'a>(
        &'a self,
        key: &'a Key,
        entry: &'a Entry,
        now: UnixMillis,
    ) -> Boxed<'a, Option<UnixMillis>> {
        Box::pin(Backend::expiry(self, key, entry, now))
    }
    fn touch<'a>(&'a self, key: &'a Key, expires: Option<UnixMillis>, now: UnixMillis) -> Boxed<'a, bool> {
        Box::pin(Backend::touch(self, key, expires, now))
    }
    fn incr<'a>(&'a self, key: &'a Key, delta: i64, now: UnixMillis) -> Boxed<'a, Option<i64>> {
        Box::pin(Backend::incr(self, key, delta, now))
    }
    fn begin<'a>(&'a self, space: &'a Space, tags: &'a [Tag], now: UnixMillis) -> Boxed<'a, Fill> {
        Box::pin(Backend::begin(self, space, tags, now))
    }
    fn seal<'a>(
        &'a self,
        space: &'a Space,
        fill: &'a Fill,
        late: &'a [Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Boxed<'a, Option<Stamp>> {
        Box::pin(Backend::seal(self, space, fill, late, until, now))
    }
    fn is_current<'a>(&'a self, space: &'a Space, stamp: &'a Stamp, now: UnixMillis) -> Boxed<'a, bool> {
        Box::pin(Backend::is_current(self, space, stamp, now))
    }
    fn soften<'a>(&'a self, space: &'a Space, tags: &'a [Tag], now: UnixMillis) -> Boxed<'a, ()> {
        Box::pin(Backend::soften(self, space, tags, now))
    }
    fn invalidate<'a>(&'a self, space: &'a Space, tags: &'a [Tag], now: UnixMillis) -> Boxed<'a, ()> {
        Box::pin(Backend::invalidate(self, space, tags, now))
    }
    fn ping<'a>(&'a self) -> Boxed<'a, ()> {
        Box::pin(Backend::ping(self))
    }
    fn close<'a>(&'a self) -> Boxed<'a, ()> {
        Box::pin(Backend::close(self))
    }
}

impl Backend for DynBackend {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn get_now(&self, key: &Key, now: UnixMillis) -> Option<Option<Entry>> {
        self.0.get_now(key, now)
    }
    fn begin_now(&self, space: &Space, tags: &[Tag]) -> Option<Fill> {
        self.0.begin_now(space, tags)
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
    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        self.0.get_many(keys, now).await
    }
    async fn set_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        self.0.set_many(entries, now).await
    }
    async fn remove_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        self.0.remove_many(keys, now).await
    }
    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        self.0.compare_and_set(key, expected, with, now).await
    }
    async fn scan(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        self.0.scan(space, front, after, limit, now).await
    }
    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        self.0.fetch(space, keys, tags, now).await
    }
    async fn expiry(&self, key: &Key, entry: &Entry, now: UnixMillis) -> Result<Option<UnixMillis>, Error> {
        self.0.expiry(key, entry, now).await
    }
    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.0.touch(key, expires, now).await
    }
    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        self.0.incr(key, delta, now).await
    }
    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        self.0.begin(space, tags, now).await
    }
    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        self.0.seal(space, fill, late, until, now).await
    }
    async fn is_current(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        self.0.is_current(space, stamp, now).await
    }
    async fn soften(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.0.soften(space, tags, now).await
    }
    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.0.invalidate(space, tags, now).await
    }
    async fn ping(&self) -> Result<(), Error> {
        self.0.ping().await
    }
    async fn close(&self) -> Result<(), Error> {
        self.0.close().await
    }
}
