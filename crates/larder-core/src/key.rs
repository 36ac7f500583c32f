//! Keys: what identifies an entry, and how it is called in a store.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::text::Text;

/// A namespace: everything under one key prefix. `clear` and tags stay within it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Space(Arc<str>);

/// What the namespace of a cache's locks is called more than the cache's own.
const LOCKS: &str = "~locks";

impl Space {
    /// The namespace of `prefix`; empty is Django's default.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the prefix is longer than 100 bytes or has a colon, white space or a control
    /// character: with a colon, the namespaces `a` and `a:1` would run into each other, and clearing one would
    /// clear a part of the other.
    pub fn new(prefix: &str) -> Result<Self, Error> {
        if prefix.strip_suffix(LOCKS).unwrap_or(prefix).len() > 100 {
            return Err(Error::config(format!(
                "the key prefix is {} bytes long; 100 is the most",
                prefix.len()
            )));
        }
        if let Some(bad) = prefix.chars().find(|c| *c == ':' || c.is_whitespace() || c.is_control()) {
            return Err(Error::config(format!(
                "the key prefix {prefix:?} has {bad:?} in it; use letters, digits, '.', '-' or '_'"
            )));
        }
        Ok(Self(prefix.into()))
    }

    /// The namespace of the locks that belong to this one.
    pub(crate) fn locks(&self) -> Self {
        Self(format!("{}{LOCKS}", self.0).into())
    }

    pub(crate) fn is_of_locks(&self) -> bool {
        self.0.ends_with(LOCKS)
    }

    /// The prefix, as it stands at the front of every key.
    pub fn prefix(&self) -> &str {
        &self.0
    }
}

impl Default for Space {
    fn default() -> Self {
        Self("".into())
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Space({:?})", &self.0)
    }
}

/// The identity of an entry: `prefix:version:key`, as in Django, for values; for pages and other long identities
/// the same front and a length-prefixed list of parts, of which a store sees a collision-resistant hash.
///
/// Two keys are equal only if their whole identities are. A backend that keeps keys in memory compares
/// [`identity`](Self::identity); one that talks to a server uses [`name`](Self::name), and what it reads back
/// carries the identity again, so that a hash alone never decides.
#[derive(Clone)]
pub struct Key {
    identity: Text,
    /// Where the part begins that is hashed in [`name`](Self::name).
    hashed_from: u32,
    /// How much of `identity` is that of the key which this one was extended from; 0 if it was not.
    group: u32,
}

impl Key {
    /// The key of a value: `prefix:version:key`.
    pub fn value(space: &Space, version: u64, key: &str) -> Self {
        let mut identity = front(space, version);
        identity.extend(key.as_bytes());
        Self { hashed_from: NOWHERE, identity, group: 0 }
    }

    /// The key of an entry by what it is called in a store, for [`Backend::scan`](crate::Backend::scan); `None` if what is called so is
    /// no entry: no version stands where one has to.
    ///
    /// Of what is called by a hash, the identity is not known: such a key is good for removing it where it is called so, not
    /// for reading it.
    pub fn named(name: &str) -> Option<Self> {
        let identity = Text::of(name.as_bytes());
        version_end(&identity).map(|_| Self { hashed_from: NOWHERE, identity, group: 0 })
    }

    /// The key with this [`identity`](Self::identity), for backends that keep identities, and for [`Backend::scan`](crate::Backend::scan);
    /// `None` if it is no entry's.
    ///
    /// Where the part begins that is hashed in a name does not stand in an identity and is found by its look: a kind, a point, and
    /// lengths. A value whose key looks so, control characters and all, is the same key, but under a name that it does
    /// not have elsewhere.
    pub fn of_identity(identity: &[u8]) -> Option<Self> {
        let start = version_end(identity)?;
        let rest = &identity[start..];
        let kind = rest.iter().take_while(|b| b.is_ascii_lowercase()).count();
        let hashed = kind > 0 && rest.get(kind) == Some(&b'.') && rest[kind..].iter().any(|b| *b < b' ');
        let hashed_from = if hashed { end(&identity[..=start + kind]) } else { NOWHERE };
        Some(Self { identity: Text::of(identity), hashed_from, group: 0 })
    }

    /// Begins the key of something with a long identity; see [`KeyBuilder`].
    pub fn builder(space: &Space, version: u64, kind: &'static str) -> KeyBuilder {
        let mut identity = front(space, version);
        identity.extend(kind.as_bytes());
        identity.push(b'.');
        KeyBuilder(Self { hashed_from: end(&identity), identity, group: 0 })
    }

