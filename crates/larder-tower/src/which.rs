//! Which cache serves a layer.

use std::ops::Deref;
use std::sync::OnceLock;

use http::Extensions;
use larder_core::{Cache, Caches};
use larder_memory::Memory;

use crate::settings::{CacheChoice, Settings};

/// A cache, and whether it is the default that no one configured. Of what stands on the request or in the settings it takes no handle of its own:
/// threads that serve from one cache would meet at its count.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pub(crate) cache: Handle<'a>,
    /// Pages of layers that share the default must not meet: two apps or two tests in one process.
    pub(crate) own_id: bool,
}

/// A handle, or one that somebody else holds.
#[derive(Debug)]
pub(crate) enum Handle<'a> {
    Theirs(&'a Cache),
    Ours(Cache),
}

impl Handle<'_> {
    pub(crate) fn into_owned(self) -> Cache {
        match self {
            Self::Theirs(cache) => cache.clone(),
            Self::Ours(cache) => cache,
        }
    }
}

impl Deref for Handle<'_> {
    type Target = Cache;

    fn deref(&self) -> &Cache {
        match self {
            Self::Theirs(cache) => cache,
            Self::Ours(cache) => cache,
        }
    }
}

/// The cache for a layer with these settings: the one given; else that of the request's `CachesLayer`; else the process's installed one;
/// else a bounded default in memory. `None`: an alias that does not exist.
pub(crate) fn choose<'a>(settings: &'a Settings, extensions: &'a Extensions) -> Option<Chosen<'a>> {
    match &settings.cache {
        Some(CacheChoice::Given(cache)) => Some(Chosen { cache: Handle::Theirs(cache), own_id: false }),
        choice => choose_among(choice.as_ref(), extensions.get::<Caches>()),
    }
}

/// The same; `caches` are those of the request.
pub(crate) fn choose_among<'a>(
    choice: Option<&'a CacheChoice>,
    caches: Option<&'a Caches>,
) -> Option<Chosen<'a>> {
    let shared = |cache| Chosen { cache: Handle::Ours(cache), own_id: false };
    let theirs = |cache| Chosen { cache: Handle::Theirs(cache), own_id: false };
    match choice {
        Some(CacheChoice::Given(cache)) => Some(theirs(cache)),
        Some(CacheChoice::Alias(alias)) => {
            let caches = caches.cloned().or_else(Caches::installed);
            let found = match &caches {
                Some(caches) => caches.get(alias),
                None if &**alias == "default" => return Some(fallback()),
                None => Err(larder_core::Error::config(
                    "no caches are installed; put a CachesLayer outside or call Caches::install",
                )),
            };
            match found {
                Ok(cache) => Some(shared(cache)),
                Err(error) => {
                    tracing::error!(target: "larder::decision", alias = &**alias, %error, "a caching layer passes every request by");
                    None
                }
            }
        }
        None => {
            if let Some(cache) = caches.and_then(Caches::default_cache) {
                return Some(theirs(cache));
            }
            match Caches::installed().as_ref().and_then(Caches::default_cache) {
                Some(cache) => Some(shared(cache.clone())),
                None => Some(fallback()),
            }
        }
    }
}

fn fallback() -> Chosen<'static> {
    static DEFAULT: OnceLock<Cache> = OnceLock::new();
    Chosen { cache: Handle::Theirs(DEFAULT.get_or_init(|| Cache::new(Memory::new()))), own_id: true }
}
