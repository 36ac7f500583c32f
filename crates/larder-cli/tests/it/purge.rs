//! Forgetting from outside what a running site keeps: `larder invalidate` and `larder purge`.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::routing::get;
use larder::{Cache, CachePage, PageTags, cache_page};
use tower::ServiceExt as _;

use super::program::larder;

const PAGES: [(&str, &str); 4] =
    [("a", "/courses"), ("a", "/courses/7"), ("b", "/courses/7"), ("a", "/about")];

/// A site that keeps its pages in files, where another program finds them.
struct Site {
    url: String,
    cache: Cache,
    app: Router,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new(layer: impl FnOnce(CachePage) -> CachePage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}/cache?prefix=shop&deadline=60s", folder.path().display());
        let cache = larder::open(&url).unwrap();
        let tagged = async || (PageTags::new(["list"]), "courses");
        let app = Router::new()
            .route("/courses", get(tagged))
            .route("/courses/{id}", get(async || "a course"))
            .route("/about", get(async || "about"))
            .layer(layer(cache_page(600).cache(&cache)));
        Self { url, cache, app, _folder: folder }
    }

    async fn ask(&self, host: &str, path: &str) -> String {
        let request = Request::get(path).header("host", host).body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
        to_bytes(response.into_body(), 100).await.unwrap();
        status
    }

    /// Which pages are there; those that are not are made.
    async fn hits(&self) -> [bool; 4] {
        let mut hits = [false; 4];
        for (hit, (host, path)) in hits.iter_mut().zip(PAGES) {
            *hit = self.ask(host, path).await.starts_with("larder; hit");
        }
        hits
    }

    /// Stores all pages.
    async fn fill(&self) {
        for _ in 0..500 {
            if self.hits().await == [true; 4] {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("the pages are never all stored");
    }

    /// Runs the program; where it says nothing, it has done it.
    fn run(&self, words: &[&str]) {
        larder(&[&["--cache", &self.url], words].concat()).printed("");
    }
}

#[tokio::test]
async fn a_purge_takes_what_it_names_hard_or_soft() {
    let site = Site::new(|layer| layer);
    site.cache.set("value", 7).tags(["list"]).await.unwrap();
    for (words, left) in [
        (["purge", "--url", "http://a/courses/7"].as_slice(), [true, false, true, true]),
        (&["purge", "--url", "/courses/7"], [true, false, false, true]),
        (&["purge", "--route", "/courses/{id}"], [true, false, false, true]),
        (&["purge", "--host", "a"], [false, false, true, false]),
        (&["purge", "--prefix", "/courses"], [false, false, false, true]),
        (&["purge", "--all"], [false; 4]),
        (&["purge", "--url", "http://a/nothing"], [true; 4]),
    ] {
        for soft in [false, true] {
            site.fill().await;
            site.run(&[words, if soft { &["--soft"] } else { &[] }].concat());
            // Without a window, a page that is marked is made anew as well.
            assert_eq!(site.hits().await, left, "{words:?}, softly: {soft}");
        }
    }
    assert_eq!(site.cache.get("value").await.unwrap(), Some(7), "values stay");
}

#[tokio::test]
async fn an_invalidation_takes_pages_and_values_of_its_tags() {
    let site = Site::new(|layer| layer);
    for soft in [false, true] {
        site.fill().await;
        site.cache.set("value", 7).tags(["value", "other"]).await.unwrap();
        site.run(
            &[["invalidate", "list", "value"].as_slice(), if soft { &["--soft"] } else { &[] }].concat(),
        );
        assert_eq!(site.hits().await, [false, true, true, true], "softly: {soft}");
        assert_eq!(site.cache.get::<u8>("value").await.unwrap(), None, "softly: {soft}");
    }
}

#[tokio::test]
async fn what_is_marked_is_shown_once_more_where_there_is_a_window() {
    for words in [["purge", "--all", "--soft"].as_slice(), &["invalidate", "list", "--soft"]] {
        let site = Site::new(|layer| layer.stale_while_revalidate(600));
        site.fill().await;
        site.run(words);
        let shown = site.ask("a", "/courses").await;
        assert!(shown.starts_with("larder; hit; ttl="), "{words:?}: {shown}");
        assert!(shown.ends_with("; detail=stale-while-revalidate"), "{words:?}: {shown}");
    }
}

#[test]
fn a_purge_that_says_too_little_or_too_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/cache", folder.path().display());
    let run = |words: &[&str]| larder(&[&["--cache", &url], words].concat());
    run(&["invalidate"]).refused(&["<TAG>"]);
    run(&["invalidate", "--soft"]).refused(&["<TAG>"]);
    run(&["purge"]).refused(&["--url", "--route", "--host", "--prefix", "--all"]);
    run(&["purge", "--soft"]).refused(&["--url", "--all"]);
    run(&["purge", "--all", "--host", "a"]).refused(&["--all", "--host", "cannot be used with"]);
    run(&["purge", "--url", "courses"]).refused(&["\"courses\"", "https://example.org/courses"]);
    run(&["purge", "--host", "https://a"]).refused(&["\"https://a\"", "without a scheme"]);
    run(&["purge", "--prefix", "courses"]).refused(&["\"courses\"", "begins with /"]);
    run(&["purge", "--route", "courses/{id}"]).refused(&["\"courses/{id}\"", "/courses/{id}"]);
    larder(&["purge", "--all"]).refused(&["--cache"]);
    larder(&["--cache", "memory:", "purge", "--all"]).refused(&["memory"]);
}
