//! What a value is called and how it becomes bytes, for who stores one by another way than [`Cache::set`].

use bytes::Bytes;
use serde::Serialize;

use super::Cache;
use crate::codec::Codec;
use crate::error::Error;
use crate::key::Key;

impl Cache {
    /// The key under which [`get`](Self::get) looks for what is called `key`, in the cache's own version if none is said.
    pub fn key_of(&self, key: &str, version: Option<u64>) -> Key {
        self.value_key(key, version)
    }

    /// How its values become bytes.
    pub fn codec(&self) -> Codec {
        self.inner.codec
    }

    /// A value as [`set`](Self::set) would store it.
    ///
    /// # Errors
    /// [`Encode`](crate::ErrorKind::Encode) if it can't be serialised.
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes, Error> {
        self.inner.codec.encode(value)
    }
}
