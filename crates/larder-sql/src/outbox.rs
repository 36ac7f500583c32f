//! Invalidations that came with a caller's transaction.
//!
//! The records of fence and tags are rows that many write to: a transaction that wrote them would keep them from all others until
//! it ends. So it adds a row of its own instead, the *note*, under `prefix:outbox:`, with a random mask and the names of the records that
//! it is about. Whoever reads a record reads the notes in the same statement, and takes the record's nonce xor the masks of its notes for its
//! nonce. With the commit the notes are there, and so everything that carries the old nonces is invalid at once, in every process; without
//! it there never were any. There is nothing between commit and invalidation in which a crash could do harm.
//!
//! *Folding* writes the masks into the records and removes the notes in one transaction. It changes nobody's view of a nonce, and it may be done by
//! anybody at any time: by `after_commit`, else by whoever sees a note that has been lying there for a while.
//!
//! Masks are random in all of their 128 bits. Nonces are not (they are counted within a process), and of two that are, xor would soon be the same
//! as of two others.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use larder_core::{Entry, Nonce, UnixMillis, Value};

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod writing;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use writing::{fresh_records, notes};

/// How many notes a read takes into account. Are there more, they are folded first.
pub(crate) const MOST: usize = 100;
/// When somebody else than its writer folds a note.
const LEFT: u64 = 1000;
const VERSION: &str = "larder-note1";

/// The first name, and the one behind the last.
pub(crate) fn range(prefix: &str) -> [String; 2] {
    [format!("{prefix}:outbox:"), format!("{prefix}:outbox;")]
}

#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) name: String,
    mask: u128,
    records: Vec<String>,
    /// When it was written.
    at: UnixMillis,
}

impl Note {
    fn parse(name: &str, value: &Bytes) -> Option<Self> {
        let mut words = std::str::from_utf8(value).ok()?.split(' ');
        if words.next() != Some(VERSION) {
            return None;
        }
        let mask = u128::from_str_radix(words.next()?, 16).ok()?;
        let at = words.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), mask, at, records: words.map(str::to_owned).collect() })
    }

    /// What cannot be read is about something, so it is about everything.
    fn read(name: String, value: &Bytes) -> Self {
        Self::parse(&name, value).unwrap_or_else(|| {
            let prefix = name.split(':').next().unwrap_or_default();
            let records = vec![format!("{prefix}:space:"), format!("{prefix}:fence:")];
            let hash = blake3::hash(value);
            let mask = hash.as_bytes().iter().take(16).fold(0, |mask, byte| (mask << 8) | u128::from(*byte));
            Self { name, mask, records, at: 0 }
        })
    }
}

/// The notes that a read came upon.
#[derive(Debug, Default)]
pub(crate) struct Notes(Vec<Note>);

impl Notes {
    /// Takes them out of the rows that were read.
    pub(crate) fn take_from(rows: &mut Vec<(String, Bytes)>, prefix: &str) -> Self {
        let [first, end] = range(prefix);
        let notes = rows.extract_if(.., |(name, _)| (&first..&end).contains(&&*name));
        Self(notes.map(|(name, value)| Note::read(name, &value)).collect())
    }

    /// Those of `rows`, which are nothing else.
    #[cfg(any(test, feature = "postgres", feature = "mysql"))]
    pub(crate) fn of(rows: Vec<(String, Bytes)>) -> Self {
        Self(rows.into_iter().map(|(name, value)| Note::read(name, &value)).collect())
    }

    pub(crate) fn are_too_many(&self) -> bool {
        self.0.len() > MOST
    }

    /// Whether their writer seems not to fold them.
    pub(crate) fn are_left(&self, now: UnixMillis) -> bool {
        self.0.iter().any(|note| note.at.saturating_add(LEFT) <= now)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|note| note.name.clone()).collect()
    }

    /// The masks by the records that they are for.
    pub(crate) fn masks(&self) -> BTreeMap<&str, u128> {
        let mut masks = BTreeMap::new();
        for note in &self.0 {
            let once: BTreeSet<&String> = note.records.iter().collect();
            for record in once {
                *masks.entry(record.as_str()).or_insert(0) ^= note.mask;
            }
        }
        masks
    }
}

/// A record's nonce; nothing for what is no record.
pub(crate) fn nonce(record: &Entry) -> Option<Nonce> {
    let hex = record.value().to_bytes().ok()?;
    u128::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok().map(Nonce::from_u128)
}

/// A record with its nonce masked; what is no record stays as it is.
pub(crate) fn masked(record: &Entry, mask: u128) -> Entry {
    nonce(record).map_or_else(
        || record.clone(),
        |nonce| record.with_value(Value::Bytes(format!("{:032x}", nonce.as_u128() ^ mask).into())),
    )
}

/// The same for a row's value; `None` for what can't be read, which is a miss anyway.
#[cfg(any(test, feature = "postgres", feature = "mysql"))]
pub(crate) fn masked_value(value: &Bytes, mask: u128) -> Option<Bytes> {
    larder_core::wire::encode(&masked(&larder_core::wire::decode(value).ok()?, mask)).ok()
}

#[cfg(test)]
mod tests {
    use larder_core::Stamp;

    use super::*;

    fn record(nonce: u128) -> Entry {
        let value = Value::Bytes(format!("{nonce:032x}").into());
        Entry::new(value, Some(7), Stamp::untagged(Nonce::from_u128(nonce)))
    }

    #[test]
    fn what_cannot_be_read_is_about_the_whole_namespace() {
        let rows = vec![("shop:outbox:1".to_owned(), Bytes::from_static(b"larder-note2 ?"))];
        let notes = Notes::of(rows);
        assert_eq!(notes.masks().keys().copied().collect::<Vec<_>>(), ["shop:fence:", "shop:space:"]);
        assert!(notes.masks().values().all(|mask| *mask != 0));
    }

    #[test]
    fn a_mask_changes_the_nonce_and_nothing_else() {
        let stored = larder_core::wire::encode(&record(5)).unwrap();
        let other = larder_core::wire::decode(&masked_value(&stored, 6).unwrap()).unwrap();
        assert_eq!(
            (other.value().to_bytes().unwrap(), other.expires()),
            (format!("{:032x}", 3).into(), Some(7))
        );
        let text = Entry::new(Value::Bytes("text".into()), None, Stamp::untagged(Nonce::from_u128(1)));
        assert_eq!(masked(&text, 6).value().to_bytes().unwrap(), "text");
    }
}
