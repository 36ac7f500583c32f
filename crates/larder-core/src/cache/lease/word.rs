//! What stands in the place of a lease.

use crate::clock::UnixMillis;

/// What stands in the store. Text, so that a look with `redis-cli` shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Somebody makes it: token and what the fill knew.
    Held(String, String),
    /// Somebody made it; what the fill knew.
    Made(String),
    /// It can't be shared, until then.
    Pass(UnixMillis),
    /// Not a lease's.
    Garbage,
}

impl Word {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Garbage };
        let mut words = text.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("held"), Some(token), Some(knows)) => Self::Held(token.to_owned(), knows.to_owned()),
            (Some("made"), Some(_), Some(knows)) => Self::Made(knows.to_owned()),
            (Some("pass"), Some(until), None) => until.parse().map_or(Self::Garbage, Self::Pass),
            _ => Self::Garbage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_store_is_read_back_and_anything_else_is_garbage() {
        let held = Word::Held("a".into(), "b".into());
        for (text, word) in [
            ("held a b", held),
            ("made a b", Word::Made("b".into())),
            ("pass 7", Word::Pass(7)),
            ("pass x", Word::Garbage),
            ("held a", Word::Garbage),
            ("", Word::Garbage),
            ("7", Word::Garbage),
        ] {
            assert_eq!(Word::parse(text.as_bytes()), word, "{text}");
        }
        assert_eq!(Word::parse(b"\xff"), Word::Garbage);
    }
}
