//! The stored-response format, version 1. Frozen: a change is a new version beside this one, never an edit.
//!
//! All integers are big-endian; times are milliseconds, since the Unix epoch or as a length.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic `LRDR` |
//! | 1 | version, 1 |
//! | 1 | flags: 1 head only, 2 widened, 4 credentialed; the others are zero |
//! | 2 | status |
//! | 4 | fill time |
//! | 8 × 6 | request time, response time, initial age, fresh for, stale-while-revalidate, stale-if-error |
//! | 8 | length of the key |
//! | 4 | number of Vary names |
//! | 4 | number of field lines |
//! | 8 | length of the body |
//! | … | the key |
//! | … | Vary names: 2 bytes of length and the name, each |
//! | … | field lines: 1 byte (1 if sensitive), 2 bytes of name length, 4 of value length, name, value, each |
//! | … | the body |
//! | 4 | CRC-32 (IEEE) of all before it |
//!
//! Names are in lower case. Lines of one name keep their order. Nothing follows the checksum.
//!
//! The checksum finds accidents, not attacks, so all that is read is checked again: a field value with CR, LF or NUL
//! in it, a name that isn't one, an unknown flag, a length that doesn't add up are errors.
//!
//! # Why not an existing serialisation?
//!
//! Field values are bytes, which JSON can't carry, and the body should leave the store without being copied: decoding
//! makes slices of the bytes that the backend returned.

mod read;
mod write;

pub(crate) use read::decode;
pub(crate) use write::encode;

const MAGIC: [u8; 4] = *b"LRDR";
const VERSION: u8 = 1;

const HEAD_ONLY: u8 = 1;
const WIDENED: u8 = 2;
const CREDENTIALED: u8 = 4;

const SENSITIVE: u8 = 1;

/// Magic to body length.
const PRELUDE_LEN: usize = 4 + 1 + 1 + 2 + 4 + 8 * 6 + 8 + 4 + 4 + 8;
const CHECKSUM_LEN: usize = 4;

#[cfg(test)]
mod tests;
