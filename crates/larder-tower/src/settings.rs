//! What a caching layer was told, once, when it was built.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderName;
use http::request::Parts;
use larder_core::{Cache, KeyBuilder, Tag, Timeout};

use crate::cookies::CookieRule;
use crate::keys::{KeyFn, KeyParts, KeyText, LaterFn, Narrowing};
use crate::labels::TagField;
use crate::made::{Made, TimeoutFn};
use crate::names::IDENTITY_HEADERS;
use crate::policy::Policy;
use crate::stale::{EarlyRefresh, Staleness};
use crate::tag_pattern::TagPattern;

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
    /// Those of them that requests have anyhow, for other reasons.
    pub(crate) usual_identity_headers: Vec<HeaderName>,
    pub(crate) key_fns: Vec<KeyFn>,
    pub(crate) later: Vec<LaterFn>,
    pub(crate) narrowing: Narrowing,
    pub(crate) timeout_fn: Option<TimeoutFn>,
    pub(crate) cache_errors: bool,
    pub(crate) tags: Vec<Tag>,
    /// Tags with path parameters in them.
    pub(crate) patterns: Vec<TagPattern>,
    pub(crate) tag_fields: Vec<TagField>,
    strip_tag_fields: Option<bool>,
    pub(crate) max_body: usize,
    pub(crate) streaming: bool,
    pub(crate) max_variants: u32,
    pub(crate) max_waiters: usize,
    pub(crate) max_wait: Duration,
    pub(crate) max_fill: Duration,
    pub(crate) lease: bool,
    pub(crate) policy: Policy,
    pub(crate) precompress: bool,
    pub(crate) stale: Staleness,
    pub(crate) attach: bool,
    /// How the keys of this layer begin, where that is the same for all its requests.
    pub(crate) front: OnceLock<KeyBuilder>,
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
            usual_identity_headers: Vec::new(),
            identity_headers: IDENTITY_HEADERS.iter().map(|name| HeaderName::from_static(name)).collect(),
            key_fns: Vec::new(),
            later: Vec::new(),
            narrowing: Narrowing::default(),
            timeout_fn: None,
            cache_errors: false,
            tags: Vec::new(),
            patterns: Vec::new(),
            tag_fields: TagField::usual(),
            strip_tag_fields: None,
            max_body: 8 << 20,
            streaming: false,
            max_variants: 1024,
            max_waiters: 100_000,
            max_wait: Duration::from_secs(30),
            max_fill: Duration::from_secs(60),
            lease: true,
            policy: Policy::origin(),
            precompress: false,
            stale: Staleness::default(),
            attach: true,
            front: OnceLock::new(),
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
            .field("stale", &self.stale)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// A window in milliseconds; the default of a window is none.
