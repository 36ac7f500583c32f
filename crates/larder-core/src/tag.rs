//! Tags, nonces and the stamp by which an entry proves that it was not invalidated.
//!
//! A tag's record in the store is a random [`Nonce`]. An entry carries the nonces of its tags as they were when its
//! fill began, and is valid while every record still holds that nonce. Invalidating a tag replaces its nonce;
//! nobody has to know which entries carry it. Numbers instead of nonces would come back after a record was lost;
//! random values never do.
//!
//! Before it renews nonces, an invalidation renews the namespace's *fence*. A tag that a fill learns only at its
//! end (from the handler's response) is captured then, and the store is dropped if the fence moved since the fill
//! began: the invalidation might have been for that very tag.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

/// A name under which entries are invalidated together: `course:7`, `course_list`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// A tag; any text will do. An empty one tags nothing.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(name.as_ref().into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({:?})", &self.0)
    }
}

impl From<&str> for Tag {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Tag {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<&String> for Tag {
    fn from(name: &String) -> Self {
        Self::new(name)
    }
}

/// A value that was never there before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce(u128);

impl Nonce {
    /// A fresh one: 64 random bits of this process, mixed with a counter.
    pub fn fresh() -> Self {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let process = *PROCESS.get_or_init(|| {
            let mut seed = [0; 8];
            match getrandom::fill(&mut seed) {
                Ok(()) => u64::from_ne_bytes(seed),
                // No entropy source: the standard library's hasher seeds are the next best.
                Err(_) => RandomState::new().hash_one(std::process::id()),
            }
        });
        Self((u128::from(process) << 64) | u128::from(COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// A nonce that was stored before.
    pub const fn from_u128(raw: u128) -> Self {
        Self(raw)
    }

    /// For storing.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What an entry proves its validity with: the namespace's nonce and those of its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The nonce of the namespace; `clear` renews it.
    pub space: Nonce,
    /// The entry's tags, each with the nonce that stood when it was captured.
    pub tags: Box<[(Tag, Nonce)]>,
}

impl Stamp {
    /// A stamp without tags.
    pub fn untagged(space: Nonce) -> Self {
        Self { space, tags: Box::default() }
    }
}

/// A fill under way: what was read when it began, and which tags were captured since.
///
/// Made by [`Backend::begin`](crate::Backend::begin), turned into a [`Stamp`] by
/// [`Backend::seal`](crate::Backend::seal).
#[derive(Clone, Debug)]
pub struct Fill {
    space: Nonce,
    fence: Nonce,
    captured: SmallVec<[(Tag, Nonce); 2]>,
    inherited: SmallVec<[(Tag, Nonce); 2]>,
}

impl Fill {
    /// A fill that begins with these nonces of namespace and fence.
    pub fn new(space: Nonce, fence: Nonce) -> Self {
        Self { space, fence, captured: SmallVec::new(), inherited: SmallVec::new() }
    }

    /// The namespace's nonce when the fill began.
    pub fn space(&self) -> Nonce {
        self.space
    }

    /// The fence when the fill began. A request joins a flight only if it read the same.
    pub fn fence(&self) -> Nonce {
        self.fence
    }

    /// Notes a tag's nonce as read when the fill began.
    pub fn capture(&mut self, tag: Tag, nonce: Nonce) {
        self.captured.push((tag, nonce));
    }

    /// What is made from a cached value is as old as that value: its pairs are taken as stored, never read again.
    pub fn inherit(&mut self, stamp: &Stamp) {
        self.inherit_pairs(&stamp.tags);
    }

    /// The same for pairs that were noted without their stamp.
    pub fn inherit_pairs(&mut self, pairs: &[(Tag, Nonce)]) {
        for pair in pairs {
            if !self.held().any(|held| held == pair) {
                self.inherited.push(pair.clone());
            }
        }
    }

    /// The captured pairs, then the inherited ones: what has to stand still when the fill ends.
    pub fn held(&self) -> impl Iterator<Item = &(Tag, Nonce)> {
        self.captured.iter().chain(&self.inherited)
    }

    /// The captured pairs.
    pub fn captured(&self) -> &[(Tag, Nonce)] {
        &self.captured
    }

    /// The inherited pairs.
    pub fn inherited(&self) -> &[(Tag, Nonce)] {
        &self.inherited
    }

    /// The tags of `late` that are not captured yet, once each, without empty ones.
    pub fn missing(&self, late: &[Tag]) -> Vec<Tag> {
        let mut missing: Vec<Tag> = Vec::new();
        for tag in late {
            let known = self.captured.iter().any(|(t, _)| t == tag) || missing.contains(tag);
            if !known && !tag.as_str().is_empty() {
                missing.push(tag.clone());
            }
        }
        missing
    }

    /// The stamp of an entry made by this fill, with the pairs of late tags.
    pub fn stamp(&self, late: impl IntoIterator<Item = (Tag, Nonce)>) -> Stamp {
        let mut tags: Vec<(Tag, Nonce)> = Vec::new();
        for pair in self.held().cloned().chain(late) {
            if !tags.contains(&pair) {
                tags.push(pair);
            }
        }
        Stamp { space: self.space, tags: tags.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_never_repeat() {
        let a = Nonce::fresh();
        let b = Nonce::fresh();
        assert_ne!(a, b);
        assert_eq!(Nonce::from_u128(a.as_u128()), a);
    }

    #[test]
    fn an_inherited_pair_keeps_its_own_nonce_beside_a_newer_one() {
        let (old, new) = (Nonce::fresh(), Nonce::fresh());
        let mut fill = Fill::new(Nonce::fresh(), Nonce::fresh());
        fill.inherit(&Stamp { space: Nonce::fresh(), tags: Box::new([("t".into(), old)]) });
        assert_eq!(fill.missing(&["t".into(), "".into(), "t".into()]), vec![Tag::from("t")]);
        let stamp = fill.stamp([("t".into(), new)]);
        assert_eq!(stamp.tags.len(), 2, "both stand, so the entry is valid only if nothing happened between");
    }
}
