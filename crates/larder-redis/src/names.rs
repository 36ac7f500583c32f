//! What things are called in the store.
//!
//! `prefix:1:key` is an entry, `prefix:space:` and `prefix:fence:` are the namespace's records, `prefix:tag:name` is a tag's. On a Cluster, pages
//! are called `prefix:1:page.{…}` and `prefix:1:page.{…}…`, so that those of one URL are in one slot.

use larder_core::{Key, Space, Tag};

/// The names of one namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a>(&'a str);

impl<'a> Names<'a> {
    pub(crate) fn of(space: &'a Space) -> Self {
        Self(space.prefix())
    }

    /// Of the namespace that a key is in: no prefix has a colon in it.
    pub(crate) fn around(key: &'a Key) -> Self {
        let prefix = key.identity().split(|byte| *byte == b':').next().unwrap_or_default();
        Self(std::str::from_utf8(prefix).unwrap_or_default())
    }

    pub(crate) fn is_around(self, key: &Key) -> bool {
        Names::around(key).0 == self.0
    }

    pub(crate) fn space(self) -> String {
        format!("{}:space:", self.0)
    }

    pub(crate) fn fence(self) -> String {
        format!("{}:fence:", self.0)
    }

    pub(crate) fn tag(self, tag: &Tag) -> String {
        format!("{}:tag:{}", self.0, tag.as_str())
    }

    /// A pattern that all entries match, whatever stands in the prefix.
    pub(crate) fn pattern(self) -> String {
        literal(self.0) + ":[0-9]*:*"
    }

    /// Whether something is called as an entry is: prefix, version, key. The pattern can't say that all is digits.
    pub(crate) fn is_entry(self, name: &[u8]) -> bool {
        self.version(name).is_some()
    }

    /// The digits of the version in an entry's name, and the rest.
    fn version(self, name: &[u8]) -> Option<(&[u8], &[u8])> {
        let rest = name.strip_prefix(self.0.as_bytes())?.strip_prefix(b":")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (version, rest) = rest.split_at(digits);
        Some((version, rest.strip_prefix(b":")?)).filter(|_| digits > 0)
    }

    /// The key of what is called so, if it is an entry.
    pub(crate) fn key(self, space: &Space, name: &[u8]) -> Option<Key> {
        let (version, rest) = self.version(name)?;
        let version = std::str::from_utf8(version).ok()?.parse().ok()?;
        let key = Key::value(space, version, std::str::from_utf8(rest).ok()?);
        // What others put there may be written differently: 007.
        (key.name().as_bytes() == name).then_some(key)
    }
}

/// A pattern that matches this text only.
pub(crate) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_from_records_and_from_what_others_put_there() {
        let space = Space::new("shop").unwrap();
        let names = Names::of(&space);
        assert!(names.is_entry(Key::value(&space, 12, "a:b").name().as_bytes()));
        assert!(names.is_around(&Key::value(&space, 1, "x")));
        assert!(!names.is_around(&Key::value(&Space::default(), 1, "shop")));
        for other in [
            "shop:tag:1",
            "shop:space:",
            "shop:fence:",
            "shop:1",
            "shop::x",
            "shop:1x:y",
            "shop2:1:x",
            ":1:x",
            "",
        ] {
            assert!(!names.is_entry(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_an_entry_is_called_tells_its_key() {
        let space = Space::new("shop").unwrap();
        let names = Names::of(&space);
        for (version, key) in [(1, "a:b"), (12, ""), (u64::MAX, "page.{x}y")] {
            let key = Key::value(&space, version, key);
            assert_eq!(names.key(&space, key.name().as_bytes()), Some(key));
        }
        for other in [&b"shop:tag:1"[..], b"shop:007:x", b"shop:99999999999999999999:x", b"shop:1:\xff"] {
            assert_eq!(names.key(&space, other), None, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn a_prefix_with_wildcards_is_meant_literally() {
        assert_eq!(Names("a*[b]?\\c-d^").pattern(), r"a\*\[b\]\?\\c\-d\^:[0-9]*:*");
    }
}
