//! The tags last seen on each key, so that a hit asks for entry, namespace and tags in one step.
//!
//! It is only a guess: what an entry's own stamp names is what is checked, and what was not asked for costs one more
//! step, for all entries together.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use crate::backend::{Backend, Fetched};
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::error::Error;
use crate::key::{Key, Space};
use crate::tag::{Nonce, Tag};

/// How many keys, and tags of theirs, are remembered for certain; about twice as many at most.
const ROOM: usize = 1 << 17;

/// Reads valid entries from a backend whose reads check nothing, with what it remembers of earlier reads.
///
/// A backend that promises valid reads ([`Capabilities::verifying`](crate::Capabilities::verifying)) may keep one and read through
/// it; for all others the cache does.
#[derive(Default)]
pub struct Remembered {
    hasher: RandomState,
    /// By a hash of the key: two keys with the same one only guess wrong.
    generations: Mutex<Generations>,
}

/// Two generations: when the young one is full, it becomes the old one, which is forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<u64, Known>,
    old: HashMap<u64, Known>,
    /// What a namespace's record held when one was read last.
    space: Option<Nonce>,
    /// How much the young one holds.
    weight: usize,
}

/// The tags of an entry, and the nonce of its namespace.
#[derive(Clone)]
struct Known {
    tags: Arc<[Tag]>,
    space: Nonce,
}

impl Remembered {
    /// The valid entries under `keys`: one [`fetch`](Backend::fetch) a namespace if all their tags were guessed, two if not.
    ///
    /// # Errors
    /// What the backend gives.
    pub async fn look<B: Backend + ?Sized>(
        &self,
        backend: &B,
        keys: &[Key],
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let mut entries = Vec::with_capacity(keys.len());
        // Mostly there is one namespace.
        for keys in keys.chunk_by(|a, b| a.prefix() == b.prefix()) {
            entries.extend(self.look_within_one(backend, keys, now).await?);
        }
        Ok(entries)
    }

    async fn look_within_one<B: Backend + ?Sized>(
        &self,
        backend: &B,
        keys: &[Key],
        now: UnixMillis,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let Some(space) = keys.first().map(Key::space) else { return Ok(Vec::new()) };
        let guessed = self.guess(keys);
        let fetched = backend.fetch(&space, keys, &guessed, now).await?;
        Ok(self.judge(backend, &space, keys, &guessed, fetched, now).await?.0)
    }

    /// The tags by which it is probably decided whether the entries under these keys are valid, in order.
    pub fn guess(&self, keys: &[Key]) -> Vec<Tag> {
        let guesses: Vec<(Arc<[Tag]>, bool)> = keys.iter().filter_map(|key| self.of(key)).collect();
        once_each(
            guesses
                .iter()
                .flat_map(|(tags, groups)| tags.iter().filter(move |tag| *groups || !tag.is_group())),
        )
    }

    /// The valid ones of what was [fetched](Backend::fetch) under `keys`, which are of one namespace, with the [`guess`](Self::guess) for
    /// tags; and whether it was the right one, so that no further step was needed.
    ///
    /// # Errors
    /// What the backend gives.
    pub async fn judge<B: Backend + ?Sized>(
        &self,
        backend: &B,
        space: &Space,
        keys: &[Key],
        guessed: &[Tag],
        fetched: Fetched,
        now: UnixMillis,
    ) -> Result<(Vec<Option<Entry>>, bool), Error> {
        let Fetched { mut entries, space: current, tags } = fetched;
        for (key, found) in keys.iter().zip(&mut entries) {
            match found {
                Some(entry) if entry.is_expired(now) || entry.stamp().deciding(current).is_none() => {
                    *found = None;
                }
                Some(entry) => self.note(key, entry),
                None => {}
            }
        }
        if current.is_some() {
            self.generations.lock().space = current;
        }
        let carried = entries.iter().flatten().filter_map(|entry| entry.stamp().deciding(current)).flatten();
        let late = once_each(carried.map(|(tag, _)| tag).filter(|tag| guessed.binary_search(tag).is_err()));
        let late_nonces = match late.is_empty() {
            true => Vec::new(),
            false => backend.fetch(space, &[], &late, now).await?.tags,
        };
        let stands = |tag: &Tag| -> Option<Nonce> {
            let (place, nonces) = match guessed.binary_search(tag) {
                Ok(place) => (place, &tags),
                Err(_) => (late.binary_search(tag).ok()?, &late_nonces),
            };
            nonces.get(place).copied().flatten()
        };
        for found in &mut entries {
            *found = found.take().and_then(|entry| entry.judged(current, stands));
        }
        Ok((entries, late.is_empty()))
    }

    /// Notes the tags of what stands under a key, so that even the first read knows them.
    pub fn note(&self, key: &Key, entry: &Entry) {
        let hash = self.hasher.hash_one(key.identity());
        let tags = entry.stamp().tags.iter().map(|(tag, _)| tag);
        let Generations { young, old, weight, .. } = &mut *self.generations.lock();
        if tags.len() == 0 {
            *weight -= young.remove(&hash).map_or(0, |known| 1 + known.tags.len());
            old.remove(&hash);
            return;
        }
        let space = entry.stamp().space;
        if young.get(&hash).is_some_and(|known| known.space == space && known.tags.iter().eq(tags.clone())) {
            return;
        }
        if *weight >= ROOM {
            std::mem::swap(young, old);
            young.clear();
            *weight = 0;
        }
        *weight += 1 + tags.len();
        let before = young.insert(hash, Known { tags: tags.cloned().collect(), space });
        *weight -= before.map_or(0, |known| 1 + known.tags.len());
    }

    /// The tags that its entry probably has, and whether those of groups among them are probably to be looked at.
    fn of(&self, key: &Key) -> Option<(Arc<[Tag]>, bool)> {
        let hash = self.hasher.hash_one(key.identity());
        let Generations { young, old, space, .. } = &*self.generations.lock();
        let known = young.get(&hash).or_else(|| old.get(&hash))?;
        Some((Arc::clone(&known.tags), *space != Some(known.space)))
    }
}

fn once_each<'a>(tags: impl Iterator<Item = &'a Tag>) -> Vec<Tag> {
    let mut tags: Vec<&Tag> = tags.collect();
    tags.sort_unstable();
    tags.dedup();
    tags.into_iter().cloned().collect()
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered")
            .field("keys", &self.generations.lock().young.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
