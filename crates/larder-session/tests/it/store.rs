//! `CacheStore`: sessions in a cache alone.

use larder_core::{Cache, Dummy};
use larder_session::CacheStore;
use larder_testkit::{Fault, Op};
use tower_sessions::SessionStore;
use tower_sessions::session::Id;

use crate::{clocked, failing, record};

#[tokio::test]
async fn a_session_is_loaded_as_it_was_saved_and_is_gone_once_deleted() {
    let (cache, _) = clocked();
    let store = CacheStore::new(&cache);
    let mut ada = record(1, "ada", 60);
    store.create(&mut ada).await.unwrap();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    ada.data.insert("n".into(), 7.into());
    store.save(&ada).await.unwrap();
    assert_eq!(store.load(&ada.id).await.unwrap(), Some(ada.clone()));
    store.delete(&ada.id).await.unwrap();
    assert_eq!(store.load(&ada.id).await.unwrap(), None);
    store.delete(&ada.id).await.unwrap();
}

/// SES-05.
#[tokio::test]
async fn a_new_session_with_an_id_that_is_taken_gets_another() {
    let (cache, _) = clocked();
    let store = CacheStore::new(&cache);
    let (mut ada, mut bob) = (record(1, "ada", 60), record(1, "bob", 60));
    store.create(&mut ada).await.unwrap();
    store.create(&mut bob).await.unwrap();
    assert_ne!(bob.id, Id(1));
    assert_eq!(store.load(&Id(1)).await.unwrap().unwrap().data["name"], "ada");
    assert_eq!(store.load(&bob.id).await.unwrap().unwrap().data["name"], "bob");
}

/// SES-04, and a session whose id a visitor made up.
#[tokio::test]
async fn a_session_that_is_not_there_is_not_brought_back_by_saving_it() {
    let (cache, _) = clocked();
    let store = CacheStore::new(&cache);
    let mut ada = record(1, "ada", 60);
    store.create(&mut ada).await.unwrap();
    store.delete(&ada.id).await.unwrap();
    for gone in [ada, record(2, "mallory", 60)] {
        let error = store.save(&gone).await.unwrap_err().to_string();
        assert!(error.contains("deleted or lost"), "{error}");
        assert_eq!(store.load(&gone.id).await.unwrap(), None);
    }
}

/// SES-11.
#[tokio::test]
async fn a_session_expires_when_its_record_says_whatever_the_cache_does_by_default() {
    let (cache, hand) = clocked();
    let store = CacheStore::new(&cache);
    let mut ada = record(1, "ada", 100_000);
    store.create(&mut ada).await.unwrap();
    hand.advance(std::time::Duration::from_secs(99_999));
    assert!(store.load(&ada.id).await.unwrap().is_some());
    hand.advance(std::time::Duration::from_secs(1));
    assert_eq!(store.load(&ada.id).await.unwrap(), None);

    let mut over = record(2, "bob", -10);
    store.create(&mut over).await.unwrap();
    assert_eq!(store.load(&over.id).await.unwrap(), None);
}

#[tokio::test]
async fn saving_a_session_as_expired_removes_it() {
    let (cache, _) = clocked();
    let store = CacheStore::new(&cache);
    store.create(&mut record(1, "ada", 60)).await.unwrap();
    store.save(&record(1, "ada", -1)).await.unwrap();
    assert_eq!(store.load(&Id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn of_two_saves_at_once_one_wins_whole() {
    let (cache, _) = clocked();
    let store = CacheStore::new(&cache);
    store.create(&mut record(1, "none", 60)).await.unwrap();
    let (a, b) = (record(1, "ada", 60), record(1, "bob", 60));
    let (x, y) = tokio::join!(store.save(&a), store.save(&b));
    x.unwrap();
    y.unwrap();
    let found = store.load(&Id(1)).await.unwrap().unwrap();
    assert!(found == a || found == b);
}

#[tokio::test]
async fn a_cleared_cache_logs_out_and_a_save_after_it_brings_nothing_back() {
    let (cache, _) = failing();
    let store = CacheStore::new(&cache);
    let mut ada = record(1, "ada", 60);
    store.create(&mut ada).await.unwrap();
    cache.clear().await.unwrap();
    assert_eq!(store.load(&ada.id).await.unwrap(), None);
    store.save(&ada).await.unwrap_err();
    assert_eq!(store.load(&ada.id).await.unwrap(), None);
}

#[tokio::test]
async fn damaged_bytes_are_no_session_and_are_removed() {
    for damage in [Fault::garbage(), Fault::truncated()] {
        let (cache, faults) = failing();
        let store = CacheStore::new(&cache);
        store.create(&mut record(1, "ada", 60)).await.unwrap();
        faults.add(damage.times(1));
        assert_eq!(store.load(&Id(1)).await.unwrap(), None);
        assert_eq!(faults.met(), 1);
        faults.heal();
        assert_eq!(store.load(&Id(1)).await.unwrap(), None, "it was removed");
        assert!(faults.calls(Op::Remove) > 0);
    }
}

#[tokio::test]
async fn sessions_of_stores_with_another_prefix_and_values_of_the_same_cache_are_apart() {
    let (cache, _) = clocked();
    let (site, staff) = (CacheStore::new(&cache), CacheStore::new(&cache).key_prefix("staff"));
    site.create(&mut record(1, "ada", 60)).await.unwrap();
    assert_eq!(staff.load(&Id(1)).await.unwrap(), None);
    staff.create(&mut record(1, "bob", 60)).await.unwrap();
    assert_eq!(site.load(&Id(1)).await.unwrap().unwrap().data["name"], "ada");
    for key in cache.keys("*").await.unwrap() {
        cache.set(&key, "garbage").await.unwrap();
    }
    assert_eq!(staff.load(&Id(1)).await.unwrap().unwrap().data["name"], "bob");
}

#[tokio::test]
async fn a_cache_that_keeps_nothing_is_refused_in_words() {
    let store = CacheStore::new(Cache::new(Dummy));
    let error = store.create(&mut record(1, "ada", 60)).await.unwrap_err().to_string();
    assert!(error.contains("stores nothing") && error.contains("another cache"), "{error}");
    assert!(store.load(&Id(1)).await.is_err());
}

#[tokio::test]
async fn neither_debug_nor_keys_show_ids_or_data() {
    let (cache, _) = clocked();
    let store = CacheStore::new(&cache);
    let mut ada = record(77_777, "s3cret", 60);
    store.create(&mut ada).await.unwrap();
    let shown = format!("{store:?} {:?}", cache.keys("*").await.unwrap());
    assert!(!shown.contains("s3cret") && !shown.contains(&ada.id.to_string()), "{shown}");
}