    /// Goes on building: the key of something that belongs to this one.
    pub fn extend(&self) -> KeyBuilder {
        let group = if self.group == 0 { end(&self.identity) } else { self.group };
        KeyBuilder(Self { identity: self.identity.clone(), hashed_from: self.hashed_from, group })
    }

    /// A record of the namespace itself (tags, fence): `prefix:kind:name`. `kind` is not a number, so it is never
    /// anybody's version. What core's own protocol keeps is called `space`, `fence` (both with no name) and `tag`.
    pub fn record(space: &Space, kind: &str, name: &str) -> Self {
        let mut identity = Text::new();
        identity.extend(space.prefix().as_bytes());
        identity.push(b':');
        identity.extend(kind.as_bytes());
        identity.push(b':');
        let hashed_from = end(&identity);
        identity.extend(name.as_bytes());
        let short = name.len() <= 100 && name.bytes().all(|b| b > b' ' && b != 0x7f);
        Self { hashed_from: if short { NOWHERE } else { hashed_from }, identity, group: 0 }
    }

    fn split(&self, at: u32) -> (&[u8], &[u8]) {
        self.identity.split_at(self.identity.len().min(at as usize))
    }

    /// Everything that makes this key this key.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// The namespace that it stands in.
    pub fn space(&self) -> Space {
        // It came from one, so it is text.
        Space(String::from_utf8_lossy(self.prefix()).into())
    }

    /// Whether both stand in one namespace.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.prefix() == other.prefix()
    }

    /// The key prefix, as bytes.
    pub(crate) fn prefix(&self) -> &[u8] {
        self.identity.split(|byte| *byte == b':').next().unwrap_or_default()
    }

    /// What the entry is called in a store: printable for values, with a 160-bit BLAKE3 hash for long identities.
    pub fn name(&self) -> Cow<'_, str> {
        let (front, rest) = self.split(self.hashed_from);
        let front = String::from_utf8_lossy(front);
        if rest.is_empty() {
            return front;
        }
        Cow::Owned(format!("{front}{}", hash(&self.identity)))
    }

    /// What the entry is called in a store that keeps together what has the same text in braces, as Redis Cluster does: a long identity and all
    /// that [extends](Self::extend) it. Values are called as by [`name`](Self::name).
    pub fn name_in_group(&self) -> Cow<'_, str> {
        let (front, rest) = self.split(self.hashed_from);
        if rest.is_empty() {
            return self.name();
        }
        let front = String::from_utf8_lossy(front);
        if self.group == 0 {
            return Cow::Owned(format!("{front}{{{}}}", hash(&self.identity)));
        }
        Cow::Owned(format!("{front}{{{}}}{}", hash(self.split(self.group).0), hash(&self.identity)))
    }
}

/// 160 bits, in hex.
fn hash(identity: &[u8]) -> String {
    let mut hash = blake3::hash(identity).to_hex().to_string();
    hash.truncate(40);
    hash
}

// What a key was extended from is no part of it.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hashed_from == other.hashed_from && *self.identity == *other.identity
    }
}

impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (*self.identity).hash(state);
        self.hashed_from.hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name())
    }
}

/// Builds a key out of parts that can't run into each other: each is written with its length.
#[derive(Clone, Debug)]
pub struct KeyBuilder(Key);

/// Nothing is hashed.
const NOWHERE: u32 = u32::MAX;

/// The end of what there is so far. No identity is longer than that.
fn end(identity: &[u8]) -> u32 {
    u32::try_from(identity.len()).unwrap_or(NOWHERE)
}

impl KeyBuilder {
    /// Adds a part.
    #[inline]
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        // A length below 255 is one byte, else 255 and eight more: unambiguous, and short for what is usual.
        match u8::try_from(bytes.len()) {
            Ok(short) if short < u8::MAX => self.0.identity.push(short),
            _ => {
                self.0.identity.push(u8::MAX);
                self.0.identity.extend(&(bytes.len() as u64).to_be_bytes());
            }
        }
        if !bytes.is_empty() {
            self.0.identity.extend(bytes);
        }
        self
    }

    /// Adds a byte that separates groups of parts or stands for a small number.
    #[inline]
    pub fn mark(&mut self, byte: u8) -> &mut Self {
        self.0.identity.push(byte);
        self
    }

    /// What it holds so far.
    pub fn identity(&self) -> &[u8] {
        &self.0.identity
    }

    /// The key as it is now; the builder may go on.
    pub fn key(&self) -> Key {
        self.0.clone()
    }

    /// The key as it is now, where it stands.
    pub fn as_key(&self) -> &Key {
        &self.0
    }

    /// The finished key.
    pub fn build(self) -> Key {
        self.0
    }
}

