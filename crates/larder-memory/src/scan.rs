//! Naming what is held, a part at a time.

use std::collections::BinaryHeap;

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Key, Scanned, UnixMillis};

use crate::store::Store;

/// The table has no order, so each part is a look at all of it: there are at most this many.
const PARTS: usize = 16;

impl Store {
    /// The first keys, in the order of their identities, that begin with `front` and come after `after`.
    pub(crate) fn scan(
        &self,
        front: &[u8],
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        let after = after.map(unhex).transpose()?;
        let limit = limit.max(self.len() / PARTS).max(1);
        // The greatest on top, to give way to a smaller one.
        let mut first: BinaryHeap<Bytes> = BinaryHeap::new();
        let mut more = false;
        for (identity, _) in self.iter(now) {
            if !identity.starts_with(front) || after.as_deref().is_some_and(|after| *identity <= *after) {
                continue;
            }
            if first.len() < limit {
                first.push(identity);
                continue;
            }
            more = true;
            if let Some(mut greatest) = first.peek_mut()
                && identity < *greatest
            {
                *greatest = identity;
            }
        }
        let first = first.into_sorted_vec();
        let next = first.last().filter(|_| more).map(|last| hex(last));
        Ok(Scanned { keys: first.iter().filter_map(|identity| Key::of_identity(identity)).collect(), next })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|n| char::from_digit(n.into(), 16))
        .collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, Error> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let byte = |pair: &[u8]| Some((digit(*pair.first()?)? << 4) | digit(*pair.get(1)?)?);
    text.as_bytes().chunks(2).map(byte).collect::<Option<_>>().ok_or_else(|| {
        Error::new(
            ErrorKind::Value,
            "this is not where a walk over the memory cache stopped; begin a new one",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_walk_stopped_comes_back_and_anything_else_is_an_error() {
        for bytes in [&b""[..], b":1:a", &[0, 255, 16]] {
            assert_eq!(unhex(&hex(bytes)).unwrap(), bytes);
        }
        for wrong in ["0", "zz", "\u{e9}\u{e9}", "+1"] {
            assert_eq!(unhex(wrong).unwrap_err().kind(), ErrorKind::Value, "{wrong}");
        }
    }
}
