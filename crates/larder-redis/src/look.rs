//! Reading entries, with all that is needed to tell whether they are valid.

use bytes::Bytes;
use larder_core::{Entry, Error, Key, Nonce, Stamp, Tag, UnixMillis, Value, wire};

use crate::ask::{Found, Word};
use crate::incarnation::Run;
use crate::names::Names;
use crate::records::nonce;
use crate::remembered::Remembered;
use crate::store::{Read, Store};

/// So much of an entry is compared when it is to be replaced: all of a short one, and of any other the line with the mark of the write that made it.
const COMPARED: usize = 4_096;

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
    /// Marked as stale: nothing to who stores on a condition.
    Stale(Entry),
    /// Expired or invalidated, or taken by another incarnation of the server; for good, since no nonce ever comes back.
    Dead,
    /// Not written by us.
    Garbage,
}

impl Seen {
    pub(crate) fn valid(self) -> Option<Entry> {
        match self.state {
            State::Valid(entry) => Some(entry),
            State::Stale(_) | State::Dead | State::Garbage => None,
        }
    }

    /// What is read, marked if it is stale.
    pub(crate) fn readable(self) -> Option<Entry> {
        match self.state {
            State::Valid(entry) | State::Stale(entry) => Some(entry),
            State::Dead | State::Garbage => None,
        }
    }

    /// The front by which a script finds out whether it is still there.
    pub(crate) fn front(&self) -> Bytes {
        let line = self.raw.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.raw.slice(..self.raw.len().min(COMPARED.max(line)))
    }

    /// The line with stamp and expiry.
    pub(crate) fn line(&self) -> Bytes {
        let end = self.raw.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.raw.slice(..end)
    }
}

/// An integer that stands bare in the store: no plus sign, no leading zeros, no spaces.
pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let bare = text == "0" || (digits.starts_with(|c: char| ('1'..='9').contains(&c)));
    if bare { text.parse().ok() } else { None }
}

/// An entry as it is stored: what `larder_core` writes, where the pair of the empty tag, which tags nothing, is the mark of this write: the
/// server's incarnation and a number that no other write has.
pub(crate) fn encode(entry: &Entry, value: Bytes) -> Result<Word, Error> {
    let stamp = entry.stamp();
    // Its upper half is of the server that takes it, which is not known yet.
    let write = Nonce::from_u128(u128::from(unique()));
    let tags = stamp.tags.iter().filter(|(tag, _)| !tag.as_str().is_empty()).cloned();
    let tags: Box<[_]> = [(Tag::from(""), write)].into_iter().chain(tags).collect();
    let marked = Entry::new(Value::Bytes(value), entry.expires(), Stamp { space: stamp.space, tags });
    let raw = wire::encode(&marked)?;
    let at = raw.windows(2).position(|two| two == b" =").map_or(raw.len(), |at| at + 2);
    let end = raw.len().min(at + Run::DIGITS);
    Ok(Word::Marked(raw.slice(..at), raw.slice(end..)))
}

