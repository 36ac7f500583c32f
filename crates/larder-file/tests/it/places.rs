//! Directories, permissions and URLs.

use std::fs;

use larder_core::{Backend, CacheUrl, Error, ErrorKind, When};
use larder_file::{FileCache, open};

use crate::{entries, entry, files, fresh, key, now};

fn at(url: &str) -> Result<FileCache, Error> {
    let mut url = CacheUrl::parse(url)?;
    let cache = open(&mut url)?;
    url.finish()?;
    Ok(cache)
}

#[test]
#[cfg(unix)]
fn file_01_and_02_directories_are_0700_and_files_0600() {
    use std::os::unix::fs::PermissionsExt;

    let (parent, cache) = fresh();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    now(cache.set(&key(1), entry(&cache, "1", None), When::Always, 1)).unwrap();
    let file = entries(&cache).pop().unwrap();
    for directory in [&parent.path().join("a"), cache.directory(), file.parent().unwrap()] {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    for file in files(cache.directory()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let name = file.file_name().unwrap().to_str().unwrap();
    assert_eq!(name.len(), 40 + ".larder".len());
    assert_eq!(file.parent().unwrap().file_name().unwrap().to_str().unwrap(), &name[..2]);
}

#[test]
fn file_03_and_05_a_removed_directory_is_a_miss_and_made_again() {
    let (parent, cache) = fresh();
    assert!(now(cache.get(&key(1), 1)).unwrap().is_none());
    assert!(!now(cache.remove(&key(1), 1)).unwrap() && !now(cache.touch(&key(1), None, 1)).unwrap());
    assert_eq!(now(cache.incr(&key(1), 1, 1)).unwrap(), None);
    now(cache.clear(&larder_core::Space::default(), 1)).unwrap();
    for _ in 0..3 {
        assert!(now(cache.set(&key(1), entry(&cache, "1", None), When::Absent, 1)).unwrap());
        assert!(now(cache.get(&key(1), 1)).unwrap().is_some());
        fs::remove_dir_all(parent.path().join("a")).unwrap();
        assert!(now(cache.get(&key(1), 1)).unwrap().is_none());
    }
    now(cache.ping()).unwrap();
    assert!(cache.directory().is_dir());
}

#[test]
fn nothing_is_made_before_the_first_write_and_a_directory_that_cannot_be_is_an_error() {
    let (parent, cache) = fresh();
    assert!(!cache.directory().exists());
    let entry = entry(&cache, "1", None);
    fs::remove_dir_all(parent.path().join("a")).unwrap();
    fs::write(parent.path().join("a"), "a file where a directory is to be").unwrap();
    assert!(now(cache.get(&key(1), 1)).unwrap().is_none());
    let error = now(cache.set(&key(1), entry, When::Always, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend);
    assert!(now(cache.ping()).is_err());
}

#[test]
fn cfg_09_a_relative_directory_is_an_error_that_shows_the_absolute_one() {
    let here = std::env::current_dir().unwrap();
    for relative in ["file:cache/pages", "file://cache/pages", "file:./cache/pages"] {
        let error = at(relative).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let shown = error.to_string();
        assert!(
            shown.contains(&format!("file://{}", here.display())) && shown.contains("cache/pages"),
            "{shown}"
        );
    }
    assert!(FileCache::builder("cache").build().is_err());
}

#[test]
fn a_file_where_the_directory_is_to_be_is_told_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let name = file.path().display().to_string();
    let error = at(&format!("file://{name}")).unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains(&name), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_nobody_can_make_is_named() {
    let cache = at("file:///proc/larder").unwrap();
    let error = now(cache.ping()).unwrap_err();
    assert!(error.kind() == ErrorKind::Backend && error.to_string().contains("/proc/larder"), "{error}");
}

#[test]
fn the_url_names_a_directory_and_its_options() {
    for (url, directory) in [
        ("file:///var/cache/shop", "/var/cache/shop"),
        ("file:/var/cache", "/var/cache"),
        ("file://localhost/var/cache", "/var/cache"),
        ("file:///var/my%20cache%25", "/var/my cache%"),
        ("file:///x?max_entries=0&max_bytes=2GiB&fsync=true", "/x"),
    ] {
        assert_eq!(at(url).unwrap().directory(), std::path::Path::new(directory), "{url}");
    }
    for wrong in [
        "file:",
        "file://",
        "file:///",
        "file:///x?max_entries=-1",
        "file:///x?fsync=maybe",
        "file:///x?max=1",
        "file:///%zz",
        "file:///a%00b",
    ] {
        assert_eq!(at(wrong).map(|_| wrong).unwrap_err().kind(), ErrorKind::Config, "{wrong}");
    }
}

#[test]
fn fsync_changes_nothing_that_can_be_seen() {
    let parent = tempfile::tempdir().unwrap();
    let cache = FileCache::builder(parent.path()).fsync(true).build().unwrap();
    assert!(now(cache.set(&key(1), entry(&cache, "1", None), When::Absent, 1)).unwrap());
    assert!(!now(cache.set(&key(1), entry(&cache, "2", None), When::Absent, 1)).unwrap());
    assert_eq!(now(cache.incr(&key(1), 1, 1)).unwrap(), Some(2));
}