fn front(space: &Space, version: u64) -> Text {
    let mut identity = Text::new();
    if !space.prefix().is_empty() {
        identity.extend(space.prefix().as_bytes());
    }
    identity.push(b':');
    if version == 1 {
        identity.push(b'1');
    } else {
        identity.extend(version.to_string().as_bytes());
    }
    identity.push(b':');
    identity
}

/// Where the key begins in `prefix:version:key`.
fn version_end(identity: &[u8]) -> Option<usize> {
    let prefix = identity.iter().position(|b| *b == b':')? + 1;
    let digits = identity[prefix..].iter().take_while(|b| b.is_ascii_digit()).count();
    (digits > 0 && identity.get(prefix + digits) == Some(&b':')).then_some(prefix + digits + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_called_as_in_django() {
        let key = Key::value(&Space::default(), 1, "httpbin_result");
        assert_eq!(key.name(), ":1:httpbin_result");
        let key = Key::value(&Space::new("shop").unwrap(), 7, "a b");
        assert_eq!(key.name(), "shop:7:a b");
    }

    #[test]
    fn what_extends_a_key_is_in_its_group_and_a_value_is_in_none() {
        let mut b = Key::builder(&Space::new("shop").unwrap(), 1, "page");
        let page = b.part(b"/x").clone().build();
        let mut b = page.extend();
        let variant = b.mark(b'v').part(b"de").key();
        let deeper = variant.extend().mark(b'H').key();
        let name = page.name_in_group().into_owned();
        assert_eq!(name, page.name().replace("page.", "page.{") + "}");
        for key in [variant, deeper] {
            let hash = &key.name()["shop:1:page.".len()..];
            assert_eq!(key.name_in_group(), format!("{name}{hash}"));
        }
        let value = Key::value(&Space::default(), 1, "a{b}");
        assert_eq!(value.name_in_group(), ":1:a{b}");
        assert_eq!(value.extend().build(), value, "what it was extended from is no part of a key");
    }

    #[test]
    fn a_long_identity_is_called_by_its_hash() {
        let mut b = Key::builder(&Space::new("shop").unwrap(), 1, "page");
        b.part(b"GET").part(&[b'x'; 4000]);
        let key = b.build();
        assert!(key.name().starts_with("shop:1:page."), "{key:?}");
        assert_eq!(key.name().len(), "shop:1:page.".len() + 40);
    }

    #[test]
    fn a_prefix_that_would_run_into_another_namespace_is_refused_with_its_remedy() {
        for bad in ["a:1", "a b", "a\n", &"x".repeat(101)] {
            let e = Space::new(bad).unwrap_err();
            assert_eq!(e.kind(), crate::ErrorKind::Config, "{bad:?}: {e}");
        }
    }

    #[test]
    fn a_key_is_found_again_by_its_name_or_its_identity_and_a_record_is_no_entry() {
        let space = Space::new("shop").unwrap();
        for key in ["", "a", "a:b.c", "page.x", "k\u{e9}", ":"] {
            let key = Key::value(&space, 7, key);
            assert_eq!(Key::named(&key.name()).as_ref(), Some(&key));
            assert_eq!(Key::of_identity(key.identity()).as_ref(), Some(&key));
        }
        let mut page = Key::builder(&space, 1, "page");
        page.mark(b'P').part(&[b'x'; 4000]).mark(b's').part(b"http");
        let page = page.build();
        assert_eq!(Key::of_identity(page.identity()).as_ref(), Some(&page));
        assert_eq!(Key::named(&page.name()).unwrap().name(), page.name());
        for record in ["shop:tag:t", "shop:space:", "shop:fence:", "shop:1", "shop::x", "shop:1x:y", "", "x"]
        {
            assert_eq!(Key::named(record), None, "{record}");
            assert_eq!(Key::of_identity(record.as_bytes()), None, "{record}");
        }
    }

    #[test]
    fn locks_have_a_namespace_of_their_own_that_no_cache_may_take() {
        let longest = Space::new(&"x".repeat(100)).unwrap();
        let locks = longest.locks();
        assert!(locks.is_of_locks() && !longest.is_of_locks());
        assert_eq!(Space::new(locks.prefix()).unwrap(), locks, "backends find it again by its prefix");
        let taken = crate::Cache::builder(crate::Dummy).key_prefix(locks.prefix()).build().unwrap_err();
        assert_eq!(taken.kind(), crate::ErrorKind::Config);
    }

    proptest! {
        #[test]
        fn parts_never_run_into_each_other(a in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..4),
                                           b in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..4)) {
            let space = Space::default();
            let key = |parts: &Vec<Vec<u8>>| {
                let mut k = Key::builder(&space, 1, "t");
                for p in parts { k.part(p); }
                k.build()
            };
            prop_assert_eq!(key(&a) == key(&b), a == b);
        }
    }
}
