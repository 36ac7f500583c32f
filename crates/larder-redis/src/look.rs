//! Reading entries, with all that is needed to tell whether they are valid.

use bytes::Bytes;
use larder_core::{Entry, Error, Key, Nonce, Stamp, Tag, UnixMillis, Value, wire};

use crate::link::Link;
use crate::names::Names;
use crate::records::nonce;
use crate::remembered::Remembered;

/// What stands under a key.
#[derive(Debug)]
pub(crate) struct Seen {
    /// As it is stored.
    pub(crate) raw: Bytes,
    pub(crate) state: State,
}

#[derive(Debug)]
pub(crate) enum State {
    /// Neither expired nor invalidated.
    Valid(Entry),
    /// Expired or invalidated; for good, since no nonce ever comes back.
    Dead,
    /// Not written by us.
    Garbage,
}

impl Seen {
    pub(crate) fn valid(self) -> Option<Entry> {
        match self.state {
            State::Valid(entry) => Some(entry),
            State::Dead | State::Garbage => None,
        }
    }

    /// The front by which a script finds out whether it is still there: the line with stamp and expiry, where it has one.
    pub(crate) fn front(&self) -> &[u8] {
        let end = match self.state {
            State::Garbage => self.raw.len().min(512),
            _ => self.raw.iter().position(|byte| *byte == b'\n').map_or(self.raw.len(), |end| end + 1),
        };
        &self.raw[..end]
    }
}

/// An integer that stands bare in the store: no plus sign, no leading zeros, no spaces.
pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let bare = text == "0" || (digits.starts_with(|c: char| ('1'..='9').contains(&c)));
    if bare { text.parse().ok() } else { None }
}

/// The entry in stored bytes. A bare integer has no stamp of its own, so it takes the namespace's nonce as it is now; what makes that right is that
/// none is stored under an older one, and that clearing removes them.
pub(crate) fn decode(raw: &Bytes, space: Option<Nonce>) -> Option<Entry> {
    if integer(raw).is_none() {
        return wire::decode(raw).ok();
    }
    // Without a record, one that nothing will ever confirm.
    let stamp = Stamp::untagged(space.unwrap_or_else(Nonce::fresh));
    Some(Entry::new(Value::Bytes(raw.clone()), None, stamp))
}

/// What stands under keys of one namespace. One step if the tags were guessed, else two.
pub(crate) async fn look(
    link: &Link,
    remembered: &Remembered,
    names: Names<'_>,
    keys: &[&Key],
    now: UnixMillis,
) -> Result<Vec<Option<Seen>>, Error> {
    let mut tags: Vec<Tag> = Vec::new();
    for key in keys {
        let guess = remembered.of(key);
        tags.extend(guess.iter().flat_map(|guess| guess.iter()).cloned());
    }
    tags.sort_unstable();
    tags.dedup();
    let mut ask: Vec<String> = keys.iter().map(|key| key.name().into_owned()).collect();
    ask.push(names.space());
    ask.extend(tags.iter().map(|tag| names.tag(tag)));
    let mut raw = link.mget(&ask).await?;
    let records = raw.split_off(keys.len());
    let space = nonce(records.first().and_then(Option::as_ref), link.run());
    let known = tags.into_iter().zip(records.iter().skip(1).map(|record| nonce(record.as_ref(), "")));
    let check = Check { space, known: known.collect(), now };
    judge(link, remembered, names, keys, raw, check).await
}

/// What is known of a namespace's records.
pub(crate) struct Check {
    pub(crate) space: Option<Nonce>,
    pub(crate) known: Vec<(Tag, Option<Nonce>)>,
    pub(crate) now: UnixMillis,
}

impl Check {
    /// Whether the tag's record still holds that nonce; `None` if nobody asked.
    fn holds(&self, tag: &Tag, nonce: Nonce) -> Option<bool> {
        self.known.iter().find(|(known, _)| known == tag).map(|(_, now)| *now == Some(nonce))
    }
}

/// Tells what is valid; asks for records that were not guessed.
pub(crate) async fn judge(
    link: &Link,
    remembered: &Remembered,
    names: Names<'_>,
    keys: &[&Key],
    raw: Vec<Option<Bytes>>,
    mut check: Check,
) -> Result<Vec<Option<Seen>>, Error> {
    let mut unknown: Vec<Tag> = Vec::new();
    let mut seen: Vec<Option<Seen>> = Vec::with_capacity(keys.len());
    for (key, raw) in keys.iter().zip(raw) {
        let Some(raw) = raw else {
            seen.push(None);
            continue;
        };
        let state = match decode(&raw, check.space) {
            None => State::Garbage,
            Some(entry) if entry.is_expired(check.now) || Some(entry.stamp().space) != check.space => {
                State::Dead
            }
            Some(entry) => {
                let tags = entry.stamp().tags.iter().map(|(tag, _)| tag);
                remembered.note(key, tags.clone());
                unknown
                    .extend(tags.filter(|tag| !check.known.iter().any(|(known, _)| known == *tag)).cloned());
                State::Valid(entry)
            }
        };
        seen.push(Some(Seen { raw, state }));
    }
    if !unknown.is_empty() {
        unknown.sort_unstable();
        unknown.dedup();
        let ask: Vec<String> = unknown.iter().map(|tag| names.tag(tag)).collect();
        let records = link.mget(&ask).await?;
        check.known.extend(unknown.into_iter().zip(records.iter().map(|record| nonce(record.as_ref(), ""))));
    }
    for seen in seen.iter_mut().flatten() {
        if let State::Valid(entry) = &seen.state
            && !entry.stamp().tags.iter().all(|(tag, nonce)| check.holds(tag, *nonce) == Some(true))
        {
            seen.state = State::Dead;
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_json_writes_for_an_i64_is_a_bare_integer() {
        for (text, number) in [
            ("0", 0),
            ("-7", -7),
            ("42", 42),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text.as_bytes()), Some(number));
        }
        for other in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "--1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "9223372036854775808",
            "\"1\"",
            "\u{661}",
        ] {
            assert_eq!(integer(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn a_bare_integer_takes_the_nonce_that_stands_now() {
        let space = Nonce::fresh();
        let entry = decode(&Bytes::from_static(b"42"), Some(space)).unwrap();
        assert_eq!((entry.stamp(), entry.expires()), (&Stamp::untagged(space), None));
        assert!(decode(&Bytes::from_static(b"garbage"), Some(space)).is_none());
    }
}
