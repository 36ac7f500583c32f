//! Warming a site that runs: what is asked for, how often, and what is said about it.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use larder::{RefreshLayer, cache_page};

use super::Ran;
use super::program::larder_in;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A site, and what its handlers were asked for.
struct Site {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Site {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (log, own) = (Arc::clone(&asked), url.clone());
        let handler = move |request: Request| {
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            let language = request.headers().get("accept-language").map(|v| v.to_str().unwrap().to_owned());
            log.lock().unwrap().push(format!("{host}{}{}", request.uri(), language.unwrap_or_default()));
            let response = answer(request.uri().path(), &own);
            async move { response }
        };
        let cached = cache_page(600).cache(larder::open("memory:").unwrap());
        let app: Router =
            Router::new().fallback(handler).layer(cached).layer(RefreshLayer::new(SECRET).unwrap());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, asked, folder: tempfile::tempdir().unwrap(), _runtime: runtime }
    }

    fn warm(&self, words: &[&str]) -> Ran {
        larder_in(&[("LARDER_REFRESH_SECRET", SECRET)], &[&["warm", &self.url], words].concat(), b"")
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What was asked for since the last time, without the host.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        for line in &mut asked {
            *line = line.split_once('/').map_or_else(String::new, |(_, rest)| format!("/{rest}"));
        }
        asked.sort();
        asked
    }
}

fn answer(path: &str, own: &str) -> axum::response::Response {
    match path {
        "/cookie" => ([("set-cookie", "id=1")], "hello").into_response(),
        "/broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/away" => (StatusCode::FOUND, [("location", "http://203.0.113.1/")]).into_response(),
        "/index.xml" => format!(
            "<sitemapindex><sitemap><loc>{own}/pages.xml</loc></sitemap><sitemap><loc>{own}/index.xml</loc></sitemap>
             <sitemap><loc>http://elsewhere.example/pages.xml</loc></sitemap></sitemapindex>"
        )
        .into_response(),
        "/pages.xml" => sitemap(own, &["/", "/courses?page=2&x=1", "/"]).into_response(),
        _ => "hello".into_response(),
    }
}

