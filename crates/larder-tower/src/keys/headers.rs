//! Headers that add themselves to the key by being read.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

use crate::outer::Enclosed;

/// The request's headers, for a handler whose page depends on those that it reads: each that [`get`](Self::get) is asked for is added to
/// the page's key and to its `Vary`. There is nothing to declare, and so nothing to forget.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::KeyedHeaders;
///
/// async fn page(headers: KeyedHeaders) -> String {
///     match headers.get("x-currency").and_then(|value| value.to_str().ok()) {
///         Some(currency) => format!("prices in {currency}"),
///         None => "prices".to_owned(),
///     }
/// }
/// # let app: Router = Router::new().route("/", get(page));
/// ```
///
/// What was not read by the time the handler answers is gone: the key is made then, and `get` gives `None` for the rest, to a body that is
/// still being streamed, say. Without a caching layer it is like any other access to headers.
#[derive(Clone)]
pub struct KeyedHeaders {
    headers: HeaderMap,
    notes: Vec<Notes>,
}

impl KeyedHeaders {
    /// The first line of a header; the page depends on it from now on, whether it is there or not.
    pub fn get(&self, name: impl AsRef<str>) -> Option<&HeaderValue> {
        self.lines(name.as_ref()).first().copied()
    }

    /// All lines of a header.
    pub fn get_all(&self, name: impl AsRef<str>) -> Vec<&HeaderValue> {
        self.lines(name.as_ref())
    }

    fn lines(&self, name: &str) -> Vec<&HeaderValue> {
        // What is no name is no header either.
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return Vec::new() };
        // Every layer outside has to know.
        let late = self.notes.iter().filter(|notes| !notes.note(&name)).count();
        if late == 0 { self.headers.get_all(&name).iter().collect() } else { Vec::new() }
    }
}

impl fmt::Debug for KeyedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedHeaders").finish_non_exhaustive()
    }
}

impl<S: Sync> FromRequestParts<S> for KeyedHeaders {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let notes =
            parts.extensions.get::<Enclosed>().map(|enclosed| enclosed.notes.clone()).unwrap_or_default();
        Ok(Self { headers: parts.headers.clone(), notes })
    }
}

/// Which headers were read while a page was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    names: Vec<HeaderName>,
    is_closed: bool,
}

impl Notes {
    /// False if it comes too late.
    fn note(&self, name: &HeaderName) -> bool {
        let mut noted = self.0.lock();
        if noted.names.contains(name) {
            return true;
        }
        if !noted.is_closed {
            noted.names.push(name.clone());
        }
        !noted.is_closed
    }

    /// The names; none can be added afterwards.
    pub(crate) fn close(&self) -> Vec<HeaderName> {
        let mut noted = self.0.lock();
        noted.is_closed = true;
        noted.names.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_too_late_is_not_there() {
        let notes = Notes::default();
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("x-a"), HeaderValue::from_static("1")),
            (HeaderName::from_static("x-b"), HeaderValue::from_static("2")),
        ]);
        let keyed = KeyedHeaders { headers, notes: vec![notes.clone()] };
        assert_eq!(keyed.get("X-A").unwrap(), "1");
        assert_eq!(keyed.get("x-none"), None);
        assert_eq!(keyed.get("no name"), None);
        assert_eq!(notes.close(), ["x-a", "x-none"]);
        assert_eq!(keyed.get("x-a").unwrap(), "1");
        assert_eq!(keyed.get("x-b"), None);
    }
}
