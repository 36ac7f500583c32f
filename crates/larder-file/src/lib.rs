//! Larder's file-system backend: one file an entry, written whole or not at all. Django: `FileBasedCache`.
//!
//! ```
//! use std::time::Duration;
//!
//! use larder_core::Cache;
//! use larder_file::FileCache;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let parent = tempfile::tempdir()?;
//! # let directory = parent.path().join("cache");
//! let files = FileCache::builder(directory).max_entries(10_000).build()?;
//! let cache = Cache::builder(files).deadline(Duration::from_secs(10)).build()?;
//! cache.set("answer", 42).timeout(60).await?;
//! assert_eq!(cache.get("answer").await?, Some(42));
//! # Ok(()) }
//! ```
//!
//! # What stands in the directory
//! - `5e/5e1f….larder` is an entry: the first two and 40 hex digits of the BLAKE3 hash of its key's identity. In it: a magic
//!   word, the whole identity (compared on read, so that the hash alone never decides), a checksum, and the entry as
//!   [`larder_core::wire`] writes it, so `head` shows expiry and tags.
//! - `5e/5e1f….larder-record` is a record of the namespace: its nonce, its fence, a tag's nonce. These are not culled: without
//!   them, entries are invalid.
//! - `5e/5e1f….tmp-…` is being written. What a crash leaves behind is removed after an hour.
//! - `5e/.lock` is locked by whoever changes something in there, so that `add` and `incr` are atomic among all
//!   processes that share the directory.
//!
//! Directories are made with mode 0700 and files with 0600. Files of any other name, or without the magic word, are never
//! touched, except that what stands under the very name of a key that is asked for, and is not an entry, is removed.
//!
//! # What is promised
//! - A reader sees the old entry or the new one, whole. An empty, torn or otherwise unreadable file is a miss, and removed;
//!   so is an expired one. A file or a directory that is gone is a miss; a write makes the directory again. Any other error of the file
//!   system reaches the caller.
//! - Nothing is synced to the disk unless [`fsync`](FileCacheBuilder::fsync) says so: after a power cut, what was not
//!   written fails its checksum and is a miss.
//! - What expired and is not asked for again is removed by a sweep: behind a write, one of the 256 directories at a time, each once in
//!   [ten minutes](FileCacheBuilder::sweep_every). Where nobody writes, nothing is swept.
//! - A process that is killed at any point leaves whole entries, no lock, and at most a temporary file.
//! - How much is stored is bounded by number and bytes, about: each process counts what it writes itself and looks at
//!   the directory again from time to time. When there is too much, expired entries go first, then those written
//!   longest ago, until a tenth is free.
//!
//! The work is done on Tokio's blocking threads; where there is no runtime, on the calling thread.

mod again;
mod backend;
mod builder;
mod disk;
mod format;
mod names;
mod raw;
mod scan;
mod sweep;
mod tidy;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use builder::{FileCacheBuilder, open};

use again::Files;
use disk::Disk;
use larder_core::Recall;

/// The file-system backend. Clones share their counts; other handles and processes on the same directory share the
/// entries.
#[derive(Clone)]
pub struct FileCache {
    disk: Arc<Disk>,
    recall: Arc<Recall<Files>>,
}

impl FileCache {
    /// Settings of a cache in `directory`, which needs not exist.
    pub fn builder(directory: impl AsRef<Path>) -> FileCacheBuilder {
        FileCacheBuilder::new(directory.as_ref())
    }

    /// Where it stores.
    pub fn directory(&self) -> &Path {
        &self.disk.directory
    }
}

impl fmt::Debug for FileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCache")
            .field("directory", &self.disk.directory)
            .field("limits", &self.disk.limits)
            .finish_non_exhaustive()
    }
}
