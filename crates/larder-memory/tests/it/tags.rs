//! Forgotten is forgotten, in whatever order things happen.

use larder_core::{Backend, Entry, Fill, Key, Space, Tag, Value, When};
use larder_memory::Memory;

use crate::{key, now};

fn begin(memory: &Memory, tags: &[&str]) -> Fill {
    let tags: Vec<Tag> = tags.iter().copied().map(Tag::from).collect();
    memory.begin_now(&Space::default(), &tags).unwrap()
}

fn seal(memory: &Memory, fill: &Fill, late: &[&str]) -> Entry {
    let late: Vec<Tag> = late.iter().copied().map(Tag::from).collect();
    let stamp = now(memory.seal(&Space::default(), fill, &late, None, 1)).unwrap();
    Entry::new(Value::Bytes("1".into()), None, stamp.expect("memory never refuses to seal"))
}

fn put(memory: &Memory, entry: Entry) {
    assert!(now(memory.set(&key(1), entry, When::Always, 1)).unwrap());
}

fn there(memory: &Memory) -> bool {
    now(memory.get(&key(1), 1)).unwrap().is_some()
}

fn forget(memory: &Memory, tag: &str) {
    now(memory.invalidate(&Space::default(), &[tag.into()], 1)).unwrap();
}

#[test]
fn an_invalidation_at_any_moment_after_the_beginning_wins_and_one_before_it_does_not() {
    // Moments: 0 before the beginning, 1 before the seal, 2 before the store, 3 after it, 4 after a read.
    for moment in 0..5 {
        for (early, late) in [(&["t"][..], &[][..]), (&[], &["t"]), (&["u"], &["t"]), (&["t"], &["t", ""])] {
            for what in ["t", "clear", "another tag", ""] {
                let memory = Memory::new();
                let hit = |at: usize| {
                    if at != moment {
                    } else if what == "clear" {
                        now(memory.clear(&Space::default(), 1)).unwrap();
                    } else {
                        forget(&memory, what);
                    }
                };
                hit(0);
                let fill = begin(&memory, early);
                hit(1);
                let entry = seal(&memory, &fill, late);
                hit(2);
                put(&memory, entry.clone());
                hit(3);
                let gone = moment > 0 && matches!(what, "t" | "clear");
                if moment < 4 {
                    assert_eq!(there(&memory), !gone, "{what} at {moment}, {early:?} {late:?}");
                } else {
                    assert!(there(&memory));
                    hit(4);
                    assert_eq!(there(&memory), !gone, "{what} after it was read");
                }
                let current = now(memory.is_current(&Space::default(), entry.stamp(), 1)).unwrap();
                assert_eq!(current, !gone);
            }
        }
    }
}

#[test]
fn what_is_made_from_a_cached_value_dies_with_it_even_if_the_value_was_invalidated_before() {
    let memory = Memory::new();
    let value = seal(&memory, &begin(&memory, &["t"]), &[]);
    forget(&memory, "t");
    // Somebody still had the old value in hand and makes a page of it, tagged the same.
    let mut fill = begin(&memory, &[]);
    fill.inherit(value.stamp());
    put(&memory, seal(&memory, &fill, &["t"]));
    assert!(!there(&memory));
    put(&memory, seal(&memory, &begin(&memory, &["t"]), &[]));
    assert!(there(&memory), "a new value is valid");
}

#[test]
fn an_invalid_entry_counts_as_absent_and_is_removed() {
    let memory = Memory::new();
    let old = seal(&memory, &begin(&memory, &["t"]), &[]);
    forget(&memory, "t");
    let stale = || put(&memory, old.clone());
    stale();
    assert!(!there(&memory));
    assert_eq!(memory.stats().entries, 0);
    stale();
    assert!(!now(memory.touch(&key(1), None, 1)).unwrap());
    stale();
    assert_eq!(now(memory.incr(&key(1), 1, 1)).unwrap(), None);
    stale();
    assert!(!now(memory.remove(&key(1), 1)).unwrap());
    stale();
    let fresh = seal(&memory, &begin(&memory, &[]), &[]);
    assert!(!now(memory.set(&key(1), fresh.clone(), When::Present, 1)).unwrap());
    stale();
    assert!(now(memory.set(&key(1), fresh, When::Absent, 1)).unwrap());
    assert!(there(&memory));
}

#[test]
fn incr_and_touch_keep_the_stamp() {
    for change in ["incr", "touch"] {
        let memory = Memory::new();
        put(&memory, seal(&memory, &begin(&memory, &["t"]), &[]));
        match change {
            "incr" => assert_eq!(now(memory.incr(&key(1), 1, 1)).unwrap(), Some(2)),
            _ => assert!(now(memory.touch(&key(1), Some(99), 1)).unwrap()),
        }
        forget(&memory, "t");
        assert!(!there(&memory), "after {change}");
    }
}

#[test]
fn a_clear_takes_its_own_namespace_and_nothing_else() {
    let memory = Memory::new();
    let spaces = ["", "a", "ab", "b"].map(|prefix| Space::new(prefix).unwrap());
    let fill = |space: &Space| {
        let fill = memory.begin_now(space, &["t".into()]).unwrap();
        let stamp = now(memory.seal(space, &fill, &[], None, 1)).unwrap().unwrap();
        Entry::new(Value::Bytes("1".into()), None, stamp)
    };
    let keys: Vec<Key> =
        spaces.iter().flat_map(|space| [1, 2].map(|version| Key::value(space, version, "a:1:k"))).collect();
    for (i, key) in keys.iter().enumerate() {
        now(memory.set(key, fill(&spaces[i / 2]), When::Always, 1)).unwrap();
    }
    now(memory.clear(&spaces[1], 1)).unwrap();
    let found: Vec<bool> = keys.iter().map(|key| memory.get_now(key, 1).unwrap().is_some()).collect();
    assert_eq!(found, [true, true, false, false, true, true, true, true]);
    assert_eq!(memory.stats().entries, 6, "they are gone, not only hidden");
    // Tags stay within their namespace too.
    now(memory.invalidate(&spaces[3], &["t".into()], 1)).unwrap();
    let found: Vec<bool> = keys.iter().map(|key| memory.get_now(key, 1).unwrap().is_some()).collect();
    assert_eq!(found, [true, true, false, false, true, true, false, false]);
}

#[test]
fn when_tag_records_are_culled_old_entries_die_and_never_come_back() {
    let memory = Memory::builder().max_tag_records(50).build().unwrap();
    let old = seal(&memory, &begin(&memory, &["t"]), &[]);
    forget(&memory, "t");
    for i in 0..500 {
        forget(&memory, &format!("other{i}"));
        put(&memory, old.clone());
        assert!(!there(&memory), "after {i} other invalidations");
    }
    assert!(memory.stats().tag_records <= 50);
    put(&memory, seal(&memory, &begin(&memory, &["t"]), &["never seen"]));
    assert!(there(&memory));
}

#[test]
fn the_fence_moves_with_each_invalidation_so_that_nobody_joins_an_older_flight() {
    let memory = Memory::new();
    let before = begin(&memory, &[]).fence();
    assert_eq!(begin(&memory, &[]).fence(), before);
    forget(&memory, "t");
    assert_ne!(begin(&memory, &[]).fence(), before);
}
