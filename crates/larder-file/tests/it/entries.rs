//! One entry at a time. Django: the FILE lines.

use std::fs;

use larder_core::{Backend, ErrorKind, Space, When};

use crate::{entries, entry, files, fresh, key, now, tagged};

#[test]
fn what_was_written_comes_back_with_expiry_and_stamp() {
    let (_parent, cache) = fresh();
    for value in ["", "42", "{\"a\":\"é\\n\"}", &"x".repeat(1 << 20)] {
        let stored = tagged(&cache, &["t".into(), "u".into()], value, Some(99));
        assert!(now(cache.set(&key(1), stored.clone(), When::Always, 1)).unwrap());
        let found = now(cache.get(&key(1), 1)).unwrap().unwrap();
        assert_eq!(found.value().to_bytes().unwrap(), value.to_owned());
        assert_eq!(found.expires(), Some(99));
        assert_eq!(found.stamp(), stored.stamp());
    }
    assert_eq!(entries(&cache).len(), 1);
    assert!(now(cache.get(&key(2), 1)).unwrap().is_none());
    let found = now(cache.get_many(&[key(2), key(1)], 1)).unwrap();
    assert!(found[0].is_none() && found[1].is_some());
}

#[test]
fn file_08_an_expired_file_is_a_miss_and_removed() {
    let (_parent, cache) = fresh();
    now(cache.set(&key(1), entry(&cache, "1", Some(5)), When::Always, 1)).unwrap();
    assert!(now(cache.get(&key(1), 4)).unwrap().is_some());
    assert!(now(cache.get(&key(1), 5)).unwrap().is_none());
    assert_eq!(entries(&cache).len(), 0);
    now(cache.set(&key(1), entry(&cache, "1", Some(5)), When::Always, 1)).unwrap();
    assert!(!now(cache.remove(&key(1), 5)).unwrap(), "an expired one is not there to remove");
    assert_eq!(entries(&cache).len(), 0);
    now(cache.set(&key(1), entry(&cache, "1", Some(9)), When::Always, 1)).unwrap();
    assert!(now(cache.set(&key(1), entry(&cache, "1", Some(5)), When::Always, 5)).unwrap());
    assert_eq!(entries(&cache).len(), 0, "storing what has expired removes what was there");
}

#[test]
fn file_07_a_file_that_is_empty_torn_or_garbage_is_a_miss_and_removed() {
    let (_parent, cache) = fresh();
    now(cache.set(&key(1), entry(&cache, "\"value\"", None), When::Always, 1)).unwrap();
    let path = entries(&cache).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let torn = (0..whole.len()).map(|cut| whole[..cut].to_vec());
    let garbage = [b"GIF89a, somebody's cat".to_vec(), vec![0xff; 4096], [&whole[..], b"x"].concat()];
    for bad in torn.chain(garbage) {
        fs::write(&path, &bad).unwrap();
        assert!(now(cache.get(&key(1), 1)).unwrap().is_none(), "{} bytes of {}", bad.len(), whole.len());
        assert!(!path.exists(), "{} bytes", bad.len());
        // In the way of nobody.
        fs::write(&path, &bad).unwrap();
        assert!(!now(cache.touch(&key(1), None, 1)).unwrap());
        assert!(!now(cache.set(&key(1), entry(&cache, "2", None), When::Present, 1)).unwrap());
        assert!(now(cache.set(&key(1), entry(&cache, "2", None), When::Absent, 1)).unwrap());
        assert!(now(cache.get(&key(1), 1)).unwrap().is_some());
    }
    fs::write(&path, &whole).unwrap();
    assert!(now(cache.get(&key(1), 1)).unwrap().is_some(), "and whole again it is a hit");
}

#[test]
fn a_file_with_another_identity_is_a_miss_and_left_alone() {
    let (_parent, cache) = fresh();
    now(cache.set(&key(1), entry(&cache, "1", None), When::Always, 1)).unwrap();
    let other = entries(&cache).pop().unwrap();
    now(cache.set(&key(2), entry(&cache, "2", None), When::Always, 1)).unwrap();
    let mine = entries(&cache).into_iter().find(|path| *path != other).unwrap();
    fs::copy(&other, &mine).unwrap();
    assert!(now(cache.get(&key(2), 1)).unwrap().is_none(), "a hash alone never decides");
    assert!(mine.exists());
}

#[test]
fn file_06_any_other_error_reaches_the_caller() {
    let (_parent, cache) = fresh();
    now(cache.set(&key(1), entry(&cache, "1", None), When::Always, 1)).unwrap();
    let path = entries(&cache).pop().unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(now(cache.get(&key(1), 1)).unwrap_err().kind(), ErrorKind::Backend);
    assert!(now(cache.set(&key(1), entry(&cache, "1", None), When::Always, 1)).is_err());
    assert!(files(cache.directory()).iter().all(|path| !path.to_string_lossy().contains(".tmp-")));
}

#[test]
fn incr_and_touch_keep_everything_else() {
    let (_parent, cache) = fresh();
    let stored = tagged(&cache, &["t".into()], "41", Some(99));
    now(cache.set(&key(1), stored.clone(), When::Always, 1)).unwrap();
    assert_eq!(now(cache.incr(&key(1), 1, 1)).unwrap(), Some(42));
    assert!(now(cache.touch(&key(1), Some(77), 1)).unwrap());
    let found = now(cache.get(&key(1), 1)).unwrap().unwrap();
    assert_eq!((found.value().to_bytes().unwrap(), found.expires()), ("42".into(), Some(77)));
    assert_eq!(found.stamp(), stored.stamp());
    assert_eq!(now(cache.incr(&key(2), 1, 1)).unwrap(), None);
    for (value, delta) in [("\"text\"", 1), ("9223372036854775807", 1), ("1.5", 1), ("007", 1)] {
        now(cache.set(&key(1), entry(&cache, value, None), When::Always, 1)).unwrap();
        assert_eq!(now(cache.incr(&key(1), delta, 1)).unwrap_err().kind(), ErrorKind::Value, "{value}");
    }
    assert!(now(cache.touch(&key(1), Some(1), 1)).unwrap(), "touched into the past");
    assert_eq!(entries(&cache).len(), 0);
}

#[test]
fn an_invalidated_entry_is_absent_for_everything_and_removed() {
    let (_parent, cache) = fresh();
    let old = tagged(&cache, &["t".into()], "1", None);
    now(cache.invalidate(&Space::default(), &["t".into()], 1)).unwrap();
    let stale = || assert!(now(cache.set(&key(1), old.clone(), When::Always, 1)).unwrap());
    stale();
    assert!(now(cache.get(&key(1), 1)).unwrap().is_none());
    assert_eq!(entries(&cache).len(), 0);
    stale();
    assert!(!now(cache.touch(&key(1), None, 1)).unwrap());
    assert_eq!(now(cache.incr(&key(1), 1, 1)).unwrap(), None);
    assert!(!now(cache.set(&key(1), entry(&cache, "2", None), When::Present, 1)).unwrap());
    assert!(!now(cache.remove(&key(1), 1)).unwrap());
    stale();
    assert!(now(cache.set(&key(1), entry(&cache, "2", None), When::Absent, 1)).unwrap());
    assert!(now(cache.get(&key(1), 1)).unwrap().is_some());
}
