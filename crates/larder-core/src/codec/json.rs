//! JSON, as `serde_json` writes it, but for numbers that are none: it writes those as null.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::finite::is_finite;
use crate::error::{Error, ErrorKind};

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    let (mut out, mut nulls) = (Vec::with_capacity(128), false);
    let written = value.serialize(&mut Serializer::with_formatter(&mut out, Noting(&mut nulls)));
    written.map_err(|e| {
        Error::new(ErrorKind::Encode, format!("the value can't be stored as JSON: {e}")).with_source(e)
    })?;
    // Nearly always a null is nothing; only then is the value gone through again.
    if nulls && !is_finite(value) {
        return Err(Error::new(
            ErrorKind::Encode,
            "the value can't be stored as JSON, which has no NaN and no infinity; open the cache with codec=msgpack, or store None in its place",
        ));
    }
    Ok(out.into())
}

/// Notes whether a null is written.
struct Noting<'a>(&'a mut bool);

impl Formatter for Noting<'_> {
    fn write_null<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        *self.0 = true;
        writer.write_all(b"null")
    }
}
