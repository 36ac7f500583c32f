//! The rows. To add one: a line in [`Row::ALL`], its router in [`Row::router`] and, where it sends something else than
//! the plain request, its request in [`Row::request`].

use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use http::{HeaderValue, Method, Request, Uri, header};
use larder::prelude::*;
use larder::{FetchFromCacheLayer, SiteService, UpdateCacheLayer};
use tower::layer::layer_fn;
use tower::{Service, ServiceBuilder};

static SMALL: [u8; 1024] = [b'x'; 1024];
static LARGE: [u8; 128 << 10] = [b'x'; 128 << 10];

/// A kind of request, and the application that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What the tables call it.
    pub name: &'static str,
    /// The row that does the same without a cache.
    pub base: &'static str,
    /// What is special about it.
    pub what: &'static str,
}

const fn new(name: &'static str, base: &'static str, what: &'static str) -> Row {
    Row { name, base, what }
}

/// How many variants the row of many has.
const VARIANTS: usize = 10_000;

/// How many pages the rows of many have.
const FEW: usize = 1000;
const MANY: usize = 1_000_000;

impl Row {
    /// Every row, the bare ones before those that are compared with them.
    pub const ALL: [Self; 21] = [
        new("harness", "harness", "making the request and nothing else"),
        new("bare", "bare", "a handler behind a router: 1 KiB, four headers"),
        new("bare-same", "bare", "the same with the six fields more that a hit has"),
        new("bare-post", "bare-post", "the same, asked by POST, on a path without pages"),
        new("bare-128k", "bare-128k", "the same with 128 KiB"),
        new("bare-fresh", "bare-fresh", "the same, another URL each time"),
        new("bare-language", "bare-language", "the same, asked with Accept-Language"),
        new("page", "bare", "cache_page, a hit"),
        new("pair", "bare", "the pair around the router, a hit"),
        new("pair-service", "bare", "the pair as a service, with no router around it, a hit"),
        new("pair-layers", "bare", "the pair's two layers side by side, a hit"),
        new("pair-between", "bare", "the pair with a middleware between that does nothing, a hit"),
        new("noop-post", "bare-post", "a layer that does nothing, asked by POST"),
        new("post", "bare-post", "cache_page, passed by"),
        new("page-128k", "bare-128k", "cache_page, a hit of 128 KiB"),
        new("tags-3", "bare", "a hit on a page with 3 tags"),
        new("tags-16", "bare", "a hit on a page with 16 tags"),
        new("tags-64", "bare", "a hit on a page with 64 tags"),
        new("variant-1", "bare-language", "a hit on the only variant of a URL"),
        new("variants-10000", "bare-language", "hits on 10,000 variants of a URL in turn"),
        new("miss", "bare-fresh", "cache_page, a miss that is stored in a full cache"),
    ];

    /// Rows that are only timed, beside [`ALL`](Self::ALL).
    pub const TIMED: [Self; 2] = [
        new("pages-1000", "bare-fresh", "hits on 1,000 URLs in turn"),
        new("pages-1000000", "bare-fresh", "hits on 1,000,000 URLs in turn"),
    ];

    /// Its router, laid as `axum::serve` has it.
    pub fn router(&self) -> Router {
        let small = || get(page).post(page);
        let route = |method| Router::new().route(self.path(), method);
        let tagged = |tags: usize| small().layer(cache_page(900).tags((0..tags).map(|n| format!("tag:{n}"))));
        let routes: Router = match self.name {
            "bare-same" => route(get(same)),
            "bare-128k" => route(get(large)),
            "page-128k" => route(get(large).layer(cache_page(900))),
            "page" | "post" => route(small().layer(cache_page(900))),
            "pair" => larder::site(route(small())).into_router(),
            "pair-layers" => Router::new().fallback_service(
                ServiceBuilder::new()
                    .layer(UpdateCacheLayer::new(900))
                    .layer(FetchFromCacheLayer::new())
                    .service(route(small())),
            ),
            "pair-between" => Router::new().fallback_service(
                ServiceBuilder::new()
                    .layer(UpdateCacheLayer::new(900))
                    .layer(layer_fn(Nothing))
                    .layer(FetchFromCacheLayer::new())
                    .service(route(small())),
            ),
            "noop-post" => route(small().layer(layer_fn(Nothing))),
            "tags-3" => route(tagged(3)),
            "tags-16" => route(tagged(16)),
            "tags-64" => route(tagged(64)),
            "variant-1" | "variants-10000" => {
                let layer = cache_page(900).vary_on(["accept-language"]).max_variants(2 * VARIANTS as u32);
                route(small().layer(layer))
            }
            "miss" => route(small().layer(cache_page(900).cache(memory("memory:?max_entries=1000")))),
            "pages-1000" | "pages-1000000" => Self::numbered_pages()(0),
            _ => route(small()),
        };
        routes.with_state(())
    }

    /// Makes routers for the rows of many pages, each around the same layer, and so the same pages.
    pub fn numbered_pages() -> impl Fn(usize) -> Router + Sync {
        let cache = memory("memory:?max_entries=2000000&max_bytes=8GiB");
        let layer = cache_page(900).cache(&cache);
        move |_| Router::new().route("/page", get(page).layer(layer.clone())).with_state(())
    }

