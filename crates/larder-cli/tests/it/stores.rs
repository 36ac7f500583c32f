//! The same on every store.

use std::fs;

use super::program::larder_in;
use super::{Ran, larder};

/// All that the program does, on the store of a URL.
pub(crate) fn serves(url: &str) {
    let sign = if url.contains('?') { '&' } else { '?' };
    let shop = format!("{url}{sign}prefix=shop");
    let run = |words: &[&str]| larder(&[&["--cache", &shop], words].concat());
    let fed = |words: &[&str], input: &[u8]| larder_in(&[], &[&["--cache", &shop], words].concat(), input);

    assert!(run(&["ping"]).text().contains("answers"));
    run(&["get", "greeting"]).missed();
    run(&["ttl", "greeting"]).missed();
    run(&["del", "greeting"]).missed_saying("0\n");

    // Text is text again, and to an application it is a string.
    run(&["set", "greeting", "hello \"you\"\nä"]).printed("");
    run(&["get", "greeting"]).printed("hello \"you\"\nä");
    run(&["get", "greeting", "--raw"]).printed("\"hello \\\"you\\\"\\nä\"");
    run(&["get", "greeting", "--json"]).printed("\"hello \\\"you\\\"\\nä\"\n");

    // JSON is kept as it is written.
    run(&["set", "count", "-5", "--json"]).printed("");
    run(&["get", "count"]).printed("-5");
    run(&["set", "course", r#" {"z": 1, "a": 1.50} "#, "--json"]).printed("");
    run(&["get", "course"]).printed(r#"{"z": 1, "a": 1.50}"#);
    run(&["set", "course", "Rust", "--json"]).refused(&["no JSON", "--json"]);

    // Bytes go in and come out.
    let bytes = [0, 0xff, b'\n', 0x1b, b'"'];
    fed(&["set", "bytes", "-", "--raw", "--timeout", "none"], &bytes).printed("");
    run(&["get", "bytes"]).printed(bytes);
    run(&["get", "bytes", "--raw"]).printed(bytes);
    run(&["get", "bytes", "--json"]).refused(&["5 bytes", "--raw"]);
    run(&["get", "bytes"]).printed(bytes);
    fed(&["set", "bytes", "-"], &bytes).refused(&["UTF-8", "--raw"]);
    fed(&["set", "text", "-"], "a\nä\n".as_bytes()).printed("");
    run(&["get", "text"]).printed("a\nä\n");

    run(&["ttl", "bytes"]).printed("none\n");
    run(&["ttl", "bytes", "--json"]).printed("{\"key\":\"bytes\",\"ttl\":null}\n");
    for set in
        [&["set", "short", "x", "--timeout", "10m"][..], &["set", "short", "x", "--raw", "--timeout", "600"]]
    {
        run(set).printed("");
        let left: u64 = run(&["ttl", "short"]).text().trim().parse().unwrap();
        assert!((500..=600).contains(&left), "{left}");
    }
    run(&["set", "short", "x", "--timeout", "0"]).printed("");
    run(&["get", "short"]).missed();
    run(&["set", "short", "x", "--timeout", "soon"]).refused(&["soon", "10m"]);

    // Of the namespace and the version only, and nobody else's.
    let lists = larder::open(url).unwrap().capabilities().lists;
    if lists {
        run(&["keys"]).printed("bytes\ncount\ncourse\ngreeting\ntext\n");
        run(&["keys", "co*"]).printed("count\ncourse\n");
        run(&["keys", "[bt]?*", "--json"]).printed("[\"bytes\",\"text\"]\n");
        run(&["keys", "nothing*"]).missed();
        run(&["keys", "--version", "2"]).missed();
    } else {
        run(&["keys"]).refused(&["can't list"]);
    }

    // Another version is another value.
    run(&["set", "greeting", "second", "--version", "2"]).printed("");
    run(&["get", "greeting", "--version", "2"]).printed("second");
    if lists {
        run(&["keys", "--version", "2"]).printed("greeting\n");
    }
    run(&["get", "greeting"]).printed("hello \"you\"\nä");
    run(&["del", "greeting", "--version", "2"]).printed("1\n");
    run(&["get", "greeting", "--version", "2"]).missed();
    run(&["del", "greeting", "count", "never", "--json"]).printed("{\"removed\":2}\n");

    // What is in another namespace stays there.
    let other = format!("{url}{sign}prefix=other");
    larder(&["--cache", &other, "set", "text", "other"]).printed("");
    if lists {
        larder(&["--cache", &other, "keys"]).printed("text\n");
    }
    run(&["clear"]).refused(&["\"shop\"", "all versions", "--yes"]);
    run(&["get", "text"]).printed("a\nä\n");
    run(&["set", "text", "second", "--version", "2", "--tag", "a", "--tag", "b"]).printed("");
    run(&["clear", "--yes"]).printed("");
    run(&["get", "text"]).missed();
    run(&["get", "text", "--version", "2"]).missed();
    larder(&["--cache", &other, "get", "text"]).printed("other");
}

impl Ran {
    /// Asserts that there was nothing, and how that is said.
    #[track_caller]
    fn missed_saying(&self, out: &str) {
        assert_eq!((self.code, self.text(), self.err.as_str()), (1, out, ""));
    }
}

#[cfg(feature = "file")]
#[test]
fn a_file_cache_is_served() {
    let folder = tempfile::tempdir().unwrap();
    serves(&format!("file://{}/cache", folder.path().display()));
}

#[cfg(feature = "sqlite")]
#[test]
fn an_sqlite_cache_is_served() {
    let folder = tempfile::tempdir().unwrap();
    serves(&format!("sqlite://{}/cache.db", folder.path().display()));
}

#[cfg(feature = "file")]
#[tokio::test]
async fn what_an_application_stored_is_read_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/cache?prefix=shop", folder.path().display());
    let cache = larder::open(&url).unwrap();
    cache.set("text", "ä").await.unwrap();
    cache.set("list", vec![1, 2]).tags(["lists"]).await.unwrap();
    larder(&["-c", &url, "get", "text"]).printed("ä");
    larder(&["-c", &url, "get", "list"]).printed("[1,2]");
    cache.invalidate(["lists"]).await.unwrap();
    larder(&["-c", &url, "get", "list"]).missed();

    larder(&["-c", &url, "set", "greeting", "hello", "--tag", "texts"]).printed("");
    larder(&["-c", &url, "set", "count", "5", "--json"]).printed("");
    assert_eq!(cache.get("greeting").await.unwrap(), Some("hello".to_owned()));
    assert_eq!(cache.incr("count", 2).await.unwrap(), 7);
    cache.invalidate(["texts"]).await.unwrap();
    larder(&["-c", &url, "get", "greeting"]).missed();
}

#[cfg(all(feature = "file", feature = "zstd", feature = "lz4"))]
#[tokio::test]
async fn values_of_any_codec_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let large = "ä".repeat(5000);
    for codec in ["json", "msgpack", "raw", "json&compression=lz4", "msgpack&compression=zstd"] {
        let prefix = codec.replace(['&', '='], "-");
        let url = format!("file://{}/cache?codec={codec}&prefix={prefix}", folder.path().display());
        let run = |words: &[&str]| larder(&[&["--cache", &url], words].concat());
        let cache = larder::open(&url).unwrap();
        cache.set("text", &large).await.unwrap();
        cache.set("number", -5).await.unwrap();
        run(&["get", "text"]).printed(&large);
        run(&["get", "number"]).printed("-5");
        run(&["get", "text", "--json"]).printed(format!("\"{large}\"\n"));
        run(&["set", "text", "other"]).printed("");
        run(&["set", "number", "7", "--json"]).printed("");
        assert_eq!(cache.get("text").await.unwrap(), Some("other".to_owned()), "{codec}");
        assert_eq!(cache.incr("number", 1).await.unwrap(), 8, "{codec}");
        if codec == "raw" {
            run(&["set", "list", "[1]", "--json"]).refused(&["raw"]);
            continue;
        }
        cache.set("list", vec![1, 2]).await.unwrap();
        run(&["get", "list"]).printed("[1,2]");
        run(&["set", "list", "[3, null]", "--json"]).printed("");
        assert_eq!(cache.get("list").await.unwrap(), Some(vec![Some(3), None]), "{codec}");
    }
}

#[cfg(all(feature = "file", feature = "sqlite"))]
#[test]
fn the_cache_may_come_from_a_file_or_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("caches.toml");
    let (pages, values) = (
        format!("file://{}/pages", folder.path().display()),
        format!("sqlite://{}/v.db", folder.path().display()),
    );
    fs::write(&config, format!("[default]\nurl = '{values}'\nprefix = 'v'\n[pages]\nurl = '{pages}'"))
        .unwrap();
    let config = config.to_str().unwrap();

    larder(&["--config", config, "set", "a", "in values"]).printed("");
    larder(&["--config", config, "--alias", "pages", "set", "a", "in pages"]).printed("");
    larder(&["get", "a", "--config", config]).printed("in values");
    larder(&["get", "a", "--cache", &pages]).printed("in pages");
    larder(&["get", "a", "--config", config, "-a", "pgaes"]).refused(&["did you mean \"pages\"?"]);
    larder(&["clear", "--config", config, "-a", "pages"])
        .refused(&["without a prefix", "the cache \"pages\""]);

    let named = [("LARDER_CONFIG", config)];
    larder_in(&named, &["get", "a"], b"").printed("in values");
    larder_in(&named, &["get", "a", "--alias", "pages"], b"").printed("in pages");
    larder_in(&[("LARDER_URL", &pages)], &["get", "a"], b"").printed("in pages");
    larder_in(&[("LARDER_URL", &pages)], &["get", "a", "--cache", &format!("{values}?prefix=v")], b"")
        .printed("in values");
}
