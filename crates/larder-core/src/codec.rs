//! How values become bytes.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

/// How the values of a cache become bytes. The same on every backend, memory included, so that a swap of the URL changes
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// JSON: readable with `redis-cli` and from other languages; integers are bare digits, so that a server can count
    /// them.
    #[default]
    Json,
}

impl Codec {
    /// Encodes a value.
    ///
    /// # Errors
    /// [`Encode`](ErrorKind::Encode) if the value can't be represented (a map whose keys are not strings, say).
    pub fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Bytes, Error> {
        match self {
            Self::Json => serde_json::to_vec(value).map(Bytes::from).map_err(|e| {
                Error::new(ErrorKind::Encode, format!("the value can't be stored as JSON: {e}"))
                    .with_source(e)
            }),
        }
    }

    /// Decodes what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the bytes are not a `T`.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Error> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|e| {
                Error::new(ErrorKind::Decode, "the stored value is of another type").with_source(e)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn integers_are_bare_digits() {
        assert_eq!(Codec::Json.encode(&42).unwrap(), "42");
        assert_eq!(Codec::Json.encode(&-7i64).unwrap(), "-7");
    }

    #[test]
    fn what_cannot_be_serialised_is_an_error_that_reaches_the_caller() {
        let map: HashMap<Vec<u8>, u8> = HashMap::from([(vec![1], 1)]);
        assert_eq!(Codec::Json.encode(&map).unwrap_err().kind(), ErrorKind::Encode);
        assert_eq!(Codec::Json.decode::<u8>(b"\"x\"").unwrap_err().kind(), ErrorKind::Decode);
    }
}
