//! The members of a Cache-Control field, cut apart but not yet understood.
//!
//! ```text
//! Cache-Control   = #cache-directive
//! cache-directive = token [ "=" ( token / quoted-string ) ]
//! ```
//!
//! Real fields are not always this tidy, so cutting errs to the careful side: a quoted string that is never
//! closed hides nothing behind it, and a `;` where a `,` belongs (`private; max-age=60`) separates too but
//! marks its neighbours as malformed, so that they can restrict and never permit.

use std::borrow::Cow;

/// One directive as it stood in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Directive<'a> {
    /// The name in its original spelling.
    pub(crate) name: &'a [u8],
    /// The argument with its quotes, if it had any; `None` without `=`.
    pub(crate) argument: Option<&'a [u8]>,
    /// Whether a `;` touched it.
    pub(crate) malformed: bool,
}

impl<'a> Directive<'a> {
    /// The name compared as directives are: without regard to case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The argument without quotes and escapes.
    pub(crate) fn unquoted(&self) -> Option<Cow<'a, [u8]>> {
        let argument = self.argument?;
        let Some(inner) = argument.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
            return Some(Cow::Borrowed(argument));
        };
        if !inner.contains(&b'\\') {
            return Some(Cow::Borrowed(inner));
        }
        let mut plain = Vec::with_capacity(inner.len());
        let mut bytes = inner.iter();
        while let Some(&byte) = bytes.next() {
            let kept = if byte == b'\\' { bytes.next() } else { Some(&byte) };
            plain.extend(kept);
        }
        Some(Cow::Owned(plain))
    }
}

/// Cuts one field line into directives, to understand them; empty members are skipped.
pub(crate) fn directives(line: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    cut(line, b",;")
}

/// Cuts one field line at commas only, to write it back: what was malformed stays as malformed as it was.
pub(crate) fn members(line: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    cut(line, b",")
}

fn cut<'a>(line: &'a [u8], separators: &'static [u8]) -> impl Iterator<Item = Directive<'a>> {
    let mut rest = line;
    let mut after_semicolon = false;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = member_end(rest, separators);
            let (member, ended_by) = (rest[..end].trim_ascii(), rest.get(end));
            rest = rest.get(end + 1..).unwrap_or_default();
            let malformed = after_semicolon || ended_by == Some(&b';');
            after_semicolon = ended_by == Some(&b';');
            if !member.is_empty() {
                return Some(directive(member, malformed));
            }
        }
        None
    })
}

fn directive(member: &[u8], malformed: bool) -> Directive<'_> {
    match member.iter().position(|&b| b == b'=') {
        Some(at) => Directive {
            name: member[..at].trim_ascii_end(),
            argument: Some(member[at + 1..].trim_ascii_start()),
            malformed,
        },
        None => Directive { name: member, argument: None, malformed },
    }
}

/// Where the first member ends: at a separator outside quotes, or at the end.
fn member_end(text: &[u8], separators: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            _ if separators.contains(&byte) => return at,
            b'"' => at = closing_quote(text, at).unwrap_or(at) + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The index of the quote that closes the one at `open`, if there is one.
pub(crate) fn closing_quote(text: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Vec<(String, Option<String>, bool)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        directives(line.as_bytes()).map(|d| (text(d.name), d.argument.map(text), d.malformed)).collect()
    }

    #[test]
    fn commas_inside_quotes_do_not_separate() {
        assert_eq!(
            read(r#"no-cache="a, b" ,, max-age = 5,x="\",""#),
            [
                ("no-cache".into(), Some("\"a, b\"".into()), false),
                ("max-age".into(), Some("5".into()), false),
                ("x".into(), Some(r#""\",""#.into()), false),
            ]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_hides_nothing() {
        assert_eq!(
            read("x=\"abc, no-store"),
            [("x".into(), Some("\"abc".into()), false), ("no-store".into(), None, false)]
        );
    }

    #[test]
    fn a_semicolon_separates_and_marks_both_sides() {
        assert_eq!(
            read("private; max-age=60, public"),
            [
                ("private".into(), None, true),
                ("max-age".into(), Some("60".into()), true),
                ("public".into(), None, false),
            ]
        );
    }

    #[test]
    fn arguments_lose_their_quotes_and_escapes() {
        let unquoted = |line: &'static str| {
            let first = directives(line.as_bytes()).next().unwrap();
            first.unquoted().map(|bytes| String::from_utf8(bytes.into_owned()).unwrap())
        };
        assert_eq!(unquoted("a"), None);
        assert_eq!(unquoted("a="), Some(String::new()));
        assert_eq!(unquoted("a=b"), Some("b".into()));
        assert_eq!(unquoted(r#"a="b\"c""#), Some("b\"c".into()));
        assert_eq!(unquoted("a=\""), Some("\"".into()), "a lone quote is text");
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic_or_run_on(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            let found = directives(&line).inspect(|d| { d.unquoted(); }).count();
            prop_assert!(found <= line.len());
        }

        #[test]
        fn a_no_store_member_is_found_whatever_stands_before_it(
            junk in proptest::collection::vec(prop_oneof![Just(b'='), Just(b';'), Just(b'a'), Just(b'\\'), Just(b' ')], 0..16),
        ) {
            let mut line = junk;
            line.extend_from_slice(b",no-store");
            prop_assert!(directives(&line).any(|d| d.is("no-store")));
        }
    }
}
