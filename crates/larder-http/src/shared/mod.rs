//! The decisions of a shared cache that follows [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111) to the letter: what a
//! gateway may store, what it may answer with, what it has to ask first.
//!
//! | file | what it answers | from |
//! |---|---|---|
//! | [`Rules::storing`] | may it be stored, and for how long is it fresh? | §3, §3.5, §4.2, §5.2.2 |
//! | [`reuse`] | may this request be answered with it now? | §4, §4.2.4, §5.2.1, RFC 5861 |
//! | [`validation`] | how is the origin asked whether it is still good? | §4.3.1 |
//! | [`freshen`], [`answers`] | what does a 304 (or a HEAD) change in it? | §3.2, §4.3.4, §4.3.5 |
//! | [`combine`] | do two parts make a larger one? | §3.4 |
//! | [`invalidated_by`] | what does a write make invalid? | §4.4, RFC 9875 |
//!
//! ```
//! use http::{HeaderMap, Method, StatusCode, header};
//! use larder_http::shared::{Received, Rules};
//!
//! let (request, mut response) = (HeaderMap::new(), HeaderMap::new());
//! response.insert(header::CACHE_CONTROL, "max-age=1, s-maxage=60".parse()?);
//! let received = Received { method: &Method::GET, request: &request, status: StatusCode::OK, headers: &response, at: 0 };
//! assert_eq!(Rules::default().storing(&received)?.fresh_for_ms, 60_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod freshen;
#[cfg(test)]
mod garbage;
mod invalidation;
mod reuse;
mod storing;
mod validation;

pub use freshen::{Answered, answers, combine, freshen, same_representation};
pub use invalidation::{Invalidated, cache_groups, invalidated_by};
pub use reuse::{Reuse, StaleOnError, reuse, stale_on_error};
pub use storing::{Received, Storing};
pub use validation::validation;

use crate::stale::StaleWindows;
use http::{HeaderName, StatusCode};

/// For which responses without an explicit lifetime one is guessed (§4.2.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Heuristics {
    /// For none: such responses are stored for validation only.
    Off,
    /// For those that RFC 9110 §15.1 names, without the errors among them that an attacker can provoke (405, 414, 501).
    #[default]
    Safe,
    /// For all that it names.
    All,
}

/// What the operator of a shared cache may choose where the RFCs leave a choice. The defaults are the safe ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Fields of [RFC 9213](crate::targeted) that are meant for this cache, the most specific first.
    pub targets: Vec<HeaderName>,
    /// Whether lifetimes are guessed.
    pub heuristics: Heuristics,
    /// Whether responses with Set-Cookie that give their lifetime themselves are stored, cookie and all. The RFCs allow it; one
    /// visitor's cookie is then everybody's. None is stored by a guessed lifetime.
    pub store_set_cookie: bool,
    /// Whether a part without any validator is joined with another, trusting that nothing changed between.
    pub combine_without_validator: bool,
    /// Whether a stale response may be served when the origin can't be reached and nothing forbids it (§4.2.4).
    pub stale_when_disconnected: bool,
    /// Whether `stale-while-revalidate` and `stale-if-error` count although `s-maxage` is there, which implies
    /// `proxy-revalidate` (§5.2.2.10).
    pub stale_despite_s_maxage: bool,
    /// How long a response is kept after it went stale, to be validated or to stand in for an origin that fails, in
    /// milliseconds.
    pub keep_stale_ms: u64,
    /// How long what was fresh may be served stale where the response says nothing of it and does not forbid it: what §4.2.4 calls
    /// configuration in accordance with an out-of-band contract.
    pub stale: StaleWindows,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            targets: vec![
                HeaderName::from_static("larder-cache-control"),
                HeaderName::from_static("cdn-cache-control"),
            ],
            heuristics: Heuristics::Safe,
            store_set_cookie: false,
            combine_without_validator: false,
            stale_when_disconnected: true,
            stale_despite_s_maxage: false,
            keep_stale_ms: 24 * 60 * 60 * 1000,
            stale: StaleWindows::default(),
        }
    }
}

/// Whether a status code is one that this cache knows, for `must-understand` (§5.2.2.3). 206 and 304 are handled; others that
/// demand something of caches are not known.
#[must_use]
pub fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 451 | 500..=505 | 511
    )
}
