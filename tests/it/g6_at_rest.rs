//! G6, whole or nothing, at rest: what can't be read back as it was written is a miss, and removed.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use http::Response;
use larder::file::FileCache;
use larder::{Cache, Compression, cache_page};

use crate::fed::slowly;
use crate::support::{ask, get, get_with, patient};

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|e| e == "larder") => found.push(path),
                false => {}
            }
        }
    }
    found
}

#[tokio::test]
async fn stored_bytes_that_were_flipped_or_cut_are_a_miss_and_are_removed() {
    let directory = std::env::temp_dir().join(format!("larder-g6-{}", std::process::id()));
    // Without leases, so that the page is all that stands there.
    let cache = patient(&format!("file://{}?lease=0", directory.display()));
    let (app, _) = slowly(|n, request| async move {
        let mut response = Response::new(Body::from(format!("call {n}")));
        // What comes after a damage is not stored, so that what is left of it can be seen.
        if request.headers().contains_key("x-no-store") {
            response.headers_mut().insert("cache-control", "no-store".parse().unwrap());
        }
        response
    });
    let app = app.layer(cache_page(60).cache(&cache).ignore_cookies());
    ask(&app, get("/")).await;
    assert!(ask(&app, get("/")).await.is_hit());
    let files = entries(&directory);
    assert_eq!(files.len(), 1, "{files:?}");
    let whole = std::fs::read(&files[0]).unwrap();

    let flips = (0..whole.len()).step_by(5).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        bytes
    });
    let cuts = (0..whole.len()).step_by(11).map(|at| whole[..at].to_vec());
    for (at, damaged) in flips.chain(cuts).enumerate() {
        std::fs::write(&files[0], &damaged).unwrap();
        let answer = ask(&app, get_with("/", &[("x-no-store", "1")])).await;
        assert!(!answer.is_hit(), "damage {at}: {answer:?}");
        assert_eq!(entries(&directory), Vec::<PathBuf>::new(), "damage {at} is removed");
    }
    std::fs::write(&files[0], &whole).unwrap();
    assert!(ask(&app, get("/")).await.is_hit(), "the undamaged bytes are good still");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn a_page_is_smaller_at_rest_and_comes_back_whole_under_any_setting() {
    let directory = tempfile::tempdir().unwrap();
    let open = |compression| {
        let backend = FileCache::builder(directory.path()).build().unwrap();
        Cache::builder(backend).deadline(Duration::from_secs(60)).compression(compression).build().unwrap()
    };
    let body = "<li>All that is on this page is said more than once.</li>\n".repeat(1_000);
    let text = body.clone();
    let (app, _) = slowly(move |n, _| {
        let body = text.clone();
        async move { Response::builder().header("x-call", n.to_string()).body(Body::from(body)).unwrap() }
    });
    let layer = |compression| app.clone().layer(cache_page(60).cache(open(compression)).ignore_cookies());
    let (packed, plain) = (layer(Compression::lz4()), layer(Compression::none()));
    ask(&packed, get("/")).await;
    let size = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    let small: u64 = entries(directory.path()).iter().map(size).sum();
    assert!(small * 5 < body.len() as u64, "{small} of {}", body.len());
    for app in [&packed, &plain] {
        let answer = ask(app, get("/")).await;
        assert!(answer.is_hit(), "{answer:?}");
        assert_eq!(answer.body, body);
        assert_eq!(answer.headers["x-call"], "1");
    }
}
