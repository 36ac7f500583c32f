//! What a page's key has besides the URL, as `drf-extensions` has it: its behaviours are those called DRF in the names of tests.

mod errors;
mod functions;
mod headers;
mod parts;
mod preconditions;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use larder::prelude::*;
use larder_tests::env;

use crate::support::{memory, patient};

/// Whom a middleware outside found out the visitor to be.
#[derive(Clone, Debug)]
struct User(Option<u64>);

/// A middleware that believes `X-Login`, where it is sent; without one nobody is asked.
fn with_users(app: Router) -> Router {
    app.layer(from_fn(|mut request: Request, next: Next| async move {
        let login = request.headers_mut().remove("x-login");
        if let Some(login) = login.and_then(|login| login.to_str().ok().map(str::to_owned)) {
            request.extensions_mut().insert(User(login.parse().ok()));
        }
        next.run(request).await
    }))
}

/// A namespace of its own in each store.
fn caches(name: &str) -> [(&'static str, Cache); 2] {
    let url = env::redis_url();
    let more = if url.contains('?') { '&' } else { '?' };
    let redis = patient(&format!("{url}{more}prefix=keys-{name}-{}", std::process::id()));
    [("memory", memory()), ("redis", redis)]
}
