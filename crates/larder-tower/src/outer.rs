//! The commit rule: a page is stored, and those who wait for it released, only when its head has passed the outermost Larder layer without
//! becoming private.
//!
//! A route layer can't see what middleware outside it adds later: a session layer that sets its cookie on a first visit, say. The
//! outermost layer (a `CachesLayer` or the per-site pair) puts an [`Outer`] on the request; whoever wants to store inside leaves a [`Pending`]
//! with it, and it gives its verdict on the final head. No approval, no store: if the request is dropped before, the page counts as
//! uncacheable.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderValue, Response};
use larder_core::{Cache, Key};
use larder_http::{CACHE_STATUS, CacheControl, CacheControlPatch, FieldRule, Reason, became_private};
use parking_lot::Mutex;

use crate::again::{Again, Wants};
use crate::identity::Digest;
use crate::keys::Notes;

/// What is to be done once the verdict is known.
pub(crate) type Pending = Box<dyn FnOnce(Result<(), Reason>) + Send>;

/// The outermost layer's ear, on the request.
#[derive(Clone)]
pub(crate) struct Outer {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    pending: Vec<Pending>,
    verdict: Option<Result<(), Reason>>,
    again: Option<Again>,
    wants: Wants,
}

impl Outer {
    /// What it takes to run a request like this one from the outermost layer. Where that was not kept, it will be from the next request on.
    pub(crate) fn again(&self) -> Option<Again> {
        let mut state = self.state.lock();
        state.wants.want();
        state.again.take()
    }

    /// Says that a layer inside may want to run requests again.
    pub(crate) fn want_again(&self) {
        self.state.lock().wants.want();
    }

    /// Leaves something that waits for the verdict.
    pub(crate) fn defer(&self, pending: Pending) {
        let mut state = self.state.lock();
        match state.verdict {
            None => state.pending.push(pending),
            Some(verdict) => {
                drop(state);
                pending(verdict);
            }
        }
    }
}

impl fmt::Debug for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outer").finish_non_exhaustive()
    }
}

/// The outermost layer's mouth. Dropped without a verdict, it says no.
#[derive(Debug)]
pub(crate) struct Judge {
    outer: Outer,
}

impl Judge {
    /// `again` is what it takes to run the request once more, if layers inside want that; and how they say so.
    pub(crate) fn new(wants: &Wants, again: Option<Again>) -> Self {
        let state = State { wants: wants.clone(), again, ..State::default() };
        Self { outer: Outer { state: Arc::new(Mutex::new(state)) } }
    }

    pub(crate) fn ear(&self) -> Outer {
        self.outer.clone()
    }

    /// The verdict on the final head. Layers inside said that they store; where they must not, that is taken back.
    pub(crate) fn judge<B>(&self, response: &mut Response<B>) {
        if self.outer.state.lock().pending.is_empty() {
            // Most requests: nothing inside wants to store. Whoever comes after the head has gone comes too late.
            self.settle(Err(Reason::ClientGone));
            return;
        }
        if made_private(response.headers(), response.extensions()).is_none() {
            self.settle(Ok(()));
            return;
        }
        let refused = self.settle(Err(Reason::BecamePrivate));
        if refused > 0 {
            unsay_stored(response.headers_mut(), refused);
            // The layer inside told caches how long to keep the page, not knowing that it would carry a cookie.
            CacheControlPatch::default().private().apply(response.headers_mut());
        }
    }

    /// Tells all who wait for the verdict; how many these were.
    fn settle(&self, verdict: Result<(), Reason>) -> usize {
        let pending = {
            let mut state = self.outer.state.lock();
            if state.verdict.is_some() {
                return 0;
            }
            state.verdict = Some(verdict);
            std::mem::take(&mut state.pending)
        };
        let told = pending.len();
        for pending in pending {
            pending(verdict);
        }
        told
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.settle(Err(Reason::ClientGone));
    }
}

/// Mends the last `refused` of our members of `Cache-Status` that say `stored`: those before may be another server's.
fn unsay_stored(headers: &mut HeaderMap, mut refused: usize) {
    let mut members: Vec<HeaderValue> = headers.get_all(CACHE_STATUS).iter().cloned().collect();
    headers.remove(CACHE_STATUS);
    for member in members.iter_mut().rev() {
        let ours = member.to_str().ok().filter(|text| text.starts_with("larder;"));
        let mended = ours.and_then(|text| text.split_once("; stored")).and_then(|(front, _)| {
            HeaderValue::from_str(&format!("{front}; detail={}", Reason::BecamePrivate)).ok()
        });
        if let Some(mended) = mended.filter(|_| refused > 0) {
            *member = mended;
            refused -= 1;
        }
    }
    for member in members {
        headers.append(CACHE_STATUS, member);
    }
}

/// What, on a final head, says that the page is for one visitor alone, and is not our own word.
fn made_private(headers: &HeaderMap, extensions: &Extensions) -> Option<Reason> {
    // `never_cache` outside a cached route tells clients, not us: Django stores such a page too.
    let reason = became_private(headers, extensions.get::<NeverCached>().is_some())?;
    let added = extensions.get::<Added>().is_some_and(|added| added.private.is_some());
    if reason != Reason::Private || !added {
        return Some(reason);
    }
    // Keyed on credentials, so `private` is what we said ourselves. It may hide what somebody else said.
    let mut others = CacheControl::from_headers(headers);
    others.private = FieldRule::Absent;
    if others.is_restricted() { Some(reason) } else { became_private(headers, true) }
}

/// On a request: a `cache_page` stands outside, and wants to know what the layers inside did. It has no last word: a `cache_page` inside
/// stores without asking.
#[derive(Clone, Debug, Default)]
pub(crate) struct Enclosed {
    /// The flights that layers outside lead for this very request. Whoever waited for one of them would wait for itself.
    pub(crate) flights: Vec<Key>,
    /// Where it is noted which headers a page is read from.
    pub(crate) notes: Vec<Notes>,
}

