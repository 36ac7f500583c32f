//! What a request's Cache-Control and Pragma ask for
//! ([RFC 9111 §5.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1)).
//!
//! These are wishes. The origin policy ignores them, as Django does: otherwise anybody could make every request
//! reach the origin by sending `no-cache`. A gateway that follows RFC 9111 to the letter reads them.
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::{Delta, MaxStale, RequestCacheControl};
//!
//! let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, "max-age=0, max-stale".parse()?)]);
//! let wishes = RequestCacheControl::from_headers(&headers);
//! assert_eq!(wishes.max_age, Some(Delta::Seconds(0)));
//! assert_eq!(wishes.max_stale, Some(MaxStale::Any));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::{
    cache_control::lifetime,
    delta::Delta,
    directives::{Directive, directives},
};
use http::{HeaderMap, header};

/// The directives of a request, from all its Cache-Control lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCacheControl {
    /// Ask the origin first. Also set by `Pragma: no-cache` when there is no Cache-Control at all.
    pub no_cache: bool,
    /// Don't store the answer.
    pub no_store: bool,
    /// Don't change the content.
    pub no_transform: bool,
    /// Answer from the store or with 504.
    pub only_if_cached: bool,
    /// Not older than this.
    pub max_age: Option<Delta>,
    /// Fresh for at least this long.
    pub min_fresh: Option<Delta>,
    /// Stale is welcome.
    pub max_stale: Option<MaxStale>,
    /// Stale is welcome when the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Delta>,
}

/// How stale a client accepts a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxStale {
    /// However old.
    Any,
    /// At most this many seconds past its lifetime.
    Seconds(u64),
}

impl RequestCacheControl {
    /// Reads all Cache-Control lines of a request, or Pragma where there is none.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> RequestCacheControl {
        let mut wishes = RequestCacheControl::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            for directive in directives(line.as_bytes()) {
                wishes.add(&directive);
            }
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            let mut pragma = headers.get_all(header::PRAGMA).iter();
            wishes.no_cache =
                pragma.any(|line| directives(line.as_bytes()).any(|directive| directive.is("no-cache")));
        }
        wishes
    }

    fn add(&mut self, directive: &Directive<'_>) {
        if directive.is("no-cache") {
            self.no_cache = true;
        } else if directive.is("no-store") {
            self.no_store = true;
        } else if directive.is("no-transform") {
            self.no_transform = true;
        } else if directive.is("only-if-cached") {
            self.only_if_cached = true;
        } else if directive.is("max-age") {
            Delta::merge(&mut self.max_age, lifetime(directive));
        } else if directive.is("min-fresh") {
            // Of two the longer one asks for more.
            let next = lifetime(directive);
            self.min_fresh = Some(match (self.min_fresh, next) {
                (Some(Delta::Seconds(before)), Delta::Seconds(next)) => Delta::Seconds(before.max(next)),
                (Some(Delta::Invalid), _) => Delta::Invalid,
                (_, next) => next,
            });
        } else if directive.is("stale-if-error") {
            Delta::merge(&mut self.stale_if_error, lifetime(directive));
        } else if directive.is("max-stale") {
            self.add_max_stale(directive);
        }
    }

    /// An argument that can't be read permits nothing.
    fn add_max_stale(&mut self, directive: &Directive<'_>) {
        let next = match directive.argument {
            None if !directive.malformed => MaxStale::Any,
            _ => MaxStale::Seconds(lifetime(directive).seconds().unwrap_or(0)),
        };
        self.max_stale = Some(match (self.max_stale, next) {
            (Some(MaxStale::Seconds(a)), MaxStale::Seconds(b)) => MaxStale::Seconds(a.min(b)),
            (Some(MaxStale::Seconds(a)), MaxStale::Any) => MaxStale::Seconds(a),
            (_, next) => next,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn read(fields: &[(&str, &str)]) -> RequestCacheControl {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        RequestCacheControl::from_headers(&headers)
    }

    #[test]
    fn every_directive_is_read_from_all_lines() {
        let wishes = read(&[
            ("cache-control", "No-Cache, NO-STORE, no-transform"),
            ("cache-control", "only-if-cached, max-age=1, min-fresh=\"2\", max-stale=3, stale-if-error=4"),
        ]);
        let expected = RequestCacheControl {
            no_cache: true,
            no_store: true,
            no_transform: true,
            only_if_cached: true,
            max_age: Some(Delta::Seconds(1)),
            min_fresh: Some(Delta::Seconds(2)),
            max_stale: Some(MaxStale::Seconds(3)),
            stale_if_error: Some(Delta::Seconds(4)),
        };
        assert_eq!(wishes, expected);
    }

    #[test]
    fn pragma_counts_only_without_cache_control() {
        assert!(read(&[("pragma", "x, no-cache")]).no_cache);
        assert!(!read(&[("pragma", "no-cache"), ("cache-control", "max-age=5")]).no_cache);
        assert!(!read(&[("pragma", "no-cache"), ("cache-control", "")]).no_cache);
    }

    #[test]
    fn contradictions_are_resolved_towards_the_fresher_answer() {
        assert_eq!(read(&[("cache-control", "max-age=9, max-age=3")]).max_age, Some(Delta::Seconds(3)));
        assert_eq!(read(&[("cache-control", "min-fresh=9, min-fresh=3")]).min_fresh, Some(Delta::Seconds(9)));
        for line in ["max-stale, max-stale=3", "max-stale=3, max-stale", "max-stale=3, max-stale=5"] {
            assert_eq!(read(&[("cache-control", line)]).max_stale, Some(MaxStale::Seconds(3)), "{line}");
        }
    }

    #[test]
    fn a_max_stale_that_cannot_be_read_permits_nothing() {
        assert_eq!(read(&[("cache-control", "max-stale=abc")]).max_stale, Some(MaxStale::Seconds(0)));
        assert_eq!(read(&[("cache-control", "max-stale;")]).max_stale, Some(MaxStale::Seconds(0)));
    }
}
