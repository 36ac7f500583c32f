//! The suite lets a backend say that it can't lock or list. These can.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use larder_core::{Cache, CacheBuilder, Dummy, ErrorKind};
use larder_file::FileCache;
use larder_memory::Memory;

async fn locks_and_lists(builder: CacheBuilder) {
    let cache = builder.deadline(std::time::Duration::from_secs(60)).build().unwrap();
    cache.set("key", 1).await.unwrap();
    let lock = cache.lock("key").await.unwrap();
    assert_eq!(cache.keys("*").await.unwrap(), ["key"]);
    lock.release().await.unwrap();
}

#[tokio::test]
async fn memory_locks_and_lists() {
    locks_and_lists(Cache::builder(Memory::new())).await;
}

#[tokio::test]
async fn files_lock_and_list() {
    let directory = tempfile::tempdir().unwrap();
    locks_and_lists(Cache::builder(FileCache::builder(directory.path()).build().unwrap())).await;
}

#[tokio::test]
async fn dum_03_the_dummy_has_nothing_to_move_and_lets_everybody_hold_every_lock() {
    let cache = Cache::new(Dummy);
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.incr_version("key").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(cache.decr_version("key").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(cache.ttl("key").await.unwrap().is_missing() && !cache.persist("key").await.unwrap());
    assert!(!cache.expire_at("key", 0).await.unwrap());
    assert!(cache.keys("*").await.unwrap().is_empty());
    assert_eq!(cache.delete_pattern("*").await.unwrap(), 0);
    let (one, two) = (cache.lock("key").await.unwrap(), cache.lock("key").await.unwrap());
    one.extend(5).await.unwrap();
    one.release().await.unwrap();
    two.release().await.unwrap();
}
