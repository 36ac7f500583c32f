//! A response as it is kept: head, body and what the cache needs to know about them.
//!
//! [`StoredResponse::encode`] and [`decode`](StoredResponse::decode) turn it into bytes and back; the format is
//! frozen, see [`wire_v1`].
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderMap, HeaderValue, StatusCode, header};
//! use larder_http::{StoredMeta, StoredResponse};
//!
//! let stored = StoredResponse {
//!     status: StatusCode::OK,
//!     headers: HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]),
//!     body: Bytes::from_static(b"hello"),
//!     meta: StoredMeta { key: Bytes::from_static(b"GET http://example.com/"), ..StoredMeta::default() },
//! };
//! let bytes = stored.encode();
//! assert_eq!(StoredResponse::decode(bytes.clone())?, stored);
//! assert!(StoredResponse::decode(bytes.slice(1..)).is_err());
//! # Ok::<(), larder_http::WireError>(())
//! ```

use crate::{coding::Form, freshness::Timing, wire_v1};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use std::fmt;

/// A whole response with what belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The status.
    pub status: StatusCode,
    /// The fields, without those of the connection; see [`strip_hop_by_hop`](crate::strip_hop_by_hop).
    pub headers: HeaderMap,
    /// The content; empty for an entry made by HEAD.
    pub body: Bytes,
    /// What the cache knows about it.
    pub meta: StoredMeta,
}

/// What the cache knows about a stored response.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoredMeta {
    /// The full identity of the page, compared on each read: a hash alone never decides.
    pub key: Bytes,
    /// The request fields it varies on, as the layer keyed them.
    pub vary: Vec<HeaderName>,
    /// What kind of entry it is.
    pub flags: StoredFlags,
    /// When it came and how long it is good.
    pub timing: Timing,
    /// How long the origin took to make it, in milliseconds.
    pub fill_ms: u32,
    /// The body in content codings, the plain one aside. Not part of the stored-response format: whoever keeps it
    /// keeps these beside it.
    pub forms: Vec<Form>,
}

/// What kind of entry it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StoredFlags {
    /// Made by HEAD: there is no body, and only HEAD may be answered.
    pub head_only: bool,
    /// The response said `public`: it is for everybody, whatever credentials the request had.
    pub widened: bool,
    /// The key has credentials in it: the entry is for one user.
    pub credentialed: bool,
}

impl StoredResponse {
    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        wire_v1::encode(self)
    }

    /// Reads what [`encode`](Self::encode) wrote. Field values, key and body are slices of `bytes`; nothing large is
    /// copied.
    ///
    /// # Errors
    ///
    /// [`WireErrorKind::UnknownVersion`] for bytes of another version, [`WireErrorKind::Corrupt`] for anything else
    /// that isn't exactly what was written. Both are a miss, never a reason to panic: what comes from a
    /// store is input.
    pub fn decode(bytes: Bytes) -> Result<StoredResponse, WireError> {
        wire_v1::decode(bytes)
    }
}

// Keys and values may hold what belongs to one user, so neither is printed.

impl fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredResponse")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>())
            .field("body_len", &self.body.len())
            .field("meta", &self.meta)
            .finish()
    }
}

impl fmt::Debug for StoredMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredMeta")
            .field("key_len", &self.key.len())
            .field("vary", &self.vary)
            .field("flags", &self.flags)
            .field("timing", &self.timing)
            .field("fill_ms", &self.fill_ms)
            .finish()
    }
}

/// Why stored bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireError(WireErrorKind);

/// The two ways to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireErrorKind {
    /// Written by another version of Larder.
    UnknownVersion,
    /// Cut off, changed, or never a stored response.
    Corrupt,
}

impl WireError {
    pub(crate) const UNKNOWN_VERSION: WireError = WireError(WireErrorKind::UnknownVersion);
    pub(crate) const CORRUPT: WireError = WireError(WireErrorKind::Corrupt);

    /// Which of the two it was.
    #[must_use]
    pub fn kind(&self) -> WireErrorKind {
        self.0
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            WireErrorKind::UnknownVersion => "stored response of an unknown version",
            WireErrorKind::Corrupt => "corrupt stored response",
        })
    }
}

impl std::error::Error for WireError {}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn secret() -> StoredResponse {
        StoredResponse {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("hunter2"))]),
            body: Bytes::from_static(b"hunter2"),
            meta: StoredMeta { key: Bytes::from_static(b"hunter2"), ..StoredMeta::default() },
        }
    }

    #[test]
    fn debug_output_names_fields_but_shows_no_key_value_or_body() {
        let text = format!("{:?}", secret());
        assert!(text.contains("etag") && text.contains("body_len: 7"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
