//! Text, bytes and integers as they are.

use bytes::Bytes;
use serde::de::value::{Error as Wrong, SeqDeserializer};
use serde::de::{DeserializeOwned, Visitor};
use serde::ser::{Impossible, SerializeSeq, SerializeTuple};
use serde::{Deserializer, Serialize, Serializer, forward_to_deserialize_any};

use super::{another_type, is_integer};
use crate::error::{Error, ErrorKind};

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    match value.serialize(Raw) {
        Ok(Out::Byte(byte)) => Ok(byte.to_string().into()),
        Ok(Out::Bytes(bytes)) => Ok(bytes.into()),
        Err(e) => Err(Error::new(
            ErrorKind::Encode,
            format!(
                "the raw codec takes text, bytes and integers, and this is {e}; open the cache with codec=json or codec=msgpack"
            ),
        )
        .with_source(e)),
    }
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    T::deserialize(Stored(bytes)).map_err(another_type)
}

fn refused(what: &'static str) -> Wrong {
    serde::ser::Error::custom(what)
}

enum Out {
    /// A number, or an element of what is bytes.
    Byte(u8),
    Bytes(Vec<u8>),
}

struct Raw;

/// What serialises as a list: bytes, if each element is one.
struct Elements(Vec<u8>);

impl Elements {
    fn push<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), Wrong> {
        match element.serialize(Raw)? {
            Out::Byte(byte) => self.0.push(byte),
            Out::Bytes(_) => return Err(refused("a list of something else than bytes")),
        }
        Ok(())
    }
}

impl SerializeSeq for Elements {
    type Ok = Out;
    type Error = Wrong;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), Wrong> {
        self.push(element)
    }

    fn end(self) -> Result<Out, Wrong> {
        Ok(Out::Bytes(self.0))
    }
}

impl SerializeTuple for Elements {
    type Ok = Out;
    type Error = Wrong;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), Wrong> {
        self.push(element)
    }

    fn end(self) -> Result<Out, Wrong> {
        Ok(Out::Bytes(self.0))
    }
}

macro_rules! digits {
    ($($method:ident $type:ty),+) => { $(
        fn $method(self, number: $type) -> Result<Out, Wrong> {
            Ok(Out::Bytes(number.to_string().into_bytes()))
        }
    )+ };
}

/// A list of no elements, or of bytes.
fn elements(length: Option<usize>) -> Elements {
    // What is said is not believed: it may be anything.
    Elements(Vec::with_capacity(length.unwrap_or(0).min(1 << 20)))
}

impl Serializer for Raw {
    type Ok = Out;
    type Error = Wrong;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Impossible<Out, Wrong>;
    type SerializeTupleVariant = Impossible<Out, Wrong>;
    type SerializeMap = Impossible<Out, Wrong>;
    type SerializeStruct = Impossible<Out, Wrong>;
    type SerializeStructVariant = Impossible<Out, Wrong>;

    digits!(serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128);
    digits!(serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128);

    fn serialize_u8(self, byte: u8) -> Result<Out, Wrong> {
        Ok(Out::Byte(byte))
    }

    fn serialize_char(self, c: char) -> Result<Out, Wrong> {
        Ok(Out::Bytes(c.to_string().into_bytes()))
    }

    fn serialize_str(self, text: &str) -> Result<Out, Wrong> {
        Ok(Out::Bytes(text.into()))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Out, Wrong> {
        Ok(Out::Bytes(bytes.into()))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Out, Wrong> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Out, Wrong> {
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Elements, Wrong> {
        Ok(elements(length))
    }

    fn serialize_tuple(self, length: usize) -> Result<Elements, Wrong> {
        Ok(elements(Some(length)))
    }

    fn serialize_bool(self, _: bool) -> Result<Out, Wrong> {
        Err(refused("a boolean"))
    }

    fn serialize_f32(self, _: f32) -> Result<Out, Wrong> {
        Err(refused("a floating-point number"))
    }

    fn serialize_f64(self, _: f64) -> Result<Out, Wrong> {
        Err(refused("a floating-point number"))
    }

    fn serialize_none(self) -> Result<Out, Wrong> {
        Err(refused("a null"))
    }

    fn serialize_unit(self) -> Result<Out, Wrong> {
        Err(refused("a null"))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Out, Wrong> {
        Err(refused("a struct"))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<Out, Wrong> {
        Err(refused("an enum"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Out, Wrong> {
        Err(refused("an enum"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Impossible<Out, Wrong>, Wrong> {
        Err(refused("a struct"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible<Out, Wrong>, Wrong> {
        Err(refused("an enum"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Impossible<Out, Wrong>, Wrong> {
        Err(refused("a map"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Impossible<Out, Wrong>, Wrong> {
        Err(refused("a struct"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible<Out, Wrong>, Wrong> {
        Err(refused("an enum"))
    }
}

/// What was stored; of which kind it is, the reader says.
struct Stored<'a>(&'a [u8]);

impl<'a> Stored<'a> {
    fn text(&self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.0).map_err(|_| refused("not text"))
    }

    fn number<N: std::str::FromStr>(&self) -> Result<N, Wrong> {
        let text = self.text()?;
        let number = is_integer(self.0).then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| refused("not an integer of this size"))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident),+) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            visitor.$visit(self.number()?)
        }
    )+ };
}

impl<'de> Deserializer<'de> for Stored<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.text() {
            Ok(text) => visitor.visit_str(text),
            Err(_) => visitor.visit_bytes(self.0),
        }
    }

    numbers!(deserialize_i8 visit_i8, deserialize_i16 visit_i16, deserialize_i32 visit_i32, deserialize_i64 visit_i64);
    numbers!(deserialize_u8 visit_u8, deserialize_u16 visit_u16, deserialize_u32 visit_u32, deserialize_u64 visit_u64);
    numbers!(deserialize_i128 visit_i128, deserialize_u128 visit_u128);

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bytes(self.0)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bytes(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let mut bytes = SeqDeserializer::new(self.0.iter().copied());
        let value = visitor.visit_seq(&mut bytes)?;
        bytes.end().map(|()| value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    forward_to_deserialize_any! {
        bool f32 f64 char unit unit_struct tuple_struct map struct enum identifier ignored_any
    }
}