fn window_ms(window: Timeout) -> u64 {
    match window.as_millis() {
        Some(millis) => millis,
        None if window.is_default() => 0,
        None => u64::MAX,
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

        /// Adds to the key what headers can't say (the user behind a client certificate, a tenant, a language): text, a number, or an
        /// `Option` of one, whose `None` lets the request pass by instead of sharing a page by mistake. May be given several times.
        /// drf-extensions: `key_func`.
        pub fn key_fn<K: $crate::KeyText>(
            mut self,
            part: impl Fn(&http::request::Parts) -> K + Send + Sync + 'static,
        ) -> Self {
            $crate::Settings::edit(&mut self.settings).add_key_fn(part);
            self
        }

        /// The same, where it takes waiting: a look into a database, say. It is asked for every request, hits too, before the page is looked up.
        pub fn key_fn_async<F>(
            mut self,
            part: impl Fn(http::request::Parts) -> F + Send + Sync + 'static,
        ) -> Self
        where
            F: Future<Output: $crate::KeyText> + Send + 'static,
        {
            $crate::Settings::edit(&mut self.settings).add_key_fn_async(part);
            self
        }

        /// Parts of the key that are put together once, for any number of layers: which parameters of the query count, the user, the language,
        /// … See [`KeyParts`](larder_tower::KeyParts). May be given several times.
        pub fn key(mut self, parts: &$crate::KeyParts) -> Self {
            $crate::Settings::edit(&mut self.settings).add_key(parts);
            self
        }

        /// How long a page lives, by what was asked for and what came of it, in place of the layer's timeout;
        /// [`Timeout::DEFAULT`](larder_core::Timeout::DEFAULT) leaves it at that. A `PageTimeout` beside the response still shortens it, and zero keeps the page out of the
        /// cache.
        pub fn timeout_fn(
            mut self,
            timeout: impl Fn(&$crate::Made<'_>) -> larder_core::Timeout + Send + Sync + 'static,
        ) -> Self {
            $crate::Settings::edit(&mut self.settings).set_timeout_fn(timeout);
            self
        }

        /// Also stores errors that asking again would not change: 400, 403, 404, 405, 406, 410, 414, 415, 422, 451, 500 and 501. Off unless said
        /// otherwise, as in Django; in drf-extensions it is on. What asks for credentials (401) or to come back later (408, 425, 429, 502 to 504) is
        /// never stored. Under the [policy](larder_tower::Policy) of a shared cache the response alone decides.
        pub fn cache_errors(mut self, store: bool) -> Self {
            $crate::Settings::edit(&mut self.settings).set_cache_errors(store);
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

        /// Under which tags these pages are invalidated, besides those that handlers add with `PageTags`. `{name}` stands for a path parameter of
        /// axum's route, percent-decoded (`course:{id}` on `/courses/{id}`); `{{` and `}}` are braces.
        ///
        /// Where there is no such parameter, nothing is stored (`detail=bad-tags`), and the log says which it is: the layer has to be mounted on the route
        /// or its router, not around it.
        pub fn tags<T: Into<larder_core::Tag>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
            $crate::Settings::edit(&mut self.settings).add_tags(tags);
            self
        }

        /// Response fields in which the application names tags of its pages; `Surrogate-Key` (with spaces between), `Cache-Tag` (with commas) and
        /// `Cache-Groups` (strings in quotes, RFC 9875) unless said otherwise. In fields of other names there are commas between, but for `xkey`.
        ///
        /// # Panics
        /// If one is not a header name.
        pub fn tag_fields<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
            $crate::Settings::edit(&mut self.settings).set_tag_fields(names);
            self
        }

        /// Whether these fields are taken away before the response goes on. Unless said otherwise they are under `Policy::shared()`, as CDNs do it for
        /// whom they are meant, and stay under the other, where a CDN in front may want them. `Cache-Groups` always stays: it is for every cache on
        /// the way.
        pub fn strip_tag_fields(mut self, strip: bool) -> Self {
            $crate::Settings::edit(&mut self.settings).set_strip_tag_fields(strip);
            self
        }

        /// Whether the tags of cached values that are read while a page is made become the page's own, so that it is forgotten with what
        /// went into it; they do unless said otherwise. See [`Attachment`](larder_core::Attachment).
        pub fn attach(mut self, attach: bool) -> Self {
            $crate::Settings::edit(&mut self.settings).set_attach(attach);
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

        /// For how long after its timeout a page is still shown while it is being made anew behind the answer; not at all unless said
        /// otherwise. `Cache-Status` says so: `hit; ttl=-3; detail=stale-while-revalidate`.
        ///
        /// A page that the origin forbids to show stale (`must-revalidate`, `proxy-revalidate`) never is, nor is one that was invalidated. Where the
        /// response's own `max-age` sets the timeout (the per-site pair, or a timeout of `DEFAULT`), its own `stale-while-revalidate` sets
        /// the window.
        ///
        /// What is made behind is made from the outermost Larder layer inwards, from what that layer saw of the request. Without an outer layer a page
        /// that is keyed on credentials is not made behind its answer, and the request that finds it stale waits for the new one.
        pub fn stale_while_revalidate(mut self, window: impl Into<larder_core::Timeout>) -> Self {
            $crate::Settings::edit(&mut self.settings).set_stale_while_revalidate(window);
            self
        }

        /// For how long after its timeout a page stands in for an application that fails: that answers 500, 502, 503 or 504, ends in an error,
        /// panics, or is not done within [`max_fill`](Self::max_fill). Not at all unless said otherwise. `Cache-Status` says
        /// so: `fwd=stale; fwd-status=503; ttl=-70; detail=stale-on-error`.
        ///
        /// It is counted from the end of the timeout, as [`stale_while_revalidate`](Self::stale_while_revalidate) is, and follows the same
        /// rules. For a second after a failure the application is not asked for the page again.
        pub fn stale_if_error(mut self, window: impl Into<larder_core::Timeout>) -> Self {
            $crate::Settings::edit(&mut self.settings).set_stale_if_error(window);
            self
        }

        /// How long a request waits for a new page where there is a stale one in its windows: the application that is slower goes on behind, and
        /// the stale page is the answer, with `detail=soft-timeout`. As long as it takes unless said otherwise.
        pub fn soft_timeout(mut self, limit: std::time::Duration) -> Self {
            $crate::Settings::edit(&mut self.settings).set_soft_timeout(limit);
            self
        }

        /// Makes pages anew behind their answers already before they expire, the likelier the nearer the expiry and the longer the page took to
        /// make; 1 is a good number, larger ones are earlier. Off unless said otherwise. See [`EarlyRefresh`](larder_tower::EarlyRefresh).
        pub fn early_refresh(mut self, early: impl Into<$crate::EarlyRefresh>) -> Self {
            $crate::Settings::edit(&mut self.settings).set_early_refresh(early);
            self
        }

        /// How long making a page behind its answer may take; as long as [`max_fill`](Self::max_fill) unless said otherwise.
        pub fn refresh_deadline(mut self, limit: std::time::Duration) -> Self {
            $crate::Settings::edit(&mut self.settings).set_refresh_deadline(limit);
            self
        }

        /// How many pages of this layer are made behind their answers at once; 64 unless said otherwise. Above it stale pages are shown and not
        /// made anew, which `detail=refresh-limit` and the log say.
        pub fn max_refreshes(mut self, refreshes: usize) -> Self {
            $crate::Settings::edit(&mut self.settings).set_max_refreshes(refreshes);
            self
        }

        /// Whether the processes that share the cache's store make a page once between them: one makes it, and the others wait for what
        /// it stores, as long as it lives (see [`CacheBuilder::lease`](larder_core::CacheBuilder::lease)). On unless said otherwise; without
        /// it each process makes its own. It costs a miss one step to the store, and a hit nothing; a store in this process has no use for
        /// it.
        pub fn lease(mut self, share: bool) -> Self {
            $crate::Settings::edit(&mut self.settings).set_lease(share);
            self
        }

        /// How long a fill goes on after its client went away, how long one may take whose page can be stood in for by a stale one, and how
        /// long other processes wait for one at most; 60 s unless said otherwise.
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
        self.front = OnceLock::new();
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
    pub fn add_key(&mut self, parts: &KeyParts) {
        parts.add_to(self);
    }
    pub fn add_key_fn<K: KeyText>(&mut self, part: impl Fn(&Parts) -> K + Send + Sync + 'static) {
        self.add_key(&KeyParts::new().part(part));
    }
    pub fn add_key_fn_async<F>(&mut self, part: impl Fn(Parts) -> F + Send + Sync + 'static)
    where
        F: Future<Output: KeyText> + Send + 'static,
    {
        self.add_key(&KeyParts::new().part_async(part));
    }
    pub fn set_timeout_fn(&mut self, timeout: impl Fn(&Made<'_>) -> Timeout + Send + Sync + 'static) {
        self.timeout_fn = Some(Arc::new(timeout));
    }
    pub fn set_cache_errors(&mut self, store: bool) {
        self.cache_errors = store;
    }
    pub fn add_identity_headers<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        self.identity_headers.extend(names.into_iter().map(|n| header_name(n.as_ref())));
        self.identity_headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        self.identity_headers.dedup();
        let usual = self.identity_headers.iter().filter(|name| crate::admit::is_sorted_out(name));
        self.usual_identity_headers = usual.cloned().collect();
    }
    pub fn add_tags<T: Into<Tag>>(&mut self, tags: impl IntoIterator<Item = T>) {
        for tag in tags {
            let pattern = TagPattern::new(tag.into().as_str());
            match pattern.fixed() {
                Some(tag) => self.tags.push(tag.clone()),
                None => self.patterns.push(pattern),
            }
        }
    }
    pub fn set_tag_fields<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        self.tag_fields = names.into_iter().map(|name| TagField::new(header_name(name.as_ref()))).collect();
    }
    pub fn set_strip_tag_fields(&mut self, strip: bool) {
        self.strip_tag_fields = Some(strip);
    }
    pub(crate) fn strips_tag_fields(&self) -> bool {
        self.strip_tag_fields.unwrap_or(self.policy.is_shared())
    }
    pub fn set_attach(&mut self, attach: bool) {
        self.attach = attach;
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
        self.front = OnceLock::new();
        self.policy.agree(self.stale.windows);
    }
    pub fn set_stale_while_revalidate(&mut self, window: impl Into<Timeout>) {
        self.stale.windows.while_revalidate_ms = window_ms(window.into());
        self.policy.agree(self.stale.windows);
    }
    pub fn set_stale_if_error(&mut self, window: impl Into<Timeout>) {
        self.stale.windows.if_error_ms = window_ms(window.into());
        self.policy.agree(self.stale.windows);
    }
    pub fn set_soft_timeout(&mut self, limit: Duration) {
        self.stale.soft_timeout = Some(limit);
    }
    pub fn set_early_refresh(&mut self, early: impl Into<EarlyRefresh>) {
        self.stale.early = Some(early.into()).filter(EarlyRefresh::is_on);
    }
    pub fn set_refresh_deadline(&mut self, limit: Duration) {
        self.stale.deadline = Some(limit);
    }
    pub fn set_max_refreshes(&mut self, refreshes: usize) {
        self.stale.set_places(refreshes);
    }
    pub fn set_lease(&mut self, share: bool) {
        self.lease = share;
    }
    pub fn set_max_fill(&mut self, limit: Duration) {
        self.max_fill = limit;
    }
}
