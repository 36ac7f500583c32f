//! When what was last invalidated: the fence, and a bounded table of numbers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_core::{Entry, Fate, Nonce, Space, Tag, UnixMillis};
use parking_lot::RwLock;

/// See the crate's documentation for why this is right.
#[derive(Debug)]
pub(crate) struct Records {
    /// The number of the last invalidation. Only moved while `table` is locked for writing, after the table was.
    fence: AtomicU64,
    table: RwLock<Table>,
}

#[derive(Debug)]
struct Table {
    /// By prefix.
    spaces: HashMap<Box<[u8]>, Numbers>,
    /// How many numbers stand in all of them together, one for each namespace included.
    len: usize,
    limit: usize,
    /// Of tags that have no record.
    tag_floor: u64,
    /// Of namespaces that have no record.
    space_floor: u64,
}

#[derive(Debug, Default)]
struct Numbers {
    cleared: u64,
    tags: HashMap<Tag, Number>,
}

/// Of a tag.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    invalidated: u64,
    /// The last mark, and when that was.
    marked: u64,
    since: UnixMillis,
}

impl Number {
    /// What began before any of this is not vouched for any more once it is forgotten.
    fn newest(self) -> u64 {
        self.invalidated.max(self.marked)
    }
}

impl Numbers {
    /// A namespace goes with the last of its tags.
    fn newest(&self) -> u64 {
        self.tags.values().map(|number| number.newest()).fold(self.cleared, u64::max)
    }
}

impl Records {
    pub(crate) fn new(limit: usize) -> Self {
        let table = Table { spaces: HashMap::new(), len: 0, limit, tag_floor: 0, space_floor: 0 };
        Self { fence: AtomicU64::new(0), table: RwLock::new(table) }
    }

    /// The number that a fill beginning now gets.
    pub(crate) fn fence(&self) -> Nonce {
        nonce(self.fence.load(Ordering::Acquire))
    }

    /// Whether an entry of the namespace called `prefix` was neither invalidated nor marked.
    pub(crate) fn is_valid(&self, prefix: &[u8], entry: &Entry) -> bool {
        self.standing(prefix, entry) == Fate::Same
    }

    /// What became of an entry of the namespace called `prefix`.
    pub(crate) fn standing(&self, prefix: &[u8], entry: &Entry) -> Fate {
        // Read before the table: a mark may be older than what it was found by, never newer.
        let mark = self.fence.load(Ordering::Acquire) + 1;
        if entry.mark() == mark {
            return Fate::Same;
        }
        let stamp = entry.stamp();
        let standing = self.table.read().standing(prefix, stamp.space, &stamp.tags);
        if standing == Fate::Same {
            entry.set_mark(mark);
        }
        standing
    }

    /// As [`is_valid`](Self::is_valid), for a stamp without its entry.
    pub(crate) fn is_current(&self, space: &Space, stamp: &larder_core::Stamp) -> bool {
        let table = self.table.read();
        table.standing(space.prefix().as_bytes(), stamp.space, &stamp.tags) == Fate::Same
    }

    /// The numbers on record for a namespace and some of its tags.
    pub(crate) fn numbers(&self, space: &Space, tags: &[Tag]) -> (Nonce, Vec<Nonce>) {
        let table = self.table.read();
        let (cleared, numbers) = table.of(space.prefix().as_bytes());
        (nonce(cleared), tags.iter().map(|tag| nonce(table.number(numbers, tag).newest())).collect())
    }

    /// Makes invalid what carries one of `tags` and began before.
    pub(crate) fn invalidate(&self, space: &Space, tags: &[Tag]) {
        self.advance(space, |numbers, next, _| {
            for tag in tags.iter().filter(|tag| !tag.as_str().is_empty()) {
                numbers.tags.entry(tag.clone()).or_default().invalidated = next;
            }
        });
    }

    /// Marks as stale what carries one of `tags` and began before.
    pub(crate) fn soften(&self, space: &Space, tags: &[Tag], now: UnixMillis) {
        self.advance(space, |numbers, next, floor| {
            for tag in tags.iter().filter(|tag| !tag.as_str().is_empty()) {
                let none = Number { invalidated: floor, marked: 0, since: 0 };
                let number = numbers.tags.entry(tag.clone()).or_insert(none);
                (number.marked, number.since) = (next, now);
            }
        });
    }

    /// Makes invalid what is in the namespace and began before.
    pub(crate) fn clear(&self, space: &Space) {
        self.advance(space, |numbers, next, _| numbers.cleared = next);
    }

    fn advance(&self, space: &Space, note: impl FnOnce(&mut Numbers, u64, u64)) {
        let mut table = self.table.write();
        let next = self.fence.load(Ordering::Relaxed) + 1;
        let (prefix, floor) = (space.prefix().as_bytes(), table.space_floor);
        let tag_floor = table.tag_floor;
        if !table.spaces.contains_key(prefix) {
            table.len += 1;
            table.spaces.insert(prefix.into(), Numbers { cleared: floor, tags: HashMap::new() });
        }
        if let Some(numbers) = table.spaces.get_mut(prefix) {
            let before = numbers.tags.len();
            note(numbers, next, tag_floor);
            let grown = numbers.tags.len() - before;
            table.len += grown;
        }
        if table.len > table.limit {
            table.cull();
        }
        self.fence.store(next, Ordering::Release);
    }

    /// How many tags are on record.
    pub(crate) fn tags(&self) -> usize {
        let table = self.table.read();
        table.len - table.spaces.len()
    }
}

impl Table {
    /// The number of the last `clear`, and those of the tags.
    fn of(&self, prefix: &[u8]) -> (u64, Option<&Numbers>) {
        let numbers = self.spaces.get(prefix);
        (numbers.map_or(self.space_floor, |n| n.cleared), numbers)
    }

