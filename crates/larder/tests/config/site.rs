//! The table `[site]`: Django's `CACHE_MIDDLEWARE_*`.

use axum::body::Body;
use axum::{Router, routing::get};
use http::Request;
use larder::config::Config;
use larder::{FetchFromCacheLayer, PurgePages as _};
use tower::{ServiceBuilder, ServiceExt};

use super::{read, refused};

fn site(config: &Config) -> Router {
    let pages = Router::new().route("/", get(|| async { "hello" }));
    Router::new().fallback_service(
        ServiceBuilder::new().layer(config.site_layer()).layer(FetchFromCacheLayer::new()).service(pages),
    )
}

async fn status(site: &Router) -> String {
    let response = site.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
    axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    status
}

#[tokio::test]
async fn without_a_table_the_site_has_the_default_cache_and_600_seconds() {
    let config = read("[default]\nurl = 'memory:'", &[]).unwrap();
    let site = site(&config);
    assert_eq!(status(&site).await, "larder; fwd=uri-miss; stored; ttl=600");
    assert!(status(&site).await.starts_with("larder; hit"));
    config.caches().default_cache().unwrap().clear().await.unwrap();
    assert_eq!(status(&site).await, "larder; fwd=uri-miss; stored; ttl=600", "it was the default cache");
}

#[tokio::test]
async fn alias_timeout_and_key_prefix_are_those_of_the_table() {
    let text = |site: &str| {
        format!(
            "[default]\nurl = 'memory:'\n[pages]\nurl = 'memory:site-test'\n[site]\nalias = 'pages'\n{site}"
        )
    };
    let config = read(&text("timeout = '30s'\nkey_prefix = 'one'"), &[]).unwrap();
    assert_eq!(status(&site(&config)).await, "larder; fwd=uri-miss; stored; ttl=30");
    assert!(status(&site(&config)).await.starts_with("larder; hit"), "the cache keeps it, not the layer");
    config.caches().default_cache().unwrap().clear().await.unwrap();
    assert!(status(&site(&config)).await.starts_with("larder; hit"), "it is not in the default cache");

    let other = read(&text("key_prefix = 'two'"), &[]).unwrap();
    assert_eq!(
        status(&site(&other)).await,
        "larder; fwd=uri-miss; stored; ttl=600",
        "the prefix keeps them apart"
    );
    config.caches().get("pages").unwrap().clear().await.unwrap();
    assert!(
        status(&site(&other)).await.starts_with("larder; fwd=uri-miss"),
        "it is in the cache of the alias"
    );
}

#[tokio::test]
async fn windows_and_leases_are_those_of_the_table() {
    let text = "[default]\nurl = 'memory:'\n[site]\ntimeout = 5\nstale_while_revalidate = '10m'\nstale_if_error = 86400\n\
                soft_timeout = '2s'\nearly_refresh = 1.5\nlease = false";
    let config = read(text, &[]).unwrap();
    let pages = site(&config);
    status(&pages).await;
    let cache = config.caches().default_cache().unwrap();
    cache.purge(larder::Purge::all().soft()).await.unwrap();
    let shown = status(&pages).await;
    assert!(
        shown.starts_with("larder; hit; ttl=") && shown.ends_with("; detail=stale-while-revalidate"),
        "{shown}"
    );
    let shown = format!("{:?}", config.site_layer());
    for setting in [
        "while_revalidate_ms: 600000",
        "if_error_ms: 86400000",
        "soft_timeout: Some(2s)",
        "beta: 1.5",
        "lease: false",
    ] {
        assert!(shown.contains(setting), "{setting} is not in {shown}");
    }
}

#[test]
fn wrong_settings_of_the_site_name_line_and_remedy() {
    let text = |line: &str| format!("[default]\nurl = 'memory:'\n[pages]\nurl = 'memory:'\n[site]\n{line}");
    refused(&text("alias = 'pgaes'"), &[":6:", "did you mean \"pages\"?"]);
    refused(&text("timeuot = 5"), &[":6:", "not an option of [site]", "did you mean \"timeout\"?"]);
    refused(&text("timeout = 'soon'"), &[":6:", "\"soon\"", "10m"]);
    refused(&text("stale_if_eror = 5"), &[":6:", "did you mean \"stale_if_error\"?"]);
    refused(&text("stale_while_revalidate = 'soon'"), &[":6:", "\"soon\"", "10m"]);
    refused(&text("soft_timeout = 'none'"), &[":6:", "\"none\"", "500ms"]);
    refused(&text("soft_timeout = 0"), &[":6:", "leave it out"]);
    refused(&text("early_refresh = 'yes'"), &[":6:", "\"yes\"", "1.0"]);
    refused(&text("early_refresh = -1"), &[":6:", "\"-1\"", "0 switches it off"]);
    refused(&text("lease = 5"), &[":6:", "\"5\"", "true or false"]);
    refused(&text("alias = '${HOTS}'"), &[":6:", "HOTS is not set"]);
}
