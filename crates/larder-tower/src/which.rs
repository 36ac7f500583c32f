//! Which cache serves a layer.

use std::sync::OnceLock;

use http::Extensions;
use larder_core::{Cache, Caches};
use larder_memory::Memory;

use crate::settings::{CacheChoice, Settings};

/// A cache, and whether it is the default that no one configured.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) cache: Cache,
    /// Pages of layers that share the default must not meet: two apps or two tests in one process.
    pub(crate) own_id: bool,
}

/// The cache for a layer with these settings: the one given; else that of the request's `CachesLayer`; else the process's installed one;
/// else a bounded default in memory. `None`: an alias that does not exist.
pub(crate) fn choose(settings: &Settings, extensions: &Extensions) -> Option<Chosen> {
    choose_among(settings.cache.as_ref(), extensions.get::<Caches>())
}

/// The same; `caches` are those of the request.
pub(crate) fn choose_among(choice: Option<&CacheChoice>, caches: Option<&Caches>) -> Option<Chosen> {
    let shared = |cache| Chosen { cache, own_id: false };
    match choice {
        Some(CacheChoice::Given(cache)) => Some(shared(cache.clone())),
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
                return Some(shared(cache.clone()));
            }
            match Caches::installed().as_ref().and_then(Caches::default_cache) {
                Some(cache) => Some(shared(cache.clone())),
                None => Some(fallback()),
            }
        }
    }
}

fn fallback() -> Chosen {
    static DEFAULT: OnceLock<Cache> = OnceLock::new();
    Chosen { cache: DEFAULT.get_or_init(|| Cache::new(Memory::new())).clone(), own_id: true }
}
