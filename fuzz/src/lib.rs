//! How bytes become messages.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A moment in 2027, for what has to have a now.
pub const NOW: u64 = 1_800_000_000_000;

/// Each line of the input is a field line: its first byte picks one of the names, the rest is the value. Values that no
/// HTTP parser would let pass are left out.
pub fn headers(data: &[u8], names: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some((pick, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(names[usize::from(*pick) % names.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}
