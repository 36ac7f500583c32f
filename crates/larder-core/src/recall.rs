//! Questions that were put to a store before, and what their answers meant.
//!
//! What an answer means depends on nothing but its bytes, on who gave it, and on the time. So one that comes again byte for byte is not
//! decoded again, and its stamps are not compared again: whatever invalidates an entry changes a record that was asked for with it.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::quality::RandomState;
use parking_lot::Mutex;

use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::key::Key;

/// How many bytes are kept, about, and as many again that were kept before them.
const ROOM: usize = 8 << 20;
/// An answer that is longer is decoded each time: comparing and keeping it would cost more than that saves.
const LONGEST: usize = 16 << 10;
/// What one takes beside its bytes and what they were decoded to.
const ROUND_ABOUT: usize = 1 << 10;

/// Remembers questions of a backend's own kind `Q` by the keys that they are for.
pub struct Recall<Q> {
    hasher: RandomState,
    generations: Mutex<Generations<Q>>,
}

/// When the young one is full, it becomes the old one, which is forgotten. By a hash of the keys, which are compared.
struct Generations<Q> {
    young: HashMap<u64, Arc<Asked<Q>>, Hashed>,
    old: HashMap<u64, Arc<Asked<Q>>, Hashed>,
    weight: usize,
}

/// For keys that are hashes already, by a secret of this process.
type Hashed = BuildHasherDefault<AsItIs>;

#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Nobody asks for that; any number would do.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A question, and the last answer to it.
pub struct Asked<Q> {
    keys: Box<[Key]>,
    question: Q,
    answer: Box<[Option<Bytes>]>,
    entries: Vec<Option<Entry>>,
    /// When the first of the entries expires.
    until: UnixMillis,
}

impl<Q> Asked<Q> {
    /// How it was asked.
    pub fn question(&self) -> &Q {
        &self.question
    }

    /// What the answer means, for each key, if it is the one that is known, and still means that.
    pub fn meaning<'a>(
        &self,
        answer: impl IntoIterator<Item = Option<&'a [u8]>>,
        now: UnixMillis,
    ) -> Option<&[Option<Entry>]> {
        let mut known = self.answer.iter();
        let same = now < self.until
            && answer.into_iter().all(|came| known.next().is_some_and(|known| known.as_deref() == came))
            && known.next().is_none();
        same.then_some(&*self.entries)
    }
}

impl<Q> Recall<Q> {
    /// The last question for these keys.
    pub fn of(&self, keys: &[Key]) -> Option<Arc<Asked<Q>>> {
        let hash = self.hash(keys);
        let asked = {
            let Generations { young, old, .. } = &*self.generations.lock();
            Arc::clone(young.get(&hash).or_else(|| old.get(&hash))?)
        };
        (*asked.keys == *keys).then_some(asked)
    }

    /// Notes what an answer means: one entry for each key, valid or none, going by this answer alone.
    pub fn note(
        &self,
        keys: &[Key],
        question: Q,
        answer: impl IntoIterator<Item = Option<Bytes>>,
        entries: &[Option<Entry>],
    ) {
        let answer: Box<[Option<Bytes>]> = answer.into_iter().collect();
        let bytes: usize = answer.iter().flatten().map(Bytes::len).sum();
        let hash = self.hash(keys);
        if bytes > LONGEST || entries.iter().flatten().any(|entry| entry.stale_since().is_some()) {
            return self.drop_it(hash);
        }
        let until = entries.iter().flatten().filter_map(Entry::expires).min().unwrap_or(UnixMillis::MAX);
        let asked = Asked { keys: keys.into(), question, answer, entries: entries.to_vec(), until };
        let weight = asked.weight();
        let Generations { young, old, weight: total } = &mut *self.generations.lock();
        if *total + weight > ROOM {
            std::mem::swap(young, old);
            young.clear();
            *total = 0;
        }
        *total += weight;
        if let Some(before) = young.insert(hash, Arc::new(asked)) {
            *total -= before.weight();
        }
    }

    /// Forgets the question for these keys: another one is to be asked now.
    pub fn forget(&self, keys: &[Key]) {
        self.drop_it(self.hash(keys));
    }

    fn drop_it(&self, hash: u64) {
        let Generations { young, old, weight } = &mut *self.generations.lock();
        old.remove(&hash);
        if let Some(gone) = young.remove(&hash) {
            *weight -= gone.weight();
        }
    }