/// A number that nobody else has.
fn unique() -> u64 {
    let fresh = Nonce::fresh().as_u128();
    let mut mixed = (fresh >> 64) as u64 ^ (fresh as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // As in splitmix64: processes count up from random numbers, and their ranges may overlap.
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What is stored under a name, expired or not.
#[derive(Debug)]
pub(crate) enum Stored {
    Entry(Entry),
    /// Taken by another incarnation of the server, which may have lost what came after it.
    Elsewhere,
    Garbage,
}

/// The entry in stored bytes. A bare integer has no stamp of its own, so it takes the namespace's nonce as it is now; what makes that right is that
/// none is stored under an older one, and that clearing removes them.
pub(crate) fn decode(raw: &Bytes, run: Run, space: Option<Nonce>) -> Stored {
    if integer(raw).is_some() {
        // Without a record, one that nothing will ever confirm.
        let stamp = Stamp::untagged(space.unwrap_or_else(Nonce::fresh));
        return Stored::Entry(Entry::new(Value::Bytes(raw.clone()), None, stamp));
    }
    let Ok(entry) = wire::decode(raw) else { return Stored::Garbage };
    let (marks, tags): (Vec<_>, Vec<_>) =
        entry.stamp().tags.iter().cloned().partition(|(tag, _)| tag.as_str().is_empty());
    match marks[..] {
        [(_, mark)] if Run::in_mark(mark) == run => {
            let stamp = Stamp { space: entry.stamp().space, tags: tags.into() };
            Stored::Entry(Entry::new(entry.value().clone(), entry.expires(), stamp))
        }
        _ => Stored::Elsewhere,
    }
}

/// What stands under keys of one namespace. One step if the tags were guessed, else two.
pub(crate) async fn look(
    store: &Store,
    remembered: &Remembered,
    names: Names<'_>,
    keys: &[&Key],
    now: UnixMillis,
) -> Result<Vec<Option<Seen>>, Error> {
    let mut tags: Vec<Tag> = Vec::new();
    for key in keys {
        remembered.guess(key, &mut tags);
    }
    tags.sort_unstable();
    tags.dedup();
    let entries: Vec<String> = keys.iter().map(|key| store.name(key)).collect();
    let Read { entries, records } = store.read(&entries, &asked_for(names, &tags)).await?;
    judge(store, remembered, names, keys, entries, Check::of(tags, &records, now)).await
}

/// The records of the namespace and of tags.
pub(crate) fn asked_for(names: Names<'_>, tags: &[Tag]) -> Vec<String> {
    std::iter::once(names.space()).chain(tags.iter().map(|tag| names.tag(tag))).collect()
}

/// What is known of a namespace's records.
pub(crate) struct Check {
    pub(crate) space: Option<Nonce>,
    pub(crate) known: Vec<(Tag, Option<Nonce>)>,
    pub(crate) now: UnixMillis,
}

impl Check {
    /// Out of what stands there, as [`asked_for`].
    pub(crate) fn of(tags: Vec<Tag>, records: &[Found], now: UnixMillis) -> Self {
        let known = tags.into_iter().zip(records.iter().skip(1).map(nonce));
        Self { space: records.first().and_then(nonce), known: known.collect(), now }
    }

    /// What becomes of an entry, going by the records that were read.
    fn judge(&self, entry: Entry) -> State {
        let stands = |tag: &Tag| self.known.iter().find(|(known, _)| known == tag)?.1;
        match entry.judged(self.space, stands) {
            None => State::Dead,
            Some(entry) if entry.stale_since().is_some() => State::Stale(entry),
            Some(entry) => State::Valid(entry),
        }
    }
}

/// Tells what is valid; asks for records that were not guessed.
pub(crate) async fn judge(
    store: &Store,
    remembered: &Remembered,
    names: Names<'_>,
    keys: &[&Key],
    found: Vec<Found>,
    mut check: Check,
) -> Result<Vec<Option<Seen>>, Error> {
    remembered.note_space(check.space);
    let mut unknown: Vec<Tag> = Vec::new();
    let mut seen: Vec<Option<Seen>> = Vec::with_capacity(keys.len());
    for (key, found) in keys.iter().zip(found) {
        let Some(raw) = found.bytes else {
            seen.push(None);
            continue;
        };
        let state = match decode(&raw, found.run, check.space) {
            Stored::Garbage => State::Garbage,
            Stored::Elsewhere => State::Dead,
            Stored::Entry(entry)
                if entry.is_expired(check.now) || entry.stamp().deciding(check.space).is_none() =>
            {
                State::Dead
            }
            Stored::Entry(entry) => {
                remembered.note(key, entry.stamp());
                let tags = entry.stamp().deciding(check.space).into_iter().flatten().map(|(tag, _)| tag);
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
        let records = store.read(&[], &ask).await?.records;
        check.known.extend(unknown.into_iter().zip(records.iter().map(nonce)));
    }
    for seen in seen.iter_mut().flatten() {
        if let State::Valid(entry) = &seen.state {
            seen.state = check.judge(entry.clone());
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
        let run = Run::test(1);
        match decode(&Bytes::from_static(b"42"), run, Some(space)) {
            Stored::Entry(entry) => {
                assert_eq!((entry.stamp(), entry.expires()), (&Stamp::untagged(space), None));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(decode(&Bytes::from_static(b"garbage"), run, Some(space)), Stored::Garbage));
    }

    #[test]
    fn an_entry_comes_back_from_the_incarnation_that_took_it_and_from_no_other() {
        let pair = (Tag::from("a =b"), Nonce::fresh());
        let stamp = Stamp { space: Nonce::fresh(), tags: Box::new([pair]) };
        let value = Bytes::from_static(b" =x\n =y");
        let entry = Entry::new(Value::Bytes(value.clone()), Some(7), stamp.clone());
        let stored = |run: Run| {
            let Word::Marked(front, back) = encode(&entry, value.clone()).unwrap() else { unreachable!() };
            Bytes::from([&front[..], run.to_string().as_bytes(), &back[..]].concat())
        };
        let raw = stored(Run::test(0xfeed));
        match decode(&raw, Run::test(0xfeed), None) {
            Stored::Entry(back) => {
                assert_eq!((back.stamp(), back.expires()), (&stamp, Some(7)));
                assert_eq!(back.value().to_bytes().unwrap(), value);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(decode(&raw, Run::test(0xbeef), None), Stored::Elsewhere));
        assert_ne!(raw, stored(Run::test(0xfeed)), "each write has a mark of its own");
        let unmarked = wire::encode(&entry).unwrap();
        assert!(matches!(decode(&unmarked, Run::test(0xfeed), None), Stored::Elsewhere));
    }
}
