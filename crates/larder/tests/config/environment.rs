//! `LARDER_…`.

use std::fs;

use larder::config::{Config, Loader};
use larder::{Error, ErrorKind, Timeout};

fn environment(variables: &[(&str, &str)]) -> Result<Config, Error> {
    Loader::new().variables(variables.iter().copied()).environment()
}

fn refused(variables: &[(&str, &str)], named: &[&str]) {
    let error = environment(variables).expect_err(&format!("{variables:?}"));
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    for word in named {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn each_url_is_an_alias() {
    let config = environment(&[
        ("LARDER_URL", "memory:?timeout=10m"),
        ("LARDER_PAGES_URL", "memory:?prefix=pages"),
        ("LARDER_MY_PAGES_URL", "dummy:"),
        ("REDIS_URL", "redis://elsewhere"),
        ("HOME", "/"),
    ])
    .unwrap();
    let names: Vec<&str> = config.caches().iter().map(|(alias, _)| alias).collect();
    assert_eq!(names, ["default", "my_pages", "pages"]);
    assert_eq!(config.caches().default_cache().unwrap().default_timeout(), Timeout::from(600));
    assert_eq!(config.caches().get("pages").unwrap().space().prefix(), "pages");
    assert!(environment(&[("LARDER_DEFAULT_URL", "memory:")]).unwrap().caches().default_cache().is_some());
}

#[test]
fn without_anything_it_says_what_to_set() {
    refused(&[], &["LARDER_URL", "LARDER_CONFIG"]);
    refused(&[("LARDER_PAGES_URL", "memory:")], &["no cache called default", "LARDER_URL"]);
}

#[test]
fn what_is_wrong_names_its_variable_and_what_was_meant() {
    let url = ("LARDER_URL", "memory:");
    refused(&[("LARDER_URL", "memroy:")], &["LARDER_URL: ", "did you mean \"memory\"?"]);
    refused(
        &[url, ("LARDER_PAGES_URL", "memory:?timeot=1")],
        &["LARDER_PAGES_URL: ", "did you mean \"timeout\"?"],
    );
    refused(&[url, ("LARDER_PAGES_URL", "")], &["LARDER_PAGES_URL", "is empty"]);
    refused(&[("LARDER_URL", " ")], &["LARDER_URL", "is empty"]);
    refused(&[url, ("LARDER_CONFG", "x")], &["LARDER_CONFG", "did you mean \"LARDER_CONFIG\"?"]);
    refused(&[("LARDER_ULR", "memory:")], &["LARDER_ULR", "did you mean \"LARDER_URL\"?"]);
    refused(&[url, ("LARDER_PAGES_ULR", "x")], &["did you mean \"LARDER_PAGES_URL\"?"]);
    refused(&[url, ("LARDER_PASWORD", "x")], &["did you mean \"LARDER_PASSWORD\"?"]);
    refused(&[url, ("LARDER_WHATEVER", "x")], &["LARDER_WHATEVER: ", "LARDER_PAGES_URL"]);
    refused(&[url, ("LARDER_", "x")], &["LARDER_: "]);
    refused(&[url, ("LARDER__URL", "x")], &["LARDER__URL: "]);
    refused(&[url, ("LARDER_DEFAULT_URL", "memory:")], &["the URL of the same cache"]);
    refused(&[url, ("LARDER_SITE_URL", "memory:")], &["LARDER_SITE_URL", "\"site\""]);
    refused(&[url, ("LARDER_PAGES_PASSWORD", "x")], &["LARDER_PAGES_PASSWORD", "set LARDER_PAGES_URL"]);
}

#[test]
fn variables_of_larders_tests_of_its_program_and_of_kubernetes_are_let_alone() {
    environment(&[
        ("LARDER_URL", "memory:"),
        ("LARDER_TEST_REDIS_URL", "redis://h"),
        ("LARDER_REFRESH_SECRET", "s"),
        ("LARDER_SERVICE_HOST", "10.0.0.1"),
        ("LARDER_SERVICE_PORT", "80"),
        ("LARDER_SERVICE_PORT_HTTP", "80"),
        ("LARDER_PORT", "tcp://10.0.0.1:80"),
        ("LARDER_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("LARDER_PORT_80_TCP_PROTO", "tcp"),
        ("LARDER_PORT_80_TCP_PORT", "80"),
        ("LARDER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("LARDER_WEB_PORT_80_TCP_ADDR", "10.0.0.1"),
    ])
    .unwrap();
    refused(&[("LARDER_URL", "memory:"), ("LARDER_PORT_X", "1")], &["LARDER_PORT_X"]);
}

#[test]
fn a_url_of_the_environment_replaces_the_whole_table_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caches.toml");
    let text = "[default]\nurl = 'memory:'\nmax_entries = 5\nprefix = 'shop'\n[my-pages]\nurl = 'memory:'\nprefix = 'a'";
    fs::write(&path, text).unwrap();
    let file = ("LARDER_CONFIG", path.to_str().unwrap());

    let config = environment(&[file]).unwrap();
    assert_eq!(config.caches().default_cache().unwrap().space().prefix(), "shop");
    let config =
        environment(&[file, ("LARDER_URL", "dummy:"), ("LARDER_MY_PAGES_URL", "memory:?prefix=b")]).unwrap();
    assert_eq!(config.caches().default_cache().unwrap().space().prefix(), "");
    assert_eq!(config.caches().iter().count(), 2);
    assert_eq!(config.caches().get("my-pages").unwrap().space().prefix(), "b");

    refused(&[file, ("LARDER_MY_PAGES_ULR", "x")], &["did you mean \"LARDER_MY_PAGES_URL\"?"]);
    fs::write(&path, "[default]\nurl = 'memory:'\nx = 1").unwrap();
    refused(&[file], &["caches.toml:3: "]);
    refused(&[("LARDER_CONFIG", "/nowhere/caches.toml")], &["LARDER_CONFIG: ", "/nowhere/caches.toml"]);
    refused(&[("LARDER_CONFIG", "")], &["LARDER_CONFIG", "is empty"]);
}
