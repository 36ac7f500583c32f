//! The low-level cache over real backends: the suite of `larder-testkit`, and the backend that keeps nothing.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod able;
mod changes;
mod deleting;
mod late;
mod leases;

use std::fs;
use std::path::Path;

use larder_core::{Dummy, Key};
use larder_file::FileCache;
use larder_memory::Memory;
use larder_testkit::{Plain, Stage};

larder_testkit::backend_suite! {
    memory => async { Stage::new(Memory::new()) }
    plain => async { Plain::stage() }
    file => async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let open = {
            let path = path.clone();
            move || FileCache::builder(&path).build().unwrap()
        };
        Stage::opening(open).rewriting(move |key, change| rewrite(&path, key, change)).keeping(directory)
    }
}

larder_testkit::nothing_suite! {
    dummy => async { Stage::new(Dummy) }
}

/// Finds the file with this key in it.
fn rewrite(directory: &Path, key: &Key, change: &dyn Fn(&[u8]) -> Vec<u8>) {
    for there in fs::read_dir(directory).unwrap() {
        let path = there.unwrap().path();
        if path.is_dir() {
            rewrite(&path, key, change);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let identity = key.identity();
        // Behind the head of the file stands the identity, and the entry behind that.
        if bytes.get(16..).is_some_and(|rest| rest.starts_with(&[identity, b"larder"].concat())) {
            fs::write(&path, change(&bytes)).unwrap();
        }
    }
}
