//! What an application uses every day: `use larder::prelude::*;`.

pub use crate::{
    Cache, Caches, CachesLayer, FetchFromCacheLayer, PageTags, PageTimeout, Timeout, UpdateCacheLayer,
    cache_control, cache_page, conditional_get, never_cache, vary_on,
};
