//! Stale windows end to end: what is shown after its timeout, how it is made anew, and what is never shown.

mod early;
mod edges;
mod failing;
mod private;
mod refreshing;
mod served;
mod shared;
mod soft;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use larder::{Cache, CachesLayer, FetchFromCacheLayer, UpdateCacheLayer, cache_page};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;

use crate::fed::settle;
use crate::support::{Answer, ask};

/// Fresh for 10 s, then shown for 5 while it is made anew, and for 20 in place of errors.
macro_rules! windows {
    ($layer:expr) => {
        $layer.stale_while_revalidate(5).stale_if_error(20)
    };
}
pub(crate) use windows;

/// The ways to mount that can make pages anew behind their answers.
pub(crate) fn mounts(app: &Router, cache: &Cache) -> [(&'static str, Router); 3] {
    let alone = app.clone().layer(windows!(cache_page(10).cache(cache)));
    let enclosed = app.clone().layer(windows!(cache_page(10).cache(cache))).layer(CachesLayer::outermost());
    let pair = Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(windows!(UpdateCacheLayer::new(10).cache(cache)))
            .layer(CompressionLayer::new())
            .layer(FetchFromCacheLayer::new())
            .service(app.clone()),
    );
    [("alone", alone), ("enclosed", enclosed), ("pair", pair)]
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Asks beside the test.
pub(crate) fn beside(app: &Router, request: Request<Body>) -> tokio::task::JoinHandle<Answer> {
    let app = app.clone();
    tokio::spawn(async move { ask(&app, request).await })
}

/// Asks, and lets what goes on behind come to its end.
pub(crate) async fn ask_and_settle(app: &Router, request: Request<Body>) -> Answer {
    let answer = ask(app, request).await;
    settle().await;
    answer
}

/// A response of this status.
pub(crate) fn status(status: u16, body: &'static str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body)).expect("a response")
}
