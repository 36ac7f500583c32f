use super::*;
use crate::tag::{Nonce, Stamp};
use proptest::prelude::*;

fn compressor(how: Compression, above: usize) -> Arc<Compressor> {
    Arc::new(Compressor::new(how, above))
}

fn entry(value: impl Into<Bytes>) -> Entry {
    Entry::new(Value::Bytes(value.into()), Some(7), Stamp::untagged(Nonce::from_u128(1)))
}

/// As a store outside the process has it.
fn stored(value: &[u8], how: Compression, above: usize) -> Bytes {
    let closed = close(entry(Bytes::copy_from_slice(value)), &compressor(how, above));
    closed.value().to_bytes().unwrap()
}

fn read(stored: impl Into<Bytes>) -> Result<Bytes, Error> {
    open(entry(stored)).and_then(|entry| bytes(entry.value()))
}

fn page() -> Vec<u8> {
    "<li>All that is on this page is said more than once.</li>\n".repeat(100).into_bytes()
}

fn all() -> Vec<Compression> {
    vec![
        Compression::none(),
        #[cfg(feature = "zstd")]
        Compression::zstd(1),
        #[cfg(feature = "zstd")]
        Compression::zstd(-3),
        #[cfg(feature = "lz4")]
        Compression::lz4(),
    ]
}

/// Those that compress.
fn compressions() -> Vec<Compression> {
    all().split_off(1)
}

#[test]
fn what_one_setting_wrote_every_other_reads() {
    for how in all() {
        for value in [&b""[..], b"42", b"\xc1", b"\xc1\x00x", b"\xc1z4", &page(), &[0xc1; 5000], &[7; 100]] {
            for above in [0, 64, 1024, 100_000] {
                assert_eq!(read(stored(value, how, above)).unwrap(), value, "{how:?} {above}");
            }
        }
    }
}

#[test]
fn without_compression_a_value_stays_as_it_is_unless_it_looks_like_a_packed_one() {
    assert_eq!(stored(&page(), Compression::none(), 0), page());
    assert_eq!(stored(b"\xc1x", Compression::none(), 0), &b"\xc1\x00\xc1x"[..]);
}

#[test]
fn a_value_is_compressed_above_the_threshold_if_that_makes_it_smaller() {
    for how in compressions() {
        above_the_threshold(how);
    }
}

fn above_the_threshold(how: Compression) {
    let page = page();
    assert!(stored(&page, how, 1024).len() < page.len() / 10);
    assert_eq!(stored(&page, how, page.len()), page, "above, and not from it on");
    assert!(stored(&page, how, page.len() - 1).len() < page.len());
    let mut noise = Vec::new();
    let mut seed = blake3::hash(b"seed");
    for _ in 0..100 {
        noise.extend_from_slice(seed.as_bytes());
        seed = blake3::hash(seed.as_bytes());
    }
    assert_eq!(stored(&noise, how, 0), noise, "noise only grows");
    assert_eq!(stored(b"11111111111111111111", how, 0), &b"11111111111111111111"[..], "integers never are");
    let large = vec![0; LARGEST + 1];
    assert_eq!(stored(&large, how, 0), large, "what would not be believed is not written");
}

#[test]
fn a_bomb_is_an_error_and_not_an_allocation() {
    for how in compressions() {
        let packed = stored(&vec![0; 1 << 20], how, 0);
        for claim in [u32::MAX, (LARGEST + 1) as u32, LARGEST as u32, (1 << 20) - 1, (1 << 20) + 1, 0] {
            let mut bomb = packed.to_vec();
            bomb[2..6].copy_from_slice(&claim.to_le_bytes());
            assert_eq!(read(bomb).unwrap_err().kind(), ErrorKind::Decode, "{how:?} {claim}");
        }
        assert_eq!(read(packed).unwrap().len(), 1 << 20);
    }
}

#[test]
fn any_bit_turned_and_any_cut_is_an_error_and_never_another_value() {
    for how in compressions() {
        let packed = stored(&page(), how, 0);
        for cut in 1..packed.len() {
            assert!(read(packed.slice(..cut)).is_err(), "{how:?} cut at {cut}");
        }
        for bit in 8..packed.len() * 8 {
            let mut turned = packed.to_vec();
            turned[bit / 8] ^= 1 << (bit % 8);
            // zstd says less than it has room for: some bits mean nothing.
            if let Ok(value) = read(turned) {
                assert_eq!(value, page(), "{how:?} bit {bit}");
            }
        }
    }
}

