//! Django's `vary_on_headers` and `vary_on_cookie`.

use std::sync::Arc;

use http::{Extensions, HeaderMap};
use larder_http::patch_vary;
use tower_layer::Layer;

use super::service::{Edit, HeaderService};
use crate::settings::header_name;

/// Adds request headers to the response's `Vary`. Inside a caching layer, each combination of their values gets a page of its own.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::vary_on;
///
/// let app: Router = Router::new().route("/", get(|| async { "hello" }).layer(vary_on(["accept-language"])));
/// ```
///
/// # Panics
/// If one is not a header name.
pub fn vary_on<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> VaryOnLayer {
    let names = names.into_iter().map(|name| {
        header_name(name.as_ref());
        name.as_ref().to_owned()
    });
    VaryOnLayer { names: names.collect() }
}

/// See [`vary_on`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct VaryOnLayer {
    names: Arc<[String]>,
}

impl<S> Layer<S> for VaryOnLayer {
    type Service = HeaderService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        HeaderService::new(inner, self.clone())
    }
}

impl Edit for VaryOnLayer {
    fn edit(&self, headers: &mut HeaderMap, _: &mut Extensions) {
        patch_vary(headers, self.names.iter());
    }
}