    /// What answers it: its router, as `axum::serve` has it, or the pair without a router around it.
    pub(crate) fn app(&self) -> App {
        match self.name {
            "pair-service" => App::Site(larder::site(bare("/page")).into_service()),
            _ => App::Router(self.router()),
        }
    }

    /// Where its page is. What is posted goes where no page was ever made: nothing is to be forgotten there.
    fn path(&self) -> &'static str {
        if self.name.ends_with("post") { "/form" } else { "/page" }
    }

    /// Its `n`th request.
    pub fn request(&self, n: usize) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static(self.path());
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:8000"));
        match self.name {
            "post" | "bare-post" | "noop-post" => *request.method_mut() = Method::POST,
            "miss" | "bare-fresh" => *request.uri_mut() = numbered(n),
            "pages-1000" => *request.uri_mut() = numbered(n % FEW),
            "pages-1000000" => *request.uri_mut() = numbered(n % MANY),
            "variant-1" | "variants-10000" | "bare-language" => {
                let number = if self.name == "variants-10000" { n % VARIANTS } else { 0 };
                let language = HeaderValue::from_str(&format!("x-{number:05}"));
                let language = language.unwrap_or(HeaderValue::from_static("en"));
                request.headers_mut().insert(header::ACCEPT_LANGUAGE, language);
            }
            _ => {}
        }
        request
    }

    /// How many requests make it what it is: a hit, say.
    pub fn warm_up(&self) -> usize {
        match self.name {
            "variants-10000" => VARIANTS,
            "pages-1000000" => 2 * MANY,
            _ => 2 * FEW,
        }
    }
}

fn bare(path: &str) -> Router {
    Router::new().route(path, get(page).post(page)).with_state(())
}

/// An application, called as a server would.
#[derive(Debug)]
pub(crate) enum App {
    Router(Router),
    Site(SiteService),
}

/// A middleware that does nothing: what any layer costs.
#[derive(Clone, Debug)]
struct Nothing<S>(S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for Nothing<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.0.call(request)
    }
}

fn numbered(n: usize) -> Uri {
    format!("/page?n={n}").parse().unwrap_or_default()
}

fn memory(url: &str) -> Cache {
    larder::open(url).unwrap_or_else(|error| unreachable!("the URL is fixed: {error}"))
}

/// The row of this name.
pub fn row(name: &str) -> Option<Row> {
    Row::ALL.into_iter().chain(Row::TIMED).find(|row| row.name == name)
}

/// The handler's page: four headers and a body, from static parts.
#[derive(Debug, Clone, Copy)]
pub struct Page(pub &'static [u8]);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = Body::from(self.0).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        response
    }
}

async fn page() -> Page {
    Page(&SMALL)
}

/// What `cache_page` answers with on a hit, from static parts.
async fn same() -> Response {
    let mut response = Page(&SMALL).into_response();
    let headers = response.headers_mut();
    headers.insert(header::DATE, HeaderValue::from_static("Sat, 21 Nov 2026 02:44:31 GMT"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("Sat, 21 Nov 2026 02:59:31 GMT"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=900"));
    headers.insert(header::VARY, HeaderValue::from_static("Cookie"));
    headers.insert(header::AGE, HeaderValue::from_static("7"));
    headers.insert("cache-status", HeaderValue::from_static("larder; hit; ttl=892"));
    response
}

async fn large() -> Page {
    Page(&LARGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ready;

    #[test]
    fn every_row_is_compared_with_a_row_that_is_there_and_its_own_base() {
        for row in Row::ALL {
            let base = super::row(row.base).unwrap();
            assert_eq!(base.base, base.name, "{}", row.name);
        }
    }

    #[test]
    fn the_bare_handler_with_the_fields_of_a_hit_has_them_all() {
        let fields = |name: &str| {
            let ready = Ready::cold(row(name).unwrap()).unwrap();
            ready.send(0, 1);
            let mut names: Vec<_> = ready.look().0.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(fields("bare-same"), fields("page"));
    }

    #[test]
    fn every_row_does_what_it_says() {
        let says = |name: &str| {
            let ready = Ready::cold(row(name).unwrap()).unwrap();
            ready.send(0, 1);
            let (head, bytes) = ready.look();
            assert_eq!(head.status, 200, "{name}");
            let status = head.headers.get("cache-status").map(|value| value.to_str().unwrap().to_owned());
            (status.unwrap_or_default(), bytes)
        };
        for row in Row::ALL {
            let (status, bytes) = says(row.name);
            let expected = match row.name {
                "bare-same" => "larder; hit",
                name if name.starts_with("bare") || name == "harness" || name == "noop-post" => "",
                "post" => "larder; fwd=method",
                "miss" => "larder; fwd=uri-miss; stored",
                _ => "larder; hit",
            };
            assert!(
                status.starts_with(expected) && status.is_empty() == expected.is_empty(),
                "{} {status}",
                row.name
            );
            assert_eq!(bytes, if row.name.ends_with("128k") { 128 << 10 } else { 1024 }, "{}", row.name);
        }
    }
}
