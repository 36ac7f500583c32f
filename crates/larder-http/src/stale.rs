//! How long what is stale may still be shown ([RFC 5861](https://www.rfc-editor.org/rfc/rfc5861)), by the origin policy.
//!
//! Both windows begin where freshness ends; see [`freshness`](crate::freshness). Who sets them follows who sets the timeout: where a
//! response's own `max-age` counts, so do its `stale-while-revalidate` and `stale-if-error`, and the operator's settings stand for what it does not
//! say; elsewhere the operator's settings alone. What the origin forbids is never shown stale, whoever set the window.
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::{CacheControl, StaleWindows};
//!
//! let layer = StaleWindows { while_revalidate_ms: 60_000, if_error_ms: 0 };
//! let said = |line: &'static str| {
//!     let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, line.parse().unwrap())]);
//!     CacheControl::from_headers(&headers)
//! };
//! let own = said("stale-while-revalidate=5, stale-if-error=90");
//! assert_eq!(layer.for_response(&own, false), layer);
//! assert_eq!(layer.for_response(&own, true), StaleWindows { while_revalidate_ms: 5_000, if_error_ms: 90_000 });
//! assert_eq!(layer.for_response(&said("must-revalidate"), false), StaleWindows::default());
//! ```

use crate::cache_control::CacheControl;
use crate::delta::Delta;

/// How long a response may be shown after it went stale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StaleWindows {
    /// While it is being made anew.
    pub while_revalidate_ms: u64,
    /// In place of an origin that fails.
    pub if_error_ms: u64,
}

impl StaleWindows {
    /// These windows, as settings of a layer, for a response with this Cache-Control. `own_counts`: where the response's own `max-age` would set
    /// the timeout.
    ///
    /// `must-revalidate` and `proxy-revalidate` forbid what is stale, and so does `no-cache` in any form. `s-maxage` does not: it speaks to
    /// caches further out, and this policy does not go by it anywhere.
    #[must_use]
    pub fn for_response(self, cc: &CacheControl, own_counts: bool) -> StaleWindows {
        if cc.must_revalidate || cc.proxy_revalidate || cc.no_cache.is_present() {
            return StaleWindows::default();
        }
        let or = |own: Option<Delta>, layer| match own.filter(|_| own_counts) {
            // A permission that can't be read is none.
            Some(delta) => delta.seconds().unwrap_or(0).saturating_mul(1000),
            None => layer,
        };
        StaleWindows {
            while_revalidate_ms: or(cc.stale_while_revalidate, self.while_revalidate_ms),
            if_error_ms: or(cc.stale_if_error, self.if_error_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, header};

    const LAYER: StaleWindows = StaleWindows { while_revalidate_ms: 60_000, if_error_ms: 600_000 };

    fn windows(line: &'static str, own_counts: bool) -> (u64, u64) {
        let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, line.parse().unwrap())]);
        let windows = LAYER.for_response(&CacheControl::from_headers(&headers), own_counts);
        (windows.while_revalidate_ms, windows.if_error_ms)
    }

    #[test]
    fn what_the_response_does_not_say_is_the_layers() {
        assert_eq!(windows("max-age=1", true), (60_000, 600_000));
        assert_eq!(windows("stale-while-revalidate=1", true), (1_000, 600_000));
        assert_eq!(windows("stale-if-error=0", true), (60_000, 0));
        assert_eq!(windows("stale-if-error=0", false), (60_000, 600_000));
        assert_eq!(windows("stale-while-revalidate=x", true), (0, 600_000), "no permission");
    }

    #[test]
    fn what_the_origin_forbids_is_never_stale() {
        for line in ["must-revalidate", "proxy-revalidate", "no-cache", "no-cache=\"x-a\""] {
            assert_eq!(windows(line, true), (0, 0), "{line}");
            assert_eq!(windows(line, false), (0, 0), "{line}");
        }
        assert_eq!(windows("s-maxage=5", false), (60_000, 600_000), "for caches further out");
    }
}
