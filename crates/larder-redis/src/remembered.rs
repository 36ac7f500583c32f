//! The tags last seen on each key, so that a hit asks for entry, namespace and tags in one step. It is only a guess: an entry with other
//! tags costs one more step.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use larder_core::{Key, Tag};
use parking_lot::Mutex;

/// How many keys are remembered for certain; about twice as many at most.
const KEYS: usize = 16_384;

/// Two generations: when the young one is full, it becomes the old one, which is forgotten.
#[derive(Default)]
pub(crate) struct Remembered {
    hasher: RandomState,
    generations: Mutex<[HashMap<u64, Arc<[Tag]>>; 2]>,
}

impl Remembered {
    /// The tags that this key's entry probably has.
    pub(crate) fn of(&self, key: &Key) -> Option<Arc<[Tag]>> {
        let hash = self.hasher.hash_one(key.identity());
        let [young, old] = &*self.generations.lock();
        young.get(&hash).or_else(|| old.get(&hash)).cloned()
    }

    /// Notes the tags that it has.
    pub(crate) fn note<'a>(&self, key: &Key, tags: impl Iterator<Item = &'a Tag> + Clone) {
        let hash = self.hasher.hash_one(key.identity());
        let [young, old] = &mut *self.generations.lock();
        if tags.clone().next().is_none() {
            young.remove(&hash);
            old.remove(&hash);
            return;
        }
        if young.get(&hash).is_some_and(|there| there.iter().eq(tags.clone())) {
            return;
        }
        if young.len() >= KEYS {
            std::mem::swap(young, old);
            young.clear();
        }
        young.insert(hash, tags.cloned().collect());
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").field("keys", &self.generations.lock()[0].len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::Space;

    fn key(i: usize) -> Key {
        Key::value(&Space::default(), 1, &i.to_string())
    }

    #[test]
    fn the_last_tags_of_a_key_are_remembered_and_their_number_is_bounded() {
        let remembered = Remembered::default();
        let (one, two) = ([Tag::from("a")], [Tag::from("a"), Tag::from("b")]);
        remembered.note(&key(0), one.iter());
        remembered.note(&key(0), two.iter());
        assert_eq!(remembered.of(&key(0)).as_deref(), Some(&two[..]));
        remembered.note(&key(0), [].iter());
        assert_eq!(remembered.of(&key(0)), None);
        for i in 0..5 * KEYS {
            remembered.note(&key(i), one.iter());
            assert!(remembered.of(&key(i)).is_some());
        }
        assert_eq!(remembered.of(&key(0)), None, "too long ago");
        let held: usize = remembered.generations.lock().iter().map(HashMap::len).sum();
        assert!(held <= 2 * KEYS, "{held}");
    }
}
