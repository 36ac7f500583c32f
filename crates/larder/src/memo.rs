//! What [`#[cached]`](crate::cached) and [`#[once_per_request]`](crate::once_per_request) stand on.

mod key;
mod run;

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_core::{Cache, Caches, Error, Tag, Timeout};

pub use key::stands_in;
pub use key::{KeyPart, KeyParts};
pub use run::{Keepable, fallibly_once, once, own_key};

/// The place of one value of a function under [`#[cached]`](crate::cached): that for certain arguments. `fetch_user_cached(7)` gives it.
#[must_use = "it does nothing by itself"]
pub struct Memo {
    /// `None`: there is no such cache.
    cache: Option<Cache>,
    key: Result<String, Error>,
    version: Option<u64>,
    timeout: Timeout,
    tags: Vec<Tag>,
    attach: bool,
}

impl Memo {
    #[doc(hidden)]
    pub fn at(cache: Option<Cache>, key: Result<String, Error>) -> Self {
        Self { cache, key, version: None, timeout: Timeout::DEFAULT, tags: Vec::new(), attach: true }
    }

    #[doc(hidden)]
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into();
        self
    }

    #[doc(hidden)]
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    #[doc(hidden)]
    pub fn tags<const N: usize>(mut self, tags: [String; N]) -> Self {
        self.tags = tags.into_iter().map(Tag::from).collect();
        self
    }

    #[doc(hidden)]
    pub fn apart(mut self) -> Self {
        self.attach = false;
        self
    }

    /// Its key in the cache, without prefix and version; `None` if an argument can't be serialised, and nothing is kept.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref().ok()
    }

    /// The cache that it is in; `None` if there is none of the alias that the function names.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Whether a value is there.
    ///
    /// # Errors
    /// What the backend gives.
    pub async fn is_stored(&self) -> Result<bool, Error> {
        let Some((cache, key)) = self.place() else { return Ok(false) };
        let look = cache.has_key(key);
        match self.version {
            Some(version) => look.version(version).await,
            None => look.await,
        }
    }

    /// Removes the value; true if there was one. The next call runs the function.
    ///
    /// # Errors
    /// What the backend gives: the value may still be there.
    pub async fn delete(&self) -> Result<bool, Error> {
        let Some((cache, key)) = self.place() else { return Ok(false) };
        let removal = cache.delete(key);
        match self.version {
            Some(version) => removal.version(version).await,
            None => removal.await,
        }
    }

    #[doc(hidden)]
    pub async fn forget(&self) {
        // A store that can't be reached gives nobody the old value either, and has told why.
        _ = self.delete().await;
    }

    fn place(&self) -> Option<(&Cache, &str)> {
        Some((self.cache.as_ref()?, self.key()?))
    }
}

// The key may tell of whom it is.
impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo")
            .field("cache", &self.cache)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The cache of functions that name none: the installed `default`, else one in this process, of `memory:`'s usual bounds, that all of them share.
pub fn default_cache() -> Cache {
    static OWN: OnceLock<Cache> = OnceLock::new();
    match Caches::installed().as_ref().and_then(Caches::default_cache) {
        Some(cache) => cache.clone(),
        None => OWN.get_or_init(|| Cache::new(larder_memory::Memory::new())).clone(),
    }
}

#[doc(hidden)]
pub fn by_alias(alias: &str) -> Option<Cache> {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let found = match Caches::installed() {
        Some(caches) => caches.get(alias),
        None => Err(Error::config("no caches are installed; call Caches::install")),
    };
    found
        .inspect_err(|error| {
            if !TOLD.swap(true, Ordering::Relaxed) {
                tracing::error!(target: "larder::memo", alias, %error, "a cached function runs each time");
            }
        })
        .ok()
}

#[doc(hidden)]
pub fn never<T>() -> T {
    unreachable!("it only tells what type the body has")
}