    fn number(&self, numbers: Option<&Numbers>, tag: &Tag) -> Number {
        let none = Number { invalidated: self.tag_floor, marked: 0, since: 0 };
        numbers.and_then(|n| n.tags.get(tag)).copied().unwrap_or(none)
    }

    fn standing(&self, prefix: &[u8], space: Nonce, tags: &[(Tag, Nonce)]) -> Fate {
        let (cleared, numbers) = self.of(prefix);
        if space.as_u128() < cleared.into() {
            return Fate::Gone;
        }
        let mut standing = Fate::Same;
        for (tag, begun) in tags {
            let number = self.number(numbers, tag);
            if begun.as_u128() < number.invalidated.into() {
                return Fate::Gone;
            }
            if begun.as_u128() < number.marked.into() {
                standing = match standing {
                    Fate::Marked(since) => Fate::Marked(since.min(number.since)),
                    _ => Fate::Marked(number.since),
                };
            }
        }
        standing
    }

    /// Drops the oldest quarter of the numbers, at least, and raises the floors to what was dropped.
    fn cull(&mut self) {
        let mut all: Vec<u64> = Vec::with_capacity(self.len);
        for numbers in self.spaces.values() {
            all.push(numbers.newest());
            all.extend(numbers.tags.values().map(|number| number.newest()));
        }
        let at = (all.len() / 4).max(all.len().saturating_sub(self.limit)).min(all.len() - 1);
        let (_, &mut cut, _) = all.select_nth_unstable(at);
        let (mut tag_floor, mut space_floor) = (self.tag_floor, self.space_floor);
        self.spaces.retain(|_, numbers| {
            numbers.tags.retain(|_, number| {
                let keep = number.newest() > cut;
                if !keep {
                    tag_floor = tag_floor.max(number.newest());
                }
                keep
            });
            let keep = numbers.cleared > cut || !numbers.tags.is_empty();
            if !keep {
                space_floor = space_floor.max(numbers.cleared);
            }
            keep
        });
        (self.tag_floor, self.space_floor) = (tag_floor, space_floor);
        self.len = self.spaces.values().map(|numbers| numbers.tags.len() + 1).sum();
    }
}

fn nonce(number: u64) -> Nonce {
    Nonce::from_u128(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::{Stamp, Value};

    fn entry(begun: Nonce, tags: &[&str]) -> Entry {
        let tags = tags.iter().map(|tag| (Tag::new(tag), begun)).collect();
        Entry::new(Value::Bytes("1".into()), None, Stamp { space: begun, tags })
    }

    #[test]
    fn culling_forgets_the_oldest_numbers_and_never_makes_an_entry_valid_again() {
        let records = Records::new(100);
        let space = Space::default();
        let old = entry(records.fence(), &["t0"]);
        let unrelated = entry(records.fence(), &[]);
        records.invalidate(&space, &["t0".into()]);
        let newer = entry(records.fence(), &["t0"]);
        assert!(!records.is_valid(b"", &old) && records.is_valid(b"", &newer));
        for i in 1..=100 {
            records.invalidate(&space, &[format!("t{i}").into()]);
            assert!(records.tags() <= 100, "the table is bounded");
            assert!(!records.is_valid(b"", &old), "after {i} more invalidations");
        }
        assert!(!records.is_valid(b"", &newer), "older than the floor, and its tag has no record left");
        assert!(records.is_valid(b"", &unrelated), "what has no tags does not depend on tag records");
        let late = entry(records.fence(), &["t0", "never seen"]);
        assert!(records.is_valid(b"", &late));
    }

    #[test]
    fn many_tags_in_one_call_keep_to_the_bound_and_all_work() {
        let records = Records::new(10);
        let space = Space::default();
        let tags: Vec<Tag> = (0..50).map(|i| Tag::from(format!("t{i}"))).collect();
        let old = entry(records.fence(), &["t49"]);
        records.invalidate(&space, &tags);
        assert!(records.tags() <= 10);
        assert!(!records.is_valid(b"", &old));
        assert!(records.is_valid(b"", &entry(records.fence(), &["t49"])));
    }

    #[test]
    fn many_namespaces_keep_to_the_bound_and_a_cleared_one_stays_cleared() {
        let records = Records::new(10);
        let old = entry(records.fence(), &[]);
        records.clear(&Space::new("s0").unwrap());
        assert!(!records.is_valid(b"s0", &old));
        let old = entry(old.stamp().space, &[]);
        assert!(records.is_valid(b"other", &old), "another namespace was not cleared");
        for i in 1..100 {
            records.clear(&Space::new(&format!("s{i}")).unwrap());
            assert!(records.table.read().len <= 10);
        }
        assert!(!records.is_valid(b"s0", &entry(old.stamp().space, &[])));
    }

    #[test]
    fn many_namespaces_with_a_tag_each_keep_to_the_bound() {
        let records = Records::new(10);
        for i in 0..100 {
            let space = Space::new(&format!("s{i}")).unwrap();
            let old = entry(records.fence(), &["t"]);
            records.invalidate(&space, &["t".into()]);
            assert!(records.table.read().len <= 10, "{:?}", records.table.read());
            assert!(!records.is_valid(space.prefix().as_bytes(), &old));
        }
    }

    #[test]
    fn a_mark_is_not_trusted_after_the_next_invalidation() {
        let records = Records::new(10);
        let space = Space::default();
        let found = entry(records.fence(), &["t"]);
        assert!(records.is_valid(b"", &found) && records.is_valid(b"", &found));
        records.invalidate(&space, &["u".into()]);
        assert!(records.is_valid(b"", &found), "another tag");
        records.invalidate(&space, &["t".into()]);
        assert!(!records.is_valid(b"", &found));
    }
}
