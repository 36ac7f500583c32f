//! Values as they leave the process: compressed where that pays.
//!
//! Whatever is not as it was begins with a byte that neither text nor MessagePack begins with, so that what one setting
//! wrote another reads:
//!
//! ```text
//! c1 | 00 | the value, which begins with c1 itself
//! c1 | 77 | fresh until: u64 | the value, or one of the others: it is kept beyond that
//! c1 | 7a (zstd) or 34 (lz4) | length: u32 | crc32: u32, both of the value | what the compressor made
//! ```
//! Numbers are little-endian.

mod compression;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};

pub use compression::Compression;
pub(crate) use compression::{ABOVE, Compressor};

use crate::clock::UnixMillis;
use crate::entry::{Entry, SharedValue, Value};
use crate::error::{Error, ErrorKind};

/// What is not as it was begins with this.
pub(crate) const MARK: u8 = 0xc1;
const AS_IT_IS: u8 = 0;
/// Kept beyond its freshness.
const BEYOND: u8 = b'w';
const BEYOND_HEAD: usize = 10;
const HEAD: usize = 10;
/// More than this is stored as it is, and what claims to be more is not believed.
const LARGEST: usize = 64 << 20;
/// Less than this is never compressed: no integer is, since servers count on them.
const SMALLEST: usize = 64;

/// Takes a value along until somebody wants its bytes; a store in this process keeps it as it is.
struct Packed {
    plain: Value,
    fresh_until: Option<UnixMillis>,
    compressor: Arc<Compressor>,
    bytes: OnceLock<Bytes>,
}

impl SharedValue for Packed {
    fn encode(&self) -> Result<Bytes, Error> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(bytes.clone());
        }
        let packed = within(self.fresh_until, pack(&self.plain.to_bytes()?, &self.compressor));
        Ok(self.bytes.get_or_init(|| packed).clone())
    }

    fn weight(&self) -> usize {
        match &self.plain {
            Value::Bytes(bytes) => bytes.len(),
            Value::Shared(value) => value.weight(),
        }
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        match &self.plain {
            Value::Bytes(bytes) => Arc::new(bytes.clone()),
            Value::Shared(value) => Arc::clone(value).into_any(),
        }
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("plain", &self.plain).finish_non_exhaustive()
    }
}

/// The entry for a store outside the process.
pub(crate) fn close(entry: Entry, compressor: &Arc<Compressor>) -> Entry {
    let fresh_until = entry.fresh_until();
    let as_it_is = match entry.value() {
        _ if fresh_until.is_some() => false,
        Value::Bytes(bytes) => bytes.first() != Some(&MARK) && !compressor.wants(bytes.len()),
        Value::Shared(_) => false,
    };
    if as_it_is {
        return entry;
    }
    let (plain, compressor) = (plain_of(entry.value()), Arc::clone(compressor));
    entry.with_value(Value::Shared(Arc::new(Packed {
        plain,
        fresh_until,
        compressor,
        bytes: OnceLock::new(),
    })))
}

/// What was closed before and came back as it was is not closed twice: what stood in front of it then would come out as what counts now.
fn plain_of(value: &Value) -> Value {
    if let Value::Shared(shared) = value {
        let any: &dyn Any = &**shared;
        if let Some(packed) = any.downcast_ref::<Packed>() {
            return packed.plain.clone();
        }
    }
    value.clone()
}

/// The entry from a store outside the process.
///
/// # Errors
/// [`Decode`](ErrorKind::Decode) for garbage, [`Unsupported`](ErrorKind::Unsupported) for what this program can't read.
pub(crate) fn open(entry: Entry) -> Result<Entry, Error> {
    match entry.value() {
        Value::Bytes(bytes) if bytes.first() == Some(&MARK) => {
            // Once, where the entry stays in this process; what is decoded of it is kept with what was unpacked.
            let opened = entry.decoded(|bytes| {
                let (fresh_until, bytes) = beyond(bytes)?;
                let plain = if bytes.first() == Some(&MARK) { unpack(&bytes)? } else { bytes };
                Ok(entry.with_value(Value::Bytes(plain)).with_fresh_until(fresh_until))
            })?;
            Ok(Entry::clone(&opened))
        }
        // A store with a part in this process gives back what it was given.
        _ => Ok(entry),
    }
}

