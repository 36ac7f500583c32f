//! Whether a value has a number in it that is none: NaN or an infinity.

use std::fmt;

use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// Whether NaN or an infinity is in it, however deep. It is for formats that people read.
pub(super) fn is_finite<T: Serialize + ?Sized>(value: &T) -> bool {
    // What can't be walked through a second time was written once.
    !matches!(value.serialize(Walk), Err(Stop::NotFinite))
}

/// Goes through a value and writes nothing.
struct Walk;

/// Why it does not go on.
#[derive(Debug)]
enum Stop {
    NotFinite,
    Other,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was not gone through to the end")
    }
}

impl std::error::Error for Stop {}

impl Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

fn number(finite: bool) -> Result<(), Stop> {
    if finite { Ok(()) } else { Err(Stop::NotFinite) }
}

/// What has nothing in it to look at.
macro_rules! leaves {
    ($($method:ident($($t:ty),*);)+) => { $(
        fn $method(self, $(_: $t),*) -> Result<(), Stop> {
            Ok(())
        }
    )+ };
}

/// What has parts.
macro_rules! parts {
    ($($method:ident($($t:ty),*);)+) => { $(
        fn $method(self, $(_: $t),*) -> Result<Self, Stop> {
            Ok(self)
        }
    )+ };
}

impl Serializer for Walk {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    leaves! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    parts! {
        serialize_seq(Option<usize>);
        serialize_tuple(usize);
        serialize_tuple_struct(&'static str, usize);
        serialize_tuple_variant(&'static str, u32, &'static str, usize);
        serialize_map(Option<usize>);
        serialize_struct(&'static str, usize);
        serialize_struct_variant(&'static str, u32, &'static str, usize);
    }

    fn serialize_f32(self, value: f32) -> Result<(), Stop> {
        number(value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Stop> {
        number(value.is_finite())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stop> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Stop> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        value.serialize(self)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), Stop> {
        Ok(())
    }
}

/// The parts of each kind of whole.
macro_rules! wholes {
    ($($name:ident: $($method:ident($($key:ty)?)),+;)+) => { $(
        impl $name for Walk {
            type Ok = ();
            type Error = Stop;

            $(
                fn $method<T: Serialize + ?Sized>(&mut self, $(_: $key,)? part: &T) -> Result<(), Stop> {
                    part.serialize(Walk)
                }
            )+

            fn end(self) -> Result<(), Stop> {
                Ok(())
            }
        }
    )+ };
}

wholes! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}
