//! The routes, and the layers around them: this is the part to copy.

use axum::{Router, routing::get};
use larder::prelude::*;
use tower::ServiceBuilder;

use crate::{Httpbin, httpbin::Calls, views};

/// What the views need.
#[derive(Clone, Debug)]
pub struct Delay {
    /// Where pages and results are kept.
    pub cache: Cache,
    /// The slow API.
    pub httpbin: Httpbin,
    /// What the API was asked so far, when it is the stand-in.
    pub calls: Option<Calls>,
}

/// The whole application.
///
/// ```no_run
/// use delay::{Delay, Httpbin, app};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let delay = Delay {
///     cache: larder::open("memory:")?,
///     httpbin: Httpbin::new("https://httpbin.org", 2.0)?,
///     calls: None,
/// };
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// axum::serve(listener, app(delay)).await?;
/// # Ok(()) }
/// ```
pub fn app(delay: Delay) -> Router {
    let playground = Router::new()
        .route("/uncached/", get(views::say_hello))
        .route("/hello/", get(views::say_hello).layer(cache_page(900)))
        .route("/lowlevel/", get(views::lowlevel))
        .route("/get_or_set/", get(views::get_or_set));

    Router::new()
        .route("/", get(views::home))
        .route("/calls", get(views::calls))
        .route("/clear", axum::routing::post(views::clear))
        .nest("/playground", playground)
        .nest_service("/site", site(delay.clone()))
        // Which cache the layers within use, unless they name one.
        .layer(CachesLayer::new(Caches::new(delay.cache.clone())))
        .with_state(delay)
}

/// A small site whose every page is cached: the pair goes around the router, so a hit skips the routing too.
fn site(delay: Delay) -> Router {
    let pages =
        Router::new().route("/", get(views::say_hello)).route("/about/", get(views::about)).with_state(delay);

    Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(600).key_prefix("site"))
            // The site's own middleware goes here; what it adds is stored with the page.
            .layer(FetchFromCacheLayer::new())
            .service(pages),
    )
}