/// The bytes of a value that was opened.
///
/// # Errors
/// [`Encode`](ErrorKind::Encode) if a shared value can't be serialised.
pub(crate) fn bytes(value: &Value) -> Result<Bytes, Error> {
    let Value::Shared(value) = value else { return value.to_bytes() };
    if let Ok(plain) = Arc::clone(value).into_any().downcast::<Bytes>() {
        return Ok(Bytes::clone(&plain));
    }
    let any: &dyn Any = &**value;
    match any.downcast_ref::<Packed>() {
        Some(packed) => packed.plain.to_bytes(),
        None => value.encode(),
    }
}

fn pack(plain: &Bytes, compressor: &Compressor) -> Bytes {
    if compressor.wants(plain.len())
        && plain.len() <= LARGEST
        && let Some((kind, small)) = compressor.compress(plain)
        && small.len() + HEAD < plain.len()
    {
        let mut out = BytesMut::with_capacity(HEAD + small.len());
        out.put_slice(&[MARK, kind]);
        out.put_u32_le(plain.len() as u32);
        out.put_u32_le(crc32fast::hash(plain));
        out.put_slice(&small);
        return out.freeze();
    }
    if plain.first() != Some(&MARK) {
        return plain.clone();
    }
    let mut out = BytesMut::with_capacity(2 + plain.len());
    out.put_slice(&[MARK, AS_IT_IS]);
    out.put_slice(plain);
    out.freeze()
}

/// Says in front until when it is fresh.
fn within(fresh_until: Option<UnixMillis>, packed: Bytes) -> Bytes {
    let Some(fresh_until) = fresh_until else { return packed };
    let mut out = BytesMut::with_capacity(BEYOND_HEAD + packed.len());
    out.put_slice(&[MARK, BEYOND]);
    out.put_u64_le(fresh_until);
    out.put_slice(&packed);
    out.freeze()
}

/// What stands in front, and the rest.
fn beyond(packed: &Bytes) -> Result<(Option<UnixMillis>, Bytes), Error> {
    if packed.get(1) != Some(&BEYOND) {
        return Ok((None, packed.clone()));
    }
    let eight = packed.get(2..BEYOND_HEAD).and_then(|eight| eight.try_into().ok());
    let fresh_until = eight.map(u64::from_le_bytes);
    match fresh_until {
        Some(until) => Ok((Some(until), packed.slice(BEYOND_HEAD..))),
        None => Err(Error::new(ErrorKind::Decode, "the stored value is cut short")),
    }
}

/// How many bytes more a value takes when it is unpacked.
pub(crate) fn unpacked_length(stored: &[u8]) -> usize {
    match stored {
        [MARK, BEYOND, ..] => stored.get(BEYOND_HEAD..).map_or(0, unpacked_length),
        [MARK, kind, a, b, c, d, ..] if *kind != AS_IT_IS => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
        _ => 0,
    }
}

fn unpack(packed: &Bytes) -> Result<Bytes, Error> {
    let bad = |what: &'static str| Error::new(ErrorKind::Decode, what);
    let kind = match packed.get(1) {
        Some(&AS_IT_IS) => return Ok(packed.slice(2..)),
        Some(kind) => *kind,
        None => return Err(bad("the stored value is cut short")),
    };
    let number =
        |at: usize| packed.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes);
    let (Some(length), Some(crc)) = (number(2), number(6)) else {
        return Err(bad("the stored value is cut short"));
    };
    let length = length as usize;
    if length > LARGEST {
        return Err(bad("the stored value claims to be larger than any that is compressed"));
    }
    let plain = compression::decompress(kind, &packed[HEAD..], length)?;
    if plain.len() != length || crc32fast::hash(&plain) != crc {
        return Err(bad("the stored value is not what was compressed"));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests;
