//! What a caching layer was told, once, when it was built.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderName;
use http::request::Parts;
use larder_core::{Cache, Tag, Timeout};

use crate::cookies::CookieRule;
use crate::names::IDENTITY_HEADERS;
use crate::policy::Policy;

/// Which cache a layer uses: one given as it is, or an alias that is looked up among the request's or the process's
/// [`Caches`](larder_core::Caches).
#[derive(Clone, Debug)]
pub enum CacheChoice {
    /// This one.
    Given(Cache),
    /// The one of this name.
    Alias(Arc<str>),
}

impl From<Cache> for CacheChoice {
    fn from(cache: Cache) -> Self {
        Self::Given(cache)
    }
}

impl From<&Cache> for CacheChoice {
    fn from(cache: &Cache) -> Self {
        Self::Given(cache.clone())
    }
}

impl From<&str> for CacheChoice {
    fn from(alias: &str) -> Self {
        Self::Alias(alias.into())
    }
}

impl From<String> for CacheChoice {
    fn from(alias: String) -> Self {
        Self::Alias(alias.into())
    }
}

/// Adds to a page's key; drf-extensions' `key_func`.
pub(crate) type KeyFn = Arc<dyn Fn(&Parts) -> String + Send + Sync>;

/// Which of Django's two layers this is: they read a response's own `max-age` differently, and keep their pages apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `cache_page`: the layer's timeout beats the response's `max-age`.
    Page,
    /// The per-site pair: the response's `max-age` beats the layer's timeout.
    Site,
}

/// What a caching layer was told.
#[derive(Clone)]
pub struct Settings {
    pub(crate) level: Level,
    /// Distinguishes layers that fall back on the default cache.
    pub(crate) id: u64,
    pub(crate) cache: Option<CacheChoice>,
    pub(crate) timeout: Timeout,
    pub(crate) key_prefix: String,
    pub(crate) vary_on: Vec<HeaderName>,
    pub(crate) cookies: CookieRule,
    /// In alphabetical order.
    pub(crate) identity_headers: Vec<HeaderName>,
    pub(crate) key_fns: Vec<KeyFn>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) max_body: usize,
    pub(crate) streaming: bool,
    pub(crate) max_variants: u32,
    pub(crate) max_waiters: usize,
    pub(crate) max_wait: Duration,
    pub(crate) max_fill: Duration,
    pub(crate) policy: Policy,
    pub(crate) precompress: bool,
}

impl Settings {
    /// The settings of a layer of this level that was told nothing but its timeout.
    pub fn new(level: Level, timeout: Timeout) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        Self {
            level,
            id: IDS.fetch_add(1, Ordering::Relaxed),
            cache: None,
            timeout,
            key_prefix: String::new(),
            vary_on: Vec::new(),
            cookies: CookieRule::default(),
            identity_headers: IDENTITY_HEADERS.iter().map(|name| HeaderName::from_static(name)).collect(),
            key_fns: Vec::new(),
            tags: Vec::new(),
            max_body: 8 << 20,
            streaming: false,
            max_variants: 1024,
            max_waiters: 100_000,
            max_wait: Duration::from_secs(30),
            max_fill: Duration::from_secs(60),
            policy: Policy::origin(),
            precompress: false,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("level", &self.level)
            .field("cache", &self.cache)
            .field("timeout", &self.timeout)
            .field("key_prefix", &self.key_prefix)
            .field("vary_on", &self.vary_on)
            .field("cookies", &self.cookies)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}

/// A header name given as text, for setters that take constants.
///
/// # Panics
/// If it is not one: these are literals in the application's source, and a page that ignored one would be the wrong page.
pub(crate) fn header_name(name: &str) -> HeaderName {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("{name:?} is not a header name; header names are letters, digits and '-'"),
    }
}

