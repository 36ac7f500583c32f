//! Entries as they stand in stores outside the process.
#![no_main]

use bytes::Bytes;
use larder_core::wire;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(entry) = wire::decode(&Bytes::copy_from_slice(data)) {
        let again = wire::encode(&entry).expect("what was read can be written");
        let same = wire::decode(&again).expect("what was written can be read");
        assert_eq!(same.expires(), entry.expires());
        assert_eq!(same.stamp().tags, entry.stamp().tags);
        assert_eq!(same.value().to_bytes().expect("bytes"), entry.value().to_bytes().expect("bytes"));
    }
});
