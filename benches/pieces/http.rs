//! Reading header fields, and the stored form of a response.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use larder_http::{
    CacheControl, RequestCacheControl, StoredMeta, StoredResponse, Timing, Vary, canonical_field,
    coding_weights, storable_origin,
};

pub(crate) fn fields(criterion: &mut Criterion) {
    let response = response();
    let request = request();
    let (control, vary) = (CacheControl::from_headers(&response), Vary::from_headers(&response));
    let mut group = criterion.benchmark_group("http");
    group.bench_function("Cache-Control of a response", |b| {
        b.iter(|| CacheControl::from_headers(black_box(&response)));
    });
    group.bench_function("Cache-Control of a request", |b| {
        b.iter(|| RequestCacheControl::from_headers(black_box(&request)));
    });
    group.bench_function("Vary", |b| b.iter(|| Vary::from_headers(black_box(&response))));
    group.bench_function("the variant of a request", |b| {
        let Vary::Fields(fields) = &vary else { return };
        b.iter(|| {
            for name in fields.iter() {
                canonical_field(name, black_box(&request), &mut |bytes| _ = black_box(bytes));
            }
        });
    });
    group.bench_function("Accept-Encoding", |b| b.iter(|| coding_weights(black_box(&request))));
    group.bench_function("may it be stored", |b| {
        b.iter(|| storable_origin(StatusCode::OK, black_box(&response), &control, &vary));
    });
    group.finish();
}

pub(crate) fn stored(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stored response");
    for (name, bytes) in [("1 KiB", 1 << 10), ("128 KiB", 128 << 10)] {
        let stored = StoredResponse {
            status: StatusCode::OK,
            headers: response(),
            body: Bytes::from(vec![b'x'; bytes]),
            meta: StoredMeta {
                timing: Timing { fresh_for_ms: 900_000, ..Timing::default() },
                ..StoredMeta::default()
            },
        };
        let wire = stored.encode();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("encode {name}"), |b| b.iter(|| black_box(&stored).encode()));
        group.bench_function(format!("decode {name}"), |b| {
            b.iter(|| StoredResponse::decode(black_box(wire.clone())));
        });
    }
    group.finish();
}

fn response() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=900, stale-while-revalidate=60")),
        (header::VARY, HeaderValue::from_static("Accept-Encoding, Accept-Language, Cookie")),
        (header::ETAG, HeaderValue::from_static("\"33a64df551425fcc55e4d42a148795d9f25f89d4\"")),
    ])
}

fn request() -> HeaderMap {
    HeaderMap::from_iter([
        (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br;q=0.9, zstd")),
        (header::ACCEPT_LANGUAGE, HeaderValue::from_static("de-AT,de;q=0.8,en;q=0.5")),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=0")),
        (header::COOKIE, HeaderValue::from_static("sessionid=4cjq0; theme=dark; _ga=GA1.1.2")),
    ])
}
