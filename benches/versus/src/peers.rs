//! Other caches for Tower and Axum, each as its own documentation has it, around the same handler.

use std::time::Duration;

use axum::{BoxError, Router, body::Body, error_handling::HandleErrorLayer, routing::get};
use axum_response_cache::CacheLayer;
use bytes::Bytes;
use hitbox::{Config, policy::PolicyConfig};
use hitbox_backend::format::BincodeFormat;
use hitbox_http::{
    extractors::{Method, NeutralExtractor, path::PathExtractor as _},
    predicates::{NeutralRequestPredicate, NeutralResponsePredicate},
};
use hitbox_moka::MokaBackend;
use hitbox_tower::Cache;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use http_cache::MokaManager;
use http_cache_tower_server::{QueryKeyer, ServerCacheLayer, ServerCacheOptions};
use tower::{ServiceBuilder, service_fn};
use tower_http_cache::prelude::{InMemoryBackend, KeyExtractor};

use crate::page;

const TTL: Duration = Duration::from_secs(900);

/// axum-response-cache 0.5: no Vary, no Cache-Control, no credentials.
pub fn axum_response_cache() -> Router {
    Router::new().route("/page", get(page).layer(CacheLayer::with_lifespan(TTL)))
}

macro_rules! hitbox {
    ($backend:expr) => {{
        let config = Config::builder()
            .request_predicate(NeutralRequestPredicate::<Body>::new())
            .response_predicate(NeutralResponsePredicate::<Body>::new())
            .extractor(Method::<NeutralExtractor<Body>>::new().path("/page"))
            .policy(PolicyConfig::builder().ttl(TTL).build())
            .build();
        let layer = Cache::builder().backend($backend).config(config).build();
        Router::new().route("/page", get(page)).layer(layer)
    }};
}

/// hitbox 0.2 with its default codec.
pub fn hitbox() -> Router {
    hitbox!(MokaBackend::builder().max_entries(10_000).build())
}

/// hitbox 0.2 with its binary codec.
pub fn hitbox_bincode() -> Router {
    hitbox!(MokaBackend::builder().max_entries(10_000).value_format(BincodeFormat).build())
}

/// tower-http-cache 0.6. It wants a body that is `Sync`, which axum's is not, so a miss is collected first.
pub fn tower_http_cache() -> Router {
    let layer = tower_http_cache::CacheLayer::builder(InMemoryBackend::new(10_000))
        .ttl(TTL)
        .key_extractor(KeyExtractor::path_and_query())
        .build();
    let handler = service_fn(async |_: Request<Body>| {
        let (parts, body) = page().await.into_parts();
        let bytes: Bytes = body.collect().await?.to_bytes();
        Ok::<_, BoxError>(Response::from_parts(parts, Full::new(bytes)))
    });
    let service = ServiceBuilder::new().layer(HandleErrorLayer::new(failed)).layer(layer).service(handler);
    Router::new().route_service("/page", service)
}

/// http-cache-tower-server 0.2.
pub fn http_cache() -> Router {
    let options = ServerCacheOptions { default_ttl: Some(TTL), cache_by_default: true, ..Default::default() };
    let manager = MokaManager::new(moka::future::Cache::new(10_000));
    let layer = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(failed))
        .layer(ServerCacheLayer::with_keyer(manager, QueryKeyer).with_options(options));
    Router::new().route("/page", get(page).layer(layer))
}

/// rustango 0.62, a framework after Django: no Vary that it was not told of, nobody with a cookie is answered from it.
#[cfg(feature = "rustango")]
pub fn rustango() -> Router {
    use rustango::{cache::InMemoryCache, cache_page::CachePageLayer};
    let layer = CachePageLayer::new(std::sync::Arc::new(InMemoryCache::new())).timeout(TTL);
    Router::new().route("/page", get(page)).layer(layer)
}

async fn failed(error: BoxError) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
