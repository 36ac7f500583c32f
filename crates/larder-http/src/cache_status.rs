//! Cache-Status: what the cache did, in the response ([RFC 9211](https://www.rfc-editor.org/rfc/rfc9211)).
//!
//! ```text
//! Cache-Status: larder; hit; ttl=376
//! Cache-Status: larder; fwd=uri-miss; stored; ttl=900; detail=cookie-keyed
//! ```
//!
//! The field is a list with one member per cache on the way, the one nearest to the origin first. A cache adds its own
//! at the end and leaves the others alone. Either `hit` or `fwd` stands in a member, never both.
//!
//! ```
//! use http::HeaderMap;
//! use larder_http::{CacheStatus, Forward, Reason};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("cache-status", "origin-cache; hit".parse()?);
//! CacheStatus::forward(Forward::UriMiss).stored(true).ttl(900).reason(Reason::CookieKeyed).append_to(&mut headers);
//!
//! let members: Vec<_> = headers.get_all("cache-status").iter().collect();
//! assert_eq!(members, ["origin-cache; hit", "larder; fwd=uri-miss; stored; ttl=900; detail=cookie-keyed"]);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::reason::Reason;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The field's name; the `http` crate has no constant for it.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went on to the origin ([RFC 9211 §2.2](https://www.rfc-editor.org/rfc/rfc9211#section-2.2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The cache was configured not to handle the request.
    Bypass,
    /// The method has to reach the origin.
    Method,
    /// Nothing was stored for the URI.
    UriMiss,
    /// Something was stored for the URI, but for other requests.
    VaryMiss,
    /// Nothing usable was stored, and the cache can't say which of the two it was.
    Miss,
    /// The request's own directives asked for it.
    Request,
    /// What was stored was stale.
    Stale,
    /// What was stored is only a part.
    Partial,
}

impl Forward {
    /// The reason as the RFC's token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Miss => "miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }
}

/// Larder's member of Cache-Status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "a status does nothing until it is appended to a response"]
pub struct CacheStatus {
    /// Answered from the store without going to the origin.
    pub hit: bool,
    /// Why it went to the origin.
    pub fwd: Option<Forward>,
    /// What the origin answered, where that differs from the response's status.
    pub fwd_status: Option<u16>,
    /// Seconds of freshness left; negative when stale.
    pub ttl: Option<i64>,
    /// The origin's answer was stored.
    pub stored: bool,
    /// The request was answered by another one's trip to the origin; `false` when that was tried and failed.
    pub collapsed: Option<bool>,
    /// One more word, a token such as those of [`Reason`].
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// A hit with the freshness left.
    pub fn hit(ttl: i64) -> Self {
        CacheStatus { hit: true, ttl: Some(ttl), ..CacheStatus::default() }
    }

    /// A trip to the origin.
    pub fn forward(fwd: Forward) -> Self {
        CacheStatus { fwd: Some(fwd), ..CacheStatus::default() }
    }

    /// The status of the origin's answer.
    pub fn fwd_status(mut self, status: u16) -> Self {
        self.fwd_status = Some(status);
        self
    }

    /// Seconds of freshness left.
    pub fn ttl(mut self, ttl: i64) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Whether the origin's answer was stored.
    pub fn stored(mut self, stored: bool) -> Self {
        self.stored = stored;
        self
    }

    /// Whether waiting for another request's trip to the origin worked.
    pub fn collapsed(mut self, worked: bool) -> Self {
        self.collapsed = Some(worked);
        self
    }

    /// One more word. What isn't a token is written as a quoted string.
    pub fn detail(mut self, detail: &'static str) -> Self {
        self.detail = Some(detail);
        self
    }

    /// A reason as the detail.
    pub fn reason(self, reason: Reason) -> Self {
        self.detail(reason.as_str())
    }

