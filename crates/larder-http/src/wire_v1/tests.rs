use super::*;
use crate::{
    freshness::Timing,
    stored::{StoredFlags, StoredMeta, StoredResponse, WireErrorKind},
};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use proptest::prelude::*;

/// One response with something in every place of the format.
fn sample() -> StoredResponse {
    let mut headers = HeaderMap::new();
    headers.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.append("x-many", HeaderValue::from_static("2"));
    headers.append("x-many", HeaderValue::from_static("1"));
    headers.append("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let mut secret = HeaderValue::from_static("s");
    secret.set_sensitive(true);
    headers.append("x-secret", secret);
    StoredResponse {
        status: StatusCode::NOT_FOUND,
        headers,
        body: Bytes::from_static(b"hello\0\xff"),
        meta: StoredMeta {
            key: Bytes::from_static(b"GET http://example.com/?q=1"),
            vary: vec![header::ACCEPT_LANGUAGE, HeaderName::from_static("x-pony")],
            flags: StoredFlags { head_only: true, widened: false, credentialed: true },
            timing: Timing {
                request_time: 1_795_219_200_000,
                response_time: 1_795_219_200_123,
                initial_age_ms: 456,
                fresh_for_ms: 900_000,
                stale_while_revalidate_ms: 60_000,
                stale_if_error_ms: 86_400_000,
            },
            fill_ms: 123,
            forms: Vec::new(),
        },
    }
}

/// The sample as version 1 wrote it on its first day. If a test with it fails, make a version 2 instead.
const GOLDEN: &[u8] = include_bytes!("golden.bin");

#[test]
fn the_golden_bytes_stay_readable_and_are_still_what_is_written() {
    let decoded = StoredResponse::decode(Bytes::from_static(GOLDEN)).unwrap();
    assert_eq!(decoded, sample());
    assert!(decoded.headers["x-secret"].is_sensitive() && !decoded.headers["x-name"].is_sensitive());
    assert!(decoded.headers.get_all("x-many").iter().eq(["2", "1"]));
    assert_eq!(sample().encode(), GOLDEN);
}

#[test]
fn values_and_body_are_slices_of_the_input() {
    let bytes = sample().encode();
    let decoded = StoredResponse::decode(bytes.clone()).unwrap();
    let inside = |part: &[u8]| bytes.as_ptr_range().contains(&part.as_ptr());
    assert!(inside(&decoded.body) && inside(&decoded.meta.key));
    assert!(decoded.headers.values().all(|value| inside(value.as_bytes())));
}

#[test]
fn every_truncation_and_every_extra_byte_is_corrupt() {
    for len in 0..GOLDEN.len() {
        assert_eq!(kind(GOLDEN[..len].to_vec()), Some(WireErrorKind::Corrupt), "{len} bytes");
    }
    assert_eq!(kind([GOLDEN, &[0]].concat()), Some(WireErrorKind::Corrupt));
}

#[test]
fn every_flipped_bit_is_an_error() {
    for at in 0..GOLDEN.len() {
        for bit in 0..8 {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] ^= 1 << bit;
            let expected = if at == 4 { WireErrorKind::UnknownVersion } else { WireErrorKind::Corrupt };
            assert_eq!(kind(bytes), Some(expected), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn other_versions_are_told_apart_whatever_follows() {
    for version in [0, 2, 255] {
        assert_eq!(
            kind([&b"LRDR"[..], &[version], b"anything"].concat()),
            Some(WireErrorKind::UnknownVersion)
        );
    }
}

#[test]
fn a_right_checksum_does_not_let_bad_content_through() {
    let name_at = find(GOLDEN, b"x-name");
    let changes: &[(&str, usize, u8)] = &[
        ("LF in a value", name_at + 6, b'\n'),
        ("CR in a value", name_at + 6, b'\r'),
        ("NUL in a value", name_at + 6, 0),
        ("space in a name", name_at + 1, b' '),
        ("upper case in a name", name_at, b'X'),
        ("LF in a Vary name", find(GOLDEN, b"x-pony"), b'\n'),
        ("unknown field flag", name_at - 7, 2),
        ("unknown flag", 5, 8),
        ("a status above 999", 6, 0xff),
        ("huge key length", 60, 0xff),
        ("huge Vary count", 68, 0xff),
        ("huge field count", 72, 0xff),
        ("huge body length", 76, 0xff),
        ("body one shorter", 83, 6),
        ("one field less", 75, 4),
    ];
    for &(what, at, byte) in changes {
        let mut bytes = GOLDEN[..GOLDEN.len() - CHECKSUM_LEN].to_vec();
        assert_ne!(bytes[at], byte, "{what} changes nothing");
        bytes[at] = byte;
        assert_eq!(kind(with_checksum(&bytes)), Some(WireErrorKind::Corrupt), "{what}");
    }
    assert_eq!(
        kind(with_checksum(&GOLDEN[..GOLDEN.len() - CHECKSUM_LEN])),
        None,
        "the helper itself is right"
    );
}

fn kind(bytes: Vec<u8>) -> Option<WireErrorKind> {
    StoredResponse::decode(Bytes::from(bytes)).err().map(|error| error.kind())
}

fn with_checksum(content: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::from(content);
    bytes.put_u32(crc32fast::hash(content));
    bytes.to_vec()
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).unwrap()
}

fn any_response() -> impl Strategy<Value = StoredResponse> {
    let value = proptest::collection::vec(prop_oneof![Just(9u8), 32u8..127, 128u8..=255], 0..20);
    let fields = proptest::collection::vec(("[a-z][a-z0-9-]{0,12}", value, any::<bool>()), 0..12);
    let bytes = || proptest::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from);
    let names = proptest::collection::vec("[a-z][a-z0-9-]{0,12}", 0..4);
    (100u16..1000, fields, bytes(), bytes(), names, any::<[bool; 3]>(), any::<[u64; 6]>(), any::<u32>())
        .prop_map(|(status, fields, body, key, names, [head_only, widened, credentialed], times, fill_ms)| {
            let mut headers = HeaderMap::new();
            for (name, value, sensitive) in fields {
                let mut value = HeaderValue::from_bytes(&value).unwrap();
                value.set_sensitive(sensitive);
                headers.append(HeaderName::try_from(name).unwrap(), value);
            }
            let [
                request_time,
                response_time,
                initial_age_ms,
                fresh_for_ms,
                stale_while_revalidate_ms,
                stale_if_error_ms,
            ] = times;
            StoredResponse {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                body,
                meta: StoredMeta {
                    key,
                    vary: names.into_iter().map(|name| HeaderName::try_from(name).unwrap()).collect(),
                    flags: StoredFlags { head_only, widened, credentialed },
                    timing: Timing {
                        request_time,
                        response_time,
                        initial_age_ms,
                        fresh_for_ms,
                        stale_while_revalidate_ms,
                        stale_if_error_ms,
                    },
                    fill_ms,
                    forms: Vec::new(),
                },
            }
        })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(response in any_response()) {
        let decoded = StoredResponse::decode(response.encode());
        prop_assert_eq!(decoded, Ok(response));
    }

    #[test]
    fn a_changed_byte_is_never_read_as_something_else(
        response in any_response(), at: prop::sample::Index, change in 1u8..=255,
    ) {
        let mut bytes = response.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(kind(bytes).is_some());
    }

    #[test]
    fn garbage_is_an_error_even_with_a_right_head_and_checksum(
        garbage in proptest::collection::vec(any::<u8>(), 0..200), head: bool,
    ) {
        let content = if head { [&b"LRDR\x01"[..], &garbage].concat() } else { garbage };
        // Whatever comes out, it comes out as a value.
        let _ = StoredResponse::decode(Bytes::from(with_checksum(&content)));
        prop_assert!(kind(content).is_some());
    }
}