    fn hash(&self, keys: &[Key]) -> u64 {
        match keys {
            [key] => self.hasher.hash_one(key.identity()),
            keys => self.hasher.hash_one(keys),
        }
    }
}

impl<Q> Asked<Q> {
    fn weight(&self) -> usize {
        let bytes: usize = self.answer.iter().flatten().map(Bytes::len).sum();
        let entries: usize = self.entries.iter().flatten().map(Entry::weight_once_read).sum();
        bytes + entries + self.keys.len() * size_of::<Key>() + ROUND_ABOUT
    }
}

impl<Q> Default for Recall<Q> {
    fn default() -> Self {
        let generations = Generations { young: HashMap::default(), old: HashMap::default(), weight: 0 };
        Self { hasher: RandomState::default(), generations: Mutex::new(generations) }
    }
}

impl<Q> fmt::Debug for Recall<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generations = self.generations.lock();
        f.debug_struct("Recall")
            .field("questions", &generations.young.len())
            .field("bytes", &generations.weight)
            .finish()
    }
}

impl<Q> fmt::Debug for Asked<Q> {
    // Neither keys nor values are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("keys", &self.keys.len()).field("until", &self.until).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Nonce, Space, Stamp, Value};

    fn key(i: usize) -> Key {
        Key::value(&Space::default(), 1, &i.to_string())
    }

    fn entry(bytes: &Bytes, expires: Option<UnixMillis>) -> Entry {
        Entry::new(Value::Bytes(bytes.clone()), expires, Stamp::untagged(Nonce::from_u128(1)))
    }

    fn meaning(recall: &Recall<()>, key: &Key, answer: &[Option<&[u8]>], now: UnixMillis) -> Option<Entry> {
        let asked = recall.of(std::slice::from_ref(key))?;
        asked.meaning(answer.iter().copied(), now)?.first().cloned().flatten()
    }

    #[test]
    fn an_answer_means_what_it_meant_only_if_it_is_the_same_to_the_last_byte_and_nothing_has_expired() {
        let (recall, bytes) = (Recall::default(), Bytes::from_static(b"page"));
        let (here, stored) = (key(1), entry(&bytes, Some(7)));
        let answer = [Some(bytes), Some(Bytes::from_static(b"nonce")), None];
        recall.note(std::slice::from_ref(&here), (), answer, &[Some(stored.clone())]);
        let came: [Option<&[u8]>; 3] = [Some(b"page"), Some(b"nonce"), None];
        assert!(meaning(&recall, &here, &came, 6).is_some_and(|entry| entry.is_same(&stored)));
        assert!(meaning(&recall, &here, &came, 7).is_none(), "it has expired");
        assert!(meaning(&recall, &key(2), &came, 6).is_none(), "another key");
        for other in [
            &[Some(&b"page"[..]), Some(b"nonce")][..],
            &[Some(b"page"), Some(b"nonce"), Some(b"")],
            &[Some(b"page"), Some(b"nuncE"), None],
            &[Some(b"Page"), Some(b"nonce"), None],
            &[Some(b"page"), None, None],
            &[None, Some(b"nonce"), None],
        ] {
            assert!(meaning(&recall, &here, other, 6).is_none(), "{other:?}");
        }
        recall.forget(std::slice::from_ref(&here));
        assert!(recall.of(&[here]).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_long_or_marked_is_not_kept() {
        let recall = Recall::default();
        let note = |i: usize, bytes: Bytes, entry: Entry| {
            recall.note(&[key(i)], (), [Some(bytes)], &[Some(entry)]);
            recall.of(&[key(i)]).is_some()
        };
        let long = Bytes::from(vec![b'x'; LONGEST + 1]);
        assert!(!note(0, long.clone(), entry(&long, None)));
        let short = long.slice(..1_000);
        assert!(note(0, short.clone(), entry(&short, None)));
        assert!(!note(0, short.clone(), entry(&short, None).marked_stale(3)), "and the one before goes");
        let many = 5 * ROOM / 3_000;
        for i in 0..many {
            assert!(note(i, short.clone(), entry(&short, None)));
            assert!(recall.generations.lock().weight <= ROOM);
        }
        let kept = (0..many).filter(|i| recall.of(&[key(*i)]).is_some()).count();
        assert!(kept > many / 10 && kept < many, "{kept} of {many}");
    }
}
