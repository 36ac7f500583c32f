//! What a handler puts beside its response to steer the cache: tags and a shorter timeout.

use std::convert::Infallible;

use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use http::Extensions;
use larder_core::{Tag, Timeout};

use crate::outer::Added;

/// Tags for the page that this response becomes. They add up with the layer's own and with those of other `PageTags`.
///
/// ```
/// use axum::Json;
/// use larder_tower::{PageTags, PageTimeout};
///
/// async fn course() -> impl axum::response::IntoResponse {
///     (PageTags::new(["course:7", "course_list"]), PageTimeout::secs(30), Json("Rust"))
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageTags(pub(crate) Vec<Tag>);

impl PageTags {
    /// These tags.
    pub fn new<T: Into<Tag>>(tags: impl IntoIterator<Item = T>) -> Self {
        Self(tags.into_iter().map(Into::into).collect())
    }

    pub(crate) fn add_to(self, extensions: &mut Extensions) {
        match extensions.get_mut::<Self>() {
            Some(there) => there.0.extend(self.0),
            None => _ = extensions.insert(self),
        }
    }
}

impl IntoResponseParts for PageTags {
    type Error = Infallible;

    fn into_response_parts(self, mut res: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.add_to(res.extensions_mut());
        Ok(res)
    }
}

impl IntoResponse for PageTags {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

/// How long the page that this response becomes is kept at most. Of several, and of the layer's own, the shortest wins; zero: it is
/// not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTimeout(pub(crate) Timeout);

impl PageTimeout {
    /// A number of seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Timeout::secs(seconds))
    }

    /// Any timeout. `DEFAULT` and `FOREVER` shorten nothing.
    pub fn new(timeout: impl Into<Timeout>) -> Self {
        Self(timeout.into())
    }

    fn add_to(self, extensions: &mut Extensions) {
        match extensions.get_mut::<Self>() {
            Some(there) => there.0 = shorter(there.0, self.0),
            None => _ = extensions.insert(self),
        }
    }
}

/// The shorter of two timeouts; what has no length is longer than anything.
pub(crate) fn shorter(a: Timeout, b: Timeout) -> Timeout {
    match (a.as_millis(), b.as_millis()) {
        (Some(x), Some(y)) if y < x => b,
        (None, Some(_)) => b,
        _ => a,
    }
}

impl IntoResponseParts for PageTimeout {
    type Error = Infallible;

    fn into_response_parts(self, mut res: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.add_to(res.extensions_mut());
        Ok(res)
    }
}

impl IntoResponse for PageTimeout {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

/// What steers the cache beside a response. The inner end of the pair notes it, since a middleware between may build the response anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    tags: Option<PageTags>,
    timeout: Option<PageTimeout>,
    added: Option<Added>,
}

impl Beside {
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self {
            tags: extensions.get().cloned(),
            timeout: extensions.get().copied(),
            added: extensions.get().copied(),
        }
    }

    /// Puts back what is missing; tags that were not lost are there twice, which is the same as once.
    pub(crate) fn put_back(self, extensions: &mut Extensions) {
        if let Some(tags) = self.tags {
            tags.add_to(extensions);
        }
        if let Some(timeout) = self.timeout {
            timeout.add_to(extensions);
        }
        if let Some(added) = self.added {
            extensions.get_or_insert_with(|| added);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_add_up_and_the_shortest_timeout_wins() {
        let response = (
            PageTags::new(["a"]),
            PageTimeout::secs(60),
            PageTimeout::secs(5),
            PageTags::new(["b"]),
            PageTimeout::new(Timeout::FOREVER),
            "body",
        )
            .into_response();
        let tags = response.extensions().get::<PageTags>().unwrap();
        assert_eq!(tags, &PageTags::new(["a", "b"]));
        assert_eq!(response.extensions().get::<PageTimeout>(), Some(&PageTimeout::secs(5)));
    }

    #[test]
    fn the_shorter_of_two_timeouts() {
        assert_eq!(shorter(Timeout::DEFAULT, Timeout::secs(1)), Timeout::secs(1));
        assert_eq!(shorter(Timeout::ZERO, Timeout::secs(1)), Timeout::ZERO);
        assert_eq!(shorter(Timeout::FOREVER, Timeout::DEFAULT), Timeout::FOREVER);
    }
}
