//! The low-level cache over real backends: the suite of `larder-testkit`, and the backend that keeps nothing.

mod dummy;
mod late;

use larder_file::FileCache;
use larder_memory::Memory;
use larder_testkit::{Plain, Stage};

larder_testkit::backend_suite! {
    memory => async { Stage::new(Memory::new()) }
    plain => async { Stage::new(Plain::default()) }
    file => async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        Stage::opening(move || FileCache::builder(&path).build().unwrap()).keeping(directory)
    }
}
