//! Aliases: Django's `CACHES` setting and its `caches` object.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::cache::Cache;
use crate::error::{Error, ErrorKind};
use crate::url::suggest;

static INSTALLED: RwLock<Option<Caches>> = RwLock::new(None);
/// Whether there are any: requests of layers that were given no cache ask for nothing else, and do not have to meet at a lock for it.
static ANY_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Caches by alias. The one called `default` serves whoever names none. Clones share one map.
///
/// ```
/// use larder_core::{Cache, Caches, Dummy};
///
/// let caches = Caches::new(Cache::new(Dummy)).with("other", Cache::new(Dummy));
/// assert!(caches.get("other")?.is_same(&caches.get("other")?));
/// assert!(caches.get("oter").unwrap_err().to_string().contains("did you mean \"other\"?"));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Caches {
    map: Arc<BTreeMap<String, Cache>>,
}

impl Caches {
    /// Only the default cache.
    pub fn new(default: Cache) -> Self {
        Self { map: Arc::new(BTreeMap::from([("default".to_owned(), default)])) }
    }

    /// The caches, each once, though it has several aliases.
    pub fn distinct(&self) -> Vec<Cache> {
        let mut all: Vec<Cache> = Vec::new();
        for (_, cache) in self.iter() {
            if !all.iter().any(|known| known.is_same(cache)) {
                all.push(cache.clone());
            }
        }
        all
    }

    /// Adds or replaces an alias.
    #[must_use]
    pub fn with(self, alias: impl Into<String>, cache: Cache) -> Self {
        let mut map = Arc::unwrap_or_clone(self.map);
        map.insert(alias.into(), cache);
        Self { map: Arc::new(map) }
    }

    /// The cache of an alias.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), with the aliases there are. Django: `InvalidCacheBackendError`.
    pub fn get(&self, alias: &str) -> Result<Cache, Error> {
        self.map.get(alias).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.map.keys().map(String::as_str).collect();
            Error::new(
                ErrorKind::NotFound,
                format!("there is no cache {alias:?}; {}", suggest(alias, &known)),
            )
        })
    }

    /// The cache called `default`.
    pub fn default_cache(&self) -> Option<&Cache> {
        self.map.get("default")
    }

    /// All of them, by alias.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Cache)> {
        self.map.iter().map(|(alias, cache)| (alias.as_str(), cache))
    }

    /// Closes all of them; see [`Cache::close`]. They may be used again. Django does this after each request.
    ///
    /// # Errors
    /// The first that one of them gives, after all were asked.
    ///
    /// # Cancel safety
    /// Those that were not reached stay open; the call may be repeated.
    pub async fn close(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for cache in self.map.values() {
            outcome = outcome.and(cache.close().await);
        }
        outcome
    }

    /// Makes these the caches of the whole process, for layers that were given none; gives back what was installed before.
    pub fn install(self) -> Option<Self> {
        let mut installed = INSTALLED.write();
        ANY_INSTALLED.store(true, Ordering::Release);
        installed.replace(self)
    }

    /// What is installed for the whole process.
    pub fn installed() -> Option<Self> {
        if !ANY_INSTALLED.load(Ordering::Acquire) {
            return None;
        }
        INSTALLED.read().clone()
    }

    /// Takes back what was installed.
    pub fn uninstall() -> Option<Self> {
        let mut installed = INSTALLED.write();
        ANY_INSTALLED.store(false, Ordering::Release);
        installed.take()
    }
}

impl From<Cache> for Caches {
    fn from(default: Cache) -> Self {
        Self::new(default)
    }
}

impl From<&Cache> for Caches {
    fn from(default: &Cache) -> Self {
        Self::new(default.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::backend::{Backend, Capabilities, When};
    use crate::{Entry, Key, Space, UnixMillis};

    /// Counts how often it is closed, and refuses.
    #[derive(Clone, Debug, Default)]
    struct Stubborn(Arc<AtomicUsize>);

    impl Backend for Stubborn {
        fn capabilities(&self) -> Capabilities {
            Capabilities::new("stubborn")
        }
        async fn get(&self, _: &Key, _: UnixMillis) -> Result<Option<Entry>, Error> {
            Ok(None)
        }
        async fn set(&self, _: &Key, _: Entry, _: When, _: UnixMillis) -> Result<bool, Error> {
            Ok(true)
        }
        async fn remove(&self, _: &Key, _: UnixMillis) -> Result<bool, Error> {
            Ok(false)
        }
        async fn clear(&self, _: &Space, _: UnixMillis) -> Result<(), Error> {
            Ok(())
        }
        async fn touch(&self, _: &Key, _: Option<UnixMillis>, _: UnixMillis) -> Result<bool, Error> {
            Ok(false)
        }
        async fn close(&self) -> Result<(), Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Err(Error::new(ErrorKind::Backend, "it stays"))
        }
    }

    #[tokio::test]
    async fn closing_reaches_every_cache_though_one_fails() {
        let one = Stubborn::default();
        let caches = Caches::new(Cache::new(one.clone())).with("other", Cache::new(one.clone()));
        let error = caches.close().await.unwrap_err();
        assert_eq!((error.to_string().as_str(), one.0.load(Ordering::SeqCst)), ("it stays", 2));
    }
}
