//! Writing version 1.

use super::{CHECKSUM_LEN, CREDENTIALED, HEAD_ONLY, MAGIC, PRELUDE_LEN, SENSITIVE, VERSION, WIDENED};
use crate::stored::{StoredFlags, StoredResponse};
use bytes::{BufMut, Bytes, BytesMut};

pub(crate) fn encode(stored: &StoredResponse) -> Bytes {
    let meta = &stored.meta;
    let mut out = BytesMut::with_capacity(encoded_len(stored));
    out.put_slice(&MAGIC);
    out.put_u8(VERSION);
    out.put_u8(flags(meta.flags));
    out.put_u16(stored.status.as_u16());
    out.put_u32(meta.fill_ms);
    for time in [
        meta.timing.request_time,
        meta.timing.response_time,
        meta.timing.initial_age_ms,
        meta.timing.fresh_for_ms,
        meta.timing.stale_while_revalidate_ms,
        meta.timing.stale_if_error_ms,
    ] {
        out.put_u64(time);
    }
    out.put_u64(meta.key.len() as u64);
    out.put_u32(length(meta.vary.len()));
    out.put_u32(length(stored.headers.len()));
    out.put_u64(stored.body.len() as u64);

    out.put_slice(&meta.key);
    for name in &meta.vary {
        out.put_u16(name_length(name.as_str()));
        out.put_slice(name.as_str().as_bytes());
    }
    for (name, value) in &stored.headers {
        out.put_u8(if value.is_sensitive() { SENSITIVE } else { 0 });
        out.put_u16(name_length(name.as_str()));
        out.put_u32(length(value.len()));
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(value.as_bytes());
    }
    out.put_slice(&stored.body);
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

fn encoded_len(stored: &StoredResponse) -> usize {
    let vary = stored.meta.vary.iter().map(|name| 2 + name.as_str().len());
    let fields = stored.headers.iter().map(|(name, value)| 7 + name.as_str().len() + value.len());
    PRELUDE_LEN
        + stored.meta.key.len()
        + vary.sum::<usize>()
        + fields.sum::<usize>()
        + stored.body.len()
        + CHECKSUM_LEN
}

fn flags(flags: StoredFlags) -> u8 {
    let bit = |set, bit| if set { bit } else { 0 };
    bit(flags.head_only, HEAD_ONLY) | bit(flags.widened, WIDENED) | bit(flags.credentialed, CREDENTIALED)
}

/// A length that doesn't fit makes an entry whose lengths don't add up, which reads as corrupt and is a miss. Names
/// are below 64 KiB by construction; four gigabytes of one value are nobody's response.
fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn name_length(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}
