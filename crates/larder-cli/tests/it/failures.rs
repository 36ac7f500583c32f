//! What goes wrong, and what is said about it.

use std::process::{Command, Stdio};

use super::larder;
use super::program::larder_in;

#[test]
fn without_a_cache_it_says_how_to_name_one() {
    larder(&["get", "a"]).refused(&["LARDER_URL", "--cache", "--config"]);
    larder(&["--cache", "memory:", "--alias", "a", "get", "a"]).refused(&["--alias", "cannot be used"]);
    larder(&["--cache", "memroy:", "get", "a"]).refused(&["did you mean \"memory\"?"]);
    larder(&["--config", "/nowhere/caches.toml", "get", "a"]).refused(&["/nowhere/caches.toml"]);
    larder_in(&[("LARDER_ULR", "memory:")], &["get", "a"], b"").refused(&["did you mean \"LARDER_URL\"?"]);
}

#[test]
fn a_cache_that_no_other_process_sees_is_refused() {
    larder(&["--cache", "memory:", "get", "a"]).refused(&["memory:", "file:"]);
    assert_eq!(larder(&["--cache", "memory:", "ping"]).code, 0);
}

#[test]
fn a_wrong_command_line_is_an_error_that_says_what_would_be_right() {
    larder(&[]).refused(&["Usage: larder"]);
    larder(&["gett", "a"]).refused(&["'get'"]);
    larder(&["del"]).refused(&["<KEYS>"]);
    larder(&["--cache", "dummy:", "get", "a", "--raw", "--json"]).refused(&["--raw", "--json"]);
    let help = larder(&["--help"]);
    assert!(help.code == 0 && help.text().contains("Exit codes: 0"), "{help:?}");
    for version in ["-V", "--version"] {
        larder(&[version]).printed(concat!("larder ", env!("CARGO_PKG_VERSION"), "\n"));
    }
    larder(&["--version", "2"]).refused(&["Usage: larder"]);
}

#[cfg(unix)]
#[test]
fn a_word_that_is_no_text_is_an_error_like_any_other() {
    use std::os::unix::ffi::OsStrExt as _;

    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    let word = std::ffi::OsStr::from_bytes(b"\xffu:hunter2@h");
    let done = command.args(["--cache", "memory:", "get"]).arg(word).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(2) && !said.contains("hunter2"), "{said}");
}

#[cfg(feature = "default")]
#[test]
fn every_backend_there_is_comes_along() {
    let page = include_str!("../../../../docs/configuration.md");
    let schemes = larder::schemes();
    for named in page.split("<!-- options of: ").skip(1) {
        for scheme in named.split(" -->").next().unwrap().split(", ").filter(|scheme| *scheme != "all") {
            assert_eq!(schemes.feature_of(scheme), None, "larder-cli lacks the feature for {scheme}:");
            assert!(schemes.known().any(|known| known == scheme), "{scheme}");
        }
    }
}

#[test]
fn a_help_text_shows_nothing_of_the_environment() {
    let help = larder_in(&[("LARDER_URL", "redis://u:hunter2@h/1")], &["get", "--help"], b"");
    assert!(help.code == 0 && !help.text().contains("hunter2"), "{help:?}");
}

#[cfg(feature = "redis")]
#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    for words in [&["ping"][..], &["get", "a"], &["set", "a", "b"], &["del", "a"], &["clear", "--yes"]] {
        let ran = larder(&[&["--cache", "redis://u:hunter2@127.0.0.1:1/1?prefix=shop"], words].concat());
        ran.refused(&["redis://***@127.0.0.1:1/1"]);
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn a_file_that_cannot_be_opened_is_named_and_no_server_is_looked_for() {
    let directory = env!("CARGO_MANIFEST_DIR");
    for (path, says) in
        [("/nowhere/at/all.db", "its directory has to be there"), (directory, "is a directory")]
    {
        let ran = larder(&["--cache", &format!("sqlite://{path}"), "get", "a"]);
        ran.refused(&[path, says]);
        assert!(!ran.err.contains("server"), "{}", ran.err);
    }
}

#[cfg(feature = "redis")]
#[test]
fn what_an_application_overlooks_is_told_here() {
    let url = "redis://127.0.0.1:1/1?ignore_errors=true&deadline=1ms";
    for place in [&["--cache", url][..], &["--config", "caches.toml"]] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("caches.toml");
        std::fs::write(&config, format!("[default]\nurl = '{url}'")).unwrap();
        let place: Vec<&str> = place
            .iter()
            .map(|word| if *word == "caches.toml" { config.to_str().unwrap() } else { word })
            .collect();
        larder(&[&place, &["get", "a"][..]].concat()).refused(&["can't be reached"]);
        larder(&[&place, &["get", "a", "--deadline", "none"][..]].concat()).refused(&["can't be reached"]);
        larder(&[&place, &["get", "a", "--deadline", "0"][..]].concat())
            .refused(&["--deadline", "deadline of 0"]);
    }
}

#[test]
fn a_password_on_a_wrong_command_line_is_not_printed() {
    for words in [
        &["redis://u:hunter2@h/1", "get", "a"][..],
        &["get", "a", "redis://u:hunter2@h/1"],
        &["--cache=redis://u:hunter2@h/1", "--alias", "a", "get", "a"],
        &["--cahce=redis://u:hunter2@h/1", "get", "a"],
        &["--cache", "redis//u:hunter2@h/1", "get", "a"],
        &["--cache", "redis://u:hunter/2@h/1", "get", "a"],
        &["--cache", "redis://u:hunter2@h/one", "get", "a"],
    ] {
        let ran = larder(words);
        ran.refused(&[]);
        assert!(!ran.err.contains("hunter"), "{}", ran.err);
    }
}

#[cfg(feature = "file")]
#[test]
fn a_reader_who_leaves_early_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/cache", folder.path().display());
    larder_in(&[], &["--cache", &url, "set", "large", "-"], &vec![b'x'; 4 << 20]).printed("");

    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(["--cache", &url, "get", "large"]).env_clear();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), String::from_utf8(done.stderr).unwrap()), (Some(0), String::new()));
}
