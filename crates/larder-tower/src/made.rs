//! What a timeout may depend on.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, Uri, response};
use larder_core::Timeout;

/// How long a page lives, by what was asked for and what came of it.
pub(crate) type TimeoutFn = Arc<dyn Fn(&Made<'_>) -> Timeout + Send + Sync>;

/// A page that was just made: what was asked for, and what came of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Made<'a> {
    /// The URL, as it was before nested routers took a part of it away.
    pub uri: &'a Uri,
    /// The request's headers.
    pub request: &'a HeaderMap,
    /// The response's head.
    pub response: &'a response::Parts,
}

/// Whether an error may be stored where errors are: asking again would bring it again.
pub(crate) fn is_lasting(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 403..=406 | 410 | 414 | 415 | 422 | 451 | 500 | 501)
}
