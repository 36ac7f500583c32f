//! What a layer says in `Cache-Status` of a request that it did not answer.

use http::HeaderMap;
use larder_http::{CACHE_STATUS, CacheStatus, Forward, Reason};

use crate::words::bypassed;

/// Says on a response that passed by why it did.
pub(crate) fn say(headers: &mut HeaderMap, forward: Forward, reason: Option<Reason>) {
    let mut status = CacheStatus::forward(forward);
    status.detail = reason.map(Reason::as_str);
    // A response with as many fields as there can be goes without.
    _ = headers.try_append(CACHE_STATUS, status.to_value());
}

/// The words for a request that was not for the cache.
pub(crate) fn say_bypass(headers: &mut HeaderMap, reason: Reason) {
    _ = headers.try_append(CACHE_STATUS, bypassed(reason));
}
