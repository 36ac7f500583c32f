//! What stands in a file.
//!
//! ```text
//! larderf1 | crc32 of all that follows: u32 | length of identity: u32 | identity | entry (larder_core::wire)
//! ```
//! Numbers are little-endian. The version is in the magic word; another one is not readable, so a miss.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use larder_core::{Entry, Error, Stamp, wire};

const MAGIC: &[u8; 8] = b"larderf1";
const HEAD: usize = 16;
/// Where that begins of which the checksum is.
const SUMMED: usize = 12;
/// Enough for head, identity and the entry's first line of nearly all files.
const GLANCE: u64 = 4096;

/// The two parts of a file, to be written one after the other.
pub(crate) fn encode(identity: &[u8], entry: &Entry) -> Result<[Bytes; 2], Error> {
    let entry = wire::encode(entry)?;
    let length = u32::try_from(identity.len())
        .map_err(|_| Error::new(larder_core::ErrorKind::TooLarge, "the key is longer than 4 GiB"))?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length.to_le_bytes());
    crc.update(identity);
    crc.update(&entry);
    let mut head = Vec::with_capacity(HEAD + identity.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&crc.finalize().to_le_bytes());
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(identity);
    Ok([head.into(), entry])
}

/// What a file's bytes are.
#[derive(Debug)]
pub(crate) enum Content {
    /// The entry asked for.
    Entry(Entry),
    /// A whole entry of somebody else with the same hash.
    Other,
    /// Nothing that can be read.
    Garbage,
}

/// Reads a whole file. The entry's value is a slice of `bytes`.
pub(crate) fn decode(bytes: &Bytes, identity: &[u8]) -> Content {
    let Some((crc, length)) = head(bytes) else { return Content::Garbage };
    let body = bytes.slice(HEAD..);
    if crc32fast::hash(&bytes[SUMMED..]) != crc || body.len() < length {
        return Content::Garbage;
    }
    if body[..length] != *identity {
        return Content::Other;
    }
    match wire::decode(&body.slice(length..)) {
        Ok(entry) => Content::Entry(entry),
        Err(_) => Content::Garbage,
    }
}

/// What a look at a file's beginning tells.
#[derive(Debug)]
pub(crate) enum Glance {
    /// Identity, and the entry without its value; unchecked.
    Whole { identity: Bytes, expires: Option<u64>, stamp: Stamp },
    /// One of ours, and not readable.
    Torn,
    /// Not written by us, whatever it is called.
    Foreign,
}

/// Looks at the beginning of a file.
pub(crate) fn glance(path: &Path) -> io::Result<Glance> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    file.by_ref().take(GLANCE).read_to_end(&mut bytes)?;
    if bytes.iter().zip(MAGIC).any(|(a, b)| a != b) {
        return Ok(Glance::Foreign);
    }
    match read_front(&bytes.clone().into()) {
        Glance::Torn if bytes.len() as u64 == GLANCE => {
            file.read_to_end(&mut bytes)?;
            Ok(read_front(&bytes.into()))
        }
        seen => Ok(seen),
    }
}

fn read_front(bytes: &Bytes) -> Glance {
    let Some((_, length)) = head(bytes) else { return Glance::Torn };
    let body = bytes.slice(HEAD..);
    if body.len() < length {
        return Glance::Torn;
    }
    // The value may be cut off here; the line before it is what counts.
    match wire::decode(&body.slice(length..)) {
        Ok(entry) => Glance::Whole {
            identity: body.slice(..length),
            expires: entry.expires(),
            stamp: entry.stamp().clone(),
        },
        Err(_) => Glance::Torn,
    }
}

/// Checksum, and length of the identity.
fn head(bytes: &[u8]) -> Option<(u32, usize)> {
    let (head, _) = bytes.split_first_chunk::<HEAD>()?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    head.starts_with(MAGIC).then(|| (number(8), number(SUMMED) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::{Nonce, Value};

    fn file(value: &'static str) -> Vec<u8> {
        let stamp = Stamp { space: Nonce::from_u128(1), tags: Box::new([("t".into(), Nonce::from_u128(2))]) };
        let entry = Entry::new(Value::Bytes(value.into()), Some(77), stamp);
        encode(b":1:key", &entry).unwrap().concat()
    }

    #[test]
    fn version_one_stays_readable_for_ever() {
        let golden = b"larderf1\x71\x58\x58\x0c\x06\x00\x00\x00:1:keylarder1 77 00000000000000000000000000000001 t=00000000000000000000000000000002\n42";
        assert_eq!(file("42"), golden);
        let Content::Entry(entry) = decode(&Bytes::from_static(golden), b":1:key") else {
            panic!("it can't be read")
        };
        assert_eq!((entry.value().to_bytes().unwrap(), entry.expires()), ("42".into(), Some(77)));
    }

    #[test]
    fn a_file_cut_anywhere_or_with_any_bit_turned_is_garbage_and_another_identity_is_not_ours() {
        let whole = file("{\"a\": [1, 2, 3]}");
        for cut in 0..whole.len() {
            let torn = Bytes::copy_from_slice(&whole[..cut]);
            assert!(matches!(decode(&torn, b":1:key"), Content::Garbage), "cut at {cut}");
        }
        for at in 0..whole.len() * 8 {
            let mut turned = whole.clone();
            turned[at / 8] ^= 1 << (at % 8);
            assert!(matches!(decode(&turned.into(), b":1:key"), Content::Garbage), "bit {at}");
        }
        assert!(matches!(decode(&whole.into(), b":1:other"), Content::Other));
    }
}
