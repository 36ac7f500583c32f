//! What may stand in a file, and what it says when something is wrong.

use std::fs;
use std::time::Duration;

use larder::config::Config;
use larder::{ErrorKind, Timeout};

use super::{read, refused};

#[test]
fn a_table_is_a_cache_with_its_options_in_the_url_or_beside_it() {
    let config = read(
        r#"
            [default]
            url = "memory:?version=3"
            timeout = 600
            prefix = "shop"

            [pages]
            url = "memory:"
            timeout = "none"
            key_prefix = "pages"
            max_entries = 10_000
            max_bytes = "64MiB"
            deadline = 0.1

            [none]
            url = "dummy:"
            timeout = 0.25
        "#,
        &[],
    )
    .unwrap();
    let caches = config.caches();
    let default = caches.default_cache().unwrap();
    assert_eq!((default.name(), default.version(), default.space().prefix()), ("default", 3, "shop"));
    assert_eq!(default.default_timeout(), Timeout::from(600));
    let pages = caches.get("pages").unwrap();
    assert_eq!((pages.name(), pages.space().prefix()), ("pages", "pages"));
    assert_eq!(pages.default_timeout(), Timeout::FOREVER);
    assert_eq!(caches.get("none").unwrap().default_timeout(), Timeout::from(Duration::from_millis(250)));
    assert!(caches.get("pages").unwrap().is_same(&pages), "asking twice gives the same one");
    assert!(caches.get("page").unwrap_err().to_string().contains("did you mean \"pages\"?"));
}

#[tokio::test]
async fn each_alias_is_a_store_of_its_own() {
    let caches = read("[default]\nurl = 'memory:'\n[other]\nurl = 'memory:'", &[]).unwrap().into_caches();
    let default = caches.get("default").unwrap();
    default.set("a", 1).await.unwrap();
    assert_eq!(default.get("a").await.unwrap(), Some(1));
    assert_eq!(caches.get("other").unwrap().get::<i32>("a").await.unwrap(), None);
    caches.close().await.unwrap();
}

#[tokio::test]
async fn two_aliases_may_be_one_namespace_of_one_store() {
    let text =
        "[default]\nurl = 'memory:one'\nprefix = 'a'\n[other]\nurl = 'memory:one'\nprefix = 'a'\nversion = 2";
    let caches = read(text, &[]).unwrap().into_caches();
    let (default, other) = (caches.get("default").unwrap(), caches.get("other").unwrap());
    default.set("a", 1).await.unwrap();
    assert_eq!(other.get("a").version(1).await.unwrap(), Some(1));
    assert_eq!(other.get::<i32>("a").await.unwrap(), None);
    other.clear().await.unwrap();
    assert_eq!(default.get::<i32>("a").await.unwrap(), None, "the namespace is one, whatever the version");
}

#[test]
fn default_has_to_be_there() {
    refused("", &["no cache called default", "[default]"]);
    refused("[pages]\nurl = 'memory:'", &["no cache called default"]);
    refused("[defualt]\nurl = 'memory:'", &["no cache called default", "\"defualt\" meant"]);
}

#[test]
fn an_error_names_the_line_and_what_was_meant() {
    for (text, named) in [
        (
            "[default]\nurl = 'memory:'\nmax_entires = 5",
            &["configuration:3:", "\"max_entires\"", "did you mean \"max_entries\"?"][..],
        ),
        (
            "[default]\nurl = 'memory:'\n\n[pages]\nurl = 'memory:'\ntimeot = 5",
            &[":6: [pages]:", "did you mean \"timeout\"?"],
        ),
        ("[default]\nurl = 'memory:?max_entires=5'", &[":2:", "did you mean \"max_entries\"?"]),
        ("[default]\nurl = 'memory:'\npasword = 'x'", &[":3:", "did you mean \"password\"?"]),
        ("[default]\nprefix = 'a'\nulr = 'memory:'", &[":3:", "did you mean \"url\"?"]),
        ("[default]\nprefix = 'a'", &[":1:", "has no url"]),
        ("[default]\nurl = 'memroy:'", &[":2:", "did you mean \"memory\"?"]),
        ("[default]\nurl = 'memory'", &[":2:", "no scheme"]),
        ("[default]\nurl = ''", &[":2:", "no scheme"]),
        ("[default]\ntimeout = -5\nurl = 'memory:'", &[":2:", "timeout=-5", "a number of seconds"]),
        ("[default]\nurl = 'memory:'\nversion = 'x'", &[":3:", "version=x", "a whole number"]),
        ("[default]\nurl = 'memory:'\nmax_bytes = 1.5", &[":3:", "max_bytes=1.5", "number of bytes"]),
        ("[default]\nurl = 'memory:'\nmax_entries = 0", &[":3:", "max_entries=0"]),
        ("[default]\nurl = 'memory:'\ndeadline = 0", &[":3:", "deadline of 0"]),
        ("[default]\nurl = 'memory:'\nprefix = 'a:b'", &[":3:", "prefix"]),
        ("[default]\nurl = 'memory:?timeout=5'\ntimeout = 5", &[":3:", "twice"]),
        ("[default]\nurl = 'memory:'\nprefix = 'a'\nkey_prefix = 'a'", &[":3:", "two names of one option"]),
        ("[default]\nurl = 'memory:'\n[default.options]\na = 1", &[":3:", "[default]: options is table"]),
        ("[default]\nurl = ['memory:']", &[":2:", "[default]: url is array"]),
        ("[default]\nurl = 'memory:'\ntimeout = 2026-01-01", &[":3:", "is datetime"]),
        ("url = 'memory:'", &[":1:", "stands in no table", "[default]"]),
        ("[default]\nurl = 'memory:'\nurl = 'dummy:'", &[":3:", "not TOML", "duplicate"]),
        ("[default]\nurl = memory:", &[":2:", "not TOML"]),
        ("[default\nurl = 'memory:'", &[":1:", "not TOML"]),
        ("[default]\nurl = 'memory:'\n[stie]\ntimeout = 5", &[":3:", "did you mean [site]?"]),
    ] {
        refused(text, named);
    }
}

