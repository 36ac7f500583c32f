//! The tags last seen on each key, so that a hit asks for entry, namespace and tags in one step. It is only a guess: an entry with other
//! tags costs one more step.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use larder_core::{Key, Nonce, Recall, Stamp, Tag};
use parking_lot::Mutex;

use crate::read::Question;

/// How many keys are remembered for certain; about twice as many at most.
const KEYS: usize = 16_384;

/// Two generations: when the young one is full, it becomes the old one, which is forgotten.
#[derive(Default)]
pub(crate) struct Remembered {
    hasher: RandomState,
    generations: Mutex<[HashMap<u64, Known>; 2]>,
    /// What a namespace's record held when one was read last.
    space: Mutex<Option<Nonce>>,
    /// Whole questions, and what was answered.
    pub(crate) recall: Recall<Question>,
}

/// The tags of an entry, and the nonce of its namespace.
#[derive(Clone)]
struct Known {
    tags: Arc<[Tag]>,
    space: Nonce,
}

impl Remembered {
    /// Adds the tags that probably decide about this key's entry.
    pub(crate) fn guess(&self, key: &Key, tags: &mut Vec<Tag>) {
        let hash = self.hasher.hash_one(key.identity());
        let known = {
            let [young, old] = &*self.generations.lock();
            let Some(known) = young.get(&hash).or_else(|| old.get(&hash)) else { return };
            known.clone()
        };
        let groups = *self.space.lock() != Some(known.space);
        tags.extend(known.tags.iter().filter(|tag| groups || !tag.is_group()).cloned());
    }

    /// Notes what the namespace's record holds.
    pub(crate) fn note_space(&self, space: Option<Nonce>) {
        if space.is_some() {
            *self.space.lock() = space;
        }
    }

    /// Notes the tags that it has.
    pub(crate) fn note(&self, key: &Key, stamp: &Stamp) {
        if self.renew(key, stamp) {
            self.recall.forget(std::slice::from_ref(key));
        }
    }

    /// Whether other tags were known.
    fn renew(&self, key: &Key, stamp: &Stamp) -> bool {
        let tags = stamp.tags.iter().map(|(tag, _)| tag);
        let hash = self.hasher.hash_one(key.identity());
        let [young, old] = &mut *self.generations.lock();
        if tags.clone().next().is_none() {
            return young.remove(&hash).is_some() | old.remove(&hash).is_some();
        }
        let space = stamp.space;
        if young.get(&hash).is_some_and(|there| there.space == space && there.tags.iter().eq(tags.clone())) {
            return false;
        }
        if young.len() >= KEYS {
            std::mem::swap(young, old);
            young.clear();
        }
        young.insert(hash, Known { tags: tags.cloned().collect(), space });
        true
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
    fn groups_are_asked_for_once_one_of_them_was_invalidated() {
        let remembered = Remembered::default();
        let space = Nonce::fresh();
        let group = Tag::group("host", "a");
        remembered.note(&key(0), &Stamp { space, tags: Box::new([(group.clone(), Nonce::fresh())]) });
        for (now, asks) in [(space, false), (space.turned(), true)] {
            remembered.note_space(Some(now));
            let mut tags = Vec::new();
            remembered.guess(&key(0), &mut tags);
            assert_eq!(tags.contains(&group), asks);
        }
    }

    #[test]
    fn the_last_tags_of_a_key_are_remembered_and_their_number_is_bounded() {
        let remembered = Remembered::default();
        let space = Nonce::fresh();
        let stamp = |tags: &[&str]| Stamp {
            space,
            tags: tags.iter().map(|tag| (Tag::from(*tag), Nonce::fresh())).collect(),
        };
        let of = |i| {
            let mut tags = Vec::new();
            remembered.guess(&key(i), &mut tags);
            tags
        };
        remembered.note(&key(0), &stamp(&["a"]));
        remembered.note(&key(0), &stamp(&["a", "b"]));
        assert_eq!(of(0), [Tag::from("a"), Tag::from("b")]);
        remembered.note(&key(0), &stamp(&[]));
        assert!(of(0).is_empty());
        for i in 0..5 * KEYS {
            remembered.note(&key(i), &stamp(&["a"]));
            assert_eq!(of(i).len(), 1);
        }
        assert!(of(0).is_empty(), "too long ago");
        let held: usize = remembered.generations.lock().iter().map(HashMap::len).sum();
        assert!(held <= 2 * KEYS, "{held}");
    }
}
