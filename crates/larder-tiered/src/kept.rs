//! What stands in L1: an entry of L2 as it is, its own stamp inside.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use larder_core::{Entry, Error, SharedValue, Value};

use crate::trust::Stand;

/// A copy of what stands in L2 under a key, or the knowledge that nothing does.
///
/// The entry in L1 that carries it is stamped by L1. The one inside keeps the stamp of L2, which is what readers see: what they make from
/// it inherits the pairs that were stored.
#[derive(Debug)]
pub(crate) struct Kept {
    entry: Option<Entry>,
    /// How things stood when it was last known to be valid. [`Stand::NEVER`]: not to be served at all.
    checked: AtomicU64,
}

impl Kept {
    /// Not to be served yet.
    pub(crate) fn new(entry: Option<Entry>) -> Self {
        Self { entry, checked: AtomicU64::new(Stand::NEVER.raw()) }
    }

    /// The copy in an entry of L1.
    pub(crate) fn of(entry: &Entry) -> Option<Arc<Self>> {
        let Value::Shared(value) = entry.value() else { return None };
        Arc::clone(value).into_any().downcast().ok()
    }

    /// The same, where it is only looked at.
    pub(crate) fn within(entry: &Entry) -> Option<&Self> {
        let Value::Shared(value) = entry.value() else { return None };
        let value: &dyn Any = &**value;
        value.downcast_ref()
    }

    pub(crate) fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    pub(crate) fn checked(&self) -> Stand {
        Stand::from_raw(self.checked.load(Ordering::SeqCst))
    }

    /// It was valid at a moment at which, or after which, things stood so.
    pub(crate) fn check(&self, stand: Stand) {
        self.checked.store(stand.raw(), Ordering::SeqCst);
    }
}

impl SharedValue for Kept {
    fn encode(&self) -> Result<Bytes, Error> {
        self.entry.as_ref().map_or_else(|| Ok(Bytes::new()), |entry| entry.value().to_bytes())
    }

    fn weight(&self) -> usize {
        let entry = self.entry.as_ref().map_or(0, Entry::weight_once_read);
        entry + size_of::<Self>()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
