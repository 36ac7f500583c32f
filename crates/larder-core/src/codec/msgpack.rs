//! MessagePack, but for an integer alone: that is decimal digits, for servers to count on.

use std::io::Cursor;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{another_type, is_integer};
use crate::error::{Error, ErrorKind};

/// As deep as JSON may be nested, for the same reason: the stack.
const DEEPEST: usize = 128;

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    let packed = rmp_serde::to_vec_named(value).map_err(wrong)?;
    let text = match packed.first() {
        Some(0x00..=0x7f | 0xcc..=0xcf) => number::<u64>(&packed)?,
        Some(0xd0..=0xd3 | 0xe0..=0xff) => number::<i64>(&packed)?,
        _ => return Ok(packed.into()),
    };
    Ok(text.into())
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // These bytes alone are small integers, which are not written so.
    if !matches!(bytes.first(), Some(b'-' | b'0'..=b'9')) {
        return unpack(bytes);
    }
    let text = std::str::from_utf8(bytes).ok().filter(|_| is_integer(bytes)).unwrap_or_default();
    let packed = match (text.parse::<u64>(), text.parse::<i64>()) {
        (Ok(number), _) => rmp_serde::to_vec(&number),
        (_, Ok(number)) => rmp_serde::to_vec(&number),
        (_, Err(error)) => return Err(another_type(error)),
    };
    unpack(&packed.map_err(another_type)?)
}

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut from = rmp_serde::Deserializer::new(Cursor::new(bytes));
    from.set_max_depth(DEEPEST);
    let value = T::deserialize(&mut from).map_err(another_type)?;
    if from.position() != bytes.len() as u64 {
        return Err(Error::new(ErrorKind::Decode, "the stored value goes on after its end"));
    }
    Ok(value)
}

fn number<N: DeserializeOwned + ToString>(packed: &[u8]) -> Result<String, Error> {
    rmp_serde::from_slice::<N>(packed).map(|number| number.to_string()).map_err(wrong)
}

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Encode, format!("the value can't be stored as MessagePack: {error}"))
        .with_source(error)
}