    /// The member with the name `larder`.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        // On the stack: this is written for every response.
        let mut text = Text::new();
        text.extend_from_slice(b"larder");
        if self.hit {
            text.extend_from_slice(b"; hit");
        } else if let Some(fwd) = self.fwd {
            text.extend_from_slice(b"; fwd=");
            text.extend_from_slice(fwd.as_str().as_bytes());
        }
        if let Some(status) = self.fwd_status {
            push_integer(&mut text, "fwd-status", status.into());
        }
        if self.stored {
            text.extend_from_slice(b"; stored");
        }
        match self.collapsed {
            Some(true) => text.extend_from_slice(b"; collapsed"),
            Some(false) => text.extend_from_slice(b"; collapsed=?0"),
            None => {}
        }
        if let Some(ttl) = self.ttl {
            push_integer(&mut text, "ttl", ttl);
        }
        if let Some(detail) = self.detail {
            text.extend_from_slice(b"; detail=");
            push_token_or_string(&mut text, detail);
        }
        // Only visible ASCII is ever pushed, so the fallback is never taken.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("larder"))
    }

    /// Adds the member to a response, after those of the caches that are nearer to the origin.
    pub fn append_to(&self, headers: &mut HeaderMap) {
        // A response with as many fields as there can be goes without.
        _ = headers.try_append(CACHE_STATUS, self.to_value());
    }
}

/// Structured-field integers have at most 15 digits
/// ([RFC 9651 §3.3.1](https://www.rfc-editor.org/rfc/rfc9651#section-3.3.1)).
fn push_integer(text: &mut Text, name: &str, value: i64) {
    const LARGEST: i64 = 999_999_999_999_999;
    let value = value.clamp(-LARGEST, LARGEST);
    text.extend_from_slice(b"; ");
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    if value < 0 {
        text.push(b'-');
    }
    let (mut digits, mut at, mut rest) = ([0; 15], 15, value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}

fn push_token_or_string(text: &mut Text, word: &str) {
    let token = word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b));
    if token {
        return text.extend_from_slice(word.as_bytes());
    }
    text.push(b'"');
    for b in word.bytes().filter(|b| (b' '..=b'~').contains(b)) {
        if matches!(b, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(b);
    }
    text.push(b'"');
}

type Text = smallvec::SmallVec<[u8; 96]>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_the_rfc_has_them() {
        let miss = CacheStatus::forward(Forward::UriMiss);
        let rows = [
            (CacheStatus::hit(376), "larder; hit; ttl=376"),
            (CacheStatus::hit(-412).detail("stale-if-error"), "larder; hit; ttl=-412; detail=stale-if-error"),
            (miss, "larder; fwd=uri-miss"),
            (miss.stored(true).ttl(900), "larder; fwd=uri-miss; stored; ttl=900"),
            (miss.collapsed(true), "larder; fwd=uri-miss; collapsed"),
            (miss.collapsed(false), "larder; fwd=uri-miss; collapsed=?0"),
            (
                CacheStatus::forward(Forward::Stale).fwd_status(304).stored(true),
                "larder; fwd=stale; fwd-status=304; stored",
            ),
            (
                CacheStatus::forward(Forward::Bypass).reason(Reason::FatGet),
                "larder; fwd=bypass; detail=fat-get",
            ),
        ];
        for (status, text) in rows {
            assert_eq!(status.to_value(), text);
        }
    }

    #[test]
    fn a_hit_never_says_fwd() {
        let odd = CacheStatus { hit: true, fwd: Some(Forward::Miss), ..CacheStatus::default() };
        assert_eq!(odd.to_value(), "larder; hit");
    }

    #[test]
    fn integers_stay_within_fifteen_digits() {
        assert_eq!(CacheStatus::hit(i64::MAX).to_value(), "larder; hit; ttl=999999999999999");
        assert_eq!(CacheStatus::hit(i64::MIN).to_value(), "larder; hit; ttl=-999999999999999");
    }

    #[test]
    fn a_detail_that_is_no_token_is_quoted() {
        let detail = |word| CacheStatus::default().detail(word).to_value();
        assert_eq!(detail("two words"), "larder; detail=\"two words\"");
        assert_eq!(detail("a\"\\\r\nü"), r#"larder; detail="a\"\\""#);
        assert_eq!(detail(""), "larder; detail=\"\"");
        assert_eq!(detail("1st"), "larder; detail=\"1st\"");
    }

    #[test]
    fn every_reason_to_forward_has_its_own_word() {
        use Forward::{Bypass, Method, Miss, Partial, Request, Stale, UriMiss, VaryMiss};
        let words = [Bypass, Method, UriMiss, VaryMiss, Miss, Request, Stale, Partial].map(Forward::as_str);
        assert_eq!(
            words,
            ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"]
        );
    }
}
