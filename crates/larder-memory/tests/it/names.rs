//! Who shares a store with whom, and which URLs are wrong.

use larder_core::{Backend, CacheUrl, Error, ErrorKind, Schemes, When};
use larder_memory::{Memory, open};

use crate::{entry, key, now};

fn at(url: &str) -> Result<Memory, Error> {
    let mut url = CacheUrl::parse(url)?;
    let memory = open(&mut url)?;
    url.finish()?;
    Ok(memory)
}

#[test]
fn the_same_name_shares_a_store_and_no_name_shares_with_nobody() {
    let one = at("memory:?name=shop").unwrap();
    for same in ["memory:shop", "memory://shop", "memory:?name=shop&max_entries=1000000"] {
        assert!(at(same).unwrap().is_same(&one), "{same}");
    }
    now(one.set(&key(1), entry(3, None), When::Always, 1)).unwrap();
    assert!(at("memory:shop").unwrap().get_now(&key(1), 1).unwrap().is_some());
    assert!(!at("memory:?name=other").unwrap().is_same(&one));
    assert!(!at("memory:").unwrap().is_same(&at("memory:").unwrap()));
    assert!(one.clone().is_same(&one));
}

#[test]
fn a_name_that_nobody_holds_is_free_again() {
    let first = at("memory:?name=brief&max_entries=10").unwrap();
    now(first.set(&key(1), entry(3, None), When::Always, 1)).unwrap();
    drop(first);
    let second = at("memory:?name=brief&max_entries=20").unwrap();
    assert_eq!(second.stats().entries, 0);
}

#[test]
fn the_same_name_with_other_bounds_is_an_error_that_shows_the_bound() {
    let _held = at("memory:?name=bounded&max_entries=10").unwrap();
    let error = at("memory:?name=bounded&max_entries=20").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("max_entries=10"), "{error}");
}

#[test]
fn what_is_not_a_memory_url_is_a_config_error() {
    for wrong in [
        "memory:/var/cache",
        "memory:///var/cache",
        "memory://host/0",
        "memory://host:11211",
        "memory:a?name=b",
        "memory:?name=a/b",
        "memory:?max_bytes=0",
        "memory:?max_entries=0",
        "memory:?max_bytes=lots",
        "memory:?max_entries=-1",
        "memory:?max_entrys=5",
    ] {
        let error = at(wrong).map(|_| wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{wrong}: {error}");
    }
    let error = at("memory:?name=a:b").map(|_| "").unwrap_err().to_string();
    assert!(error.contains("neither /"), "{error}");
}

#[test]
fn huge_and_tiny_bounds_do_not_overflow() {
    for (bytes, entries) in [(u64::MAX, u64::MAX), (u64::MAX, 1), (1, u64::MAX), (1, 1)] {
        let memory = Memory::builder().max_bytes(bytes).max_entries(entries).build().unwrap();
        let stored = now(memory.set(&key(1), entry(10, None), When::Always, 1));
        assert_eq!(stored.is_ok(), bytes > 1, "{bytes} {entries}");
    }
}

#[test]
fn the_url_sets_the_bounds() {
    let cache = Schemes::new().register("memory", open);
    assert_eq!(cache.open("memory:?max_bytes=8MiB&timeout=10").unwrap().capabilities().name, "memory");
    assert_eq!(at("memory:?max_bytes=8MiB").unwrap().max_entry_bytes(), 1 << 20);
}
