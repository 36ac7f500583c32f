//! How much is kept, what goes first, and what is nobody's business.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use larder_core::{Backend, Entry, ErrorKind, Key, Space, Value, When};
use larder_file::FileCache;

use crate::{entries, entry, files, fresh, key, now};

fn limited(max_entries: u64, max_bytes: u64) -> (tempfile::TempDir, FileCache) {
    let parent = tempfile::tempdir().unwrap();
    let cache =
        FileCache::builder(parent.path()).max_entries(max_entries).max_bytes(max_bytes).build().unwrap();
    (parent, cache)
}

fn put(cache: &FileCache, i: usize, expires: Option<u64>, at: u64) {
    assert!(now(cache.set(&key(i), entry(cache, &"x".repeat(1_000), expires), When::Always, at)).unwrap());
}

fn aged(path: &std::path::Path, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(hours * 3600);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn file_12_neither_limit_is_passed_by_more_than_one_entry() {
    for (entries_most, bytes_most) in [(20, 0), (0, 20_000), (1, 0), (7, 5_000)] {
        let (_parent, cache) = limited(entries_most, bytes_most);
        for i in 0..100 {
            put(&cache, i, None, 1);
            let left = entries(&cache);
            let bytes: u64 = left.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
            assert!(
                entries_most == 0 || left.len() as u64 <= entries_most,
                "{} of {entries_most}",
                left.len()
            );
            assert!(bytes_most == 0 || bytes <= bytes_most, "{bytes} of {bytes_most}");
        }
        let expected = if entries_most == 20 { 17 } else { 1 };
        assert!(entries(&cache).len() >= expected, "no more goes than must");
    }
    let (_parent, cache) = limited(0, 0);
    (0..150).for_each(|i| put(&cache, i, None, 1));
    assert_eq!(entries(&cache).len(), 150);
}

#[test]
fn what_another_process_wrote_counts_too() {
    let (parent, cache) = limited(50, 0);
    let other = FileCache::builder(parent.path()).max_entries(0).build().unwrap();
    (0..200).for_each(|i| put(&other, i, None, 1));
    put(&cache, 1_000, None, 1);
    assert!(entries(&cache).len() <= 50, "the first write looks");
    (0..200).for_each(|i| put(&other, i, None, 1));
    (2_000..2_010).for_each(|i| put(&cache, i, None, 1));
    assert!(entries(&cache).len() <= 60, "and so does one in a while: {}", entries(&cache).len());
}

#[test]
fn expired_entries_go_first_and_then_those_written_longest_ago() {
    let (_parent, cache) = limited(20, 0);
    for i in 0..20 {
        put(&cache, i, (i % 4 == 0).then_some(50), 1);
    }
    for path in entries(&cache) {
        aged(&path, 1);
    }
    // Of those that have not expired, 1 and 2 are the oldest.
    for i in [1, 2] {
        let before = entries(&cache);
        now(cache.remove(&key(i), 1)).unwrap();
        let path: Vec<PathBuf> = before.into_iter().filter(|path| !path.exists()).collect();
        put(&cache, i, None, 1);
        aged(&path[0], 9);
    }
    put(&cache, 20, None, 60);
    let there = |i: usize| now(cache.get(&key(i), 1)).unwrap().is_some();
    assert_eq!(entries(&cache).len(), 16, "five had expired, which was enough");
    assert!((0..=20).all(|i| there(i) == (i % 4 != 0 || i == 20)));
    (21..=25).for_each(|i| put(&cache, i, None, 60));
    assert!(!there(1) && !there(2) && there(25) && there(20));
}

#[test]
fn what_expired_is_swept_behind_writes_and_nothing_else_is() {
    let (parent, cache) = limited(0, 0);
    for i in 0..200 {
        put(&cache, i, (i % 2 == 0).then_some(50), 1);
    }
    let shard = entries(&cache)[0].parent().unwrap().to_owned();
    let name = shard.file_name().unwrap().to_str().unwrap();
    let foreign = shard.join(format!("{name}{}.larder", "1".repeat(38)));
    fs::write(&foreign, "not a cache entry").unwrap();
    let torn = shard.join(format!("{name}{}.larder", "2".repeat(38)));
    fs::write(&torn, "larderf1 and no more").unwrap();
    // The first write sweeps one directory, and so does each that comes a 256th of ten minutes later.
    put(&cache, 1_001, None, 60);
    let after_one = entries(&cache).len();
    assert!(after_one > 190, "one directory of 256: {after_one}");
    put(&cache, 1_001, None, 61);
    assert_eq!(entries(&cache).len(), after_one, "nothing is due yet");
    for step in 1..=256 {
        put(&cache, 1_001, None, 60 + step * 600_000_u64.div_ceil(256));
    }
    assert!(!torn.exists() && foreign.exists());
    let left = entries(&cache);
    assert_eq!(left.len(), 100 + 2, "those that live, the one written, and what is not ours");
    assert!((0..200).all(|i| now(cache.get(&key(i), 1)).unwrap().is_some() == (i % 2 == 1)));
    // Nothing is swept where nobody wants it.
    let never = FileCache::builder(parent.path()).max_entries(0).sweep_every(Duration::ZERO).build().unwrap();
    put(&never, 2_000, Some(50), 1);
    (0..300).for_each(|step| put(&never, 2_001, None, 100_000 * step + 60));
    assert_eq!(entries(&cache).len(), 100 + 4);
}

#[test]
fn a_walk_that_looks_for_few_looks_at_no_more_files_a_step_than_one_for_all() {
    let (_parent, cache) = limited(0, 0);
    (0..300).for_each(|i| put(&cache, i, None, 1));
    let space = Space::default();
    for (front, all) in [(":1:key", 300), (":1:key299", 1), (":1:nothing", 0)] {
        let (mut found, mut steps, mut after) = (0, 0, None::<String>);
        loop {
            let part = now(cache.scan(&space, front, after.as_deref(), 20, 1)).unwrap();
            (found, steps, after) = (found + part.keys.len(), steps + 1, part.next);
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, all, "{front}");
        assert!(steps > 5, "{front}: {steps} steps for 300 files, 20 or a directory more at a time");
    }
}

#[test]
fn an_entry_that_can_never_fit_is_refused_and_what_was_there_is_gone() {
    let (_parent, cache) = limited(0, 5_000);
    put(&cache, 1, None, 1);
    let large = entry(&cache, &"x".repeat(5_000), None);
    let error = now(cache.set(&key(1), large, When::Always, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(now(cache.get(&key(1), 1)).unwrap().is_none());
}

#[test]
fn records_are_never_culled() {
    let (_parent, cache) = limited(5, 0);
    let space = Space::default();
    let tags: Vec<_> = (0..30).map(|i| format!("t{i}").into()).collect();
    let fill = now(cache.begin(&space, &tags, 1)).unwrap();
    let stamp = now(cache.seal(&space, &fill, &[], None, 1)).unwrap().unwrap();
    (0..50).for_each(|i| put(&cache, i, None, 1));
    assert!(now(cache.is_current(&space, &stamp, 1)).unwrap());
    assert!(entries(&cache).len() <= 5);
}

#[test]
fn leftovers_of_a_crash_and_expired_records_are_removed_after_an_hour() {
    let (parent, cache) = limited(10, 0);
    put(&cache, 1, None, 1);
    let shard = entries(&cache)[0].parent().unwrap().to_owned();
    let hash = format!("{}{}", shard.file_name().unwrap().to_str().unwrap(), "0".repeat(38));
    let (old, young) = (shard.join(format!("{hash}.tmp-old")), shard.join(format!("{hash}.tmp-young")));
    fs::write(&old, "half").unwrap();
    fs::write(&young, "half").unwrap();
    aged(&old, 2);
    // A tag record that lives an hour on the cache's clock, and one of a later time.
    now(cache.begin(&Space::default(), &["t".into()], 1)).unwrap();
    now(cache.begin(&Space::default(), &["u".into()], 10_000_000)).unwrap();
    let records =
        || files(parent.path()).into_iter().filter(|p| p.extension().unwrap_or_default() == "larder-record");
    assert_eq!(records().count(), 4);
    records().for_each(|path| aged(&path, 2));
    let again = FileCache::builder(parent.path()).build().unwrap();
    put(&again, 2, None, 10_000_000);
    assert!(!old.exists() && young.exists());
    assert_eq!(records().count(), 3, "space, fence and the later tag");
}

#[test]
fn tags_that_come_and_go_leave_nothing_behind() {
    let parent = tempfile::tempdir().unwrap();
    let open = || FileCache::builder(parent.path()).max_entries(0).build().unwrap();
    let (cache, space) = (open(), Space::default());
    let there =
        || files(parent.path()).iter().filter(|path| path.to_string_lossy().contains(".larder")).count();
    put(&cache, 0, None, 1);
    let before = there();
    for i in (0..3_000).step_by(100) {
        let tags: Vec<_> = (i..i + 100).map(|i| format!("tag{i}").into()).collect();
        let fill = now(cache.begin(&space, &tags, 1)).unwrap();
        let stamp = now(cache.seal(&space, &fill, &[], Some(60_000), 1)).unwrap().unwrap();
        let entry = Entry::new(Value::Bytes("value".into()), Some(60_000), stamp);
        assert!(now(cache.set(&key(1 + i), entry, When::Always, 1)).unwrap());
        now(cache.invalidate(&space, &tags[..50], 1)).unwrap();
    }
    assert!(there() >= before + 3_000, "each has a record while something may carry it");
    // Three hours later, by the clock of the cache and by that of the files.
    files(parent.path()).iter().for_each(|path| aged(path, 3));
    let later = open();
    for step in 0..=256 {
        put(&later, 0, None, 3 * 3_600_000 + step * 600_000_u64.div_ceil(256));
    }
    assert_eq!(there(), before);
}

#[test]
fn clear_and_cull_touch_nothing_that_is_not_ours() {
    let (parent, cache) = limited(3, 0);
    (0..3).for_each(|i| put(&cache, i, None, 1));
    let shard = entries(&cache)[0].parent().unwrap().to_owned();
    let prefix = shard.file_name().unwrap().to_str().unwrap();
    let foreign = [
        parent.path().join("README"),
        parent.path().join("9fe685f2d059d8a11303e9e64be4cc7b.djcache"),
        shard.join("notes.txt"),
        shard.join(format!("{prefix}{}.larder.bak", "0".repeat(38))),
        // Our name, somebody else's content.
        shard.join(format!("{prefix}{}.larder", "1".repeat(38))),
        parent.path().join("media/logo.png"),
        parent.path().join(format!("zz/{}.larder", "z".repeat(40))),
    ];
    for path in &foreign {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "not a cache entry").unwrap();
        aged(path, 100);
    }
    (0..20).for_each(|i| put(&cache, i, None, 1));
    now(cache.clear(&Space::default(), 1)).unwrap();
    assert_eq!(entries(&cache).iter().filter(|path| !foreign.contains(path)).count(), 0);
    for path in &foreign {
        assert_eq!(fs::read_to_string(path).unwrap(), "not a cache entry", "{}", path.display());
    }
}

#[test]
fn a_clear_takes_its_own_namespace_and_nothing_else() {
    let (_parent, cache) = fresh();
    let spaces = ["", "a", "ab", "b"].map(|prefix| Space::new(prefix).unwrap());
    let keys: Vec<Key> =
        spaces.iter().flat_map(|space| [1, 2].map(|version| Key::value(space, version, "a:1:k"))).collect();
    for (i, key) in keys.iter().enumerate() {
        let fill = now(cache.begin(&spaces[i / 2], &[], 1)).unwrap();
        let entry = Entry::new(Value::Bytes("1".into()), None, fill.stamp([]));
        now(cache.set(key, entry, When::Always, 1)).unwrap();
    }
    now(cache.clear(&spaces[1], 1)).unwrap();
    let found: Vec<bool> = keys.iter().map(|key| now(cache.get(key, 1)).unwrap().is_some()).collect();
    assert_eq!(found, [true, true, false, false, true, true, true, true]);
    assert_eq!(entries(&cache).len(), 6);
}
