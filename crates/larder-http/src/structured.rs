//! Structured fields as far as caching needs to read them
//! ([RFC 9651](https://www.rfc-editor.org/rfc/rfc9651)): dictionaries and lists of items.
//!
//! Lines of one field are joined with commas first. An error anywhere makes the whole field unreadable, which callers treat
//! as if it were not there. Parameters are checked and dropped: no field that is read here gives them a meaning.

use http::{HeaderMap, HeaderName};

/// What one key or place of a field holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Member {
    Item(Item),
    /// An inner list.
    Inner(Vec<Item>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Integer(i64),
    String(String),
    Token(String),
    Boolean(bool),
    /// Decimals, byte sequences, dates and display strings: well-formed, and of no use here.
    Other,
}

/// The members of a dictionary field, the last of each name; `None` if it can't be read. Without the field there are none.
pub(crate) fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<(String, Member)>> {
    let text = joined(headers, name);
    let mut input = Input { rest: &text };
    let mut members: Vec<(String, Member)> = Vec::new();
    input.skip_spaces();
    while !input.rest.is_empty() {
        let key = input.key()?;
        let member = match input.eat(b'=') {
            true => input.member()?,
            false => {
                input.parameters()?;
                Member::Item(Item::Boolean(true))
            }
        };
        members.retain(|(known, _)| *known != key);
        members.push((key, member));
        input.comma()?;
    }
    Some(members)
}

/// The members of a list field; `None` if it can't be read.
pub(crate) fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<Member>> {
    let text = joined(headers, name);
    let mut input = Input { rest: &text };
    let mut members = Vec::new();
    input.skip_spaces();
    while !input.rest.is_empty() {
        members.push(input.member()?);
        input.comma()?;
    }
    Some(members)
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    lines.join(&b", "[..])
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.strip_prefix(&[byte]) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&b| !accept(b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_spaces(&mut self) {
        self.take_while(|b| b == b' ');
    }

    /// What separates members, or the end. A comma at the end is an error.
    fn comma(&mut self) -> Option<()> {
        self.take_while(|b| b == b' ' || b == b'\t');
        if self.rest.is_empty() {
            return Some(());
        }
        if !self.eat(b',') {
            return None;
        }
        self.take_while(|b| b == b' ' || b == b'\t');
        (!self.rest.is_empty()).then_some(())
    }

    fn key(&mut self) -> Option<String> {
        let begins = self.peek().is_some_and(|b| b.is_ascii_lowercase() || b == b'*');
        let key = self.take_while(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.' | b'*')
        });
        begins.then(|| text(key))
    }

    fn member(&mut self) -> Option<Member> {
        if !self.eat(b'(') {
            return Some(Member::Item(self.item()?));
        }
        let mut items = Vec::new();
        loop {
            self.skip_spaces();
            if self.eat(b')') {
                self.parameters()?;
                return Some(Member::Inner(items));
            }
            items.push(self.item()?);
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Item> {
        let item = self.bare()?;
        self.parameters()?;
        Some(item)
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.skip_spaces();
            self.key()?;
            if self.eat(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn bare(&mut self) -> Option<Item> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => Some(Item::Token(text(self.take_while(is_token)))),
            b'?' => {
                let value = match self.rest.get(1)? {
                    b'0' => false,
                    b'1' => true,
                    _ => return None,
                };
                self.rest = &self.rest[2..];
                Some(Item::Boolean(value))
            }
            b':' => {
                self.eat(b':');
                self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
                self.eat(b':').then_some(Item::Other)
            }
            b'@' => {
                self.eat(b'@');
                matches!(self.number()?, Item::Integer(_)).then_some(Item::Other)
            }
            b'%' => self.display(),
            _ => None,
        }
    }

    /// At most 15 digits, or 12 before the point and 3 behind it.
    fn number(&mut self) -> Option<Item> {
        let negative = self.eat(b'-');
        let digits = self.take_while(|b| b.is_ascii_digit());
        if digits.is_empty() {
            return None;
        }
        if self.eat(b'.') {
            let fraction = self.take_while(|b| b.is_ascii_digit());
            return (digits.len() <= 12 && (1..=3).contains(&fraction.len())).then_some(Item::Other);
        }
        let number: i64 = text(digits).parse().ok().filter(|_| digits.len() <= 15)?;
        Some(Item::Integer(if negative { -number } else { number }))
    }

    fn string(&mut self) -> Option<Item> {
        self.eat(b'"');
        let mut out = String::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(Item::String(out)),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    matches!(escaped, b'"' | b'\\').then(|| out.push(char::from(escaped)))?;
                }
                b' '..=b'~' => out.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    /// `%"f%c3%bc"`: only its shape is looked at.
    fn display(&mut self) -> Option<Item> {
        self.eat(b'%');
        if !self.eat(b'"') {
            return None;
        }
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(Item::Other),
                b'%' => {
                    let hex = self.rest.get(..2)?;
                    hex.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(())?;
                    self.rest = &self.rest[2..];
                }
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(b, b'^' | b'_' | b'`' | b'|' | b'~' | b':' | b'/')
}

/// Of bytes that were found to be ASCII.
fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const NAME: HeaderName = HeaderName::from_static("x");

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(NAME, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    fn read(lines: &[&str]) -> Option<Vec<(String, Member)>> {
        dictionary(&headers(lines), &NAME)
    }

    #[test]
    fn a_dictionary_is_read_over_all_lines_and_the_last_of_a_name_counts() {
        let read = read(&["max-age=60, private", "max-age=30;x=1, s=\"a\\\"b\", t=tok/en, n=?0"]).unwrap();
        let item = |i| Member::Item(i);
        assert_eq!(
            read,
            [
                ("private".into(), item(Item::Boolean(true))),
                ("max-age".into(), item(Item::Integer(30))),
                ("s".into(), item(Item::String("a\"b".into()))),
                ("t".into(), item(Item::Token("tok/en".into()))),
                ("n".into(), item(Item::Boolean(false))),
            ]
        );
        assert_eq!(super::dictionary(&HeaderMap::new(), &NAME), Some(vec![]));
    }

    #[test]
    fn one_error_makes_the_whole_field_unreadable() {
        for bad in [
            "Max-Age=1",
            "a=1,",
            ",a",
            "a=1 b=2",
            "a = 1",
            "a=",
            "a=\"x",
            "a=\"\\x\"",
            "a=?2",
            "a=:x",
            "a=1.2345",
            "a=1234567890123456",
            "a=1234567890123.1",
            "a=(1 2",
            "a=(1,2)",
            "a=@1.5",
            "a=%\"%zz\"",
            "a;=1",
            "é",
            "a=\"é\"",
        ] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
    }

    #[test]
    fn lists_hold_items_and_inner_lists() {
        let read = |line: &str| list(&headers(&[line]), &NAME);
        let s = |t: &str| Item::String(t.into());
        assert_eq!(
            read("\"a\";p=1, (\"b\" \"c\");q, 7"),
            Some(vec![
                Member::Item(s("a")),
                Member::Inner(vec![s("b"), s("c")]),
                Member::Item(Item::Integer(7)),
            ])
        );
        assert_eq!(read("1.5, :aGk=:, @12, %\"f%c3%bc\""), Some(vec![Member::Item(Item::Other); 4]));
        assert_eq!(read("()"), Some(vec![Member::Inner(vec![])]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(0x20u8..0xff, 0..60)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                headers.append(NAME, value);
            }
            let _ = (dictionary(&headers, &NAME), list(&headers, &NAME));
        }
    }
}
