//! Servers without a cache.

use std::convert::Infallible;

use anyhow::Result;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{PAGE, bare_page, page};

/// hyper alone: no router, one answer for all.
pub async fn hyper(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let answer = service_fn(async |_| Ok::<_, Infallible>(answer()));
            // A client that goes away is none of our business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer() -> http::Response<Full<Bytes>> {
    let (parts, _) = bare_page().into_parts();
    http::Response::from_parts(parts, Full::new(Bytes::from_static(&PAGE)))
}

/// The page with what a hit says more, from static parts.
pub fn with_the_fields_of_a_hit() -> Response {
    let mut response = bare_page();
    let headers = response.headers_mut();
    headers.insert(header::DATE, HeaderValue::from_static("Sat, 21 Nov 2026 02:44:31 GMT"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("Sat, 21 Nov 2026 02:59:31 GMT"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=900"));
    headers.insert(header::VARY, HeaderValue::from_static("Cookie"));
    headers.insert(header::AGE, HeaderValue::from_static("7"));
    headers.insert("cache-status", HeaderValue::from_static("larder; hit; ttl=892"));
    response
}

/// The page as an origin behind a caching proxy gives it.
pub async fn for_proxies() -> Response {
    let mut response = page().await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=900"));
    response
}