#[test]
fn what_a_missing_feature_wrote_is_told_from_garbage_and_its_name_says_what_is_missing() {
    for (kind, name, there) in [(b'z', "zstd", cfg!(feature = "zstd")), (b'4', "lz4", cfg!(feature = "lz4"))]
    {
        let packed = [MARK, kind, 100, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9];
        let expected = if there { ErrorKind::Decode } else { ErrorKind::Unsupported };
        assert_eq!(read(packed.to_vec()).unwrap_err().kind(), expected, "{name}");
        let error = Compression::named(name).err().map(|error| (error.kind(), error.to_string()));
        match error {
            None => assert!(there),
            Some((kind, text)) => {
                assert!(!there && kind == ErrorKind::Unsupported);
                assert!(text.contains(&format!("feature {name:?}")), "{text}");
            }
        }
    }
}

#[test]
fn a_store_in_this_process_gets_the_value_as_it_is() {
    #[derive(Debug)]
    struct Page(Vec<u8>);
    impl SharedValue for Page {
        fn encode(&self) -> Result<Bytes, Error> {
            Ok(self.0.clone().into())
        }
        fn weight(&self) -> usize {
            self.0.len()
        }
        fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
            self
        }
    }
    for how in all() {
        let page = entry("").with_value(Value::Shared(Arc::new(Page(page()))));
        let closed = close(page.clone(), &compressor(how, 0));
        let Value::Shared(value) = closed.value() else { panic!("it is encoded") };
        let kept = Arc::clone(value).into_any().downcast::<Page>().unwrap();
        assert_eq!(read(closed.value().to_bytes().unwrap()).unwrap(), kept.0);
        assert_eq!(bytes(closed.value()).unwrap(), kept.0);
        assert_eq!(closed.expires(), Some(7));
    }
}

#[test]
fn wrong_names_and_levels_are_config_errors() {
    for name in ["", "gzip", "none:1", "lz4:1", "Zstd"] {
        assert_eq!(Compression::named(name).unwrap_err().kind(), ErrorKind::Config, "{name}");
    }
    #[cfg(feature = "zstd")]
    {
        for name in ["zstd:", "zstd:x", "zstd:1.5"] {
            assert_eq!(Compression::named(name).unwrap_err().kind(), ErrorKind::Config, "{name}");
        }
        assert_eq!(Compression::named("zstd").unwrap(), Compression::zstd(1));
        assert_eq!(Compression::named("zstd:19").unwrap(), Compression::zstd(19));
        for level in [0, 23, i32::MAX, i32::MIN] {
            assert_eq!(Compression::zstd(level).check().unwrap_err().kind(), ErrorKind::Config, "{level}");
        }
        assert!(Compression::zstd(-7).check().is_ok() && Compression::zstd(22).check().is_ok());
    }
}

proptest! {
    #[test]
    fn garbage_is_never_a_panic(garbage: Vec<u8>, kind: u8, length in 0u32..100_000) {
        let _ = read(garbage.clone());
        let mut packed = vec![MARK, kind];
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&garbage);
        let _ = read(packed);
    }

    #[test]
    fn any_value_comes_back(value: Vec<u8>, repeated in 1usize..50) {
        let value = value.repeat(repeated);
        for how in all() {
            prop_assert_eq!(read(stored(&value, how, 64)).unwrap(), value.clone());
        }
    }
}

#[test]
fn an_entry_that_stays_in_this_process_is_unpacked_once_and_weighs_what_it_then_takes() {
    for how in compressions() {
        let page = page();
        let packed = entry(stored(&page, how, 0));
        assert!(packed.weight() < page.len() && packed.weight_once_read() > page.len());
        let first = open(packed.clone()).unwrap();
        assert!(first.is_same(&open(packed).unwrap()));
        assert_eq!(bytes(first.value()).unwrap(), page);
    }
    let small = entry("42");
    assert_eq!(small.weight_once_read(), small.weight() + 2, "it may be decoded");
}
