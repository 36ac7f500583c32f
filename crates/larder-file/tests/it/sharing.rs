//! Several handles, as several processes would have, and several threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_core::{Backend, Space, Tag, When};
use larder_file::FileCache;

use crate::{entry, files, fresh, key, now, tagged};

const THREADS: usize = 6;

/// Each thread has a handle of its own: they share only the directory, like processes.
fn together(cache: &FileCache, work: impl Fn(usize, FileCache) + Sync) {
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, work) = (&start, &work);
            let own = FileCache::builder(cache.directory()).build().unwrap();
            scope.spawn(move || {
                start.wait();
                work(thread, own);
            });
        }
    });
}

#[test]
fn two_handles_on_one_directory_see_each_others_writes() {
    let (_parent, one) = fresh();
    let two = FileCache::builder(one.directory()).build().unwrap();
    now(one.set(&key(1), entry(&one, "1", None), When::Always, 1)).unwrap();
    assert!(now(two.get(&key(1), 1)).unwrap().is_some());
    assert!(!now(two.set(&key(1), entry(&two, "2", None), When::Absent, 1)).unwrap());
    assert!(now(two.remove(&key(1), 1)).unwrap());
    assert!(now(one.get(&key(1), 1)).unwrap().is_none());
}

#[test]
fn of_concurrent_adds_one_wins_even_over_a_file_that_is_expired_torn_or_invalidated() {
    let (_parent, cache) = fresh();
    for before in ["nothing", "expired", "torn", "invalidated"] {
        let wins = AtomicU64::new(0);
        for i in 0..40 {
            now(cache.remove(&key(i), 1)).unwrap();
            if before != "nothing" {
                let expires = if before == "expired" { Some(5) } else { None };
                let old = tagged(&cache, &["t".into()], "0", expires);
                now(cache.set(&key(i), old, When::Always, 1)).unwrap();
            }
        }
        if before == "torn" {
            for path in crate::entries(&cache) {
                std::fs::write(path, "larderf1").unwrap();
            }
        }
        if before == "invalidated" {
            now(cache.invalidate(&Space::default(), &["t".into()], 1)).unwrap();
        }
        together(&cache, |_, own| {
            for i in 0..40 {
                let won = now(own.set(&key(i), entry(&own, "1", None), When::Absent, 10)).unwrap();
                wins.fetch_add(u64::from(won), Ordering::Relaxed);
                assert!(now(own.get(&key(i), 10)).unwrap().is_some(), "a reader must not remove the new one");
            }
        });
        assert_eq!(wins.into_inner(), 40, "over {before}");
    }
}

#[test]
fn the_sum_of_concurrent_increments_is_exact() {
    let (_parent, cache) = fresh();
    now(cache.set(&key(1), entry(&cache, "0", None), When::Always, 1)).unwrap();
    together(&cache, |thread, own| {
        for _ in 0..100 {
            now(own.incr(&key(1), 1, 1)).unwrap().unwrap();
            if thread == 0 {
                now(own.touch(&key(1), Some(99), 1)).unwrap();
            }
        }
    });
    let found = now(cache.get(&key(1), 1)).unwrap().unwrap();
    assert_eq!(found.value().to_bytes().unwrap(), format!("{}", THREADS * 100));
}

#[test]
fn file_11_a_reader_sees_an_old_value_or_a_new_one_and_always_whole() {
    let (_parent, cache) = fresh();
    let value = |n: usize| n.to_string().repeat(20_000);
    now(cache.set(&key(1), entry(&cache, &value(0), None), When::Always, 1)).unwrap();
    together(&cache, |thread, own| {
        for _ in 0..60 {
            if thread < 2 {
                now(own.set(&key(1), entry(&own, &value(thread), None), When::Always, 1)).unwrap();
            } else {
                let found = now(own.get(&key(1), 1)).unwrap().expect("it is never gone, not for a moment");
                let bytes = found.value().to_bytes().unwrap();
                assert!(bytes.len() == 20_000 && bytes.iter().all(|b| *b == bytes[0]));
            }
        }
    });
    assert!(files(cache.directory()).iter().all(|path| !path.to_string_lossy().contains(".tmp-")));
}

