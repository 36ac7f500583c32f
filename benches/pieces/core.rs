//! Keys, and entries as bytes.

use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use larder_core::{Entry, Key, Nonce, Space, Stamp, Tag, Value, wire};

pub(crate) fn keys(criterion: &mut Criterion) {
    let space = Space::default();
    let page = || {
        let mut builder = Key::builder(&space, 1, "page");
        for part in [&b"GET"[..], b"http", b"127.0.0.1:8000", b"/courses/", b"page=2"] {
            builder.part(black_box(part));
        }
        builder.build()
    };
    let mut group = criterion.benchmark_group("keys");
    group.bench_function("of a value", |b| b.iter(|| Key::value(&space, 1, black_box("httpbin_result"))));
    group.bench_function("of a page", |b| b.iter(page));
    let page = page();
    group.bench_function("what a store calls a page", |b| b.iter(|| black_box(&page).name().len()));
    group.finish();
}

pub(crate) fn packed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entry as bytes");
    for tags in [0, 3, 16, 64] {
        let entry = entry(tags);
        let Ok(bytes) = wire::encode(&entry) else { continue };
        group.bench_function(format!("encode, {tags} tags"), |b| b.iter(|| wire::encode(black_box(&entry))));
        group.bench_function(format!("decode, {tags} tags"), |b| b.iter(|| wire::decode(black_box(&bytes))));
    }
    group.finish();
}

fn entry(tags: usize) -> Entry {
    let tags = (0..tags).map(|n| (Tag::new(format!("course:{n}")), Nonce::fresh())).collect();
    let value = Value::Bytes(Bytes::from(vec![b'x'; 1024]));
    Entry::new(value, Some(1_795_219_200_000), Stamp { space: Nonce::fresh(), tags })
}
