//! What tiers tell each other, and how it stands on the wire.
//!
//! ```text
//! "LRB1"  origin: 16 bytes  number: 8  length of the prefix: 1  prefix  kind: 1  items
//! ```
//!
//! Numbers are big endian. An item is a tag or a key's identity, each with its length before it (4 bytes).

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{Error, ErrorKind};
use crate::key::{Key, Space};
use crate::tag::{Nonce, Tag};

const MAGIC: &[u8; 4] = b"LRB1";
/// No message is longer, but for one single key or tag that is.
const LONGEST: usize = 64 << 10;

/// One message between tiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub origin: Nonce,
    /// The how manieth of this sender's messages it is, beginning with 1. [`Beat`](What::Beat) repeats the number of the one before.
    pub number: u64,
    /// In which namespace.
    pub space: Space,
    /// What has changed.
    pub what: What,
}

/// What has changed, and may stand in copies no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Entries under these keys were stored, changed or removed. What arrives is known by its [`identity`](Key::identity).
    Keys(Vec<Key>),
    /// These tags were invalidated.
    Tags(Vec<Tag>),
    /// The namespace was cleared.
    Clear,
    /// More than can be told, in any namespace: the sender could not send what it should have.
    Everything,
    /// Nothing: so that who missed the message before notices.
    Beat,
}

impl What {
    /// The same in parts that each fit into a message. A key or tag that fits into none becomes [`Clear`](Self::Clear).
    pub fn split(self) -> Vec<Self> {
        match self {
            Self::Keys(keys) => parts(keys, |key| key.identity().len() + 4, Self::Keys),
            Self::Tags(tags) => parts(tags, |tag| tag.as_str().len() + 4, Self::Tags),
            other => vec![other],
        }
    }
}

fn parts<T>(items: Vec<T>, size: impl Fn(&T) -> usize, what: impl Fn(Vec<T>) -> What) -> Vec<What> {
    // Leaves room for the head and the longest prefix.
    const ROOM: usize = LONGEST - 256;
    if items.iter().any(|item| size(item) > ROOM) {
        return vec![What::Clear];
    }
    let (mut parts, mut part, mut used) = (Vec::new(), Vec::new(), 0);
    for item in items {
        if used + size(&item) > ROOM {
            parts.push(what(std::mem::take(&mut part)));
            used = 0;
        }
        used += size(&item);
        part.push(item);
    }
    if !part.is_empty() {
        parts.push(what(part));
    }
    parts
}

impl Message {
    /// The message as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(128);
        out.put_slice(MAGIC);
        out.put_u128(self.origin.as_u128());
        out.put_u64(self.number);
        let prefix = self.space.prefix();
        // A prefix has 100 bytes at most.
        out.put_u8(u8::try_from(prefix.len()).unwrap_or(u8::MAX));
        out.put_slice(prefix.as_bytes());
        match &self.what {
            What::Keys(keys) => {
                out.put_u8(b'K');
                for key in keys {
                    put_length(&mut out, key.identity().len());
                    out.put_slice(key.identity());
                }
            }
            What::Tags(tags) => {
                out.put_u8(b'T');
                for tag in tags {
                    put_length(&mut out, tag.as_str().len());
                    out.put_slice(tag.as_str().as_bytes());
                }
            }
            What::Clear => out.put_u8(b'C'),
            What::Everything => out.put_u8(b'E'),
            What::Beat => out.put_u8(b'B'),
        }
        out.freeze()
    }

    /// The message in `bytes`.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) for anything that [`encode`](Self::encode) of this version did not write. Whoever gets one can't know
    /// what has changed.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = Reader(bytes);
        rest.message().ok_or_else(|| {
            Error::new(
                ErrorKind::Decode,
                "a message on the backplane can't be read, or is of another version",
            )
        })
    }
}

