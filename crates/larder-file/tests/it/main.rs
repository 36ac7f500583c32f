//! `FileCache` against its promises, by topic.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cache;
mod entries;
mod killed;
mod limits;
mod places;
mod sharing;

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use larder_core::{Backend, Entry, Key, Space, Tag, Value};
use larder_file::FileCache;
use tempfile::TempDir;

/// The answer of a future that is there at once, as all are where no runtime is.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("without a runtime the work is done on this thread"),
    }
}

fn key(i: usize) -> Key {
    Key::value(&Space::default(), 1, &format!("key{i}"))
}

/// An entry as a fill that began now makes it.
fn entry(cache: &FileCache, value: &str, expires: Option<u64>) -> Entry {
    tagged(cache, &[], value, expires)
}

fn tagged(cache: &FileCache, tags: &[Tag], value: &str, expires: Option<u64>) -> Entry {
    let space = Space::default();
    let fill = now(cache.begin(&space, tags, 1)).unwrap();
    let stamp = now(cache.seal(&space, &fill, &[], expires, 1)).unwrap().unwrap();
    Entry::new(Value::Bytes(value.to_owned().into()), expires, stamp)
}

fn fresh() -> (TempDir, FileCache) {
    let parent = tempfile::tempdir().unwrap();
    let cache = FileCache::builder(parent.path().join("a/b")).build().unwrap();
    (parent, cache)
}

/// All files below, sorted.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for there in fs::read_dir(directory).into_iter().flatten() {
        let path = there.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Those that are entries.
fn entries(cache: &FileCache) -> Vec<PathBuf> {
    let mut found = files(cache.directory());
    found.retain(|path| path.extension().is_some_and(|suffix| suffix == "larder"));
    found
}
