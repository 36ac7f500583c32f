//! Operations on several keys, each in one step where the backend can.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Cache;
use super::ops::{Running, operation};
use crate::entry::{Entry, Value};
use crate::error::Error;
use crate::events::Operation;
use crate::key::Key;
use crate::tag::Tag;
use crate::timeout::Timeout;

impl Cache {
    /// Reads several values in one step where the backend can. Missing ones are absent from the map, not null.
    ///
    /// # Errors
    /// When awaited: what the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub fn get_many<T, K: Into<String>>(&self, keys: impl IntoIterator<Item = K>) -> GetMany<'_, T> {
        let names = keys.into_iter().map(Into::into).collect();
        GetMany { cache: self, version: None, attach: true, names, value: PhantomData }
    }

    /// Stores several values in one step where the backend can, and gives the keys of those that it refused (one that is too
    /// large, say), as Django does. Of a key that stands there twice, the last value counts.
    ///
    /// ```
    /// # use larder_core::{Cache, Dummy};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
    /// # let cache = Cache::new(Dummy);
    /// let refused = cache.set_many([("a", 1), ("b", 2)]).timeout(60).tags(["numbers"]).await?;
    /// assert!(refused.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When awaited: [`Encode`](crate::ErrorKind::Encode) if one of them can't be serialised (nothing is stored then), what the
    /// backend gives (some may be stored), and [`Deadline`](crate::ErrorKind::Deadline).
    pub fn set_many<K, T>(&self, values: impl IntoIterator<Item = (K, T)>) -> SetMany<'_>
    where
        K: AsRef<str>,
        T: Serialize,
    {
        let encode = |(key, value): (K, T)| {
            self.inner.codec.encode(&value).map(|bytes| (key.as_ref().to_owned(), bytes))
        };
        let values = values.into_iter().map(encode).collect();
        SetMany { cache: self, version: None, timeout: Timeout::DEFAULT, tags: Vec::new(), values }
    }

    /// Removes several values in one step where the backend can; how many there were.
    ///
    /// # Errors
    /// When awaited: as [`delete`](Self::delete).
    pub fn delete_many<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> RemoveMany<'_> {
        let names = keys.into_iter().map(|key| key.as_ref().to_owned()).collect();
        RemoveMany { cache: self, version: None, names }
    }

    /// Removes entries, and with them whatever is being made in their place, as `delete` does.
    pub(super) async fn evict_many(&self, keys: &[Key]) -> Result<usize, Error> {
        if keys.is_empty() {
            return Ok(0);
        }
        self.overtake(Operation::Remove, keys).await?;
        self.take_out(keys).await
    }

    async fn store_many(
        &self,
        keys: Vec<Key>,
        values: Vec<Bytes>,
        timeout: Timeout,
        tags: &[Tag],
    ) -> Result<Vec<(usize, Error)>, Error> {
        self.note_written(tags);
        let timeout = timeout.or(self.inner.timeout);
        if timeout.is_zero() {
            return self.evict_many(&keys).await.map(|_| Vec::new());
        }
        // Whoever is making one of these values now began before this one was known.
        self.overtake(Operation::Set, &keys).await?;
        let fill = self.begin(tags).await?;
        let expires = timeout.expires(self.inner.clock.now());
        let Some(stamp) = self.seal(&fill, &[], expires).await? else {
            // Invalidated between the two: as if they had been stored and invalidated.
            return self.evict_many(&keys).await.map(|_| Vec::new());
        };
        let entry = |value| Entry::new(Value::Bytes(value), expires, stamp.clone());
        let entries = keys.into_iter().zip(values.into_iter().map(entry)).collect();
        self.put_many(entries).await
    }
}

/// See [`Cache::get_many`].
#[must_use = "nothing is read until it is awaited"]
pub struct GetMany<'a, T> {
    cache: &'a Cache,
    version: Option<u64>,
    attach: bool,
    names: Vec<String>,
    value: PhantomData<fn() -> T>,
}

impl<T> GetMany<'_, T> {
    /// Whether the tags of what is found go to a page or value that is being made with it; they do unless said otherwise.
    pub fn attach(mut self, attach: bool) -> Self {
        self.attach = attach;
        self
    }
}

operation!(GetMany<T: DeserializeOwned, Send>, HashMap<String, T>, Get, |this| async move {
    let (cache, names) = (this.cache, this.names);
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<Key> = names.iter().map(|name| cache.value_key(name, this.version)).collect();
    let mut found = HashMap::with_capacity(names.len());
    for ((name, key), entry) in names.into_iter().zip(&keys).zip(cache.lookup(&keys).await?) {
        let Some(entry) = entry.filter(|entry| entry.stale_since().is_none()) else { continue };
        if this.attach {
            cache.note_read(entry.stamp());
        }
        if let Some(value) = cache.decode(key, &entry).await? {
            found.insert(name, value);
        }
    }
    Ok(found)
});

/// See [`Cache::set_many`].
#[must_use = "nothing is stored until it is awaited"]
pub struct SetMany<'a> {
    cache: &'a Cache,
    version: Option<u64>,
    timeout: Timeout,
    tags: Vec<Tag>,
    values: Result<Vec<(String, Bytes)>, Error>,
}

operation!(SetMany, Vec<String>, Set, |this| async move {
    let (cache, values) = (this.cache, this.values?);
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let (mut names, values): (Vec<String>, Vec<Bytes>) = values.into_iter().unzip();
    let keys = names.iter().map(|name| cache.value_key(name, this.version)).collect();
    let refused = match cache.store_many(keys, values, this.timeout, &this.tags).await {
        Ok(refused) => refused,
        Err(error) => return cache.forgive_or(Operation::Set, Err(error), || Ok(names)),
    };
    let name = |(place, _): (usize, Error)| names.get_mut(place).map(std::mem::take);
    Ok(refused.into_iter().filter_map(name).collect())
});

impl SetMany<'_> {
    /// How long they live.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Under which tags they are invalidated.
    pub fn tags<T: Into<Tag>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }
}

/// See [`Cache::delete_many`].
#[must_use = "nothing is removed until it is awaited"]
pub struct RemoveMany<'a> {
    cache: &'a Cache,
    version: Option<u64>,
    names: Vec<String>,
}

operation!(RemoveMany, usize, Remove, |this| async move {
    let keys: Vec<Key> = this.names.iter().map(|name| this.cache.value_key(name, this.version)).collect();
    this.cache.evict_many(&keys).await
});
