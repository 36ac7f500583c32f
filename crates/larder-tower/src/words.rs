//! The values of the fields that every hit has, which are the same few again and again: what was written once is kept.

use std::cell::RefCell;
use std::sync::LazyLock;

use http::HeaderValue;
use larder_http::{CacheStatus, Forward, Reason};

/// How many words a thread keeps; a word's place follows from its number.
const PLACES: usize = 256;
/// Ages that are written already.
const AGES: usize = 1000;

/// Numbers with three digits, each with its length.
static DIGITS: [[u8; 3]; AGES] = digits();

const fn digits() -> [[u8; 3]; AGES] {
    let (mut all, mut n) = ([[0; 3]; AGES], 0);
    while n < AGES {
        all[n] = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    all
}

/// A number of seconds; the usual ones allocate nothing.
pub(crate) fn seconds(seconds: u64) -> HeaderValue {
    let written = usize::try_from(seconds).ok().and_then(|at| DIGITS.get(at));
    let unused = match seconds {
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    match written.and_then(|digits| std::str::from_utf8(&digits[unused..]).ok()) {
        Some(written) => HeaderValue::from_static(written),
        None => HeaderValue::from(seconds),
    }
}

thread_local! {
    /// What was said of hits, by their seconds of freshness. A thread's own: sharing the text would cost threads more than writing it.
    static HITS: RefCell<Vec<Option<(i64, HeaderValue)>>> = const { RefCell::new(Vec::new()) };
}

/// `Cache-Status`. Of an ordinary hit it is kept.
pub(crate) fn said(status: &CacheStatus) -> HeaderValue {
    let Some(ttl) = status.ttl.filter(|ttl| *status == CacheStatus::hit(*ttl)) else {
        return status.to_value();
    };
    let kept = HITS.try_with(|hits| {
        let mut hits = hits.try_borrow_mut().ok()?;
        if hits.is_empty() {
            hits.resize(PLACES, None);
        }
        let place = hits.get_mut(ttl.rem_euclid(PLACES as i64) as usize)?;
        match place {
            Some((known, value)) if *known == ttl => Some(value.clone()),
            _ => {
                let value = status.to_value();
                *place = Some((ttl, value.clone()));
                Some(value)
            }
        }
    });
    // A thread that is ending keeps nothing.
    kept.ok().flatten().unwrap_or_else(|| status.to_value())
}

/// `Cache-Status` of a request that was not for the cache. The words are few, and are written once.
pub(crate) fn bypassed(reason: Reason) -> HeaderValue {
    static BY_METHOD: HeaderValue = HeaderValue::from_static("larder; fwd=method");
    static OTHERS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
        let of = |reason: &Reason| CacheStatus::forward(Forward::Bypass).reason(*reason).to_value();
        // For as long as the process lives: whoever says them does not count who else does.
        let forever = |value: HeaderValue| match value.to_str() {
            Ok(text) => HeaderValue::from_static(Box::leak(text.into())),
            Err(_) => value,
        };
        Reason::ALL.iter().map(of).map(forever).collect()
    });
    match reason {
        Reason::Method => BY_METHOD.clone(),
        other => match OTHERS.get(other as usize) {
            Some(said) => said.clone(),
            None => CacheStatus::forward(Forward::Bypass).reason(other).to_value(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_seconds_is_written_as_a_number() {
        for n in (0..2_000).chain([u64::MAX]) {
            assert_eq!(seconds(n), n.to_string());
        }
    }

    #[test]
    fn what_is_kept_is_said_of_its_own_number_only() {
        for round in 0..2 {
            for ttl in [0, 1, 256, -1, 255, 512, 1, i64::MAX, i64::MIN] {
                let status = CacheStatus::hit(ttl);
                assert_eq!(said(&status), status.to_value(), "{ttl}, round {round}");
            }
        }
        let keyed = CacheStatus::hit(1).reason(Reason::CookieKeyed);
        assert_eq!(said(&keyed), "larder; hit; ttl=1; detail=cookie-keyed");
        assert_eq!(said(&CacheStatus::hit(1)), "larder; hit; ttl=1");
    }

    #[test]
    fn each_reason_to_pass_by_is_said_by_its_own_word() {
        for reason in Reason::ALL.iter().copied().filter(|reason| *reason != Reason::Method) {
            assert_eq!(bypassed(reason), format!("larder; fwd=bypass; detail={reason}"));
        }
        assert_eq!(bypassed(Reason::Method), "larder; fwd=method");
    }
}