/// On a request: the handles on their stores with which layers outside have waited. A store that is out costs a request one deadline,
/// however many layers it passes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits(Vec<Cache>);

impl Waits {
    /// The handle for a request: that of a layer outside on the same store, if there is one.
    pub(crate) fn handle(extensions: &Extensions, cache: &Cache) -> Cache {
        extensions.get::<Self>().and_then(|waits| waits.of(cache)).unwrap_or_else(|| cache.for_request())
    }

    fn of(&self, cache: &Cache) -> Option<Cache> {
        self.0.iter().find(|known| known.is_same(cache)).cloned()
    }

    pub(crate) fn note(&mut self, cache: &Cache) {
        if self.of(cache).is_none() {
            self.0.push(cache.clone());
        }
    }
}

/// On a response: what Larder itself added, so that a layer further out does not take it for the application's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Added {
    /// `private`, because the page is keyed on credentials, of which this is the digest. Only a layer that keys on the very same may look
    /// past it.
    pub(crate) private: Option<Digest>,
    /// `Vary: Cookie`, because credentials are keyed.
    pub(crate) vary_cookie: bool,
    /// The page came out of an inner layer's cache.
    pub(crate) inner_hit: bool,
}

/// On a response: `never_cache` was applied to it on the way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeverCached;

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header};

    fn verdict(act: impl FnOnce(Judge)) -> Option<Result<(), Reason>> {
        let heard = Arc::new(Mutex::new(None));
        let judge = Judge::new(&Wants::default(), None);
        let note = Arc::clone(&heard);
        judge.ear().defer(Box::new(move |v| *note.lock() = Some(v)));
        act(judge);
        let heard = heard.lock();
        *heard
    }

    fn judged(line: Option<&'static str>, extensions: &Extensions) -> Result<(), Reason> {
        let field = |line| (header::CACHE_CONTROL, HeaderValue::from_static(line));
        judged_head(HeaderMap::from_iter(line.map(field)), extensions).0
    }

    fn judged_head(headers: HeaderMap, extensions: &Extensions) -> (Result<(), Reason>, HeaderMap) {
        let mut response = Response::new(());
        *response.headers_mut() = headers;
        *response.extensions_mut() = extensions.clone();
        let verdict = verdict(|judge| judge.judge(&mut response)).unwrap();
        (verdict, response.into_parts().0.headers)
    }

    fn with<T: Clone + Send + Sync + 'static>(mark: T) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(mark);
        extensions
    }

    #[test]
    fn a_head_that_stayed_public_is_approved() {
        assert_eq!(judged(None, &Extensions::new()), Ok(()));
    }

    #[test]
    fn a_cookie_set_outside_and_a_request_that_ends_before_its_head_are_refused() {
        let cookie = HeaderMap::from_iter([(header::SET_COOKIE, HeaderValue::from_static("id=1"))]);
        for extensions in [with(NeverCached), with(Added { private: Some([1; 32]), ..Added::default() })] {
            assert_eq!(judged_head(cookie.clone(), &extensions).0, Err(Reason::BecamePrivate));
        }
        assert_eq!(verdict(drop), Some(Err(Reason::ClientGone)));
    }

    #[test]
    fn never_cache_outside_is_for_clients_only() {
        assert_eq!(judged(Some("no-store, private"), &with(NeverCached)), Ok(()));
        assert_eq!(judged(Some("no-store, private"), &Extensions::new()), Err(Reason::BecamePrivate));
    }

    #[test]
    fn our_own_private_on_a_page_keyed_on_credentials_is_no_objection_and_anything_else_is() {
        let keyed = with(Added { private: Some([1; 32]), ..Added::default() });
        assert_eq!(judged(Some("max-age=900, private"), &keyed), Ok(()));
        assert_eq!(judged(Some("private, no-store"), &keyed), Err(Reason::BecamePrivate));
        assert_eq!(judged(Some("no-cache"), &keyed), Err(Reason::BecamePrivate));
        assert_eq!(judged(Some("private"), &with(Added::default())), Err(Reason::BecamePrivate));
        let star = HeaderMap::from_iter([
            (header::CACHE_CONTROL, HeaderValue::from_static("private")),
            (header::VARY, HeaderValue::from_static("*")),
        ]);
        assert_eq!(judged_head(star, &keyed).0, Err(Reason::BecamePrivate));
    }

    #[test]
    fn a_refused_page_no_longer_says_that_it_is_stored() {
        let upstream = "larder; fwd=uri-miss; stored; ttl=5";
        let ours = HeaderValue::from_static("larder; fwd=vary-miss; stored; ttl=900; detail=cookie-keyed");
        let mut headers = HeaderMap::new();
        headers.append(CACHE_STATUS, HeaderValue::from_static(upstream));
        headers.append(CACHE_STATUS, ours);
        headers.append(CACHE_STATUS, HeaderValue::from_static("edge; fwd=miss; stored"));
        let approved = judged_head(headers.clone(), &Extensions::new());
        assert_eq!(approved, (Ok(()), headers.clone()));

        headers.append(header::SET_COOKIE, HeaderValue::from_static("id=1"));
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("max-age=900"));
        let (_, refused) = judged_head(headers, &Extensions::new());
        assert_eq!(
            refused[header::CACHE_CONTROL],
            "max-age=900, private",
            "no cache on the way keeps the cookie"
        );
        let said: Vec<_> = refused.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(
            said,
            [upstream, "larder; fwd=vary-miss; detail=became-private", "edge; fwd=miss; stored"]
        );
    }
}
