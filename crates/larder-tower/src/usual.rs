//! Field values that stand on most pages of a site, kept for as long as the process lives.
//!
//! A page that was read from a store has its values as parts of the bytes that were read, and whoever hands out a copy of one counts it: for a
//! hit that is dearer than anything else it does with them. What is never freed need not be counted.

use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::fast::FixedState;
use http::{HeaderName, HeaderValue, header};

/// How many are kept. Nothing is ever given up for another: whatever an application says, no more memory is taken than this many times
/// [`LONGEST`].
const KEPT: usize = 512;
/// The longest that is kept.
const LONGEST: usize = 128;
/// How many places one value may have.
const TRIES: u64 = 4;

/// Those of this process.
static VALUES: Values = Values::new();

struct Values([OnceLock<HeaderValue>; KEPT]);

/// Fields whose values say something of a site, or of a kind of page, rather than of one page.
fn is_usual(name: &HeaderName) -> bool {
    static NAMES: [HeaderName; 6] = [
        HeaderName::from_static("permissions-policy"),
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderName::from_static("cross-origin-embedder-policy"),
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderName::from_static("x-powered-by"),
        HeaderName::from_static("x-robots-tag"),
    ];
    match *name {
        header::CONTENT_TYPE
        | header::CONTENT_LANGUAGE
        | header::CONTENT_ENCODING
        | header::CACHE_CONTROL
        | header::VARY
        | header::AGE
        | header::CACHE_STATUS
        | header::TE
        | header::ACCEPT_RANGES
        | header::ALT_SVC
        | header::SERVER
        | header::X_CONTENT_TYPE_OPTIONS
        | header::X_FRAME_OPTIONS
        | header::X_XSS_PROTECTION
        | header::REFERRER_POLICY
        | header::STRICT_TRANSPORT_SECURITY
        | header::ACCESS_CONTROL_ALLOW_ORIGIN
        | header::ACCESS_CONTROL_ALLOW_METHODS
        | header::ACCESS_CONTROL_ALLOW_HEADERS
        | header::ACCESS_CONTROL_ALLOW_CREDENTIALS
        | header::ACCESS_CONTROL_EXPOSE_HEADERS => true,
        _ => NAMES.contains(name),
    }
}

/// The same value as one that is kept, if it is or can be from now on.
pub(crate) fn value(name: &HeaderName, value: &HeaderValue) -> Option<HeaderValue> {
    VALUES.of(name, value)
}

impl Values {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; KEPT])
    }

    fn of(&self, name: &HeaderName, value: &HeaderValue) -> Option<HeaderValue> {
        let text = value.as_bytes();
        if text.len() > LONGEST || value.is_sensitive() || !is_usual(name) {
            return None;
        }
        let hash = FixedState::default().hash_one(text);
        for attempt in 0..TRIES {
            let place = &self.0[(hash.wrapping_add(attempt) % KEPT as u64) as usize];
            if let Some(known) = place.get() {
                if known.as_bytes() == text {
                    return Some(known.clone());
                }
                continue;
            }
            // Nothing but visible ASCII, which is what a static value may be made of.
            let text = value.to_str().ok()?;
            let known = place.get_or_init(|| HeaderValue::from_static(Box::leak(text.into())));
            // Somebody else may have taken the place for another.
            if known == text {
                return Some(known.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_value_is_the_same_text_whoever_asks_and_others_are_not_kept() {
        let ask = |name: HeaderName, text: &[u8]| value(&name, &HeaderValue::from_bytes(text).unwrap());
        let first = ask(header::CONTENT_TYPE, b"text/x-usual").unwrap();
        let second = ask(header::CONTENT_TYPE, b"text/x-usual").unwrap();
        assert_eq!(first, "text/x-usual");
        assert_eq!(first.as_bytes().as_ptr(), second.as_bytes().as_ptr());
        assert!(ask(header::SET_COOKIE, b"id=1").is_none(), "of one user");
        assert!(ask(header::ETAG, b"\"1\"").is_none(), "of one page");
        assert!(ask(header::SERVER, b"caf\xe9").is_none(), "not of ASCII");
        assert!(ask(header::SERVER, &[b'a'; LONGEST + 1]).is_none(), "too long");
        let mut secret = HeaderValue::from_static("text/x-usual");
        secret.set_sensitive(true);
        assert!(value(&header::CONTENT_TYPE, &secret).is_none(), "it would not be sensitive any more");
    }

    #[test]
    fn there_is_an_end_to_what_is_kept_and_each_value_stays_what_it_was() {
        let values = Values::new();
        let kept = |n: usize| {
            let asked = HeaderValue::from_str(&format!("text/x-{n}")).unwrap();
            let kept = values.of(&header::CONTENT_TYPE, &asked);
            assert!(kept.as_ref().is_none_or(|kept| *kept == asked));
            kept.is_some()
        };
        let first = (0..5 * KEPT).filter(|n| kept(*n)).count();
        let again = (0..5 * KEPT).filter(|n| kept(*n)).count();
        assert!(first == again && again <= KEPT, "{first} {again}");
    }
}