#[test]
fn of_several_errors_the_first_in_the_table_is_said() {
    let error = refused("[default]\nurl = 'memory:'\nzzzz = 1\naaaa = 1", &[]);
    assert!(error.starts_with("configuration:3: [default]: \"zzzz\""), "{error}");
}

#[test]
fn a_backend_that_is_not_compiled_in_says_which_feature_it_needs() {
    let schemes = larder::Schemes::new().missing("redis", "redis");
    let loader = larder::config::Loader::new().schemes(schemes);
    let error = loader.text("[default]\nurl = 'redis://h'").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().starts_with("configuration:2: [default]: redis:")
            && error.to_string().contains("feature \"redis\""),
        "{error}"
    );
}

#[tokio::test]
async fn code_has_the_last_word_on_every_cache() {
    let clock = larder::ManualClock::new(1_000_000);
    let time = clock.clock();
    let loader = larder::config::Loader::new().each(move |alias, cache| {
        let cache = cache.clock(time.clone());
        if alias == "other" { cache.version(9) } else { cache }
    });
    let text = "[default]\nurl = 'memory:'\ntimeout = 60\n[other]\nurl = 'memory:'\nversion = 2";
    let caches = loader.text(text).unwrap().into_caches();
    assert_eq!(caches.get("other").unwrap().version(), 9);
    let default = caches.get("default").unwrap();
    default.set("a", 1).await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert_eq!(default.get("a").await.unwrap(), Some(1));
    clock.advance(Duration::from_secs(1));
    assert_eq!(default.get::<i32>("a").await.unwrap(), None);
}

#[test]
fn variables_are_put_into_all_texts() {
    let text = "[default]\nurl = '${STORE}?version=${VERSION}'\nprefix = 'a$${b}-${VERSION}'";
    let caches = read(text, &[("STORE", "memory:"), ("VERSION", "7")]).unwrap().into_caches();
    let cache = caches.default_cache().unwrap();
    assert_eq!((cache.version(), cache.space().prefix()), (7, "a${b}-7"));
    for (variables, named) in [(&[][..], "STORE is not set"), (&[("STORE", " ")], "STORE is empty")] {
        let error = read(text, variables).unwrap_err().to_string();
        assert!(error.starts_with("configuration:2: ") && error.contains(named), "{error}");
    }
}

#[test]
fn a_file_is_named_in_its_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caches.toml");
    fs::write(&path, "[default]\nurl = 'memory:'\n").unwrap();
    assert_eq!(Config::from_file(&path).unwrap().caches().iter().count(), 1);
    assert!(larder::from_file(&path).unwrap().default_cache().is_some());

    fs::write(&path, "[default]\n# a comment\nurl = 'memory:'\nx = 1").unwrap();
    let error = larder::from_file(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:4: [default]: ", path.display())), "{error}");

    fs::write(&path, [0xff]).unwrap();
    let nowhere = folder.path().join("nowhere.toml");
    for path in [&path, &nowhere, &folder.path().to_owned()] {
        let error = larder::from_file(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.to_string().contains("can't be read")
                && error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }
}

#[test]
fn the_text_of_a_file_may_be_anything() {
    for text in [
        "\0",
        "[[default]]\nurl='memory:'",
        "[default]\nurl='memory:'\n\n[default]",
        "=",
        "[]",
        "[\"\"]\nurl = 'memory:'",
        "\u{feff}[default]\nurl='mem:'",
    ] {
        let error = read(text, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{text:?}: {error}");
    }
}
