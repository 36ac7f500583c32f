//! What `docs/writing-a-backend.md` shows: the suite over its example, the example behind a URL, the example with faults. Each
//! piece of code in the guide stands here or in `src/plain.rs`, word for word.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_core::{Cache, CacheUrl, Error, ErrorKind, Schemes};
use larder_testkit::{Fault, Faulty, Op, Plain, Stage};
use parking_lot::Mutex;

larder_testkit::backend_suite! {
    plain => async {
        let store = Plain::default();
        let same = store.clone();
        Stage::opening(move || same.clone()).rewriting(move |key, change| store.rewrite(key, change))
    }
}

/// Opens `plain://name`: the same name is the same store.
pub fn open(url: &mut CacheUrl) -> Result<Plain, Error> {
    static STORES: Mutex<BTreeMap<String, Plain>> = Mutex::new(BTreeMap::new());

    let Some(name) = url.authority().filter(|name| !name.is_empty()) else {
        return Err(Error::config("a plain: URL names its store: write plain://shop, say"));
    };
    Ok(STORES.lock().entry(name.to_owned()).or_default().clone())
}

#[tokio::test]
async fn one_url_one_store() -> Result<(), Error> {
    let schemes = Schemes::new().register("plain", open);
    let one = schemes.open("plain://shop?timeout=60&prefix=v2")?;
    let two = schemes.open("plain://shop?prefix=v2")?;
    one.set("key", "value").await?;
    assert_eq!(two.get("key").await?, Some("value".to_owned()));

    let error = schemes.open("plain:").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = schemes.open("plain://shop?timeuot=60").unwrap_err();
    assert!(error.to_string().contains("did you mean \"timeout\"?"), "{error}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn one_attempt_and_no_longer_than_the_deadline() -> Result<(), Error> {
    let backend = Faulty::over(Plain::default());
    let faults = backend.faults();
    let cache = Cache::builder(backend).deadline(Duration::from_millis(100)).build()?;

    faults.add(Fault::hang().on([Op::Fetch]));
    let error = cache.get::<u8>("key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert_eq!((faults.calls(Op::Fetch), faults.under_way()), (1, 0));
    Ok(())
}

/// Lines that say something, without their indentation.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_guide_shows_what_is_tested() {
    let here = env!("CARGO_MANIFEST_DIR");
    let read =
        |path: &str| std::fs::read_to_string(format!("{here}/{path}")).expect("a file of the repository");
    let guide = read("../../docs/writing-a-backend.md");
    let tested = [read("src/plain.rs"), read("tests/guide.rs")];
    let tested: Vec<Vec<&str>> = tested.iter().map(|text| lines(text)).collect();
    let blocks: Vec<&str> =
        guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 8, "{} pieces of code: were they marked otherwise?", blocks.len());
    for block in blocks {
        let shown = lines(block);
        let found = tested.iter().any(|tested| tested.windows(shown.len()).any(|window| window == shown));
        assert!(found, "the guide shows what stands neither in plain.rs nor in guide.rs:\n{block}");
    }
    // And each operation that the example writes is shown.
    for method in lines(&read("src/plain.rs")).iter().filter(|line| line.starts_with("async fn ")) {
        assert!(guide.contains(method), "the guide leaves out {method}");
    }
}
