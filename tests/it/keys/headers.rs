//! Headers that add themselves to the key by being read.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use larder::KeyedHeaders;
use larder::prelude::*;
use larder_tests::{client, serve};
use tower::ServiceBuilder;

use super::caches;
use crate::support::Runs;

async fn prices(headers: KeyedHeaders, State(runs): State<Runs>) -> String {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("none").to_owned();
    let currency = text("x-currency");
    // Only where it matters.
    let region = if currency == "CHF" { text("x-region") } else { String::new() };
    format!("run {} {currency} {region}", runs.next())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_varies_on_the_headers_that_its_handler_read_and_on_no_others() {
    for (name, cache) in caches("headers") {
        for level in ["route", "site", "route in site"] {
            let runs = Runs::default();
            let page = || cache_page(60).cache(&cache);
            let handler = if level == "site" { get(prices) } else { get(prices).layer(page()) };
            let mut app = Router::new().route("/", handler).with_state(runs.clone());
            if level != "route" {
                let pair = ServiceBuilder::new()
                    .layer(UpdateCacheLayer::new(60).cache(&cache))
                    .layer(FetchFromCacheLayer::new());
                app = Router::new().fallback_service(pair.service(app));
            }
            let site = serve(app).await;
            for (currency, region, run) in [
                ("EUR", "north", 1),
                ("USD", "north", 2),
                ("EUR", "south", 1),
                ("CHF", "north", 3),
                ("CHF", "south", 4),
                ("CHF", "north", 3),
                ("USD", "south", 2),
            ] {
                let request =
                    client().get(site.url("/")).header("x-currency", currency).header("x-region", region);
                let response =
                    request.header("x-other", format!("{currency}{region}")).send().await.expect("an answer");
                let vary = response.headers()["vary"].to_str().expect("text").to_lowercase();
                assert!(vary.contains("x-currency"), "{name}, {level}: {vary}");
                assert_eq!(vary.contains("x-region"), currency == "CHF", "{name}, {level}: {vary}");
                let text = response.text().await.expect("a body");
                assert!(
                    text.starts_with(&format!("run {run} {currency}")),
                    "{name}, {level}: {currency} {region}: {text}"
                );
            }
            assert_eq!(runs.count(), 4, "{name}, {level}");
            cache.clear().await.expect("cleared");
        }
    }
}