fn sitemap(own: &str, paths: &[&str]) -> String {
    let urls = paths.iter().map(|path| format!("<url><loc>{own}{}</loc></url>", path.replace('&', "&amp;")));
    format!("<?xml version='1.0'?><urlset>{}</urlset>", urls.collect::<String>())
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// The first line, without the time that it took.
#[track_caller]
fn said(ran: &Ran, code: i32, pages: &str) {
    assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{ran:?}");
    let line = ran.text().lines().next().unwrap().to_owned();
    let (site, counts) = line.split_once(": ").unwrap();
    assert!(site.contains(" pages of http://127.0.0.1:"), "{line}");
    assert_eq!(counts.rsplit_once(", in ").unwrap().0, pages, "{}", ran.text());
}

#[test]
fn the_pages_of_a_sitemap_are_made_and_then_they_are_there() {
    let site = Site::new();
    let pages = sitemap(&site.url, &["/", "/a", "/a?b=1&c=2", "/a"]);
    for (name, bytes) in [("pages.xml", pages.clone().into_bytes()), ("pages.xml.gz", gzipped(&pages))] {
        let file = site.file(name, &bytes);
        let counts = if name == "pages.xml" { "3 made, 0 hits" } else { "0 made, 3 hits" };
        said(&site.warm(&["--sitemap", &file]), 0, &format!("{counts}, 0 not stored, 0 failed"));
    }
    assert_eq!(site.asked(), ["/", "/a", "/a?b=1&c=2"]);
}

#[test]
fn a_sitemap_index_is_followed_on_this_host_and_not_round_in_circles() {
    let site = Site::new();
    let ran = site.warm(&["--sitemap", &format!("{}/index.xml", site.url)]);
    said(&ran, 0, "2 made, 0 hits, 0 not stored, 0 failed");
    assert!(ran.text().contains("left out: 1 of other hosts"), "{}", ran.text());
    assert_eq!(site.asked(), ["/", "/courses?page=2&x=1", "/index.xml", "/pages.xml"]);
}

#[test]
fn what_a_log_says_is_asked_for_most_is_made_and_other_hosts_are_left_alone() {
    let site = Site::new();
    let line = |target: &str, times: usize| {
        format!("1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"GET {target} HTTP/1.1\" 200 5 \"-\" \"x\"\n")
            .repeat(times)
    };
    let log = [line("/rare", 1), line("/often?q=1", 9), line("/some", 3), line("http://evil.example/", 50)]
        .concat();
    let file = site.file("access.log", log.as_bytes());
    said(&site.warm(&["--log", &file, "--top", "2"]), 0, "2 made, 0 hits, 0 not stored, 0 failed");
    assert_eq!(site.asked(), ["/often?q=1", "/some"]);

    let words = ["warm", &site.url, "--log", "-", "--rate", "500", "--concurrency", "1"];
    let ran = larder_in(&[], &words, &gzipped(&log));
    said(&ran, 0, "1 made, 2 hits, 0 not stored, 0 failed");
    assert_eq!(site.asked(), ["/rare"]);
}

#[test]
fn what_fails_and_what_is_not_kept_is_told_and_no_redirection_is_followed() {
    let site = Site::new();
    let file = site.file("a.xml", sitemap(&site.url, &["/", "/cookie", "/broken", "/away"]).as_bytes());
    let ran = site.warm(&["--sitemap", &file]);
    said(&ran, 1, "1 made, 0 hits, 2 not stored, 1 failed");
    let text = ran.text();
    for line in
        ["not stored: 1 for set-cookie", "not stored: 1 for status", "failed: /broken: the answer is 500"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    let ran = site.warm(&["--sitemap", &file, "--json"]);
    assert_eq!(ran.code, 1);
    let json: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!((&json["pages"], &json["hit"], &json["made"]), (&4.into(), &1.into(), &0.into()));
    assert_eq!(json["failed"][0]["path"], "/broken");
    assert_eq!(json["not_stored"]["hit-for-miss"], 2, "known from the first time: {json}");
}

#[test]
fn a_server_that_is_down_is_not_asked_for_every_page() {
    let site = Site::new();
    let paths: Vec<String> = (0..50).map(|n| format!("/{n}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let file = site.file("a.xml", sitemap("http://127.0.0.1:1", &paths).as_bytes());
    let words = ["warm", "http://127.0.0.1:1", "--sitemap", &file, "--max-failures", "3", "--json"];
    let ran = larder_in(&[], &words, b"");
    let json: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!((ran.code, &json["pages"], &json["given_up"]), (1, &3.into(), &true.into()));
}

#[test]
fn the_secret_has_pages_made_anew_and_a_wrong_one_does_not() {
    let site = Site::new();
    let file = site.file("a.xml", sitemap(&site.url, &["/"]).as_bytes());
    let words = ["--sitemap", &file, "--refresh"];
    said(&site.warm(&words), 0, "1 made, 0 hits, 0 not stored, 0 failed");
    said(&site.warm(&words), 0, "1 made, 0 hits, 0 not stored, 0 failed");
    let all = [&["warm", &site.url][..], &words].concat();
    let wrong = larder_in(&[("LARDER_REFRESH_SECRET", "a wrong secret of some length")], &all, b"");
    said(&wrong, 0, "0 made, 1 hits, 0 not stored, 0 failed");
    assert_eq!(site.asked().len(), 2);
    larder_in(&[], &all, b"").refused(&["--refresh", "LARDER_REFRESH_SECRET"]);
}

#[test]
fn a_site_is_asked_by_the_name_and_with_the_fields_that_visitors_use() {
    let site = Site::new();
    let file = site.file("a.xml", sitemap("https://shop.example", &["/a"]).as_bytes());
    site.warm(&["--sitemap", &file]).refused(&["nothing to warm", "1 of other hosts", "--host"]);
    let ran = site.warm(&["--sitemap", &file, "--host", "shop.example", "-H", "accept-language: de"]);
    said(&ran, 0, "1 made, 0 hits, 0 not stored, 0 failed");
    assert_eq!(*site.asked.lock().unwrap(), ["shop.example/ade"]);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_asked_for() {
    let site = Site::new();
    let empty = site.file("empty.xml", b"<urlset></urlset>");
    let html = site.file("page.html", b"<html></html>");
    site.warm(&[]).refused(&["--sitemap", "--log"]);
    site.warm(&["--sitemap", &empty]).refused(&["nothing to warm"]);
    site.warm(&["--sitemap", &html]).refused(&["page.html", "<html>"]);
    site.warm(&["--sitemap", "/nowhere/a.xml"]).refused(&["/nowhere/a.xml"]);
    site.warm(&["--log", "/nowhere/a.log"]).refused(&["/nowhere/a.log"]);
    site.warm(&["--sitemap", "http://elsewhere.example/a.xml"]).refused(&["not of http://127.0.0.1"]);
    site.warm(&["--log", &empty, "--rate", "0"]).refused(&["--rate", "20"]);
    site.warm(&["--log", &empty, "--concurrency", "0"]).refused(&["--concurrency"]);
    site.warm(&["--log", &html, "-H", "nonsense"]).refused(&["accept-language: de"]);
    larder_in(&[], &["warm", "shop.example", "--log", &html], b"").refused(&["http://127.0.0.1:8000"]);
    let hidden = larder_in(&[], &["warm", "http://u:hunter2@a/", "--log", &html], b"");
    hidden.refused(&["--header"]);
    assert!(!hidden.err.contains("hunter2"));
    assert_eq!(site.asked(), [] as [&str; 0]);
}
