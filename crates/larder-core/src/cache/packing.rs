//! Compression on the way out of the process and back.

use std::sync::Arc;

use super::{Cache, CacheBuilder};
use crate::backend::Backend;
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::pack::{self, Compression};

impl CacheBuilder {
    /// How values and pages are compressed that go to a backend outside the process; not at all unless said otherwise. In
    /// memory nothing ever is.
    ///
    /// It may be switched on, off or over at any time: what is there is read all the same. Readers that are not Larder see compressed
    /// bytes.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How many bytes a value has at most that stays as it is; 1 KiB unless said otherwise. It also does if compression makes it no
    /// smaller, and integers always do.
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = bytes;
        self
    }
}

impl Cache {
    /// The entry as the backend gets it.
    pub(super) fn close_entry(&self, entry: Entry) -> Entry {
        match self.inner.capabilities.shared {
            true => pack::close(entry, &self.inner.compressor),
            false => entry,
        }
    }

    /// An entry as the backend gave it; `None` if it can't be read.
    pub(super) fn open_now(&self, entry: Entry) -> Option<Entry> {
        self.open_entry(entry).ok()
    }

    /// An entry as the backend gave it.
    pub(super) fn open_entry(&self, entry: Entry) -> Result<Entry, Error> {
        if self.inner.capabilities.shared { pack::open(entry) } else { Ok(entry) }
    }

    /// Entries as the backend gave them. What can't be read is removed and a miss; what only this program can't read stays where it is.
    pub(super) async fn open_all(&self, keys: &[Key], entries: &mut [Option<Entry>]) {
        if !self.inner.capabilities.shared {
            return;
        }
        for (key, found) in keys.iter().zip(entries) {
            let Some(entry) = found.take() else { continue };
            match pack::open(entry) {
                Ok(entry) => *found = Some(entry),
                Err(error) => self.unreadable(key, &error).await,
            }
        }
    }

    pub(super) async fn unreadable(&self, key: &Key, error: &Error) {
        let inner = &*self.inner;
        if error.kind() == ErrorKind::Unsupported {
            tracing::warn!(target: "larder::backend", cache = self.name(), %error, "what was stored can't be read by this program");
            return;
        }
        self.note_garbage(error);
        // Whether or not that succeeds, it is a miss.
        _ = inner.backend.remove(key, inner.clock.now()).await;
    }
}

/// What a builder makes of its settings.
pub(super) fn compressor(how: Compression, above: usize) -> Arc<pack::Compressor> {
    Arc::new(pack::Compressor::new(how, above))
}
