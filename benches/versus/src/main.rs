//! One server with one page, for `cargo xtask bench versus`: `larder-versus MODE ADDRESS [CACHE-URL]`; or, for callgrind, its page
//! asked for so many times in this process: `larder-versus send MODE REQUESTS`. `larder-versus filled ADDRESS PAGES` is Larder's with so many pages
//! stored.
//!
//! `GET /page` is the page: 1 KiB, four header fields. `GET /runs` says how often its handler ran, so that the command can
//! see that a second request did not reach it. One worker thread, as the command gives every server one core.

mod bare;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tower::{Service, make::Shared};

/// The page's body.
pub static PAGE: [u8; 1024] = [b'x'; 1024];

static RUNS: AtomicU64 = AtomicU64::new(0);

/// The page, counted.
pub async fn page() -> Response {
    RUNS.fetch_add(1, Ordering::Relaxed);
    bare_page()
}

/// The page: from static parts, as the cheapest handler makes it.
pub fn bare_page() -> Response {
    let mut response = Body::from(&PAGE[..]).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn app(mode: &str, cache: Option<&str>) -> Result<Router> {
    Ok(match mode {
        "axum" => Router::new().route("/page", get(async || bare_page())),
        "axum-same" => Router::new().route("/page", get(async || bare::with_the_fields_of_a_hit())),
        // What proxies ask: it lets them keep the page, and counts.
        "origin" => Router::new().route("/page", get(bare::for_proxies)),
        "page" => ours::page(cache)?,
        "pair" => ours::pair(cache)?,
        other => return peer(other),
    })
}

#[cfg(feature = "peers")]
fn peer(mode: &str) -> Result<Router> {
    Ok(match mode {
        "axum-response-cache" => peers::axum_response_cache(),
        "hitbox" => peers::hitbox(),
        "hitbox-bincode" => peers::hitbox_bincode(),
        "tower-http-cache" => peers::tower_http_cache(),
        "http-cache" => peers::http_cache(),
        #[cfg(feature = "rustango")]
        "rustango" => peers::rustango(),
        _ => bail!("there is no mode {mode}"),
    })
}

#[cfg(not(feature = "peers"))]
fn peer(mode: &str) -> Result<Router> {
    bail!("{mode} is not built: the other caches did not compile")
}

/// Never from a cache.
async fn runs() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], RUNS.load(Ordering::Relaxed).to_string())
}

/// Asks for the page so often, without a socket.
fn send(mode: &str, requests: usize) -> Result<()> {
    match mode {
        "pair-service" => ask(&ours::pair_service(None)?, requests),
        mode => ask(&app(mode, None)?.with_state(()), requests),
    }
}

fn ask<S>(app: &S, requests: usize) -> Result<()>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for _ in 0..requests {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = Uri::from_static("/page");
            request.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:8000"));
            let Ok(answer) = Service::call(&mut app.clone(), request).await;
            let bytes = answer.into_body().collect().await?.to_bytes();
            ensure!(bytes.len() == PAGE.len(), "{} bytes", bytes.len());
        }
        Ok(())
    })
}

/// Has it store pages up to this number, as they are asked for at this address.
async fn fill(app: &Router, address: &str, pages: u32) -> Result<()> {
    for n in 0..pages {
        let request =
            Request::get(format!("/page?n={n}")).header(header::HOST, address).body(Body::empty())?;
        let Ok(answer) = Service::call(&mut app.clone(), request).await;
        answer.into_body().collect().await?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [send, mode, requests] = &args[..]
        && send == "send"
    {
        return self::send(mode, requests.parse().with_context(|| requests.clone())?);
    }
    let [mode, address, cache @ ..] = &args[..] else {
        bail!("usage: larder-versus MODE ADDRESS [CACHE-URL] | send MODE REQUESTS")
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // A service that is spawned runs on the worker; `block_on` alone would be a second thread.
    let (mode, address, cache) = (mode.clone(), address.clone(), cache.first().cloned());
    let server = runtime.spawn(async move {
        let listener = TcpListener::bind(&address).await.with_context(|| address.clone())?;
        if mode == "hyper" {
            return bare::hyper(listener).await;
        }
        if mode == "filled" {
            let (pages, router) = (cache.unwrap_or_default(), ours::large()?);
            fill(&router, &address, pages.parse().with_context(|| pages.clone())?).await?;
            return Ok(axum::serve(listener, router.route("/runs", get(runs))).await?);
        }
        if mode == "pair-service" {
            let site = ours::pair_service(cache.as_deref())?;
            return Ok(axum::serve(listener, Shared::new(site)).await?);
        }
        let app = app(&mode, cache.as_deref())?.route("/runs", get(runs));
        Ok(axum::serve(listener, app).await?)
    });
    runtime.block_on(server)?
}
