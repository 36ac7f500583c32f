//! The store in this process.

use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use larder_core::{Backend, Entry, Key, Space, Tag, Value, When};
use larder_memory::Memory;
use tokio::runtime::Builder;

/// All that is done happens at this time.
const NOW: u64 = 1_795_219_200_000;

/// Fills a store with so many entries of 1 KiB, each with these tags.
async fn filled(memory: &Memory, entries: usize, tags: &[Tag]) -> Vec<Key> {
    let space = Space::default();
    let mut keys = Vec::with_capacity(entries);
    for n in 0..entries {
        let key = Key::value(&space, 1, &format!("entry:{n}"));
        if put(memory, &space, &key, tags).await {
            keys.push(key);
        }
    }
    keys
}

/// Stores one as the cache does: a fill begins, is sealed, and is set.
async fn put(memory: &Memory, space: &Space, key: &Key, tags: &[Tag]) -> bool {
    let Ok(fill) = memory.begin(space, tags, NOW).await else { return false };
    let Ok(Some(stamp)) = memory.seal(space, &fill, &[], Some(NOW + 900_000), NOW).await else {
        return false;
    };
    let entry = Entry::new(Value::Bytes(Bytes::from_static(&[b'x'; 1024])), Some(NOW + 900_000), stamp);
    memory.set(key, entry, When::Always, NOW).await.unwrap_or(false)
}

pub(crate) fn store(criterion: &mut Criterion) {
    let Ok(runtime) = Builder::new_current_thread().build() else { return };
    let space = Space::default();
    let mut group = criterion.benchmark_group("memory");
    for (name, entries) in [("1,000", 1000), ("100,000", 100_000)] {
        let memory = Memory::new();
        let keys = runtime.block_on(filled(&memory, entries, &[]));
        let mut turn = keys.iter().cycle();
        group.bench_function(format!("get among {name}"), |b| {
            b.iter(|| turn.next().and_then(|key| memory.get_now(black_box(key), NOW)));
        });
        let mut turn = keys.iter().cycle();
        group.bench_function(format!("set among {name}"), |b| {
            b.iter(|| match turn.next() {
                Some(key) => runtime.block_on(put(&memory, &space, key, &[])),
                None => false,
            });
        });
    }
    let Ok(full) = Memory::builder().max_entries(1000).build() else { return };
    let mut n = 0_u64;
    group.bench_function("set with an eviction", |b| {
        b.iter(|| {
            n += 1;
            runtime.block_on(put(&full, &space, &Key::value(&space, 1, &n.to_string()), &[]))
        });
    });
    group.finish();
}

pub(crate) fn stamps(criterion: &mut Criterion) {
    let Ok(runtime) = Builder::new_current_thread().build() else { return };
    let space = Space::default();
    let mut group = criterion.benchmark_group("stamps");
    for tags in [0, 3, 16, 64] {
        let tags: Vec<Tag> = (0..tags).map(|n| Tag::new(format!("course:{n}"))).collect();
        let memory = Memory::new();
        let keys = runtime.block_on(filled(&memory, 1, &tags));
        let [key] = &keys[..] else { continue };
        group.bench_function(format!("{} tags, nothing invalidated since", tags.len()), |b| {
            b.iter(|| memory.get_now(black_box(key), NOW));
        });
        let other = [Tag::new("another")];
        group.bench_function(format!("{} tags, another invalidated each time", tags.len()), |b| {
            b.iter(|| {
                // What it costs by itself is the row with no tags.
                let told = runtime.block_on(memory.invalidate(&space, &other, NOW)).is_ok();
                (told, memory.get_now(black_box(key), NOW))
            });
        });
    }
    group.finish();
}
