//! Why: the closed list of everything that keeps a response out of the cache, or changes whom it is kept for.
//!
//! One word per reason stands everywhere: in the `detail` of Cache-Status, in metrics, in logs, in tests. With each
//! come a sentence that says what it means, and one of advice.
//!
//! ```
//! use larder_http::Reason;
//!
//! assert_eq!(Reason::SetCookie.as_str(), "set-cookie");
//! assert!(Reason::ALL.iter().all(|reason| reason.advice().ends_with('.')));
//! ```

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $token:literal, $advice:literal;)+) => {
        /// Why a response was not stored, not looked up, or how it was keyed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of declaration.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The reason as a token: lower case, words joined by hyphens.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $token,)+ }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Reason::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// What to do about it, in one sentence.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Reason::$variant => $advice,)+ }
            }
        }
    };
}

reasons! {
    /// The request's method is neither GET nor HEAD.
    Method = "method", "Only GET and HEAD are cached; nothing to do.";
    /// A GET or HEAD with a body, which the key doesn't cover.
    FatGet = "fat-get", "Send what the page depends on in the URL instead of a body.";
    /// The request asks for another method by a header such as X-HTTP-Method-Override.
    MethodOverride = "method-override", "Send the real method, or remove the override header before the cache.";
    /// The request wants another protocol (WebSocket).
    Upgrade = "upgrade", "Upgraded connections can't be cached; nothing to do.";
    /// The request's Connection field lists fields that it carries, so that a proxy on the way would take them away.
    ConnectionListed = "connection-listed", "Connection may list fields of one connection only; look at the client.";
    /// The timeout in effect is zero.
    ZeroTimeout = "zero-timeout", "Give the layer or the response a timeout above zero.";
    /// A fetch layer found no update layer outside it.
    NoUpdateLayer = "no-update-layer", "Put an UpdateCacheLayer outside the FetchFromCacheLayer.";
    /// The layer names a cache that does not exist.
    NoSuchCache = "no-such-cache", "Name an alias that a CachesLayer or the installed caches have; the log lists them.";
    /// The request never reached a fetch layer inside the update layer.
    NoFetch = "no-fetch", "Put a FetchFromCacheLayer inside; or the middleware between answered by itself.";
    /// A middleware between the pair made something else of a stored page.
    Replaced = "replaced", "A middleware between the pair changed the status of a stored page; move it outside or inside.";
    /// The request has a condition that only the origin may evaluate (If-Match, If-Unmodified-Since).
    Precondition = "precondition", "If-Match and If-Unmodified-Since are for the application; nothing to do.";
    /// The status is not one that is stored.
    Status = "status", "Only 200 is stored; answer 200 for what should be cached.";
    /// The response sets a cookie.
    SetCookie = "set-cookie", "Set cookies on another route, or only when they change.";
    /// The response says `private`.
    Private = "private", "Remove private from Cache-Control if everybody may see the page.";
    /// The response says `no-store`.
    NoStore = "no-store", "Remove no-store from Cache-Control if the page may be kept.";
    /// The response says `no-cache`.
    NoCache = "no-cache", "Remove no-cache from Cache-Control if the page may be reused without asking.";
    /// The response says `Vary: *`, or a Vary that can't be read.
    VaryStar = "vary-star", "Name the request fields that the page depends on in Vary instead of *.";
    /// The length of the body is not known beforehand.
    Streaming = "streaming", "Give the body a known length, or allow streaming bodies on the layer.";
    /// A stream of server-sent events.
    EventStream = "event-stream", "Event streams never end and can't be cached; nothing to do.";
    /// The body is above the limit.
    TooLarge = "too-large", "Raise the layer's body limit, or serve large files outside the cache.";
    /// The body ended with trailers.
    Trailers = "trailers", "Send the fields as headers; trailers can't be stored.";
    /// The body ended before its declared length.
    Truncated = "truncated", "Make Content-Length agree with the body, and look for errors of the origin.";
    /// The body failed half-way.
    BodyError = "body-error", "Look for the error in the origin's log.";
    /// A middleware outside the route layer made the response private.
    BecamePrivate = "became-private", "Find the outer middleware that sets a cookie or makes the page private, and keep it off this route.";
    /// The session was modified, before or while the page was made.
    SessionModified = "session-modified", "Write to the session on another route.";
    /// The client went away and the fill could not be finished without it.
    ClientGone = "client-gone", "Raise the limit of detached fills if this is frequent.";
    /// The key is known for answers that can't be stored, so nobody waits for them.
    HitForMiss = "hit-for-miss", "See the reason of an earlier response of this URL.";
    /// The backend failed or was too slow.
    BackendError = "backend-error", "Check the cache server; pages come from the origin meanwhile.";
    /// A tag of the page, or the whole namespace, was invalidated while the page was made.
    Invalidated = "invalidated", "Nothing to do: the next request stores a newer page.";
    /// Another process took over the making of the page before this one was done.
    TakenOver = "taken-over", "Raise max_fill if pages may take that long.";
    /// A nested layer answered from its own cache.
    InnerHit = "inner-hit", "Nothing to do: the inner layer keeps the page.";
    /// An interim (1xx) response.
    NotFinal = "not-final", "Interim responses are passed on; nothing to do.";
    /// A part of a response (206, Content-Range).
    Partial = "partial", "Let the origin answer in full; the cache keeps whole responses only.";
    /// The request carries Authorization and nothing allows to share the answer.
    Authorization = "authorization", "Say public in Cache-Control if everybody may see the page.";
    /// The layer's key function refused the request.
    KeyFnRefused = "key-fn-refused", "Look at the layer's key function: it returned no key.";
    /// The wait for another request's answer took too long.
    WaitLimit = "wait-limit", "Raise max_wait, or make the page faster.";
    /// The page was stored for the request's cookies.
    CookieKeyed = "cookie-keyed", "Name the cookies that matter with cookies([…]), or drop them with ignore_cookies().";
    /// The page was stored for the request's credentials.
    CredentialKeyed = "credential-keyed", "Say public in Cache-Control if everybody may see the page.";
    /// The page was stored for the request's session, whose cookie is not among those that are keyed.
    SessionKeyed = "session-keyed", "Say public in Cache-Control if the page does not depend on the session.";
    /// The origin failed, and what is stored stands in for it.
    StaleOnError = "stale-on-error", "Look at the origin; or forbid it with must-revalidate.";
    /// The page is stale, and is being made anew behind this answer.
    StaleWhileRevalidate = "stale-while-revalidate", "Nothing to do: one of the next requests gets the new page.";
    /// The page is stale, and as many pages as are allowed are being made anew already.
    RefreshLimit = "refresh-limit", "Raise max_refreshes, or make the pages faster.";
    /// The origin was slower than the soft timeout, and what is stored stands in for it.
    SoftTimeout = "soft-timeout", "Nothing to do: the page is being made, and stored when it comes.";
    /// The page is fresh, and is being made anew before it expires.
    EarlyRefresh = "early-refresh", "Nothing to do: the page is renewed before it expires.";
    /// The origin could not be reached, and what is stored must not be served without asking it.
    OriginUnreachable = "origin-unreachable", "Look at the origin.";
    /// A tagged value of another cache went into the page, and its invalidation would go unnoticed in this one.
    ForeignTags = "foreign-tags", "Use one cache for the page and what it is made of, or say attach(false).";
    /// Something stale went into the page.
    MadeOfStale = "made-of-stale", "Nothing to do: the page is stored once what it is made of is fresh again.";
    /// The page's tags can't be made, by a path parameter that its route does not have, say.
    BadTags = "bad-tags", "Look into the log, which says which tag it is and why.";
    /// What went into the page has more tags than an entry may carry.
    TooManyTags = "too-many-tags", "Tag what the page is made of more coarsely, or say attach(false) and tag the page itself.";
    /// The URL has as many variants as are allowed.
    VariantLimit = "variant-limit", "Vary on fewer fields, or on fields with fewer values.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Reason {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_word_is_a_lower_case_token_and_stands_once() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for word in words {
            // A structured-field token starts with a letter.
            assert!(word.starts_with(|c: char| c.is_ascii_lowercase()), "{word}");
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{word}");
        }
    }

    #[test]
    fn a_word_is_its_variant_in_kebab_case() {
        for reason in Reason::ALL {
            let mut kebab = String::new();
            for c in format!("{reason:?}").chars() {
                if c.is_ascii_uppercase() && !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.push(c.to_ascii_lowercase());
            }
            assert_eq!(reason.to_string(), kebab);
        }
    }

    #[test]
    fn meaning_and_advice_are_one_sentence_each() {
        for text in Reason::ALL.iter().flat_map(|reason| [reason.meaning(), reason.advice()]) {
            assert!(text.starts_with(char::is_uppercase), "{text}");
            assert!(text.ends_with('.') && !text.contains(". "), "{text}");
        }
    }
}
