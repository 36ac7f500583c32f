//! Reading version 1. Whatever the bytes are, the answer is a response or an error.

use super::{CHECKSUM_LEN, CREDENTIALED, HEAD_ONLY, MAGIC, PRELUDE_LEN, SENSITIVE, VERSION, WIDENED};
use crate::{
    freshness::Timing,
    stored::{StoredFlags, StoredMeta, StoredResponse, WireError},
};
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

type Result<T> = std::result::Result<T, WireError>;

pub(crate) fn decode(bytes: Bytes) -> Result<StoredResponse> {
    let mut input = Input { rest: checked(bytes)? };
    input.rest.advance(MAGIC.len() + 1);
    let flags = flags(input.u8()?)?;
    let status = StatusCode::from_u16(input.u16()?).map_err(|_| WireError::CORRUPT)?;
    let fill_ms = input.u32()?;
    let timing = Timing {
        request_time: input.u64()?,
        response_time: input.u64()?,
        initial_age_ms: input.u64()?,
        fresh_for_ms: input.u64()?,
        stale_while_revalidate_ms: input.u64()?,
        stale_if_error_ms: input.u64()?,
    };
    let key_len = input.u64()?;
    let vary_count = input.u32()?;
    let field_count = input.u32()?;
    let body_len = input.u64()?;

    let key = input.slice(key_len)?;
    let vary = (0..vary_count).map(|_| input.name()).collect::<Result<_>>()?;
    let headers = input.fields(field_count)?;
    let body = input.slice(body_len)?;
    if !input.rest.is_empty() {
        return Err(WireError::CORRUPT);
    }
    Ok(StoredResponse {
        status,
        headers,
        body,
        meta: StoredMeta { key, vary, flags, timing, fill_ms, forms: Vec::new() },
    })
}

/// The bytes without their checksum, if they are of this version and the checksum is right.
fn checked(mut bytes: Bytes) -> Result<Bytes> {
    if !bytes.starts_with(&MAGIC) {
        return Err(WireError::CORRUPT);
    }
    // Another version may be built quite differently, so nothing else is looked at before.
    match bytes.get(MAGIC.len()) {
        Some(&VERSION) => {}
        Some(_) => return Err(WireError::UNKNOWN_VERSION),
        None => return Err(WireError::CORRUPT),
    }
    if bytes.len() < PRELUDE_LEN + CHECKSUM_LEN {
        return Err(WireError::CORRUPT);
    }
    let mut checksum = bytes.split_off(bytes.len() - CHECKSUM_LEN);
    if crc32fast::hash(&bytes) != checksum.get_u32() {
        return Err(WireError::CORRUPT);
    }
    Ok(bytes)
}

fn flags(byte: u8) -> Result<StoredFlags> {
    if byte & !(HEAD_ONLY | WIDENED | CREDENTIALED) != 0 {
        return Err(WireError::CORRUPT);
    }
    let set = |bit| byte & bit != 0;
    Ok(StoredFlags { head_only: set(HEAD_ONLY), widened: set(WIDENED), credentialed: set(CREDENTIALED) })
}

/// What is left to read.
struct Input {
    rest: Bytes,
}

impl Input {
    fn u8(&mut self) -> Result<u8> {
        self.rest.try_get_u8().map_err(|_| WireError::CORRUPT)
    }

    fn u16(&mut self) -> Result<u16> {
        self.rest.try_get_u16().map_err(|_| WireError::CORRUPT)
    }

    fn u32(&mut self) -> Result<u32> {
        self.rest.try_get_u32().map_err(|_| WireError::CORRUPT)
    }

    fn u64(&mut self) -> Result<u64> {
        self.rest.try_get_u64().map_err(|_| WireError::CORRUPT)
    }

    fn slice(&mut self, len: u64) -> Result<Bytes> {
        match usize::try_from(len) {
            Ok(len) if len <= self.rest.len() => Ok(self.rest.split_to(len)),
            _ => Err(WireError::CORRUPT),
        }
    }

    fn name(&mut self) -> Result<HeaderName> {
        let len = self.u16()?;
        self.name_of(len)
    }

    fn name_of(&mut self, len: u16) -> Result<HeaderName> {
        HeaderName::from_lowercase(&self.slice(len.into())?).map_err(|_| WireError::CORRUPT)
    }

    fn fields(&mut self, count: u32) -> Result<HeaderMap> {
        // The count is only a claim, so little is reserved for it.
        let mut headers = HeaderMap::with_capacity(count.min(64) as usize);
        for _ in 0..count {
            let (name, value) = self.field()?;
            headers.try_append(name, value).map_err(|_| WireError::CORRUPT)?;
        }
        Ok(headers)
    }

    fn field(&mut self) -> Result<(HeaderName, HeaderValue)> {
        let sensitive = match self.u8()? {
            0 => false,
            SENSITIVE => true,
            _ => return Err(WireError::CORRUPT),
        };
        let (name_len, value_len) = (self.u16()?, self.u32()?);
        let name = self.name_of(name_len)?;
        let value = self.slice(value_len.into())?;
        let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| WireError::CORRUPT)?;
        value.set_sensitive(sensitive);
        Ok((name, value))
    }
}
