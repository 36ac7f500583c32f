//! Content codings that a page is kept in beside its plain form, and which of them a client takes
//! ([RFC 9110 §12.5.3](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3)).
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::{Coding, coding_weights};
//!
//! let request = HeaderMap::from_iter([(header::ACCEPT_ENCODING, "gzip;q=0.5, br".parse()?)]);
//! let weights = coding_weights(&request).unwrap();
//! assert!(weights.of(Coding::Brotli) > weights.of(Coding::Gzip));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use bytes::Bytes;
use http::{HeaderMap, header};

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `gzip`
    Gzip,
    /// `br`
    Brotli,
}

impl Coding {
    /// Its name in Content-Encoding.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
        }
    }
}

/// A body in a coding.
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    /// The coding.
    pub coding: Coding,
    /// The coded body.
    pub body: Bytes,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("coding", &self.coding).field("len", &self.body.len()).finish()
    }
}

/// How much a client wants each coding, in thousandths; 0: not at all, or less than the plain form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodingWeights {
    gzip: u16,
    brotli: u16,
}

impl CodingWeights {
    /// The weight of one.
    #[must_use]
    pub const fn of(&self, coding: Coding) -> u16 {
        match coding {
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.brotli,
        }
    }
}

/// Reads Accept-Encoding. `None` if it is not there or any member can't be read: the plain form is always right.
#[must_use]
pub fn coding_weights(request: &HeaderMap) -> Option<CodingWeights> {
    if !request.contains_key(header::ACCEPT_ENCODING) {
        return None;
    }
    let (mut gzip, mut brotli, mut identity, mut any) = (None, None, None, None);
    for line in request.get_all(header::ACCEPT_ENCODING) {
        for member in line.to_str().ok()?.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            let (name, weight) = match member.split_once(';') {
                None => (member, 1000),
                Some((name, parameter)) => (name.trim(), crate::field::weight(parameter.trim().as_bytes())?),
            };
            let place = match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => &mut gzip,
                "br" => &mut brotli,
                "identity" => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            *place = Some(weight);
        }
    }
    // The plain form is wanted as much as what is least wanted, unless it is named.
    let plain = identity.unwrap_or(1);
    let wanted = |weight: Option<u16>| weight.or(any).filter(|weight| *weight >= plain).unwrap_or(0);
    Some(CodingWeights { gzip: wanted(gzip), brotli: wanted(brotli) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(value: &str) -> Option<(u16, u16)> {
        let request = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
        coding_weights(&request).map(|w| (w.of(Coding::Gzip), w.of(Coding::Brotli)))
    }

    #[test]
    fn named_ones_beat_the_asterisk_and_zero_is_no() {
        assert_eq!(weights("gzip, br"), Some((1000, 1000)));
        assert_eq!(weights("GZIP;q=0.5, br;q=0"), Some((500, 0)));
        assert_eq!(weights("*"), Some((1000, 1000)));
        assert_eq!(weights("*;q=0, gzip"), Some((1000, 0)));
        assert_eq!(weights("deflate"), Some((0, 0)));
        assert_eq!(weights(""), Some((0, 0)));
    }

    #[test]
    fn what_the_client_wants_less_than_the_plain_form_is_not_sent() {
        assert_eq!(weights("identity, gzip;q=0.5"), Some((0, 0)));
        assert_eq!(weights("identity;q=0.2, gzip;q=0.5"), Some((500, 0)));
    }

    #[test]
    fn what_can_not_be_read_gets_the_plain_form() {
        assert_eq!(weights("gzip;q=abc"), None);
        assert_eq!(weights("gzip;x=1"), None);
        assert_eq!(coding_weights(&HeaderMap::new()), None);
    }
}