/// The setters of `cache_page` and `UpdateCacheLayer`, written once. The type has a field `settings: Arc<Settings>`.
#[macro_export]
#[doc(hidden)]
macro_rules! layer_setters {
    () => {
        /// Which cache serves this layer: a [`Cache`](larder_core::Cache) or an alias. Without it: the caches that a
        /// `CachesLayer` put on the request, else the process-wide installed ones, else a bounded in-process default.
        ///
        /// An alias that does not exist is found out when a request comes: it passes by with
        /// `Cache-Status: larder; fwd=bypass; detail=no-such-cache`, and the log names the aliases there are.
        pub fn cache(mut self, cache: impl Into<$crate::CacheChoice>) -> Self {
            $crate::Settings::edit(&mut self.settings).set_cache(cache);
            self
        }

        /// Keeps these pages apart from those of layers with another prefix. Django: `key_prefix`.
        pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
            $crate::Settings::edit(&mut self.settings).set_key_prefix(prefix);
            self
        }

        /// Request headers that the page depends on, besides those in the response's own `Vary`. They are added to it.
        ///
        /// # Panics
        /// If one is not a header name.
        pub fn vary_on<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
            $crate::Settings::edit(&mut self.settings).set_vary_on(names);
            self
        }

        /// The only cookies that the page depends on. They are keyed; all others are removed from the request that the
        /// handler sees, so that the page can't depend on them.
        pub fn cookies<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
            $crate::Settings::edit(&mut self.settings).set_cookies(names);
            self
        }

        /// The page depends on no cookie: all are removed from the request that the handler sees.
        pub fn ignore_cookies(mut self) -> Self {
            $crate::Settings::edit(&mut self.settings).set_ignore_cookies();
            self
        }

        /// Adds to the key what headers can't say (the user behind a client certificate, a tenant, a language).
        /// May be given several times. drf-extensions: `key_func`.
        pub fn key_fn(
            mut self,
            part: impl Fn(&http::request::Parts) -> String + Send + Sync + 'static,
        ) -> Self {
            $crate::Settings::edit(&mut self.settings).add_key_fn(part);
            self
        }

        /// Further request headers that name the user, besides [`IDENTITY_HEADERS`](larder_tower::IDENTITY_HEADERS): a page
        /// made with one only comes back to the same value.
        ///
        /// # Panics
        /// If one is not a header name.
        pub fn identity_headers<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
            $crate::Settings::edit(&mut self.settings).add_identity_headers(names);
            self
        }

        /// Under which tags these pages are invalidated, besides those that handlers add with `PageTags`.
        pub fn tags<T: Into<larder_core::Tag>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
            $crate::Settings::edit(&mut self.settings).add_tags(tags);
            self
        }

        /// The largest body that is stored, in bytes; larger ones pass through whole. 8 MiB unless said otherwise.
        pub fn max_body(mut self, bytes: usize) -> Self {
            $crate::Settings::edit(&mut self.settings).set_max_body(bytes);
            self
        }

        /// Also stores bodies whose length is not known when they begin. Off unless said otherwise: such a body may never
        /// end, and whoever waited for it would wait with it.
        pub fn streaming(mut self, store: bool) -> Self {
            $crate::Settings::edit(&mut self.settings).set_streaming(store);
            self
        }

        /// How many variants of one URL are kept, for anonymous requests and for those with credentials each;
        /// 1,024 unless said otherwise, and at least 2.
        pub fn max_variants(mut self, variants: u32) -> Self {
            $crate::Settings::edit(&mut self.settings).set_max_variants(variants);
            self
        }

        /// How long a request waits for another that is making the same page, before it makes its own without storing
        /// it; 30 s unless said otherwise.
        pub fn max_wait(mut self, wait: std::time::Duration) -> Self {
            $crate::Settings::edit(&mut self.settings).set_max_wait(wait);
            self
        }

        /// How many requests wait for one page at most; more go alone. 100,000 unless said otherwise.
        pub fn max_waiters(mut self, waiters: usize) -> Self {
            $crate::Settings::edit(&mut self.settings).set_max_waiters(waiters);
            self
        }

        /// By which rules is decided what is stored and reused: Django's, which is the default, or those of a shared cache
        /// ([RFC 9111](https://www.rfc-editor.org/rfc/rfc9111)) for a gateway. See [`Policy`](larder_tower::Policy).
        pub fn policy(mut self, policy: $crate::Policy) -> Self {
            $crate::Settings::edit(&mut self.settings).set_policy(policy);
            self
        }

        /// Compresses pages once, when they are stored (gzip; with the feature `brotli` also that), and sends each client the form that
        /// it takes. The handler never sees `Accept-Encoding`, so all clients share one run and one entry. Off unless said otherwise; pages
        /// that say `no-transform`, are coded already or do not get smaller stay as they are.
        pub fn precompress(mut self, compress: bool) -> Self {
            $crate::Settings::edit(&mut self.settings).set_precompress(compress);
            self
        }

        /// How long a fill goes on after its client went away; 60 s unless said otherwise.
        pub fn max_fill(mut self, limit: std::time::Duration) -> Self {
            $crate::Settings::edit(&mut self.settings).set_max_fill(limit);
            self
        }
    };
}

#[doc(hidden)]
impl Settings {
    /// Axum lays a layer anew for each request of a route whose state is not known yet, so clones of layers are pointers.
    pub fn edit(settings: &mut Arc<Self>) -> &mut Self {
        Arc::make_mut(settings)
    }
    pub fn set_timeout(&mut self, timeout: Timeout) {
        self.timeout = timeout;
    }
    pub fn set_cache(&mut self, cache: impl Into<CacheChoice>) {
        self.cache = Some(cache.into());
    }
    pub fn set_key_prefix(&mut self, prefix: impl Into<String>) {
        self.key_prefix = prefix.into();
    }
    pub fn set_vary_on<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        self.vary_on.extend(names.into_iter().map(|n| header_name(n.as_ref())));
    }
    pub fn set_cookies<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        self.cookies = CookieRule::only(names);
    }
    pub fn set_ignore_cookies(&mut self) {
        self.cookies = CookieRule::IgnoreAll;
    }
    pub fn add_key_fn(&mut self, part: impl Fn(&Parts) -> String + Send + Sync + 'static) {
        self.key_fns.push(Arc::new(part));
    }
    pub fn add_identity_headers<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        self.identity_headers.extend(names.into_iter().map(|n| header_name(n.as_ref())));
        self.identity_headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        self.identity_headers.dedup();
    }
    pub fn add_tags<T: Into<Tag>>(&mut self, tags: impl IntoIterator<Item = T>) {
        self.tags.extend(tags.into_iter().map(Into::into));
    }
    pub fn set_max_body(&mut self, bytes: usize) {
        self.max_body = bytes;
    }
    pub fn set_streaming(&mut self, store: bool) {
        self.streaming = store;
    }
    pub fn set_max_variants(&mut self, variants: u32) {
        self.max_variants = variants.max(2);
    }
    pub fn set_max_wait(&mut self, wait: Duration) {
        self.max_wait = wait;
    }
    pub fn set_max_waiters(&mut self, waiters: usize) {
        self.max_waiters = waiters;
    }
    pub fn set_precompress(&mut self, compress: bool) {
        self.precompress = compress;
    }
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }
    pub fn set_max_fill(&mut self, limit: Duration) {
        self.max_fill = limit;
    }
}
