//! HTTP caching as pure functions: what [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111) and its friends say about a
//! message, without I/O, with the time as an argument. The layers of Larder decide by these; nothing in here knows
//! of a server, a store or a clock.
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
//! use larder_http::*;
//!
//! // A response arrives 120 ms after it was asked for. May it be kept, for whom, how long?
//! let (asked, arrived) = (1_795_219_200_000, 1_795_219_200_120);
//! let mut headers = HeaderMap::new();
//! headers.insert(header::ETAG, HeaderValue::from_static("\"v1\""));
//! patch_vary(&mut headers, ["Accept-Language"]);
//! patch_response_headers(&mut headers, 900, arrived);
//!
//! let (cc, vary) = (CacheControl::from_headers(&headers), Vary::from_headers(&headers));
//! storable_origin(StatusCode::OK, &headers, &cc, &vary)?;
//! let Vary::Fields(fields) = vary else { unreachable!("a page with `Vary: *` is not storable") };
//!
//! let stored = StoredResponse {
//!     status: StatusCode::OK,
//!     body: Bytes::from_static(b"hello"),
//!     meta: StoredMeta {
//!         vary: fields.iter().cloned().collect(),
//!         timing: Timing {
//!             request_time: asked,
//!             response_time: arrived,
//!             initial_age_ms: initial_age_ms(&headers, asked, arrived),
//!             fresh_for_ms: get_max_age(&headers).unwrap_or(600) * 1000,
//!             ..Timing::default()
//!         },
//!         ..StoredMeta::default()
//!     },
//!     headers,
//! };
//! let bytes = stored.encode();
//!
//! // Ten minutes later somebody asks again, with the tag of the copy they have.
//! let now = arrived + 600_000;
//! let stored = StoredResponse::decode(bytes)?;
//! assert_eq!(stored.meta.timing.freshness(now), Freshness::Fresh);
//! let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"v1\""))]);
//! assert_eq!(evaluate_cached(&Method::GET, &request, &stored.headers, now), Precondition::NotModified);
//!
//! let mut answer = not_modified_headers(&stored.headers);
//! answer.insert(header::AGE, stored.meta.timing.age_header(now));
//! CacheStatus::hit(stored.meta.timing.ttl_secs(now)).append_to(&mut answer);
//! assert_eq!(answer[header::AGE], "600");
//! assert_eq!(answer[&CACHE_STATUS], "larder; hit; ttl=299");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rooms
//!
//! One topic a file; each begins with its RFC section, the grammar and an example.
//!
//! | room | what it answers | from |
//! |---|---|---|
//! | [`date`] | when is that? | RFC 9110 §5.6.7 |
//! | [`delta`] | how many seconds? | RFC 9111 §1.2.2 |
//! | [`cache_control`] | what does the response allow? | RFC 9111 §5.2.2, RFC 5861, RFC 8246 |
//! | [`request_control`] | what does the request ask for? | RFC 9111 §5.2.1, §5.4 |
//! | [`patch`] | how do I say it on a response? | `django.utils.cache` |
//! | [`vary`], [`field`](mod@field) | which requests may it answer? | RFC 9111 §4.1 |
//! | [`no_vary_search`] | which parts of the query count? | No-Vary-Search |
//! | [`coding`] | which form does the client take? | RFC 9110 §12.5.3 |
//! | [`storable`] | may it be stored? | RFC 9111 §3, Django's `UpdateCacheMiddleware` |
//! | [`stale`] | how long may it be shown when it is not? | RFC 5861 |
//! | [`age`], [`lifetime`], [`freshness`] | is it still good? | RFC 9111 §4.2, RFC 5861 |
//! | [`etag`], [`validator`] | does the client have it already? | RFC 9110 §8.8, §13 |
//! | [`shared`] | what does a gateway store, reuse, validate, update? | RFC 9111 §3, §4 |
//! | [`range`] | which bytes of it? | RFC 9110 §14 |
//! | [`targeted`] | is there a policy for us alone? | RFC 9213 |
//! | [`cache_status`], [`reason`] | what happened, and why? | RFC 9211 |
//! | [`hop`] | what belongs to the connection only? | RFC 9110 §7.6.1 |
//! | [`stored`], [`wire_v1`] | how is it kept? | |
//!
//! # Where readings differ
//!
//! Fields in the wild contradict themselves or are broken. The rule everywhere: what restricts counts even if it is
//! malformed, what permits must be beyond doubt. Nothing in a message makes any of this panic.

pub mod age;
pub mod cache_control;
pub mod cache_status;
pub mod coding;
pub mod date;
pub mod delta;
mod directives;
pub mod etag;
pub mod field;
pub mod freshness;
pub mod hop;
pub mod lifetime;
pub mod no_vary_search;
pub mod patch;
pub mod range;
pub mod reason;
pub mod request_control;
pub mod shared;
pub mod stale;
pub mod storable;
pub mod stored;
mod structured;
pub mod targeted;
pub mod validator;
pub mod vary;
pub mod wire_v1;

pub use age::initial_age_ms;
pub use cache_control::{CacheControl, FieldRule};
pub use cache_status::{CACHE_STATUS, CacheStatus, Forward};
pub use coding::{Coding, CodingWeights, Form, coding_weights};
pub use date::{UnixMillis, format_date, parse_date};
pub use delta::Delta;
pub use etag::{EntityTag, quote_etag};
pub use field::{canonical_field, canonical_field_unordered, joined_cookies, with_canonical_value};
pub use freshness::{Freshness, Timing};
pub use hop::strip_hop_by_hop;
pub use lifetime::{explicit_lifetime, heuristic_lifetime, is_heuristically_cacheable};
pub use no_vary_search::NoVarySearch;
pub use patch::{
    CacheControlPatch, add_never_cache_headers, get_max_age, has_vary, patch_response_headers, patch_vary,
};
pub use reason::Reason;
pub use request_control::{MaxStale, RequestCacheControl};
pub use stale::StaleWindows;
pub use storable::{MethodClass, StorePolicy, became_private, storable_origin};
pub use stored::{StoredFlags, StoredMeta, StoredResponse, WireError, WireErrorKind};
pub use validator::{
    Precondition, Validators, evaluate_cached, evaluate_cached_by_date, evaluate_conditional,
    not_modified_headers,
};
pub use vary::{Vary, VaryFields};
