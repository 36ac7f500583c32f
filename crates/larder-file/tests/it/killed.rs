//! A process that is killed at any point harms nobody: what it was told is stored is stored, what is half done is not seen, and
//! no lock stays.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_core::{Backend, Entry, Key, Space, Tag, Value, When};
use larder_file::FileCache;

use crate::{entry, files, key, now, tagged};

const DIRECTORY: &str = "LARDER_FILE_TEST_DIRECTORY";
const LARGE: usize = 300_000;

fn open(directory: &Path) -> FileCache {
    FileCache::builder(directory).max_entries(60).build().unwrap()
}

fn named(name: &str) -> Key {
    Key::value(&Space::default(), 1, name)
}

fn text(cache: &FileCache, name: &str) -> Option<String> {
    let entry = now(cache.get(&named(name), 1)).unwrap()?;
    Some(String::from_utf8(entry.value().to_bytes().unwrap().to_vec()).unwrap())
}

/// What is written under a key in a round: one digit, again and again.
fn large(round: u64) -> String {
    (round % 10).to_string().repeat(LARGE)
}

#[test]
#[ignore = "is run, and killed, by the test below"]
fn writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let (cache, space) = (open(Path::new(&directory)), Space::default());
    let other = Space::new("other").unwrap();
    let tag = [Tag::from("t")];
    for round in 0.. {
        let count = now(cache.incr(&named("count"), 1, 1)).unwrap().unwrap();
        // Whatever is printed was done: the parent goes by it.
        println!("count {count}");
        now(cache.set(&key(round as usize % 5), entry(&cache, &large(round), None), When::Always, 1))
            .unwrap();
        now(cache.set(&named("tagged"), tagged(&cache, &tag, &count.to_string(), None), When::Always, 1))
            .unwrap();
        now(cache.touch(&named("count"), Some(1_000_000 + round), 1)).unwrap();
        now(cache.invalidate(&space, &tag, 1)).unwrap();
        println!("invalidated {count}");
        // More than may be there, so that there is something to cull.
        now(cache.set(&named(&format!("more{round}")), entry(&cache, "1", None), When::Absent, 1)).unwrap();
        let fill = now(cache.begin(&other, &[], 1)).unwrap();
        let theirs = Entry::new(Value::Bytes("x".into()), None, fill.stamp([]));
        now(cache.set(&Key::value(&other, 1, "x"), theirs, When::Always, 1)).unwrap();
        now(cache.clear(&other, 1)).unwrap();
        now(cache.remove(&key(round as usize % 5), 1)).unwrap();
    }
}

#[test]
fn a_process_killed_at_any_point_leaves_whole_entries_and_no_lock() {
    let parent = tempfile::tempdir().unwrap();
    let cache = open(parent.path());
    now(cache.set(&named("count"), entry(&cache, "0", Some(1_000_000)), When::Always, 1)).unwrap();
    let (mut counted, mut longest) = (0, 0);
    for kill in 0..25 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["killed::writes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
            .env(DIRECTORY, parent.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It has begun, and is somewhere in its first rounds, however slow the disk is.
        let mut said: Vec<String> = Vec::new();
        for _ in 0..=kill % 3 {
            said.push(lines.find(|line| line.as_ref().unwrap().starts_with("count")).unwrap().unwrap());
        }
        std::thread::sleep(Duration::from_micros(kill * 1_371 % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        said.extend(lines.map_while(Result::ok));
        let last = |word: &str| -> Option<i64> {
            said.iter().rev().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
        };
        let told = last("count").unwrap();
        longest = longest.max(told - counted);

        let count: i64 = text(&cache, "count").expect("it is replaced, never gone").parse().unwrap();
        assert!((told..=told + 1).contains(&count), "told {told}, and there is {count}");
        counted = count;
        for i in 0..5 {
            let Some(found) = now(cache.get(&key(i), 1)).unwrap() else { continue };
            let bytes = found.value().to_bytes().unwrap();
            assert!(bytes.len() == LARGE && bytes.iter().all(|b| *b == bytes[0]), "half of an entry");
        }
        // What was invalidated is; what was stored in a later round may be there.
        if let (Some(tagged), Some(gone)) = (text(&cache, "tagged"), last("invalidated")) {
            assert!(tagged.parse::<i64>().unwrap() > gone, "{tagged} came back, invalidated in {gone}");
        }
        // No lock stays: everything can be changed at once.
        for i in 0..5 {
            assert!(now(cache.set(&key(i), entry(&cache, "free", None), When::Always, 1)).unwrap());
            assert!(now(cache.remove(&key(i), 1)).unwrap());
        }
    }
    assert!(longest >= 1 && counted > 25, "it never got far: {counted}");
    // What is left besides has the name of something half written, which goes after an hour.
    for path in files(parent.path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let ours = name == ".lock"
            || [".larder", ".larder-record"].iter().any(|end| name.ends_with(end))
            || name.contains(".tmp-");
        assert!(ours, "{name}");
    }
    for space in ["", "other"] {
        now(cache.clear(&Space::new(space).unwrap(), 1)).unwrap();
    }
    assert!(crate::entries(&cache).is_empty());
}
