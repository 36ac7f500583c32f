//! A server of one side: a process of its own, with one thread beside those that drivers bring.

use std::io::{self, Read as _, Write as _};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use http::{HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use larder::prelude::*;
use tower::ServiceExt as _;

use crate::{raw, stores};

pub(crate) static PAGE: [u8; 1024] = [b'x'; 1024];

/// The handler behind the cache: four headers and 1 KiB.
async fn page() -> Response {
    let mut response = Body::from(&PAGE[..]).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Our side: the page, with tags, cached.
pub(crate) fn ours(cache: &Cache, tags: usize) -> Router {
    let layer = cache_page(3600).cache(cache);
    let tagged =
        move || async move { (PageTags::new((0..tags).map(|i| format!("course:{i}"))), page().await) };
    let route = if tags == 0 { get(page) } else { get(tagged) };
    Router::new().route("/page", route.layer(layer))
}

/// Asks until the page is stored and all is known that is remembered of it.
pub(crate) async fn warm(app: &Router) -> io::Result<()> {
    let mut hits = 0;
    for _ in 0..1000 {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static("/page");
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1"));
        let response = app.clone().oneshot(request).await.map_err(io::Error::other)?;
        let said = response.headers().get("cache-status").map(|said| said.as_bytes().to_vec());
        response.into_body().collect().await.map_err(io::Error::other)?;
        if said.is_some_and(|said| String::from_utf8_lossy(&said).contains("hit")) {
            hits += 1;
            if hits == 20 {
                return Ok(());
            }
        } else {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    Err(io::Error::other("the page is not stored"))
}

pub(crate) fn serve(store: &str, side: &str, tags: &str) -> io::Result<()> {
    let tags: usize = tags.parse().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let app = match side {
            "ours" => {
                let app = ours(&stores::open(store, tags, None)?, tags);
                warm(&app).await?;
                app
            }
            _ => raw::app(store, tags).await?,
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        io::stdout().flush()?;
        // Until whoever started it is gone.
        std::thread::spawn(|| {
            _ = io::stdin().read(&mut [0]);
            std::process::exit(0);
        });
        axum::serve(listener, app).await
    })
}
