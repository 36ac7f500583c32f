//! What a value is called: Django's `KEY_FUNCTION`.

use std::fmt;
use std::sync::Arc;

use super::{Cache, CacheBuilder};
use crate::error::Error;
use crate::key::{Key, Space};

type Forward = Arc<dyn Fn(&str, u64) -> String + Send + Sync>;
type Back = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// How the caller's keys become those of the store, and back.
#[derive(Clone, Default)]
pub(super) struct Naming {
    forward: Option<Forward>,
    back: Option<Back>,
}

impl fmt::Debug for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Naming")
            .field("key_function", &self.forward.is_some())
            .field("reverse_key_function", &self.back.is_some())
            .finish()
    }
}

impl Naming {
    pub(super) fn is_plain(&self) -> bool {
        self.forward.is_none()
    }

    /// The caller's key of what the store calls so, behind prefix and version.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if there is a way to and none back.
    pub(super) fn back(&self, stored: &str) -> Result<String, Error> {
        match (&self.forward, &self.back) {
            (None, _) => Ok(stored.to_owned()),
            (Some(_), Some(back)) => Ok(back(stored)),
            (Some(_), None) => Err(Error::unsupported(
                "this cache has a key function and no way back from it, so it can't tell its keys; give it reverse_key_function as well",
            )),
        }
    }
}

impl CacheBuilder {
    /// What stands for a key behind prefix and version, instead of the key itself. Django: `KEY_FUNCTION`, except that
    /// prefix and version stay in front: by them a cache knows what is its own, and `clear` leaves the rest alone. Keys of
    /// pages are not asked for.
    ///
    /// Two keys for which the function gives the same share one entry.
    ///
    /// ```
    /// # use larder_core::{Cache, Dummy};
    /// # fn main() -> Result<(), larder_core::Error> {
    /// let cache = Cache::builder(Dummy)
    ///     .key_function(|key, _version| format!("v7-{key}"))
    ///     .reverse_key_function(|stored| stored.trim_start_matches("v7-").to_owned())
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn key_function(mut self, function: impl Fn(&str, u64) -> String + Send + Sync + 'static) -> Self {
        self.naming.forward = Some(Arc::new(function));
        self
    }

    /// The way back from [`key_function`](Self::key_function): the caller's key of what it made. [`Cache::keys`] and its like
    /// need it. django-redis: `REVERSE_KEY_FUNCTION`.
    pub fn reverse_key_function(mut self, function: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.naming.back = Some(Arc::new(function));
        self
    }
}

impl Cache {
    /// The key of a value.
    pub(super) fn value_key(&self, key: &str, version: Option<u64>) -> Key {
        self.value_key_in(&self.inner.space, key, version)
    }

    /// The key of a value in another namespace.
    pub(super) fn value_key_in(&self, space: &Space, key: &str, version: Option<u64>) -> Key {
        let version = version.unwrap_or(self.inner.version);
        match &self.inner.naming.forward {
            None => Key::value(space, version, key),
            Some(function) => Key::value(space, version, &function(key, version)),
        }
    }
}
