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

use crate::clock::UnixMillis;

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

    /// The tag of a group: something that so many entries have in common that its record is not looked at whenever one of them is read (a host,
    /// a route, a part of a path). Whoever invalidates such a tag turns the namespace's own record, which is read anyway; until that happens,
    /// group tags cost nothing.
    ///
    /// Groups share 65,536 records, so that these are bounded: now and then two have one, and are forgotten together.
    #[must_use]
    pub fn group(kind: &str, name: &str) -> Self {
        // Of one piece, and spelt by hand: every page that is made has several.
        let mut text: SmallVec<[u8; 256]> = SmallVec::new();
        text.extend_from_slice(&(kind.len() as u64).to_le_bytes());
        text.extend_from_slice(kind.as_bytes());
        text.extend_from_slice(name.as_bytes());
        let hash = blake3::hash(&text);
        let mut tag: SmallVec<[u8; 32]> = SmallVec::from_slice(GROUP.as_bytes());
        for byte in &hash.as_bytes()[..2] {
            tag.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
        Self(String::from_utf8_lossy(&tag).into())
    }

    /// Whether it is that of a [group](Self::group).
    pub fn is_group(&self) -> bool {
        self.0.starts_with(GROUP)
    }
}

/// How the names of groups begin.
const GROUP: &str = "larder.in:";

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

/// A value that was never there before: 64 bits that make it this one, and 64 that say whether it was marked since.
///
/// What a record holds is compared with what was captured from it. Other upper bits: invalidated. Other lower bits alone: of a tag's record that
/// it was marked as stale, and when; of a namespace's, that some group in it was invalidated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce(u128);

impl Nonce {
    /// A fresh one: random bits of this process, mixed with a counter.
    pub fn fresh() -> Self {
        Self(u128::from(unique()) << 64)
    }

    /// The same, marked as stale since `now`.
    #[must_use]
    pub fn stale_since(self, now: UnixMillis) -> Self {
        self.with_lower((now << 16) | (unique() & 0xffff))
    }

    /// The same with other lower bits, which never were there before.
    #[must_use]
    pub fn turned(self) -> Self {
        self.with_lower(unique())
    }

    fn with_lower(self, lower: u64) -> Self {
        Self((self.0 >> 64 << 64) | u128::from(lower))
    }

    /// What a record that holds `current` now says of this, which was captured from it.
    #[must_use]
    pub fn standing(self, current: Option<Self>) -> Fate {
        match current {
            Some(current) if current == self => Fate::Same,
            Some(current) if current.0 >> 64 == self.0 >> 64 => Fate::Marked((current.0 as u64) >> 16),
            _ => Fate::Gone,
        }
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

/// What a record says of a nonce that was captured from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing happened.
    Same,
    /// It was marked: a tag as stale since this time.
    Marked(UnixMillis),
    /// It was invalidated, or is lost.
    Gone,
}

/// 64 bits that are not there twice in a process, nor, but for a chance in 2⁶⁴, in two.
fn unique() -> u64 {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    {
        let process = *PROCESS.get_or_init(|| {
            let mut seed = [0; 8];
            match getrandom::fill(&mut seed) {
                Ok(()) => u64::from_ne_bytes(seed),
                // No entropy source: the standard library's hasher seeds are the next best.
                Err(_) => RandomState::new().hash_one(std::process::id()),
            }
        });
        // As in splitmix64, which mixes without making two of them alike.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut mixed = process.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
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

    /// The pairs that decide whether an entry is valid, where the namespace's record holds `space` now: those of groups only if one of them was
    /// invalidated since. `None`: the namespace was cleared.
    pub fn deciding(&self, space: Option<Nonce>) -> Option<impl Iterator<Item = &(Tag, Nonce)> + Clone> {
        let groups = match self.space.standing(space) {
            Fate::Same => false,
            Fate::Marked(_) => true,
            Fate::Gone => return None,
        };
        Some(self.tags.iter().filter(move |(tag, _)| groups || !tag.is_group()))
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

    /// The same for tags that all have one nonce.
    pub fn capture_all(&mut self, tags: impl IntoIterator<Item = Tag>, nonce: Nonce) {
        let tags = tags.into_iter();
        self.captured.reserve(tags.size_hint().1.unwrap_or(0));
        self.captured.extend(tags.map(|tag| (tag, nonce)));
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
        let late = late.into_iter();
        let mut tags: Vec<(Tag, Nonce)> = Vec::with_capacity(self.held().count() + late.size_hint().0);
        tags.extend(self.captured.iter().cloned());
        for pair in self.inherited.iter().cloned().chain(late) {
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
    fn a_mark_is_told_from_another_nonce_and_says_since_when() {
        let captured = Nonce::fresh();
        assert_eq!(captured.standing(Some(captured)), Fate::Same);
        assert_eq!(captured.standing(None), Fate::Gone);
        assert_eq!(captured.standing(Some(Nonce::fresh())), Fate::Gone);
        let marked = captured.stale_since(1_763_683_200_000);
        assert_eq!(captured.standing(Some(marked)), Fate::Marked(1_763_683_200_000));
        assert_eq!(marked.standing(Some(marked)), Fate::Same, "captured since");
        assert_ne!(
            marked.stale_since(1_763_683_200_000),
            marked,
            "of two in one millisecond the second counts"
        );
        assert!(matches!(marked.standing(Some(captured.turned())), Fate::Marked(_)));
    }

    #[test]
    fn a_group_has_one_of_few_names_that_every_process_finds() {
        assert_eq!(Tag::group("pages", "").as_str(), "larder.in:fb09");
        assert_eq!(Tag::group("path", &"/a".repeat(300)).as_str(), "larder.in:15cf");
    }

    #[test]
    fn groups_decide_only_when_one_of_them_was_invalidated() {
        let (space, pair) = (Nonce::fresh(), |tag| (tag, Nonce::fresh()));
        let tags = Box::new([pair(Tag::group("host", "a")), pair(Tag::from("course:7"))]);
        let stamp = Stamp { space, tags };
        assert_eq!(stamp.deciding(Some(space)).unwrap().count(), 1);
        assert_eq!(stamp.deciding(Some(space.turned())).unwrap().count(), 2);
        assert!(stamp.deciding(Some(Nonce::fresh())).is_none() && stamp.deciding(None).is_none());
        assert_ne!(Tag::group("host", "a"), Tag::group("route", "a"));
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
