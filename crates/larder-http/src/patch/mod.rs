//! Setting Cache-Control, Expires and Vary on a response, as `django.utils.cache` does.
//!
//! | Django | here |
//! |---|---|
//! | `patch_cache_control(response, max_age=60, public=True)` | [`CacheControlPatch`] |
//! | `get_max_age` | [`get_max_age`] |
//! | `patch_response_headers` | [`patch_response_headers`] |
//! | `add_never_cache_headers` | [`add_never_cache_headers`] |
//! | `patch_vary_headers`, `has_vary_header` | [`patch_vary`], [`has_vary`] |
//!
//! All lines of a field are read, and one line is written back. Where Django raises an exception because of a
//! value that is already there (`max-age=abc`), that value is treated as absent.
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::{CacheControlPatch, patch_vary};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(header::CACHE_CONTROL, "private, max-age=300".parse()?);
//! CacheControlPatch::default().public().max_age(60).apply(&mut headers);
//! patch_vary(&mut headers, ["Accept-Language"]);
//!
//! assert_eq!(headers[header::CACHE_CONTROL], "max-age=60, public");
//! assert_eq!(headers[header::VARY], "Accept-Language");
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

mod control;
mod expiry;
mod vary;

pub use control::CacheControlPatch;
pub use expiry::{add_never_cache_headers, get_max_age, patch_response_headers};
pub use vary::{has_vary, patch_vary};
