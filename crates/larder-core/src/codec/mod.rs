//! How values become bytes.

mod finite;
mod json;
mod msgpack;
mod raw;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

/// How the values of a cache become bytes. The same on every backend, memory included, so that a swap of the URL changes
/// nothing.
///
/// Integers are bare digits in each, so that a server can count them. What one codec wrote, another reads as a miss if at all; change
/// the version or the key prefix with the codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// JSON: readable with `redis-cli` and from other languages. It has no NaN and no infinity, which can't be stored then.
    #[default]
    Json,
    /// [MessagePack](https://msgpack.org) with the names of fields: smaller, quicker, binary, and takes maps with any keys. Self-describing
    /// like JSON, so a field may be added.
    MessagePack,
    /// As it is: text, bytes (`Vec<u8>`, arrays of `u8`, and whatever serialises as bytes) and integers, which is what other programs
    /// wrote or want to read. Anything else can't be stored. What was stored as text is read as bytes too, and a string of digits as
    /// a number.
    Raw,
}

impl Codec {
    /// Its name, as a cache URL has it: `json`, `msgpack`, `raw`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "msgpack",
            Self::Raw => "raw",
        }
    }

    /// The codec of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Json, Self::MessagePack, Self::Raw].into_iter().find(|codec| codec.as_str() == name)
    }

    /// Encodes a value.
    ///
    /// # Errors
    /// [`Encode`](ErrorKind::Encode) if the value can't be represented (in JSON a map whose keys are not strings, NaN and infinity).
    pub fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Bytes, Error> {
        match self {
            Self::Json => json::encode(value),
            Self::MessagePack => msgpack::encode(value),
            Self::Raw => raw::encode(value),
        }
    }

    /// Decodes what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the bytes are not a `T`.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Error> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(another_type),
            Self::MessagePack => msgpack::decode(bytes),
            Self::Raw => raw::decode(bytes),
        }
    }
}

fn another_type(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Decode, "the stored value is of another type").with_source(error)
}

