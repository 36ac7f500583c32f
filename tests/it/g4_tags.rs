//! G4 for tags that come from elsewhere than the handler: path parameters and response fields.

use axum::Router;
use axum::routing::get as on_get;
use http::{HeaderName, HeaderValue, header};
use larder::{Policy, cache_page};

use crate::support::{ask, get, memory, origin};

#[tokio::test]
async fn path_parameters_stand_in_the_tags_of_the_layer() {
    let cache = memory();
    let layer = || cache_page(60).cache(&cache).tags(["course:{id}", "list", "{{id}}"]);
    let on_route = Router::new().route("/courses/{id}", on_get(async || "page").layer(layer()));
    let on_router = Router::new().route("/courses/{id}", on_get(async || "page")).layer(layer());
    for (name, app) in [("route", on_route), ("router", on_router)] {
        for (path, tag) in [("/courses/7", "course:7"), ("/courses/a%20b", "course:a b")] {
            for tag in [tag, "list", "{id}"] {
                ask(&app, get(path)).await;
                assert!(ask(&app, get(path)).await.is_hit(), "{name}");
                cache.invalidate(["course:8", "course:{id}"]).await.unwrap();
                assert!(ask(&app, get(path)).await.is_hit(), "{name}");
                cache.invalidate([tag]).await.unwrap();
                assert!(!ask(&app, get(path)).await.is_hit(), "{name}: {tag}");
            }
        }
    }
}

#[tokio::test]
async fn a_tag_that_can_not_be_made_stores_nothing_and_says_so() {
    for tag in ["course:{slug}", "course:{id"] {
        let layer = cache_page(60).cache(memory()).tags([tag]);
        let app = Router::new().route("/courses/{id}", on_get(async || "page").layer(layer));
        let answer = ask(&app, get("/courses/7")).await;
        assert_eq!((answer.text(), answer.status.as_u16()), ("page", 200));
        assert!(answer.cache_status().ends_with("detail=bad-tags"), "{}", answer.cache_status());
        let again = ask(&app, get("/courses/7")).await;
        assert!(!again.is_hit() && !again.is_stored(), "{}", again.cache_status());
    }
}

#[tokio::test]
async fn tags_are_read_from_response_fields_and_a_gateway_takes_these_away() {
    for (policy, goes_on) in [(Policy::origin(), true), (Policy::shared(), false)] {
        let (app, _) = origin(|run, _| {
            let fields = [
                (header::CACHE_CONTROL, HeaderValue::from_static("max-age=60")),
                (HeaderName::from_static("surrogate-key"), HeaderValue::from_static("a b")),
                (HeaderName::from_static("cache-tag"), HeaderValue::from_static("c, d e")),
                (HeaderName::from_static("cache-groups"), HeaderValue::from_static("\"f, g\", \"h\"")),
            ];
            (http::HeaderMap::from_iter(fields), format!("run {run}"))
        });
        let cache = memory();
        let app = app.layer(cache_page(60).cache(&cache).policy(policy));
        for tag in ["a", "b", "c", "d e", "f, g", "h"] {
            for hit in [false, true] {
                let answer = ask(&app, get("/")).await;
                assert_eq!(answer.is_hit(), hit, "{tag}");
                assert_eq!(answer.headers.contains_key("surrogate-key"), goes_on);
                assert_eq!(answer.headers.contains_key("cache-tag"), goes_on);
                assert!(answer.headers.contains_key("cache-groups"), "it is for every cache on the way");
            }
            cache.invalidate(["d", "a b", "f", "\"h\""]).await.unwrap();
            assert!(ask(&app, get("/")).await.is_hit());
            cache.invalidate([tag]).await.unwrap();
        }
    }
}
