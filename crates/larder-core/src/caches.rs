//! Aliases: Django's `CACHES` setting and its `caches` object.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::cache::Cache;
use crate::error::{Error, ErrorKind};
use crate::url::suggest;

static INSTALLED: RwLock<Option<Caches>> = RwLock::new(None);

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

    /// Makes these the caches of the whole process, for layers that were given none; gives back what was installed before.
    pub fn install(self) -> Option<Self> {
        INSTALLED.write().replace(self)
    }

    /// What is installed for the whole process.
    pub fn installed() -> Option<Self> {
        INSTALLED.read().clone()
    }

    /// Takes back what was installed.
    pub fn uninstall() -> Option<Self> {
        INSTALLED.write().take()
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
