//! What things are called in the store.
//!
//! `prefix:1:key` is an entry, `prefix:space:` and `prefix:fence:` are the namespace's records, `prefix:tag:name` is a tag's.

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
        let mut pattern = String::with_capacity(self.0.len() + 8);
        for c in self.0.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push_str(":[0-9]*:*");
        pattern
    }

    /// Whether something is called as an entry is: prefix, version, key. The pattern can't say that all is digits.
    pub(crate) fn is_entry(self, name: &[u8]) -> bool {
        let Some(rest) = name.strip_prefix(self.0.as_bytes()).and_then(|rest| rest.strip_prefix(b":")) else {
            return false;
        };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && rest.get(digits) == Some(&b':')
    }
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
    fn a_prefix_with_wildcards_is_meant_literally() {
        assert_eq!(Names("a*[b]?\\c-d^").pattern(), r"a\*\[b\]\?\\c\-d\^:[0-9]*:*");
    }
}
