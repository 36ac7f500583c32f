//! Replacing a value that is there by a newer one, unless something happened to it meanwhile.

use bytes::Bytes;

use super::Cache;
use crate::backend::{Backend, When};
use crate::entry::{Entry, Value};
use crate::error::{Error, ErrorKind};
use crate::events::Operation;
use crate::key::Key;
use crate::tag::Fill;
use crate::timeout::Timeout;

impl Cache {
    /// What stands in the store under a key, byte for byte, if it is valid.
    pub(crate) async fn stored(&self, key: &Key) -> Result<Option<Bytes>, Error> {
        if self.lookup_one(key).await?.is_none() {
            return Ok(None);
        }
        let inner = &*self.inner;
        let there = self.within(Operation::Get, inner.backend.get(key, inner.clock.now())).await?;
        there.map(|entry| entry.value().to_bytes()).transpose()
    }

    /// Stores `value` in the place of what [`stored`](Self::stored) gave; false if that was changed, removed or invalidated since, or has
    /// expired.
    pub(crate) async fn replace(
        &self,
        key: &Key,
        there: &Bytes,
        value: Bytes,
        timeout: Timeout,
        fill: &Fill,
    ) -> Result<bool, Error> {
        let expires = timeout.or(self.inner.timeout).expires(self.inner.clock.now());
        let Some(stamp) = self.seal(fill, &[], expires).await? else { return Ok(false) };
        self.swap(key, there, Entry::new(Value::Bytes(value), expires, stamp)).await
    }

    /// Stores an entry in the place of what stands there; false if that is something else by now.
    pub(super) async fn swap(&self, key: &Key, there: &Bytes, entry: Entry) -> Result<bool, Error> {
        let inner = &*self.inner;
        self.note(key, &entry);
        let closed = self.close_entry(entry.clone());
        let step = inner.backend.compare_and_set(key, there, Some(closed), inner.clock.now());
        match self.within(Operation::CompareAndSet, step).await {
            // A backend of somebody's own: whoever deletes it this very moment may see it again.
            Err(error) if error.kind() == ErrorKind::Unsupported => self.put(key, entry, When::Always).await,
            done => done,
        }
    }
}
