//! A session as it is stored: sealed, so that only its id opens it.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};
use larder_core::{Error, ErrorKind, UnixMillis};
use serde_json::Value;
use time::OffsetDateTime;

const MAGIC: &[u8; 4] = b"LSN1";
const HEAD: usize = 4 + 32 + 8;

/// A session, whatever release of `tower-sessions` it belongs to.
#[derive(Clone, PartialEq)]
pub(crate) struct Plain {
    pub(crate) id: i128,
    pub(crate) data: HashMap<String, Value>,
    pub(crate) expires: OffsetDateTime,
}

/// Of the id, for the names of keys. Nobody finds the id by it.
pub(crate) fn digest(id: i128) -> [u8; 32] {
    blake3::derive_key("larder session key", &id.to_le_bytes())
}

fn seal(id: i128, content: &[u8]) -> blake3::Hash {
    blake3::keyed_hash(&blake3::derive_key("larder session seal", &id.to_le_bytes()), content)
}

impl Plain {
    /// The instant of expiry; what lies before 1970 is the past all the same.
    pub(crate) fn expires_ms(&self) -> UnixMillis {
        UnixMillis::try_from(self.expires.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
    }

    /// `LSN1`, the seal (32 bytes), the expiry (milliseconds, 8 bytes, little-endian), the data as JSON.
    pub(crate) fn encode(&self) -> Result<Bytes, Error> {
        let data = serde_json::to_vec(&self.data).map_err(|e| {
            Error::new(ErrorKind::Encode, "the session's data can't be written as JSON").with_source(e)
        })?;
        let mut content = BytesMut::with_capacity(8 + data.len());
        content.put_u64_le(self.expires_ms());
        content.put_slice(&data);
        let mut out = BytesMut::with_capacity(HEAD + data.len());
        out.put_slice(MAGIC);
        out.put_slice(seal(self.id, &content).as_bytes());
        out.put_slice(&content);
        Ok(out.freeze())
    }

    /// The session of this id in these bytes.
    pub(crate) fn decode(id: i128, bytes: &[u8]) -> Result<Self, Error> {
        let bad =
            || Error::new(ErrorKind::Decode, "the stored session is damaged, or another's; it is removed");
        if bytes.len() < HEAD || bytes[..4] != *MAGIC {
            return Err(bad());
        }
        let (sealed, content) = bytes[4..].split_at(32);
        let sealed: [u8; 32] = sealed.try_into().map_err(|_| bad())?;
        // Compares in constant time.
        if seal(id, content) != blake3::Hash::from(sealed) {
            return Err(bad());
        }
        let (expires, data) = content.split_at(8);
        let expires = u64::from_le_bytes(expires.try_into().map_err(|_| bad())?);
        let expires =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(expires) * 1_000_000).map_err(|_| bad())?;
        let data = serde_json::from_slice(data).map_err(|e| bad().with_source(e))?;
        Ok(Self { id, data, expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Plain {
        let data =
            HashMap::from([("name".to_owned(), Value::from("Ada")), ("n".to_owned(), Value::from(u64::MAX))]);
        let expires = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        Plain { id: -7, data, expires }
    }

    #[test]
    fn a_session_is_read_as_it_was_written() {
        assert!(Plain::decode(-7, &plain().encode().unwrap()).unwrap() == plain());
    }

    #[test]
    fn values_of_all_kinds_come_back_as_they_were() {
        let values = serde_json::json!({
            "": null, "ü\u{0}\n": "\u{10ffff}\"\\", "numbers": [0.985_690_694_632_869_5, -0.0, 1e300, u64::MAX, i64::MIN],
            "nested": { "a": [[], {}, [true, [false]]] },
        });
        let data = values.as_object().unwrap().clone().into_iter().collect();
        let written = Plain { data, ..plain() };
        assert!(Plain::decode(-7, &written.encode().unwrap()).unwrap() == written);
    }

    #[test]
    fn any_flipped_bit_any_cut_and_any_other_id_is_no_session() {
        let bytes = plain().encode().unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(Plain::decode(-7, &damaged).is_err(), "byte {at}");
            assert!(Plain::decode(-7, &bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(Plain::decode(-8, &bytes).is_err());
    }

    #[test]
    fn keys_do_not_show_the_id() {
        let id = i128::from_le_bytes(*b"0123456789abcdef");
        assert!(!digest(id).windows(4).any(|window| b"0123456789abcdef".windows(4).any(|w| w == window)));
    }

    #[test]
    fn an_expiry_before_1970_is_the_past() {
        let expires = OffsetDateTime::from_unix_timestamp(-1_000_000).unwrap();
        assert_eq!(Plain { expires, ..plain() }.expires_ms(), 0);
    }
}
