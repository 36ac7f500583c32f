//! Which `Vary` lists each URL's record had last, so that its variants are asked for together with it.
//!
//! It is only a guess: the record that comes decides, and a variant that was not asked for costs one more step.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::quality::RandomState;
use larder_core::Key;
use larder_http::VaryFields;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// How many URLs are remembered.
const URLS: usize = 16_384;

/// Lists with more text in all than this are not remembered: it costs a step each time, and who says so much has seldom more than one page.
const TEXT: usize = 1024;

/// What all layers on one cache share.
pub(crate) struct Varied {
    hasher: RandomState,
    /// By a hash of the primary key: two with the same one only guess wrong.
    lists: Cache<u64, Arc<[VaryFields]>, UnitWeighter, RandomState>,
    /// Whether there was ever one: where no page varies there is nothing to look for.
    any: AtomicBool,
}

impl Default for Varied {
    fn default() -> Self {
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        let lists = Cache::with(URLS, URLS as u64, UnitWeighter, hasher.clone(), lifecycle);
        Self { hasher, lists, any: AtomicBool::new(false) }
    }
}

impl Varied {
    /// The lists that the record under this primary key probably has.
    pub(crate) fn of(&self, primary: &Key) -> Option<Arc<[VaryFields]>> {
        self.any.load(Ordering::Acquire).then(|| self.lists.get(&self.hash(primary)))?
    }

    /// Notes the lists that it has.
    pub(crate) fn note(&self, primary: &Key, lists: &[VaryFields]) {
        if lists.is_empty() && !self.any.load(Ordering::Acquire) {
            return;
        }
        self.any.store(true, Ordering::Release);
        let hash = self.hash(primary);
        let text: usize = lists.iter().flat_map(VaryFields::iter).map(|name| name.as_str().len()).sum();
        let lists = if text > TEXT { &[] } else { lists };
        match self.lists.get(&hash) {
            Some(known) if *known == *lists => {}
            None if lists.is_empty() => {}
            _ if lists.is_empty() => _ = self.lists.remove(&hash),
            _ => self.lists.insert(hash, lists.into()),
        }
    }

    fn hash(&self, primary: &Key) -> u64 {
        self.hasher.hash_one(primary.identity())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use larder_core::Space;

    use super::*;

    #[test]
    fn the_last_lists_of_a_url_are_remembered_and_their_number_is_bounded() {
        let varied = Varied::default();
        let key = |i: usize| Key::value(&Space::default(), 1, &i.to_string());
        let list = |name| [HeaderName::from_static(name)].into_iter().collect::<VaryFields>();
        varied.note(&key(0), &[list("a")]);
        varied.note(&key(0), &[list("b"), list("a")]);
        assert_eq!(*varied.of(&key(0)).unwrap(), [list("b"), list("a")]);
        let long: VaryFields =
            (0..32).map(|n| HeaderName::from_bytes(format!("{n:0>200}").as_bytes()).unwrap()).collect();
        varied.note(&key(0), &[long]);
        assert_eq!(varied.of(&key(0)), None, "nor what it was before");
        varied.note(&key(0), &[list("a")]);
        varied.note(&key(0), &[]);
        assert_eq!(varied.of(&key(0)), None);
        for i in 0..3 * URLS {
            varied.note(&key(i), &[list("a")]);
        }
        assert!(varied.lists.len() <= URLS && varied.lists.len() > URLS / 2, "{}", varied.lists.len());
    }
}
