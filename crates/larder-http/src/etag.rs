//! Entity tags ([RFC 9110 §8.8.3](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3)).
//!
//! ```text
//! entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE
//! ```
//!
//! | | strong comparison | weak comparison |
//! |---|---|---|
//! | `W/"1"` and `W/"1"` | no | yes |
//! | `W/"1"` and `"1"` | no | yes |
//! | `"1"` and `"1"` | yes | yes |
//! | `W/"1"` and `W/"2"` | no | no |
//!
//! ```
//! use larder_http::EntityTag;
//!
//! let weak = EntityTag::parse(b"W/\"1\"").unwrap();
//! let strong = EntityTag::parse(b"\"1\"").unwrap();
//! assert!(weak.weak_eq(&strong) && !weak.strong_eq(&strong));
//! assert_eq!(EntityTag::parse(b"1"), None);
//! ```

use http::HeaderValue;

/// A validator for one representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntityTag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads one tag, whitespace around it aside. `None` if it isn't quoted or has a quote inside. Other bytes are
    /// not looked at, as in Django: a tag with a space in it is still the tag that the origin sent.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<EntityTag<'a>> {
        let (tag, rest) = EntityTag::first(text.trim_ascii())?;
        rest.is_empty().then_some(tag)
    }

    /// Whether it only promises an equivalent representation rather than the same bytes.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// What stands between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &'a [u8] {
        self.opaque
    }

    /// The same bytes, surely: both strong and equal (If-Match, If-Range).
    #[must_use]
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Equivalent: equal but for `W/` (If-None-Match).
    #[must_use]
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag at the beginning and what follows it.
    fn first(text: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&b| b == b'"')?;
        Some((EntityTag { weak, opaque: &inner[..end] }, &inner[end + 1..]))
    }
}

/// The value of If-Match or If-None-Match over all its lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TagList<'a> {
    /// The field is not there, or empty.
    Absent,
    /// `*`
    Any,
    /// The valid members; none of them may be valid.
    Tags(Vec<EntityTag<'a>>),
}

impl<'a> TagList<'a> {
    pub(crate) fn read(lines: impl Iterator<Item = &'a HeaderValue>) -> TagList<'a> {
        let mut tags = None::<Vec<_>>;
        let mut any = false;
        for line in lines {
            let mut rest = line.as_bytes();
            loop {
                while let [b' ' | b'\t' | b',', after @ ..] = rest {
                    rest = after;
                }
                if rest.is_empty() {
                    break;
                }
                let found = tags.get_or_insert_default();
                let separated = |after: &[u8]| matches!(after.trim_ascii_start(), [] | [b',', ..]);
                rest = match EntityTag::first(rest) {
                    // A comma may be part of a tag, so members end where their tag does.
                    Some((tag, after)) if separated(after) => {
                        found.push(tag);
                        after
                    }
                    _ => {
                        let end = rest.iter().position(|&b| b == b',').unwrap_or(rest.len());
                        any |= rest[..end].trim_ascii_end() == b"*";
                        &rest[end..]
                    }
                };
            }
        }
        match tags {
            None => TagList::Absent,
            // '*' beside tags is invalid; alone it stands for every representation.
            Some(tags) if any && tags.is_empty() => TagList::Any,
            Some(tags) => TagList::Tags(tags),
        }
    }
}

/// Puts a tag into quotes unless it is one already, as Django's `quote_etag`. `None` if it can't be a tag: it has
/// quotes or control characters inside.
///
/// ```
/// use larder_http::quote_etag;
/// assert_eq!(quote_etag("abc").unwrap(), "\"abc\"");
/// assert_eq!(quote_etag("W/\"abc\"").unwrap(), "W/\"abc\"");
/// assert_eq!(quote_etag("a\"c"), None);
/// ```
#[must_use]
pub fn quote_etag(etag: &str) -> Option<HeaderValue> {
    let quoted = match EntityTag::parse(etag.as_bytes()) {
        Some(_) => etag.trim_ascii().to_owned(),
        None if etag.contains('"') => return None,
        None => format!("\"{etag}\""),
    };
    HeaderValue::from_maybe_shared(bytes::Bytes::from(quoted)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(lines: &[&str]) -> Option<Vec<String>> {
        let lines: Vec<_> =
            lines.iter().map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap()).collect();
        let text = |tag: &EntityTag<'_>| String::from_utf8(tag.opaque().to_vec()).unwrap();
        match TagList::read(lines.iter()) {
            TagList::Absent => None,
            TagList::Any => Some(vec!["*".to_owned()]),
            TagList::Tags(tags) => Some(tags.iter().map(text).collect()),
        }
    }

    #[test]
    fn the_four_comparisons_of_the_rfc_hold() {
        let rows = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (a, b, strong, weak) in rows {
            let (one, two) =
                (EntityTag::parse(a.as_bytes()).unwrap(), EntityTag::parse(b.as_bytes()).unwrap());
            assert_eq!((one.strong_eq(&two), one.weak_eq(&two)), (strong, weak), "{a} {b}");
            assert_eq!((two.strong_eq(&one), two.weak_eq(&one)), (strong, weak), "{b} {a}");
        }
    }

    #[test]
    fn what_is_no_tag_is_none() {
        for bad in ["", "a", "\"", "\"a", "a\"", "\"\"\"", "w/\"a\"", "W/a", "\"a\"b", "*"] {
            assert_eq!(EntityTag::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(EntityTag::parse(b" \"\" ").map(|tag| tag.opaque()), Some(&b""[..]));
    }

    #[test]
    fn lists_are_read_over_all_lines_with_commas_inside_tags() {
        assert_eq!(tags(&[]), None);
        assert_eq!(tags(&["", " , "]), None);
        assert_eq!(
            tags(&["\"a\", W/\"b\"", "\"c,d\" ,\"e\""]),
            Some(vec!["a".into(), "b".into(), "c,d".into(), "e".into()])
        );
    }

    #[test]
    fn invalid_members_are_skipped_and_the_valid_ones_count() {
        assert_eq!(tags(&["\"\"\""]), Some(vec![]));
        assert_eq!(tags(&["a, \"b\", \"c\"d, \"e\""]), Some(vec!["b".into(), "e".into()]));
    }

    #[test]
    fn an_asterisk_stands_alone() {
        assert_eq!(tags(&[" * "]), Some(vec!["*".into()]));
        assert_eq!(tags(&["\"a\", *"]), Some(vec!["a".into()]));
    }

    #[test]
    fn cg_20_an_unquoted_tag_is_quoted() {
        assert_eq!(quote_etag("a, b").unwrap(), "\"a, b\"");
        assert_eq!(quote_etag("").unwrap(), "\"\"");
        assert_eq!(quote_etag("W/x").unwrap(), "\"W/x\"");
        assert_eq!(quote_etag("a\nb"), None);
    }

    proptest! {
        #[test]
        fn no_list_makes_it_panic_or_run_on(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes)
                && let TagList::Tags(tags) = TagList::read([&value].into_iter())
            {
                prop_assert!(tags.len() * 2 <= bytes.len());
            }
        }

        #[test]
        fn every_tag_of_a_list_is_found(opaque in proptest::collection::vec("[ !#-~]{0,6}", 1..5)) {
            let line = opaque.iter().map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(" , ");
            prop_assert_eq!(tags(&[&line]), Some(opaque));
        }
    }
}
