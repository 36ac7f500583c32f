//! Replacing what is known to be there.

use super::Cache;
use crate::backend::Backend;
use crate::entry::Entry;
use crate::error::Error;
use crate::events::Operation;
use crate::key::Key;

impl Cache {
    /// Replaces the entry under `key` by `with`, or removes it for `None`, if its stored bytes are `expected`; true if it did. In one
    /// step. What was stored compressed is compared compressed: this is for short marks, not for values.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the backend can't compare and set; what the backend gives, and
    /// [`Deadline`](crate::ErrorKind::Deadline).
    pub async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
    ) -> Result<bool, Error> {
        let inner = &*self.inner;
        let with = with.map(|entry| {
            self.note(key, &entry);
            self.close_entry(entry)
        });
        let replaced = inner.backend.compare_and_set(key, expected, with, inner.clock.now());
        self.within(Operation::CompareAndSet, replaced).await
    }
}
