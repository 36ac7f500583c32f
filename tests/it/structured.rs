//! A strict little parser of structured fields (RFC 9651), as far as `Cache-Status` (RFC 9211) needs it: a list of tokens or strings with
//! parameters. What is not in the grammar is an error.

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bare {
    Token(String),
    Text(String),
    Integer(i64),
    Boolean(bool),
}

/// A member of a list: what it is called, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Bare,
    pub(crate) parameters: Vec<(String, Bare)>,
}

impl Member {
    /// The value of a parameter.
    pub(crate) fn get(&self, key: &str) -> Option<&Bare> {
        self.parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The word of a parameter that is a token.
    pub(crate) fn word(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Bare::Token(word)) => Some(word),
            _ => None,
        }
    }
}

/// Parses a field's lines, joined with commas.
pub(crate) fn list(text: &str) -> Result<Vec<Member>, String> {
    let mut at = Cursor { rest: text.trim_matches(' ').as_bytes() };
    let mut members = Vec::new();
    while !at.rest.is_empty() {
        members.push(at.member()?);
        at.skip(b" \t");
        if at.rest.is_empty() {
            break;
        }
        at.expect(b',')?;
        at.skip(b" \t");
        if at.rest.is_empty() {
            return Err("a comma at the end".into());
        }
    }
    Ok(members)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn skip(&mut self, bytes: &[u8]) {
        while self.rest.first().is_some_and(|b| bytes.contains(b)) {
            self.rest = &self.rest[1..];
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        match self.next() {
            Some(found) if found == byte => Ok(()),
            found => Err(format!("{:?} instead of {:?}", found.map(char::from), char::from(byte))),
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, allowed: impl Fn(u8) -> bool) -> String {
        let len = self.rest.iter().take_while(|b| allowed(**b)).count();
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        String::from_utf8_lossy(taken).into_owned()
    }

    fn member(&mut self) -> Result<Member, String> {
        let name = self.bare()?;
        if !matches!(name, Bare::Token(_) | Bare::Text(_)) {
            return Err(format!("a cache is called by a token or a string, not {name:?}"));
        }
        let mut parameters: Vec<(String, Bare)> = Vec::new();
        while self.rest.first() == Some(&b';') {
            self.expect(b';')?;
            self.skip(b" ");
            if !self.rest.first().is_some_and(|b| b.is_ascii_lowercase() || *b == b'*') {
                return Err("a parameter without a key".into());
            }
            let key = self.take(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b));
            let value = match self.rest.first() {
                Some(b'=') => {
                    self.expect(b'=')?;
                    self.bare()?
                }
                _ => Bare::Boolean(true),
            };
            if parameters.iter().any(|(known, _)| *known == key) {
                return Err(format!("{key} stands twice"));
            }
            parameters.push((key, value));
        }
        Ok(Member { name, parameters })
    }

    fn bare(&mut self) -> Result<Bare, String> {
        match self.rest.first() {
            Some(b'"') => self.text(),
            Some(b'?') => match (self.next(), self.next()) {
                (_, Some(b'0')) => Ok(Bare::Boolean(false)),
                (_, Some(b'1')) => Ok(Bare::Boolean(true)),
                other => Err(format!("{other:?} is no boolean")),
            },
            Some(b) if b.is_ascii_digit() || *b == b'-' => {
                let digits = self.take(|b| b.is_ascii_digit() || b == b'-');
                let number: i64 = digits.parse().map_err(|_| format!("{digits:?} is no integer"))?;
                match number.unsigned_abs() <= 999_999_999_999_999 {
                    true => Ok(Bare::Integer(number)),
                    false => Err(format!("{number} has more than fifteen digits")),
                }
            }
            Some(b) if b.is_ascii_alphabetic() || *b == b'*' => {
                Ok(Bare::Token(self.take(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b))))
            }
            other => Err(format!("{other:?} begins nothing")),
        }
    }

    fn text(&mut self) -> Result<Bare, String> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            match self.next() {
                Some(b'"') => return Ok(Bare::Text(text)),
                Some(b'\\') => match self.next() {
                    Some(escaped @ (b'"' | b'\\')) => text.push(escaped.into()),
                    other => return Err(format!("{other:?} is not to be escaped")),
                },
                Some(b @ 0x20..=0x7e) => text.push(b.into()),
                other => return Err(format!("{other:?} in a string")),
            }
        }
    }
}

#[test]
fn the_parser_takes_what_rfc_9211_shows_and_nothing_else() {
    let shown = "OriginCache; hit; ttl=1100, \"CDN Company Here\"; fwd=uri-miss;fwd-status=304 ; x";
    assert!(list(shown).is_err(), "no space before a semicolon");
    let members =
        list("OriginCache; hit; ttl=-41, \"CDN Company Here\";fwd=uri-miss; collapsed=?0;detail=\"a\\\"b\"")
            .expect("a list");
    assert_eq!(members.len(), 2);
    assert_eq!(
        (members[0].get("hit"), members[0].get("ttl")),
        (Some(&Bare::Boolean(true)), Some(&Bare::Integer(-41)))
    );
    assert_eq!(
        (members[1].word("fwd"), members[1].get("collapsed")),
        (Some("uri-miss"), Some(&Bare::Boolean(false)))
    );
    assert_eq!(members[1].get("detail"), Some(&Bare::Text("a\"b".into())));
    for bad in
        ["a,", "a,,b", "a;", "a; =1", "a; Hit", "a; x=", "a; x=1; x=2", "1", "a; x=\"", "a; x=?2", "a b", "ä"]
    {
        assert!(list(bad).is_err(), "{bad}");
    }
}