fn put_length(out: &mut BytesMut, length: usize) {
    // Longer ones were left out by `split`.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn message(&mut self) -> Option<Message> {
        if self.take(4)? != MAGIC {
            return None;
        }
        let origin = Nonce::from_u128(u128::from_be_bytes(self.take(16)?.try_into().ok()?));
        let number = u64::from_be_bytes(self.take(8)?.try_into().ok()?);
        let length = usize::from(self.take(1)?[0]);
        let space = Space::new(std::str::from_utf8(self.take(length)?).ok()?).ok()?;
        let what = match self.take(1)?[0] {
            b'K' => What::Keys(self.all(|rest| {
                let length = rest.length()?;
                Key::of_identity(rest.take(length)?)
            })?),
            b'T' => What::Tags(self.all(|rest| {
                let length = rest.length()?;
                std::str::from_utf8(rest.take(length)?).ok().map(Tag::from)
            })?),
            b'C' => What::Clear,
            b'E' => What::Everything,
            b'B' => What::Beat,
            _ => return None,
        };
        self.0.is_empty().then_some(Message { origin, number, space, what })
    }

    fn all<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut all = Vec::new();
        while !self.0.is_empty() {
            all.push(one(self)?);
        }
        Some(all)
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(what: What) -> Message {
        Message { origin: Nonce::from_u128(7), number: 9, space: Space::new("shop").unwrap(), what }
    }

    fn keys(names: &[Vec<u8>]) -> Vec<Key> {
        let space = Space::new("shop").unwrap();
        let long = names.iter().map(|name| {
            let mut builder = Key::builder(&space, 1, "page");
            builder.part(name);
            builder.build()
        });
        let short = names.iter().map(|name| Key::value(&space, 2, &String::from_utf8_lossy(name)));
        long.chain(short).collect()
    }

    #[test]
    fn version_one_stays_readable_as_long_as_it_is_sent() {
        let bytes =
            b"LRB1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x09\x04shopT\0\0\0\x02ab\0\0\0\x01c";
        let tags = message(What::Tags(vec!["ab".into(), "c".into()]));
        assert_eq!(Message::decode(bytes).unwrap(), tags);
        assert_eq!(tags.encode(), &bytes[..]);
    }

    #[test]
    fn another_version_and_what_is_cut_short_are_errors() {
        let whole = message(What::Keys(keys(&[b"a".to_vec()]))).encode();
        for cut in 0..whole.len() {
            // A list that ends where an item does is a shorter list.
            if let Ok(shorter) = Message::decode(&whole[..cut]) {
                assert_ne!(shorter, Message::decode(&whole).unwrap());
            }
        }
        let mut newer = whole.to_vec();
        newer[3] = b'2';
        assert_eq!(Message::decode(&newer).unwrap_err().kind(), ErrorKind::Decode);
    }

    #[test]
    fn what_is_much_is_told_in_parts_that_are_bounded() {
        let many: Vec<Tag> = (0..20_000).map(|i| Tag::from(format!("tag number {i}"))).collect();
        let parts = What::Tags(many.clone()).split();
        assert!(parts.len() > 1);
        let mut told = Vec::new();
        for part in parts {
            assert!(message(part.clone()).encode().len() <= LONGEST);
            let What::Tags(tags) = part else { panic!("{part:?}") };
            told.extend(tags);
        }
        assert_eq!(told, many);
        assert_eq!(What::Tags(vec!["x".repeat(LONGEST).into()]).split(), [What::Clear]);
        assert_eq!(What::Keys(Vec::new()).split(), []);
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(names: Vec<Vec<u8>>, tags: Vec<String>) {
            let tags = tags.into_iter().map(Tag::from).collect();
            for what in [What::Keys(keys(&names)), What::Tags(tags), What::Clear, What::Everything, What::Beat] {
                // Keys come back by their identity, which is what backends in a process go by.
                let bytes = message(what).encode();
                prop_assert_eq!(Message::decode(&bytes).unwrap().encode(), bytes);
            }
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(garbage: Vec<u8>, at in 0usize..80, byte: u8) {
            let _ = Message::decode(&garbage);
            let mut bent = message(What::Keys(keys(&[b"abc".to_vec()]))).encode().to_vec();
            if at < bent.len() {
                bent[at] = byte;
            }
            let _ = Message::decode(&bent);
        }
    }
}
