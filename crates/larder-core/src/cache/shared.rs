//! Values that stay decoded in memory.

use std::any::Any;
use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ops::Running;
use super::{Cache, Set};
use crate::attachment::unattached;
use crate::codec::Codec;
use crate::entry::{SharedValue, Value};
use crate::error::Error;
use crate::events::Operation;
use crate::key::Key;

impl Cache {
    /// Stores a value that memory keeps as it is, without serialising it; other backends encode it. Its weight in memory is
    /// taken as that of its encoding, so it is encoded once to be weighed.
    ///
    /// # Errors
    /// When awaited: as [`set`](Self::set).
    pub fn set_shared<'a, T>(&'a self, key: &'a str, value: Arc<T>) -> Set<'a>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let codec = self.inner.codec;
        let value = codec.encode(&*value).map(|encoded| {
            Value::Shared(Arc::new(Kept { value, weight: encoded.len() + size_of::<T>(), codec }))
        });
        self.set_value(key, value)
    }

    /// Reads a value without decoding it where it is kept in memory.
    ///
    /// # Errors
    /// When awaited: as [`get`](Self::get).
    pub fn get_shared<'a, T>(&'a self, key: &'a str) -> GetShared<'a, T> {
        GetShared { cache: self, key, version: None, attach: true, value: PhantomData }
    }

    async fn read_shared<T>(&self, key: &Key) -> Result<Option<Arc<T>>, Error>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let Some(entry) = self.lookup_one(key).await? else { return Ok(None) };
        self.note_read(entry.stamp());
        if let Value::Shared(value) = entry.value()
            && let Ok(kept) = Arc::clone(value).into_any().downcast::<Kept<T>>()
        {
            return Ok(Some(Arc::clone(&kept.value)));
        }
        Ok(self.decode(key, &entry).await?.map(Arc::new))
    }
}

/// See [`Cache::get_shared`].
#[must_use = "nothing is read until it is awaited"]
pub struct GetShared<'a, T> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    attach: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> GetShared<'_, T> {
    /// Whether the tags of what is found go to a page or value that is being made with it; they do unless said otherwise.
    pub fn attach(mut self, attach: bool) -> Self {
        self.attach = attach;
        self
    }

    /// Another version than the cache's own.
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }
}

impl<'a, T: DeserializeOwned + Send + Sync + 'static> IntoFuture for GetShared<'a, T> {
    type Output = Result<Option<Arc<T>>, Error>;
    type IntoFuture = Running<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let key = self.cache.value_key(self.key, self.version);
            let found = match self.attach {
                true => self.cache.read_shared(&key).await,
                false => unattached(self.cache.read_shared(&key)).await,
            };
            self.cache.forgive(Operation::Get, found)
        })
    }
}

impl<T> fmt::Debug for GetShared<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetShared").finish_non_exhaustive()
    }
}

struct Kept<T> {
    value: Arc<T>,
    weight: usize,
    codec: Codec,
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("weight", &self.weight).finish_non_exhaustive()
    }
}

impl<T: Serialize + Send + Sync + 'static> SharedValue for Kept<T> {
    fn encode(&self) -> Result<Bytes, Error> {
        self.codec.encode(&*self.value)
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
