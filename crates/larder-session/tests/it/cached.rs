//! `CachedStore`: sessions in a durable store, with copies in a cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder_session::{CacheStore, CachedStore};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Result;
use tower_sessions::{MemoryStore, SessionStore};

use crate::{clocked, record};

/// A durable store that counts how often it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    store: MemoryStore,
    loads: Arc<AtomicUsize>,
}

impl Counted {
    pub(crate) fn loads(&self) -> usize {
        self.loads.swap(0, Ordering::SeqCst)
    }
}

// By hand what `#[async_trait]` makes: one dependency less.
type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl SessionStore for Counted {
    fn create<'a, 'r, 'f>(&'a self, record: &'r mut Record) -> Boxed<'f, ()>
    where
        'a: 'f,
        'r: 'f,
    {
        self.store.create(record)
    }
    fn save<'a, 'r, 'f>(&'a self, record: &'r Record) -> Boxed<'f, ()>
    where
        'a: 'f,
        'r: 'f,
    {
        self.store.save(record)
    }
    fn load<'a, 'r, 'f>(&'a self, id: &'r Id) -> Boxed<'f, Option<Record>>
    where
        'a: 'f,
        'r: 'f,
    {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.store.load(id)
    }
    fn delete<'a, 'r, 'f>(&'a self, id: &'r Id) -> Boxed<'f, ()>
    where
        'a: 'f,
        'r: 'f,
    {
        self.store.delete(id)
    }
}

/// SES-13.
#[tokio::test]
async fn a_session_is_read_from_the_cache_and_from_the_durable_store_once_it_is_lost_there() {
    let (cache, hand) = clocked();
    let db = Counted::default();
    let store = CachedStore::new(&cache, db.clone());
    let mut ada = record(1, "ada", 600);
    store.create(&mut ada).await.unwrap();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(db.loads(), 0, "from the cache");
    cache.clear().await.unwrap();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(db.loads(), 1, "from the durable store");
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(db.loads(), 0, "it was put back");
    // Put back for what was left of its life.
    hand.advance(Duration::from_secs(600));
    assert_eq!(store.load(&ada.id).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_saved_is_in_both_and_what_is_deleted_is_in_neither() {
    let (cache, _) = clocked();
    let db = Counted::default();
    let store = CachedStore::new(&cache, db.clone());
    let mut ada = record(1, "ada", 600);
    store.create(&mut ada).await.unwrap();
    ada.data.insert("n".into(), 1.into());
    store.save(&ada).await.unwrap();
    assert_eq!(db.load(&ada.id).await.unwrap(), Some(ada.clone()));
    db.loads();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(db.loads(), 0);
    store.delete(&ada.id).await.unwrap();
    assert_eq!((db.load(&ada.id).await.unwrap(), store.load(&ada.id).await.unwrap()), (None, None));
}

/// SES-04.
#[tokio::test]
async fn a_session_deleted_elsewhere_is_not_brought_back_by_saving_it() {
    let (cache, _) = clocked();
    let db = Counted::default();
    let (here, there) = (CachedStore::new(&cache, db.clone()), CachedStore::new(&cache, db.clone()));
    let mut ada = record(1, "ada", 600);
    here.create(&mut ada).await.unwrap();
    there.delete(&ada.id).await.unwrap();
    assert!(here.save(&ada).await.unwrap_err().to_string().contains("deleted or lost"));
    assert_eq!((here.load(&ada.id).await.unwrap(), db.load(&ada.id).await.unwrap()), (None, None));
}

/// SES-05: the durable store gives another id, and the copy follows it.
#[tokio::test]
async fn an_id_that_is_taken_in_the_durable_store_is_another_in_both() {
    let (cache, _) = clocked();
    let store = CachedStore::new(&cache, MemoryStore::default());
    let (mut ada, mut bob) = (record(1, "ada", 600), record(1, "bob", 600));
    store.create(&mut ada).await.unwrap();
    store.create(&mut bob).await.unwrap();
    assert_ne!(ada.id, bob.id);
    assert_eq!(store.load(&ada.id).await.unwrap().unwrap().data["name"], "ada");
    assert_eq!(store.load(&bob.id).await.unwrap().unwrap().data["name"], "bob");
}

#[tokio::test]
async fn ids_that_nobody_has_leave_nothing_in_the_cache() {
    let (cache, _) = clocked();
    let db = Counted::default();
    let store = CachedStore::new(&cache, db.clone());
    for _ in 0..2 {
        assert_eq!(store.load(&Id(5)).await.unwrap(), None);
        assert_eq!(db.loads(), 1);
    }
    assert!(CacheStore::new(&cache).create(&mut record(5, "new", 60)).await.is_ok(), "its place is free");
    assert_eq!(CacheStore::new(&cache).load(&Id(5)).await.unwrap().unwrap().data["name"], "new");
}

#[tokio::test]
async fn what_has_expired_in_the_durable_store_is_no_session() {
    let (cache, _) = clocked();
    let db = MemoryStore::default();
    let store = CachedStore::new(&cache, db.clone());
    store.create(&mut record(1, "ada", -1)).await.unwrap();
    assert_eq!(store.load(&Id(1)).await.unwrap(), None);
}