#[test]
fn an_invalidation_is_not_undone_by_a_fill_that_prolongs_the_tags_record() {
    let (_parent, cache) = fresh();
    let (space, tags) = (Space::default(), [Tag::from("t")]);
    let until = AtomicU64::new(10_000_000);
    together(&cache, |thread, own| {
        for _ in 0..150 {
            let fill = now(own.begin(&space, &tags, 1)).unwrap();
            if thread == 0 {
                now(own.invalidate(&space, &tags, 1)).unwrap();
                for _ in 0..3 {
                    let old = fill.stamp([]);
                    assert!(!now(own.is_current(&space, &old, 1)).unwrap(), "an old nonce came back");
                }
            } else {
                // Longer than any before, so that the record must live longer too.
                let until = until.fetch_add(1_000, Ordering::Relaxed);
                now(own.seal(&space, &fill, &[], Some(until), 1)).unwrap();
            }
        }
    });
}

fn read_often(cache: &FileCache, at: u64) -> Option<Vec<u8>> {
    let read =
        || now(cache.get(&key(1), at)).unwrap().map(|entry| entry.value().to_bytes().unwrap().to_vec());
    let first = read();
    for _ in 0..3 {
        assert_eq!(read(), first);
    }
    first
}

#[test]
fn what_was_read_often_is_read_anew_once_anything_of_it_changes() {
    let (_parent, one) = fresh();
    let two = FileCache::builder(one.directory()).build().unwrap();
    let (space, group) = (Space::default(), Tag::group("host", "a"));
    let put = |value: &str, tags: &[Tag], expires| {
        now(two.set(&key(1), tagged(&two, tags, value, expires), When::Always, 1)).unwrap();
    };
    put("1", &["t".into(), group.clone()], None);
    assert_eq!(read_often(&one, 1).as_deref(), Some(&b"1"[..]));
    put("2", &["t".into(), "u".into()], None);
    assert_eq!(read_often(&one, 1).as_deref(), Some(&b"2"[..]));
    now(two.invalidate(&space, &["u".into()], 1)).unwrap();
    assert_eq!(read_often(&one, 1), None);
    put("3", std::slice::from_ref(&group), None);
    assert_eq!(read_often(&one, 1).as_deref(), Some(&b"3"[..]));
    now(two.invalidate(&space, std::slice::from_ref(&group), 1)).unwrap();
    assert_eq!(read_often(&one, 1), None, "one of its groups");
    put("4", &["t".into()], Some(10));
    assert_eq!(read_often(&one, 9).as_deref(), Some(&b"4"[..]));
    assert_eq!(read_often(&one, 10), None, "the file still stands there");
    put("5", &["t".into()], None);
    assert_eq!(read_often(&one, 1).as_deref(), Some(&b"5"[..]));
    now(two.soften(&space, &["t".into()], 1)).unwrap();
    for _ in 0..3 {
        assert!(now(one.get(&key(1), 1)).unwrap().is_some_and(|entry| entry.stale_since().is_some()));
    }
    put("6", &[], None);
    assert_eq!(read_often(&one, 1).as_deref(), Some(&b"6"[..]));
    now(two.remove(&key(1), 1)).unwrap();
    assert_eq!(read_often(&one, 1), None);
    put("7", &[], None);
    assert_eq!(read_often(&one, 1).as_deref(), Some(&b"7"[..]));
    now(two.clear(&space, 1)).unwrap();
    assert_eq!(read_often(&one, 1), None);
    put("8", &[], None);
    assert_eq!(read_often(&one, 1).as_deref(), Some(&b"8"[..]));
    let page = crate::entries(&one).pop().unwrap();
    std::fs::write(page, "larderf1").unwrap();
    assert_eq!(read_often(&one, 1), None, "it can't be read any more");
}
