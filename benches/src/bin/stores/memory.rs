//! The store in this process beside `quick_cache` alone: how many requests it answers, how it grows, what it takes.

use std::hint::black_box;
use std::time::Instant;
use std::{fs, io};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Uri, header};
use axum::routing::get;
use larder::cache_page;
use larder_core::{Backend as _, Entry, Key, Nonce, Space, Stamp, Value, When};
use larder_memory::Memory;
use quick_cache::sync::Cache;
use tower::ServiceExt as _;

use crate::traces::{Dice, SITES, Zipf};

const PAGES: usize = 100_000;

pub(crate) fn run() -> io::Result<()> {
    ratios();
    growth();
    overhead()
}

/// Hit ratios with room for a tenth of the bytes of all pages.
fn ratios() {
    println!("\n| requests | optimum | memory | quick_cache alone |");
    println!("|---|--:|--:|--:|");
    for site in SITES {
        let requests = site.requests(PAGES, 2_000_000);
        let (ours, bare) = site.hit_ratios(PAGES, &requests);
        let best = 100.0 * Zipf::new(PAGES, site.exponent).share(PAGES / 10) * (1.0 - site.once);
        let best = if site.skewed { "–".to_owned() } else { format!("{best:.1} %") };
        println!("| {} | {best} | {ours:.1} % | {bare:.1} % |", site.name);
    }
}

fn key(i: usize) -> Key {
    Key::value(&Space::default(), 1, &format!("courses/a-course-with-a-name/{i:08}"))
}

fn put(memory: &Memory, i: usize, value: bytes::Bytes) {
    let entry = Entry::new(Value::Bytes(value), None, Stamp::untagged(Nonce::from_u128(0)));
    let key = key(i);
    let mut stored = std::pin::pin!(memory.set(&key, entry, When::Always, 1));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // Nothing in memory waits.
    _ = black_box(stored.as_mut().poll(&mut context));
}

/// How long a read takes among so many, keys made along on both sides.
fn growth() {
    println!("\n| order | entries | memory, ns | quick_cache alone, ns |");
    println!("|---|--:|--:|--:|");
    for zipf in [false, true] {
        for entries in [1_000, 1_000_000] {
            let order: Vec<u32> = if zipf {
                let (zipf, mut dice) = (Zipf::new(entries, 1.0), Dice(7));
                (0..1_000_000).map(|_| zipf.draw(&mut dice) as u32).collect()
            } else {
                (0..1_000_000).map(|i| (i % entries) as u32).collect()
            };
            let memory = Memory::builder().max_bytes(4 << 30).max_entries(2_000_000).build();
            let Ok(memory) = memory else { return };
            let bare: Cache<Box<[u8]>, Entry> = Cache::new(2 * entries);
            for i in 0..entries {
                put(&memory, i, bytes::Bytes::from_static(b"a value"));
                let value = Value::Bytes(bytes::Bytes::from_static(b"a value"));
                let entry = Entry::new(value, None, Stamp::untagged(Nonce::from_u128(0)));
                bare.insert(key(i).identity().into(), entry);
            }
            let ours = nanos(&order, |i| memory.get_now(&key(i), 1).flatten().is_some());
            let theirs = nanos(&order, |i| bare.get(key(i).identity()).is_some());
            let order = if zipf { "zipf 1.0" } else { "in turn" };
            println!("| {order} | {entries} | {ours:.0} | {theirs:.0} |");
        }
    }
}

/// The best of three rounds.
fn nanos(order: &[u32], read: impl Fn(usize) -> bool) -> f64 {
    let round = || {
        let (began, mut found) = (Instant::now(), 0_usize);
        for i in order {
            found += usize::from(read(*i as usize));
        }
        let took = began.elapsed().as_nanos() as f64 / order.len() as f64;
        if black_box(found) == order.len() { took } else { f64::INFINITY }
    };
    (0..3).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// How many bytes an entry takes besides its value of 1 KiB and its key of 40 bytes, by what the system has given.
fn overhead() -> io::Result<()> {
    const ENTRIES: usize = 200_000;
    let memory =
        Memory::builder().max_bytes(4 << 30).max_entries(4_000_000).build().map_err(io::Error::other)?;
    let before = resident()?;
    for i in 0..ENTRIES {
        put(&memory, i, bytes::Bytes::from(vec![b'x'; 1024]));
    }
    let each = (resident()? - before) as f64 / ENTRIES as f64;
    println!("\n| an entry of 1 KiB with a key of 40 bytes | bytes |");
    println!("|---|--:|");
    println!("| resident | {each:.0} |");
    println!("| besides value and key | {:.0} |", each - 1024.0 - key(0).identity().len() as f64);
    println!("| counted against `max_bytes` | {} |", memory.stats().bytes / ENTRIES as u64);
    drop(memory);
    pages()
}

/// The same of pages as `cache_page` stores them: a body of 1 KiB that the handler makes, and the fields of the other pages here with a tag.
fn pages() -> io::Result<()> {
    const PAGES: usize = 200_000;
    let memory =
        Memory::builder().max_bytes(4 << 30).max_entries(4_000_000).build().map_err(io::Error::other)?;
    let page = async |uri: Uri| {
        let fields = [
            (header::ETAG, format!("\"{}\"", uri.query().unwrap_or_default())),
            (header::CONTENT_LANGUAGE, "en".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (header::REFERRER_POLICY, "same-origin".to_owned()),
        ];
        (fields, "x".repeat(1024))
    };
    let layer = cache_page(900).cache(larder::Cache::new(memory.clone()));
    let router: Router = Router::new().route("/page", get(page).layer(layer));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let before = resident()?;
    for i in 0..PAGES {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = format!("/page?n={i:08}").parse().map_err(io::Error::other)?;
        let response =
            runtime.block_on(router.clone().oneshot(request)).unwrap_or_else(|never| match never {});
        black_box(
            runtime.block_on(axum::body::to_bytes(response.into_body(), 2048)).map_err(io::Error::other)?,
        );
    }
    let (stats, each) = (memory.stats(), (resident()? - before) as f64 / PAGES as f64);
    if stats.entries != PAGES as u64 {
        return Err(io::Error::other(format!("{} of {PAGES} pages are there", stats.entries)));
    }
    println!("\n| a page of 1 KiB, as `cache_page` keeps it | bytes |");
    println!("|---|--:|");
    println!("| resident | {each:.0} |");
    println!("| counted against `max_bytes` | {} |", stats.bytes / PAGES as u64);
    Ok(())
}

fn resident() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.unwrap_or(0) * 4_096)
}
