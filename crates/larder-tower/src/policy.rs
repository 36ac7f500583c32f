//! By which rules a layer decides.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use larder_http::StaleWindows;
use larder_http::shared::{Heuristics, Rules};

use crate::settings::header_name;

/// The rules of a caching layer.
///
/// [`origin`](Self::origin) is for a cache that belongs to the application: Django's rules made safe, the operator's timeout, and clients
/// that can't make it ask again. [`shared`](Self::shared) is for a gateway in front of servers that say themselves what may be kept: a
/// shared cache in the sense of [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111).
///
/// ```
/// use larder_tower::Policy;
///
/// let gateway = Policy::shared().targets(["acme-cache-control", "cdn-cache-control"]).stale_when_disconnected(false);
/// assert!(gateway.is_shared());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Policy(Option<Arc<Rules>>);

impl Policy {
    /// Django's rules made safe; what layers have that were told nothing.
    pub fn origin() -> Self {
        Self(None)
    }

    /// RFC 9111. What is stored and for how long is the response's word alone: the layer's timeout is not used, cookies and credentials do
    /// not enter the key, a request with `Authorization` is stored only where the response allows it, and the request's own directives
    /// count.
    pub fn shared() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether these are the rules of a shared cache.
    pub fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn rules(&self) -> Option<&Arc<Rules>> {
        self.0.as_ref()
    }

    /// What the operator says of stale pages.
    pub(crate) fn agree(&mut self, windows: StaleWindows) {
        if let Some(rules) = &mut self.0 {
            Arc::make_mut(rules).stale = windows;
        }
    }

    fn edit(mut self, edit: impl FnOnce(&mut Rules)) -> Self {
        if let Some(rules) = &mut self.0 {
            edit(Arc::make_mut(rules));
        }
        self
    }

    /// Fields of [RFC 9213](https://www.rfc-editor.org/rfc/rfc9213) that are meant for this cache, the most specific first; they beat
    /// Cache-Control. `Larder-Cache-Control` and `CDN-Cache-Control` unless said otherwise.
    ///
    /// # Panics
    /// If one is not a header name.
    #[must_use]
    pub fn targets<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<HeaderName> = names.into_iter().map(|name| header_name(name.as_ref())).collect();
        self.edit(|rules| rules.targets = names)
    }

    /// For which responses without an explicit lifetime one is guessed from Last-Modified.
    #[must_use]
    pub fn heuristics(self, heuristics: Heuristics) -> Self {
        self.edit(|rules| rules.heuristics = heuristics)
    }

    /// Stores responses with `Set-Cookie` that give their lifetime themselves, cookie and all, as the RFCs allow: one visitor's
    /// cookie is then everybody's. Off unless said otherwise.
    #[must_use]
    pub fn store_set_cookie(self, store: bool) -> Self {
        self.edit(|rules| rules.store_set_cookie = store)
    }

    /// Joins a part that has no validator with another, trusting that nothing changed between, which RFC 9111 forbids
    /// (section 3.4). Off unless said otherwise.
    #[must_use]
    pub fn combine_without_validator(self, combine: bool) -> Self {
        self.edit(|rules| rules.combine_without_validator = combine)
    }

    /// Serves what is stale when the origin can't be reached and nothing forbids it (RFC 9111, section 4.2.4). On unless said
    /// otherwise.
    #[must_use]
    pub fn stale_when_disconnected(self, serve: bool) -> Self {
        self.edit(|rules| rules.stale_when_disconnected = serve)
    }

    /// Obeys `stale-while-revalidate` and `stale-if-error` also beside `s-maxage`, which to the letter forbids what is stale. Off unless said
    /// otherwise.
    #[must_use]
    pub fn stale_despite_s_maxage(self, serve: bool) -> Self {
        self.edit(|rules| rules.stale_despite_s_maxage = serve)
    }

    /// How long a response is kept after it went stale, to be validated or to stand in for an origin that fails; a day unless said
    /// otherwise.
    #[must_use]
    pub fn keep_stale(self, keep: Duration) -> Self {
        let millis = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        self.edit(|rules| rules.keep_stale_ms = millis)
    }
}

/// On a response (in its extensions): it was made by the gateway itself, since the origin could not be reached or did not answer. A layer with
/// [`Policy::shared`] then serves what is stale where that is allowed, or says 504 where a stored response must be validated.
///
/// ```
/// use axum::response::IntoResponse;
/// use larder_tower::OriginUnreachable;
///
/// fn bad_gateway() -> impl IntoResponse {
///     (http::StatusCode::BAD_GATEWAY, axum::Extension(OriginUnreachable))
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginUnreachable;
