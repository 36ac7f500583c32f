//! An entry as bytes, for stores outside the process.
//!
//! A line of text, then the value as it is, so that a look with `redis-cli` or `head -1` explains itself:
//!
//! ```text
//! larder1 1763683200000 0123456789abcdef0123456789abcdef course:7=89ab… course_list=cdef…⏎
//! {"title":"Rust"}
//! ```
//!
//! `larder1` is the version; then the expiry in milliseconds since the epoch (`-`: never), the namespace's nonce, and
//! the tags with theirs. In tags, bytes that are not printable ASCII, and `%`, `=` and space, stand as `%xx`.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::entry::{Entry, Value};
use crate::error::{Error, ErrorKind};
use crate::tag::{Nonce, Stamp, Tag};

const MAGIC: &str = "larder1";
/// More than this before the line's end is not one of ours.
const LONGEST_LINE: usize = 1 << 20;

/// The entry as bytes.
///
/// # Errors
/// [`Encode`](ErrorKind::Encode) if its shared value can't be serialised.
pub fn encode(entry: &Entry) -> Result<Bytes, Error> {
    let value = entry.value().to_bytes()?;
    let mut line = String::with_capacity(80);
    line.push_str(MAGIC);
    match entry.expires() {
        Some(at) => _ = write!(line, " {at} "),
        None => line.push_str(" - "),
    }
    _ = write!(line, "{:032x}", entry.stamp().space.as_u128());
    for (tag, nonce) in &entry.stamp().tags {
        line.push(' ');
        escape(tag.as_str(), &mut line);
        _ = write!(line, "={:032x}", nonce.as_u128());
    }
    line.push('\n');
    let mut out = line.into_bytes();
    out.extend_from_slice(&value);
    Ok(out.into())
}

/// The entry in `bytes`; its value is a slice of them.
///
/// # Errors
/// [`Decode`](ErrorKind::Decode) for anything that [`encode`] did not write.
pub fn decode(bytes: &Bytes) -> Result<Entry, Error> {
    let bad = |what: &'static str| Error::new(ErrorKind::Decode, what);
    let head = &bytes[..bytes.len().min(LONGEST_LINE)];
    let end =
        head.iter().position(|b| *b == b'\n').ok_or_else(|| bad("the stored entry has no head line"))?;
    let line = std::str::from_utf8(&head[..end]).map_err(|_| bad("the stored entry's head is not text"))?;
    let mut words = line.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(bad("the stored entry has another version"));
    }
    let expires = match words.next() {
        Some("-") => None,
        Some(at) => Some(at.parse().map_err(|_| bad("the stored entry's expiry is not a number"))?),
        None => return Err(bad("the stored entry has no expiry")),
    };
    let space = words.next().and_then(nonce).ok_or_else(|| bad("the stored entry has no namespace nonce"))?;
    let tags = words
        .map(|word| {
            let (tag, n) = word.split_once('=')?;
            Some((Tag::from(unescape(tag)?), nonce(n)?))
        })
        .collect::<Option<Box<[_]>>>()
        .ok_or_else(|| bad("the stored entry has a tag that can't be read"))?;
    Ok(Entry::new(Value::Bytes(bytes.slice(end + 1..)), expires, Stamp { space, tags }))
}

fn nonce(hex: &str) -> Option<Nonce> {
    (hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u128::from_str_radix(hex, 16).ok().map(Nonce::from_u128))?
}

fn escape(text: &str, out: &mut String) {
    for b in text.bytes() {
        if b.is_ascii_graphic() && b != b'%' && b != b'=' {
            out.push(char::from(b));
        } else {
            _ = write!(out, "%{b:02x}");
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hex = [bytes.next()?, bytes.next()?];
            let hex = std::str::from_utf8(&hex).ok().filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn version_one_stays_readable_for_ever() {
        let golden = b"larder1 1763683200000 0000000000000000000000000000000a course:7=0000000000000000000000000000000b a%20%3db=0000000000000000000000000000000c\n{\"x\":1}";
        let entry = decode(&Bytes::from_static(golden)).unwrap();
        assert_eq!(entry.expires(), Some(1_763_683_200_000));
        assert_eq!(entry.stamp().space, Nonce::from_u128(10));
        assert_eq!(entry.stamp().tags[1], (Tag::from("a =b"), Nonce::from_u128(12)));
        assert_eq!(entry.value().to_bytes().unwrap(), "{\"x\":1}");
        assert_eq!(encode(&entry).unwrap(), &golden[..]);
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(value: Vec<u8>, expires: Option<u64>, tags: Vec<(String, u128)>) {
            let tags = tags.into_iter().map(|(t, n)| (Tag::from(t), Nonce::from_u128(n))).collect();
            let stamp = Stamp { space: Nonce::from_u128(7), tags };
            let entry = Entry::new(Value::Bytes(value.clone().into()), expires, stamp.clone());
            let back = decode(&encode(&entry).unwrap()).unwrap();
            prop_assert_eq!(back.expires(), expires);
            prop_assert_eq!(back.stamp(), &stamp);
            prop_assert_eq!(back.value().to_bytes().unwrap(), value);
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(garbage: Vec<u8>, cut in 0usize..100) {
            let _ = decode(&Bytes::from(garbage));
            let whole = b"larder1 1763683200000 0000000000000000000000000000000a t=0000000000000000000000000000000b\n1";
            if cut < whole.len() - 2 {
                prop_assert!(decode(&Bytes::copy_from_slice(&whole[..cut])).is_err());
            }
        }
    }
}
