//! Requests that look like those of a site, the same each time, and what a bare `quick_cache` makes of them.

use larder_core::{Backend, Entry, Key, Nonce, Space, Stamp, Value, When};
use larder_memory::Memory;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Ranks drawn with probability proportional to `1 / rank^exponent`.
pub(crate) struct Zipf(pub(crate) Vec<f64>);

impl Zipf {
    pub(crate) fn new(n: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let add = |rank| {
            sum += f64::powf(rank as f64, -exponent);
            sum
        };
        Self((1..=n).map(add).collect())
    }

    pub(crate) fn draw(&self, dice: &mut Dice) -> usize {
        let at = dice.unit() * self.0[self.0.len() - 1];
        self.0.partition_point(|sum| *sum < at)
    }

    /// What the most popular of them are asked for, out of all.
    pub(crate) fn share(&self, popular: usize) -> f64 {
        self.0[popular - 1] / self.0[self.0.len() - 1]
    }
}

/// A kind of site.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub(crate) name: &'static str,
    /// Zipf's.
    pub(crate) exponent: f64,
    /// How many of the requests are for something that nobody asks for again.
    pub(crate) once: f64,
    /// From 256 bytes to 64 KiB, most of them small; else all are 1 KiB.
    pub(crate) skewed: bool,
}

/// What is measured.
pub(crate) const SITES: [Site; 4] = [
    Site { name: "zipf 0.9", exponent: 0.9, once: 0.0, skewed: false },
    Site { name: "zipf 1.0", exponent: 1.0, once: 0.0, skewed: false },
    Site { name: "zipf 0.9, 30 % asked for once", exponent: 0.9, once: 0.3, skewed: false },
    Site { name: "zipf 0.9, sizes from 256 bytes to 64 KiB", exponent: 0.9, once: 0.0, skewed: true },
];

static BYTES: [u8; 64 << 10] = [b'x'; 64 << 10];

impl Site {
    /// How large a page is.
    fn bytes(self, page: usize) -> usize {
        if !self.skewed {
            return 1024;
        }
        // Pareto's law: half of them have less than 512 bytes.
        let unit = Dice((page as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).unit();
        ((256.0 / (1.0 - unit)) as usize).min(BYTES.len())
    }

    fn entry(self, page: usize) -> Entry {
        let value = Value::Bytes(bytes::Bytes::from_static(&BYTES[..self.bytes(page)]));
        Entry::new(value, None, Stamp::untagged(Nonce::from_u128(0)))
    }

    /// Which pages are asked for.
    pub(crate) fn requests(self, pages: usize, count: usize) -> Vec<usize> {
        let (zipf, mut dice) = (Zipf::new(pages, self.exponent), Dice(0x0dd_ba11_5eed));
        let mut fresh = pages..;
        let mut ask = || match self.once > 0.0 && dice.unit() < self.once {
            true => fresh.next().unwrap_or_default(),
            false => zipf.draw(&mut dice),
        };
        (0..count).map(|_| ask()).collect()
    }

    /// How many of the requests after the first quarter are answered, in per cent, by [`Memory`] and by `quick_cache` alone, both with
    /// room for the same bytes: a tenth of those of all pages.
    pub(crate) fn hit_ratios(self, pages: usize, requests: &[usize]) -> (f64, f64) {
        let weighed = Memory::builder().max_entries(u64::MAX).build().expect("bounds that are not zero");
        let mut budget = 0;
        for page in 0..pages {
            // Weighed one at a time, as the store weighs it.
            store(&weighed, &key(page), self.entry(page));
            budget += weighed.stats().bytes;
            _ = ready(weighed.remove(&key(page), 1));
        }
        let budget = budget / 10;
        let room = Memory::builder().max_bytes(budget).max_entries(u64::MAX).build();
        let memory = room.expect("bounds that are not zero");
        let ours = ratio(requests, |page| {
            let key = key(page);
            let hit = memory.get_now(&key, 1).flatten().is_some();
            if !hit {
                store(&memory, &key, self.entry(page));
            }
            hit
        });
        let mean = budget * 10 / pages as u64;
        let bare = bare(budget, (budget / mean) as usize);
        let more = mean.saturating_sub(1024);
        let theirs = ratio(requests, |page| {
            let hit = bare.get(&page).is_some();
            if !hit {
                let weight = if self.skewed { 400 + self.bytes(page) as u64 } else { 1024 + more };
                bare.insert(page, weight);
            }
            hit
        });
        (ours, theirs)
    }
}

fn key(page: usize) -> Key {
    // 40 bytes in all.
    Key::value(&Space::default(), 1, &format!("courses/a-course-with-a-name/{page:08}"))
}

fn store(memory: &Memory, key: &Key, entry: Entry) {
    let stored = ready(memory.set(key, entry, When::Always, 1));
    assert!(stored.is_some_and(|stored| stored.is_ok()), "memory stores at once");
}

/// The answer of a future that is there at once.
fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    use std::task::{Context, Poll, Waker};
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn ratio(requests: &[usize], mut ask: impl FnMut(usize) -> bool) -> f64 {
    let first = requests.len() / 4;
    let mut hits = 0_u64;
    for (i, page) in requests.iter().enumerate() {
        hits += u64::from(ask(*page) && i >= first);
    }
    hits as f64 * 100.0 / (requests.len() - first) as f64
}

#[derive(Clone)]
pub(crate) struct ByValue;

impl Weighter<usize, u64> for ByValue {
    fn weight(&self, _: &usize, value: &u64) -> u64 {
        *value
    }
}

fn bare(budget: u64, entries: usize) -> Cache<usize, u64, ByValue> {
    let options = OptionsBuilder::new().estimated_items_capacity(entries).weight_capacity(budget).build();
    let options = options.expect("both capacities are given");
    Cache::with_options(options, ByValue, quick_cache::DefaultHashBuilder::default(), Default::default())
}