/// An integer as JSON writes it: no plus sign, no leading zeros, no spaces.
pub(crate) fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::collections::{BTreeMap, HashMap};

    const ALL: [Codec; 3] = [Codec::Json, Codec::MessagePack, Codec::Raw];

    #[test]
    fn integers_are_bare_digits_in_every_codec() {
        for codec in ALL {
            for number in [0, 42, 50, -3, 45, 127, 128, -32, -33, i64::MAX, i64::MIN] {
                let bytes = codec.encode(&number).unwrap();
                assert_eq!(bytes, number.to_string(), "{codec:?}");
                assert_eq!(codec.decode::<i64>(&bytes).unwrap(), number, "{codec:?}");
                assert_eq!(codec.encode(&Some(number)).unwrap(), bytes);
                assert_eq!(codec.decode::<Option<i64>>(&bytes).unwrap(), Some(number));
            }
            assert_eq!(codec.encode(&u64::MAX).unwrap(), u64::MAX.to_string());
            assert_eq!(codec.decode::<u64>(u64::MAX.to_string().as_bytes()).unwrap(), u64::MAX);
            assert_eq!(codec.decode::<u8>(b"300").unwrap_err().kind(), ErrorKind::Decode, "{codec:?}");
            assert_eq!(codec.decode::<u8>(b"-1").unwrap_err().kind(), ErrorKind::Decode, "{codec:?}");
            for (name, wrong) in
                [("empty", ""), ("zeros", "007"), ("minus", "-"), ("plus", "+1"), ("space", " 1 1")]
            {
                let error = codec.decode::<i64>(wrong.as_bytes()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Decode, "{codec:?} {name}");
            }
        }
    }

    #[test]
    fn fractions_are_read_as_they_were_written() {
        let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..10_000 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            let fraction = (bits >> 11) as f64 / (1_u64 << 53) as f64;
            for number in [fraction, fraction * 1e300, -fraction * 1e-300, f64::from_bits(bits)] {
                if number.is_finite() {
                    for codec in [Codec::Json, Codec::MessagePack] {
                        let bytes = codec.encode(&number).unwrap();
                        let read: f64 = codec.decode(&bytes).unwrap();
                        assert_eq!(read.to_bits(), number.to_bits(), "{codec:?} {number}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_serialised_is_an_error_that_reaches_the_caller() {
        let map: HashMap<Vec<u8>, u8> = HashMap::from([(vec![1], 1)]);
        assert_eq!(Codec::Json.encode(&map).unwrap_err().kind(), ErrorKind::Encode);
        assert_eq!(Codec::Json.decode::<u8>(b"\"x\"").unwrap_err().kind(), ErrorKind::Decode);
        let bytes = Codec::MessagePack.encode(&map).unwrap();
        assert_eq!(Codec::MessagePack.decode::<HashMap<Vec<u8>, u8>>(&bytes).unwrap(), map);
    }

    #[derive(Serialize)]
    enum Nested<'a> {
        New(Option<f32>),
        Tuple(&'a str, [f64; 2]),
        Fields { nothing: Option<u8>, list: Vec<(Option<()>, f64)> },
        Map(BTreeMap<&'a str, f64>),
    }

    #[test]
    fn json_refuses_what_is_no_number_however_deep_and_names_the_remedy() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for refused in [
                Codec::Json.encode(&number),
                Codec::Json.encode(&Some(number)),
                Codec::Json.encode(&vec![(None, 1.0), (Some("null"), number)]),
                Codec::Json.encode(&Nested::New(Some(number as f32))),
                Codec::Json.encode(&Nested::Tuple("x", [0.0, number])),
                Codec::Json.encode(&Nested::Fields { nothing: None, list: vec![(Some(()), number)] }),
                Codec::Json.encode(&Nested::Map(BTreeMap::from([("x", number)]))),
            ] {
                let error = refused.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Encode);
                assert!(error.to_string().contains("codec=msgpack"), "{error}");
            }
            let read: Option<f64> =
                Codec::MessagePack.decode(&Codec::MessagePack.encode(&number).unwrap()).unwrap();
            assert_eq!(read.map(f64::to_bits), Some(number.to_bits()));
        }
        let nested =
            Nested::Fields { nothing: None, list: vec![(Some(()), f64::MAX), (None, f64::MIN_POSITIVE)] };
        let written = serde_json::to_vec(&nested).unwrap();
        assert_eq!(Codec::Json.encode(&nested).unwrap(), written, "what is nothing is written as ever");
        assert_eq!(Codec::Json.encode(&everything()).unwrap(), serde_json::to_vec(&everything()).unwrap());
        // It can be gone through once only, and was.
        let once = Once(std::cell::Cell::new(true));
        assert_eq!(Codec::Json.encode(&once).unwrap(), "null");
    }

    struct Once(std::cell::Cell<bool>);

    impl Serialize for Once {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0.replace(false) {
                serializer.serialize_none()
            } else {
                Err(serde::ser::Error::custom("again"))
            }
        }
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        text: String,
        bytes: Vec<u8>,
        nested: BTreeMap<String, Vec<(i64, bool)>>,
        either: Result<u8, String>,
        float: f64,
        nothing: Option<u8>,
    }

    fn everything() -> Everything {
        Everything {
            text: "Iñtërnâtiônàlizætiøn\u{1}".into(),
            bytes: (0..=255).collect(),
            nested: BTreeMap::from([("ascii".into(), vec![(-1, true), (i64::MIN, false)])]),
            either: Err("no".into()),
            float: 0.1 + 0.2,
            nothing: None,
        }
    }

    #[test]
    fn message_pack_is_smaller_than_json_and_bears_another_field() {
        let (json, packed) =
            (Codec::Json.encode(&everything()).unwrap(), Codec::MessagePack.encode(&everything()).unwrap());
        assert_eq!(Codec::MessagePack.decode::<Everything>(&packed).unwrap(), everything());
        assert!(packed.len() < json.len(), "{} and {}", packed.len(), json.len());
        #[derive(Deserialize)]
        struct Later {
            float: f64,
            #[serde(default)]
            added: u8,
        }
        let later: Later = Codec::MessagePack.decode(&packed).unwrap();
        assert_eq!((later.float, later.added), (0.1 + 0.2, 0));
    }

    #[test]
    fn message_pack_cut_short_or_followed_by_more_is_not_read() {
        let whole = Codec::MessagePack.encode(&everything()).unwrap();
        for cut in 0..whole.len() {
            assert!(Codec::MessagePack.decode::<Everything>(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [&whole[..], b"x"].concat();
        assert_eq!(Codec::MessagePack.decode::<Everything>(&longer).unwrap_err().kind(), ErrorKind::Decode);
        // An array that claims four billion elements, and nesting without end.
        assert!(Codec::MessagePack.decode::<Vec<String>>(b"\xdd\xff\xff\xff\xff").is_err());
        assert!(Codec::MessagePack.decode::<serde_json::Value>(&[0x91; 100_000]).is_err());
    }

    #[test]
    fn raw_keeps_text_and_bytes_as_they_are_and_refuses_the_rest_with_the_remedy() {
        let raw = Codec::Raw;
        assert_eq!(raw.encode("<p>é</p>").unwrap(), "<p>é</p>");
        assert_eq!(raw.encode(&'é').unwrap(), "é");
        assert_eq!(raw.encode(&[0u8, 255]).unwrap(), &[0u8, 255][..]);
        assert_eq!(raw.encode(&vec![0xc1u8, 0]).unwrap(), &[0xc1, 0][..]);
        assert_eq!(raw.decode::<Vec<u8>>(&[0, 255]).unwrap(), [0, 255]);
        assert_eq!(raw.decode::<[u8; 2]>(&[0, 255]).unwrap(), [0, 255]);
        assert_eq!(raw.decode::<String>("é".as_bytes()).unwrap(), "é");
        assert_eq!(raw.decode::<String>(b"5").unwrap(), "5");
        assert!(raw.decode::<Vec<u8>>(b"").unwrap().is_empty());
        for (name, error) in [
            ("a map", raw.encode(&HashMap::from([(1, 2)]))),
            ("a struct", raw.encode(&everything())),
            ("a number with a point", raw.encode(&1.5)),
            ("true or false", raw.encode(&true)),
            ("nothing", raw.encode(&None::<u8>)),
            ("a list of text", raw.encode(&["a", "b"])),
            ("a list of numbers", raw.encode(&[1u16, 2])),
            ("an enum", raw.encode(&Err::<u8, &str>("x"))),
        ] {
            let error = error.map(|bytes| panic!("{name} is stored as {bytes:?}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encode, "{name}");
            assert!(error.to_string().contains("codec=json"), "{name}: {error}");
        }
        for error in [
            raw.decode::<String>(&[0xff]).map(|_| ()),
            raw.decode::<bool>(b"true").map(|_| ()),
            raw.decode::<[u8; 3]>(b"ab").map(|_| ()),
            raw.decode::<Everything>(b"{}").map(|_| ()),
        ] {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Decode);
        }
    }

    #[test]
    fn neither_json_nor_message_pack_begins_with_the_byte_that_marks_compression() {
        for codec in [Codec::Json, Codec::MessagePack] {
            for bytes in [codec.encode(&everything()), codec.encode(&None::<u8>), codec.encode(&-63)] {
                assert_ne!(bytes.unwrap().first(), Some(&crate::pack::MARK));
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_a_value_and_never_a_panic(garbage: Vec<u8>) {
            for codec in ALL {
                let _ = codec.decode::<Everything>(&garbage);
                let _ = codec.decode::<serde_json::Value>(&garbage);
                let _ = codec.decode::<String>(&garbage);
                let _ = codec.decode::<u64>(&garbage);
            }
        }

        #[test]
        fn text_and_bytes_come_back(text: String, bytes: Vec<u8>) {
            for codec in ALL {
                prop_assert_eq!(&codec.decode::<String>(&codec.encode(&text).unwrap()).unwrap(), &text);
                prop_assert_eq!(&codec.decode::<Vec<u8>>(&codec.encode(&bytes).unwrap()).unwrap(), &bytes);
            }
        }
    }
}
