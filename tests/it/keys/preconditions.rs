//! Conditions on reads and writes of an API: 304, 412, 428.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::{MethodRouter, get};
use http::{Method, StatusCode};
use larder::prelude::*;
use larder::{PreconditionsLayer, preconditions, preconditions_of};

use crate::support::{Answer, ask, memory, request};

/// A thing with a version that each write advances; 0: it is not there.
#[derive(Clone, Default)]
struct Thing(Arc<AtomicU64>);

impl Thing {
    fn at(version: u64) -> Self {
        Self(Arc::new(AtomicU64::new(version)))
    }

    fn version(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

async fn read(State(thing): State<Thing>) -> Result<([(&'static str, String); 1], String), StatusCode> {
    match thing.version() {
        0 => Err(StatusCode::NOT_FOUND),
        version => Ok(([("etag", format!("\"v{version}\""))], format!("version {version}"))),
    }
}

fn app(thing: &Thing, page: MethodRouter<Thing>, layer: PreconditionsLayer) -> Router {
    let write = |State(thing): State<Thing>| async move {
        format!("version {}", thing.0.fetch_add(1, Ordering::SeqCst) + 1)
    };
    let routes = page.put(write).patch(write).delete(write).post(write);
    Router::new().route("/", routes.layer(layer)).with_state(thing.clone())
}

/// By a function, and by the route's own GET.
fn both(
    thing: &Thing,
    change: impl Fn(PreconditionsLayer) -> PreconditionsLayer,
) -> [(&'static str, Router); 2] {
    let known = thing.clone();
    let function = preconditions(move |_| {
        let version = known.version();
        async move { (version > 0).then(|| format!("v{version}")) }
    });
    let page = get(read).layer(cache_page(60).cache(memory()));
    let of_get = preconditions_of(page.clone().with_state::<()>(thing.clone()));
    [("function", app(thing, page.clone(), change(function))), ("get", app(thing, page, change(of_get)))]
}

async fn send(app: &Router, method: Method, fields: &[(&str, &str)]) -> Answer {
    ask(app, request(method, "/", fields)).await
}

/// DRF-20. Tags stand in quotes: unlike there, what is no tag matches nothing.
#[tokio::test]
async fn a_tag_that_still_holds_answers_a_read_with_304_and_a_write_with_412() {
    let thing = Thing::at(3);
    for (source, app) in both(&thing, |layer| layer) {
        for held in ["\"v3\"", "\"v1\", \"v3\"", "W/\"v3\"", "*"] {
            let read = send(&app, Method::GET, &[("if-none-match", held)]).await;
            assert_eq!((read.status.as_u16(), &*read.field("etag")), (304, "\"v3\""), "{source}: {held}");
            let write = send(&app, Method::PUT, &[("if-none-match", held)]).await;
            assert_eq!((write.status.as_u16(), &*write.field("etag")), (412, "\"v3\""), "{source}: {held}");
        }
        assert_eq!(thing.version(), 3, "{source}: nothing was written");
        for other in ["\"v4\"", "\"v33\"", "v3"] {
            let read = send(&app, Method::GET, &[("if-none-match", other)]).await;
            assert_eq!((read.status.as_u16(), read.text()), (200, "version 3"), "{source}: {other}");
        }
    }
}

/// DRF-21.
#[tokio::test]
async fn a_write_runs_only_on_the_version_that_it_names() {
    for at in 0..2 {
        let thing = Thing::at(3);
        let (source, app) = both(&thing, |layer| layer).into_iter().nth(at).expect("two");
        assert!(send(&app, Method::GET, &[]).await.is_stored(), "{source}");
        for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::POST] {
            let version = thing.version();
            let old = send(&app, method.clone(), &[("if-match", "\"v1\"")]).await;
            assert_eq!(
                (old.status.as_u16(), old.field("etag")),
                (412, format!("\"v{version}\"")),
                "{source} {method}"
            );
            // A weak tag says that two are alike, not that they are the same; and what is no tag is no permission.
            for other in [&*format!("W/\"v{version}\""), "v3", "\"v1\", *"] {
                let other = send(&app, method.clone(), &[("if-match", other)]).await;
                assert_eq!(other.status, 412, "{source} {method}");
            }
            assert_eq!(thing.version(), version, "{source} {method}: nothing was written");
            let current = format!("\"v1\", \"v{version}\"");
            let new = send(&app, method.clone(), &[("if-match", &current)]).await;
            assert_eq!((new.status.as_u16(), thing.version()), (200, version + 1), "{source} {method}");
            assert_eq!(new.field("etag"), "", "what it was is not what it is");
            assert_eq!(send(&app, method, &[("if-match", "*")]).await.status, 200, "{source}");
        }
        // Whoever read it before that write.
        let stale = send(&app, Method::PUT, &[("if-match", "\"v3\"")]).await;
        assert_eq!(stale.status, 412, "{source}: the page in the cache is not asked");
    }
}

/// DRF-23.
#[tokio::test]
async fn a_write_without_a_condition_is_428_where_one_is_required() {
    let thing = Thing::at(3);
    for (source, app) in both(&thing, PreconditionsLayer::require) {
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            let unconditional: [&[(&str, &str)]; 5] = [
                &[],
                &[("if-none-match", "\"v1\"")],
                &[("if-match", "")],
                &[("if-match", " ,")],
                &[("if-unmodified-since", "yesterday")],
            ];
            for fields in unconditional {
                let refused = send(&app, method.clone(), fields).await;
                assert_eq!(refused.status.as_u16(), 428, "{source} {method}");
                assert_eq!(refused.field("cache-control"), "no-store");
                assert!(refused.text().contains("If-Match"), "{}", refused.text());
            }
        }
        assert_eq!(thing.version(), 3, "{source}");
        assert_eq!(send(&app, Method::GET, &[]).await.status, 200, "{source}");
    }
    let thing = Thing::at(3);
    for (source, app) in both(&thing, |layer| layer.require().require_for([])) {
        assert_eq!(send(&app, Method::PUT, &[]).await.status, 200, "{source}: switched off");
    }
    for (source, app) in both(&thing, |layer| layer.require_for([Method::POST])) {
        assert_eq!(send(&app, Method::POST, &[]).await.status.as_u16(), 428, "{source}");
        assert_eq!(send(&app, Method::PUT, &[]).await.status, 200, "{source}");
    }
}

#[tokio::test]
async fn what_is_not_there_can_be_created_once() {
    for at in 0..2 {
        let thing = Thing::default();
        let (source, app) = both(&thing, PreconditionsLayer::require).into_iter().nth(at).expect("two");
        assert_eq!(send(&app, Method::PUT, &[("if-match", "*")]).await.status, 412, "{source}");
        assert_eq!(send(&app, Method::PUT, &[("if-none-match", "*")]).await.status, 200, "{source}");
        assert_eq!(send(&app, Method::PUT, &[("if-none-match", "*")]).await.status, 412, "{source}");
        assert_eq!(thing.version(), 1, "{source}");
    }
}

#[tokio::test]
async fn a_date_guards_a_write_too() {
    use std::time::{Duration, SystemTime};
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let thing = Thing::at(1);
    for (source, app) in both(&thing, |layer| layer.last_modified(move |_| Some(changed)).require()) {
        let at = |text| [("if-unmodified-since", text)];
        let before = send(&app, Method::PUT, &at("Sun, 06 Nov 1994 08:49:36 GMT")).await;
        assert_eq!(before.status, 412, "{source}");
        let since = send(&app, Method::PUT, &at("Sun, 06 Nov 1994 08:49:37 GMT")).await;
        assert_eq!(since.status, 200, "{source}");
    }
}
