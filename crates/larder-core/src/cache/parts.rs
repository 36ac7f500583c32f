//! What a value is called and how it becomes bytes, for who stores one by another way than [`Cache::set`].

use bytes::Bytes;
use serde::Serialize;

use super::Cache;
use crate::codec::Codec;
use crate::entry::{Entry, Value};
use crate::error::Error;
use crate::key::Key;
use crate::tag::{Nonce, Stamp};

impl Cache {
    /// The key under which [`get`](Self::get) looks for what is called `key`, in the cache's own version if none is said.
    pub fn key_of(&self, key: &str, version: Option<u64>) -> Key {
        self.value_key(key, version)
    }

    /// How its values become bytes.
    pub fn codec(&self) -> Codec {
        self.inner.codec
    }

    /// A value as [`set`](Self::set) would have its backend store it: encoded, and compressed where that pays.
    ///
    /// # Errors
    /// [`Encode`](crate::ErrorKind::Encode) if it can't be serialised.
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes, Error> {
        let value = Value::Bytes(self.inner.codec.encode(value)?);
        let nobodys = Stamp::untagged(Nonce::from_u128(0));
        self.close_entry(Entry::new(value, None, nobodys)).value().to_bytes()
    }
}
