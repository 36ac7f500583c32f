//! What happens to copies when sessions are read, saved and deleted at the same time: each step is held up where it would do harm.

use std::sync::Arc;

use larder_session::CachedStore;
use tokio::sync::Semaphore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Result;
use tower_sessions::{MemoryStore, SessionStore};

use crate::{clocked, record};

type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A durable store whose answers are held up: it has read or written, and nobody knows yet.
#[derive(Clone, Debug)]
struct Slow {
    store: MemoryStore,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl Slow {
    fn over(store: &MemoryStore, reads: usize, writes: usize) -> Self {
        let gate = |permits| Arc::new(Semaphore::new(permits));
        Self { store: store.clone(), reads: gate(reads), writes: gate(writes) }
    }
}

impl SessionStore for Slow {
    fn save<'a, 'r, 'f>(&'a self, record: &'r Record) -> Boxed<'f, ()>
    where
        'a: 'f,
        'r: 'f,
    {
        Box::pin(async move {
            self.store.save(record).await?;
            self.writes.acquire().await.expect("open").forget();
            Ok(())
        })
    }
    fn load<'a, 'r, 'f>(&'a self, id: &'r Id) -> Boxed<'f, Option<Record>>
    where
        'a: 'f,
        'r: 'f,
    {
        Box::pin(async move {
            let found = self.store.load(id).await;
            self.reads.acquire().await.expect("open").forget();
            found
        })
    }
    fn delete<'a, 'r, 'f>(&'a self, id: &'r Id) -> Boxed<'f, ()>
    where
        'a: 'f,
        'r: 'f,
    {
        self.store.delete(id)
    }
}

const MANY: usize = 1_000;

/// Lets everything that can go on do so.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_read_before_a_logout_is_not_put_back_after_it() {
    let (cache, _) = clocked();
    let db = MemoryStore::default();
    db.create(&mut record(1, "ada", 600)).await.unwrap();
    let slow = Slow::over(&db, 0, MANY);
    let reader = CachedStore::new(&cache, slow.clone());
    let reading = tokio::spawn(async move { reader.load(&Id(1)).await });
    settle().await;
    let store = CachedStore::new(&cache, db);
    store.delete(&Id(1)).await.unwrap();
    slow.reads.add_permits(MANY);
    reading.await.unwrap().unwrap();
    assert_eq!(store.load(&Id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_read_before_a_save_is_not_put_over_it() {
    let (cache, _) = clocked();
    let db = MemoryStore::default();
    db.create(&mut record(1, "old", 600)).await.unwrap();
    let slow = Slow::over(&db, 0, MANY);
    let reader = CachedStore::new(&cache, slow.clone());
    let reading = tokio::spawn(async move { reader.load(&Id(1)).await });
    settle().await;
    let store = CachedStore::new(&cache, db);
    store.save(&record(1, "new", 600)).await.unwrap();
    slow.reads.add_permits(MANY);
    reading.await.unwrap().unwrap();
    assert_eq!(store.load(&Id(1)).await.unwrap().unwrap().data["name"], "new");
}

#[tokio::test]
async fn of_two_who_save_at_once_the_copy_is_what_the_durable_store_has() {
    let (cache, _) = clocked();
    let db = MemoryStore::default();
    db.create(&mut record(1, "none", 600)).await.unwrap();
    // The first has written and does not know it yet; the second writes meanwhile.
    let slow = Slow::over(&db, MANY, 0);
    let first = CachedStore::new(&cache, slow.clone());
    let saving = tokio::spawn(async move { first.save(&record(1, "first", 600)).await });
    settle().await;
    let second = CachedStore::new(&cache, db.clone());
    second.save(&record(1, "second", 600)).await.unwrap();
    slow.writes.add_permits(MANY);
    saving.await.unwrap().unwrap();
    let kept = db.load(&Id(1)).await.unwrap();
    assert_eq!(second.load(&Id(1)).await.unwrap(), kept);
    assert_eq!(kept.unwrap().data["name"], "second");
}

#[tokio::test]
async fn while_a_save_is_under_way_sessions_are_read_from_the_durable_store() {
    let (cache, _) = clocked();
    let db = MemoryStore::default();
    let store = CachedStore::new(&cache, db.clone());
    store.create(&mut record(1, "old", 600)).await.unwrap();
    let slow = Slow::over(&db, MANY, 0);
    let writer = CachedStore::new(&cache, slow.clone());
    let saving = tokio::spawn(async move { writer.save(&record(1, "new", 600)).await });
    settle().await;
    assert_eq!(store.load(&Id(1)).await.unwrap().unwrap().data["name"], "new", "not the old copy");
    slow.writes.add_permits(MANY);
    saving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_save_that_is_dropped_half_way_leaves_no_old_copy() {
    let (cache, _) = clocked();
    let db = MemoryStore::default();
    let store = CachedStore::new(&cache, db.clone());
    store.create(&mut record(1, "old", 600)).await.unwrap();
    let writer = CachedStore::new(&cache, Slow::over(&db, MANY, 0));
    let saving = tokio::spawn(async move { writer.save(&record(1, "new", 600)).await });
    settle().await;
    saving.abort();
    assert!(saving.await.unwrap_err().is_cancelled());
    assert_eq!(store.load(&Id(1)).await.unwrap().unwrap().data["name"], "new");
}
