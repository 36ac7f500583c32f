//! The cache is out of reach: nothing is lost in silence, and nobody is somebody else.

use larder_core::ErrorKind;
use larder_session::{CacheStore, CachedStore};
use larder_testkit::{Fault, Op};
use tower_sessions::session::Id;
use tower_sessions::{MemoryStore, SessionStore};

use crate::{failing, record};

#[tokio::test]
async fn with_the_cache_alone_everything_fails_aloud_and_the_session_is_there_again_afterwards() {
    let (cache, faults) = failing();
    let store = CacheStore::new(&cache);
    let mut ada = record(1, "ada", 600);
    store.create(&mut ada).await.unwrap();
    faults.add(Fault::error(ErrorKind::Unavailable));
    assert!(store.load(&ada.id).await.is_err(), "not: logged out");
    assert!(store.save(&ada).await.is_err());
    assert!(store.create(&mut record(2, "bob", 600)).await.is_err());
    assert!(store.delete(&ada.id).await.is_err());
    faults.heal();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada));
}

#[tokio::test]
async fn a_cache_whose_errors_are_ignored_loses_no_session_in_silence_either() {
    use larder_core::{Cache, ManualClock};
    let hand = ManualClock::new(crate::BEGIN * 1000);
    let faulty = larder_testkit::Faulty::over(larder_memory::Memory::new()).clock(hand.clock()).remote();
    let faults = faulty.faults();
    let cache = Cache::builder(faulty).clock(hand.clock()).ignore_errors(true).build().unwrap();
    let store = CacheStore::new(cache);
    faults.add(Fault::error(ErrorKind::Unavailable));
    assert!(store.create(&mut record(1, "ada", 600)).await.is_err());
    assert!(store.load(&Id(1)).await.is_err());
}

#[tokio::test]
async fn with_a_durable_store_sessions_go_on_without_the_cache() {
    let (cache, faults) = failing();
    let store = CachedStore::new(&cache, MemoryStore::default());
    let mut ada = record(1, "ada", 600);
    store.create(&mut ada).await.unwrap();
    faults.add(Fault::error(ErrorKind::Unavailable));
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    ada.data.insert("n".into(), 1.into());
    store.save(&ada).await.unwrap();
    let mut bob = record(2, "bob", 600);
    store.create(&mut bob).await.unwrap();
    assert_eq!(store.load(&bob.id).await.unwrap(), Some(bob));
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    // The copy in the cache is older than the original, and is not believed.
    faults.heal();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada));
}

#[tokio::test]
async fn a_logout_that_the_cache_was_not_told_of_is_an_error_and_nobody_is_logged_in_by_the_old_copy() {
    let (cache, faults) = failing();
    let store = CachedStore::new(&cache, MemoryStore::default());
    let mut ada = record(1, "ada", 600);
    store.create(&mut ada).await.unwrap();
    faults.add(Fault::error(ErrorKind::Unavailable));
    let error = store.delete(&ada.id).await.unwrap_err().to_string();
    assert!(error.contains("delete it again"), "{error}");
    assert_eq!(store.load(&ada.id).await.unwrap(), None);
    faults.heal();
    assert_eq!(store.load(&ada.id).await.unwrap(), None, "the old copy is not believed");
    store.delete(&ada.id).await.unwrap();
}

#[tokio::test]
async fn a_copy_that_could_not_be_written_is_read_from_the_durable_store() {
    let (cache, faults) = failing();
    let store = CachedStore::new(&cache, MemoryStore::default());
    let mut ada = record(1, "ada", 600);
    store.create(&mut ada).await.unwrap();
    faults.add(Fault::error(ErrorKind::Unavailable).on([Op::CompareAndSet]));
    ada.data.insert("n".into(), 1.into());
    store.save(&ada).await.unwrap();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    faults.heal();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada));
}
