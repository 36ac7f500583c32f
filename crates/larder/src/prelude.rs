//! What an application uses every day: `use larder::prelude::*;`.

pub use crate::{
    Cache, Caches, CachesLayer, Changes, FetchFromCacheLayer, Invalidates, KeyParts, PageTags, PageTimeout,
    Pages, Purge, PurgePages, Timeout, UpdateCacheLayer, Warmer, cache_control, cache_page, conditional_get,
    invalidates, never_cache, vary_on,
};
