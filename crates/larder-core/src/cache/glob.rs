//! Patterns of keys, as Redis has them.

use std::fmt;

/// `*` any characters, `?` one, `[a-z]` one of these, `[^a]` none of these, `\x` that very character. Case counts.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Many,
    One,
    Just(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Many | Self::One => true,
            Self::Just(own) => *own == c,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
        }
    }
}

impl Glob {
    /// Any text is a pattern: a class that is not closed ends with the text, and a backslash at the end stands for itself.
    pub(super) fn new(pattern: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            parts.push(match c {
                '*' if parts.last() == Some(&Part::Many) => continue,
                '*' => Part::Many,
                '?' => Part::One,
                '[' => class(&mut rest),
                '\\' => Part::Just(rest.next().unwrap_or('\\')),
                c => Part::Just(c),
            });
        }
        Self(parts)
    }

    /// What everything begins with that matches.
    pub(super) fn front(&self) -> String {
        let just = |part: &Part| if let Part::Just(c) = part { Some(*c) } else { None };
        self.0.iter().map_while(just).collect()
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        // What comes after the last `*` fails at most once for each character that it may take more.
        let (mut at, mut rest) = (0, text.chars());
        let mut last_star = None;
        loop {
            let before = rest.clone();
            match (self.0.get(at), rest.next()) {
                (Some(Part::Many), _) => {
                    at += 1;
                    rest = before;
                    last_star = Some((at, rest.clone()));
                }
                (Some(part), Some(c)) if part.takes(c) => at += 1,
                (None, None) => return true,
                (_, None) => return false,
                (_, Some(_)) => {
                    let Some((after, more)) = &mut last_star else { return false };
                    more.next();
                    (at, rest) = (*after, more.clone());
                }
            }
        }
    }
}

fn class(rest: &mut std::str::Chars<'_>) -> Part {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    while let Some(c) = rest.next() {
        let from = match c {
            ']' => break,
            '\\' => {
                let escaped = rest.next().unwrap_or('\\');
                ranges.push((escaped, escaped));
                continue;
            }
            c => c,
        };
        let mut ahead = rest.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) => {
                *rest = ahead;
                to
            }
            _ => from,
        };
        ranges.push((from.min(to), from.max(to)));
    }
    Part::Class { negated, ranges }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({} parts)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, yes, no) in [
            ("", vec![""], vec!["a"]),
            ("foo", vec!["foo"], vec!["fo", "fooo", "Foo"]),
            ("*", vec!["", "a", "a b\n"], vec![]),
            ("foo*", vec!["foo", "foo-aa"], vec!["fo", "xfoo"]),
            ("*foo-a*", vec!["foo-aa", "foo-ab", "xfoo-a"], vec!["foo-bb", "foo-"]),
            ("**a**b**", vec!["ab", "xaxbx", "aab"], vec!["ba", "a"]),
            ("*ab", vec!["ab", "aab", "abab"], vec!["aba", "b"]),
            ("h?llo", vec!["hello", "hüllo"], vec!["hllo", "heello"]),
            ("h[ae]llo", vec!["hallo", "hello"], vec!["hillo", "hllo"]),
            ("h[^e]llo", vec!["hallo"], vec!["hello", "hllo"]),
            ("h[a-c]llo", vec!["hallo", "hbllo", "hcllo"], vec!["hdllo", "h-llo"]),
            ("h[c-a]llo", vec!["hbllo"], vec!["hdllo"]),
            // The bracket is the end of a range, so the class stays open.
            ("h[a-]lo", vec!["ha", "h]", "h^", "hl", "ho"], vec!["hb", "h-", "hallo"]),
            ("h[\\a-c]", vec!["ha", "h-", "hc"], vec!["hb"]),
            ("x[\\]a]", vec!["x]", "xa"], vec!["x\\"]),
            ("x[]", vec![], vec!["x", "x]"]),
            ("x[^]", vec!["xa"], vec!["x"]),
            ("x[ab", vec!["xa", "xb"], vec!["x", "x[ab"]),
            ("\\*", vec!["*"], vec!["a", "\\*"]),
            ("a\\", vec!["a\\"], vec!["a"]),
        ] {
            let glob = Glob::new(pattern);
            for text in yes {
                assert!(glob.matches(text), "{pattern:?} {text:?}");
            }
            for text in no {
                assert!(!glob.matches(text), "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn the_front_is_what_stands_before_the_first_special_character() {
        for (pattern, front) in
            [("foo*bar", "foo"), ("foo", "foo"), ("*", ""), ("a\\*b?", "a*b"), ("[a]b", "")]
        {
            assert_eq!(Glob::new(pattern).front(), front, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_exponential_time() {
        let glob = Glob::new(&"*a".repeat(50));
        assert!(!glob.matches(&format!("{}b", "a".repeat(10_000))));
        assert!(glob.matches(&"a".repeat(10_000)));
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_and_escaped_it_matches_itself_alone(text: String, other: String) {
            let _ = Glob::new(&text).matches(&other);
            let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
            let glob = Glob::new(&escaped);
            prop_assert!(glob.matches(&text));
            prop_assert_eq!(glob.matches(&other), text == other);
            prop_assert_eq!(glob.front(), text);
        }

        #[test]
        fn a_pattern_matches_as_the_plain_recursion_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn plain(p: &[u8], t: &[u8]) -> bool {
                match (p.split_first(), t.split_first()) {
                    (None, _) => t.is_empty(),
                    (Some((b'*', p)), None) => plain(p, t),
                    (Some((b'*', rest)), Some((_, tail))) => plain(rest, t) || plain(p, tail),
                    (Some((b'?', p)), Some((_, t))) => plain(p, t),
                    (Some((c, p)), Some((d, t))) => c == d && plain(p, t),
                    (Some(_), None) => false,
                }
            }
            prop_assert_eq!(Glob::new(&pattern).matches(&text), plain(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
