//! What the tests of the trait itself stand on: a handle on the store, and entries that are valid in it.

use bytes::Bytes;
use larder_core::{Backend as _, DynBackend, Entry, Error, Key, ManualClock, Space, UnixMillis, Value, When};

use crate::Stage;

/// A backend in one namespace, with short words for what tests do.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) backend: DynBackend,
    pub(super) space: Space,
    hand: ManualClock,
}

impl Store {
    pub(super) fn of(stage: &Stage) -> Self {
        Self { backend: stage.backend().clone(), space: Space::default(), hand: stage.hand().clone() }
    }

    /// The same store by another handle.
    pub(super) fn again(stage: &Stage) -> Self {
        Self { backend: stage.again(), ..Self::of(stage) }
    }

    pub(super) fn within(&self, prefix: &str) -> Self {
        Self { space: Space::new(prefix).unwrap(), ..self.clone() }
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.hand.now()
    }

    pub(super) fn name(&self) -> &'static str {
        self.backend.capabilities().name
    }

    pub(super) fn key(&self, name: &str) -> Key {
        Key::value(&self.space, 1, name)
    }

    /// An entry as a fill that begins now makes it, that does not expire.
    pub(super) async fn entry(&self, value: impl Into<Bytes>) -> Entry {
        let fill = self.backend.begin(&self.space, &[], self.now()).await.unwrap();
        let stamp = self.backend.seal(&self.space, &fill, &[], None, self.now()).await.unwrap().unwrap();
        Entry::new(Value::Bytes(value.into()), None, stamp)
    }

    pub(super) async fn set(&self, name: &str, value: impl Into<Bytes>) {
        let entry = self.entry(value).await;
        assert!(self.backend.set(&self.key(name), entry, When::Always, self.now()).await.unwrap());
    }

    /// Stores something that lives for so many milliseconds.
    pub(super) async fn set_for(&self, millis: u64, name: &str, value: impl Into<Bytes>) {
        let entry = self.entry(value).await.with_expiry(Some(self.now() + millis));
        assert!(self.backend.set(&self.key(name), entry, When::Always, self.now()).await.unwrap());
    }

    pub(super) async fn set_when(&self, when: When, name: &str, value: impl Into<Bytes>) -> bool {
        let entry = self.entry(value).await;
        self.backend.set(&self.key(name), entry, when, self.now()).await.unwrap()
    }

    pub(super) async fn value(&self, name: &str) -> Option<Bytes> {
        let key = self.key(name);
        let found = match self.backend.get_now(&key, self.now()) {
            Some(found) => found,
            None => self.backend.get(&key, self.now()).await.unwrap(),
        };
        found.map(|entry| entry.value().to_bytes().unwrap())
    }

    pub(super) async fn remove(&self, name: &str) -> bool {
        self.backend.remove(&self.key(name), self.now()).await.unwrap()
    }

    pub(super) async fn touch(&self, name: &str, expires: Option<UnixMillis>) -> bool {
        self.backend.touch(&self.key(name), expires, self.now()).await.unwrap()
    }

    pub(super) async fn clear(&self) {
        self.backend.clear(&self.space, self.now()).await.unwrap();
    }

    pub(super) async fn compare_and_set(
        &self,
        name: &str,
        expected: &[u8],
        with: Option<Entry>,
    ) -> Result<bool, Error> {
        self.backend.compare_and_set(&self.key(name), expected, with, self.now()).await
    }
}
