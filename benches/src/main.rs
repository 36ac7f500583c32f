//! What a hit costs beside a bare handler that returns the same bytes, in one process and on one thread.
//!
//! ```console
//! $ cargo run --profile dist -p larder-benches                 # nanoseconds and allocations per request, and the ratio to the bare handler
//! $ valgrind --tool=callgrind target/dist/larder-benches page 11000   # instructions: subtract those of 1000, divide by 10000
//! ```

use std::hint::black_box;
use std::time::Instant;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use http::{HeaderValue, Method, Request, header};
use http_body_util::BodyExt;
use larder::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::ServiceExt;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const MODES: [&str; 5] = ["bare", "page", "pair", "post", "harness"];
static PAGE: [u8; 1024] = [b'x'; 1024];

/// The handler: four headers and 1 KiB, from static parts.
async fn page() -> Response {
    let mut response = Body::from(&PAGE[..]).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn app(mode: &str) -> Router {
    let bare = || Router::new().route("/page", get(page).post(page));
    // As `axum::serve` does it: the routes are laid once.
    let app = match mode {
        "page" | "post" => Router::new().route("/page", get(page).post(page).layer(cache_page(900))),
        "pair" => larder::site(bare()).into_router(),
        _ => bare(),
    };
    app.with_state(())
}

fn request(mode: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = if mode == "post" { Method::POST } else { Method::GET };
    *request.uri_mut() = http::Uri::from_static("/page");
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:8000"));
    request
}

async fn run(app: &Router, mode: &str, times: usize) {
    for _ in 0..times {
        let request = request(mode);
        if mode == "harness" {
            black_box(request);
            continue;
        }
        let response = match app.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let body = response.into_body().collect().await.map(|whole| whole.to_bytes());
        black_box(body.map_or(0, |bytes| bytes.len()));
    }
}

struct Cost {
    nanos: f64,
    allocations: f64,
}

fn measure(runtime: &tokio::runtime::Runtime, mode: &str, times: usize) -> Cost {
    let app = app(mode);
    runtime.block_on(run(&app, mode, 1000));
    let mut nanos = Vec::new();
    let region = Region::new(ALLOCATOR);
    for _ in 0..5 {
        let began = Instant::now();
        runtime.block_on(run(&app, mode, times));
        nanos.push(began.elapsed().as_nanos() as f64 / times as f64);
    }
    let allocations = region.change().allocations as f64 / (5 * times) as f64;
    nanos.sort_by(f64::total_cmp);
    Cost { nanos: nanos[2], allocations }
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut args = std::env::args().skip(1);
    if let (Some(mode), Some(times)) = (args.next(), args.next()) {
        let times = times.parse().map_err(std::io::Error::other)?;
        let app = app(&mode);
        runtime.block_on(run(&app, &mode, times));
        return Ok(());
    }
    let bare = measure(&runtime, "bare", 100_000);
    println!("{:<8} {:>9} {:>12} {:>18}", "mode", "ns", "allocations", "ns ratio to bare");
    for mode in MODES {
        let cost = measure(&runtime, mode, 100_000);
        println!(
            "{mode:<8} {:>9.0} {:>12.1} {:>18.2}",
            cost.nanos,
            cost.allocations,
            cost.nanos / bare.nanos
        );
    }
    Ok(())
}
