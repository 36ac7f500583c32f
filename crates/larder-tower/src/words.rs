//! The values of the fields that every hit has, which are the same few again and again: what was written once is kept.

use std::cell::RefCell;
use std::sync::LazyLock;

use http::HeaderValue;
use larder_http::{CacheStatus, Forward, Reason};

/// How many words a thread keeps; a word's place follows from its number.
const PLACES: usize = 256;
/// Numbers of seconds, of age and of freshness, that are written already.
const AGES: usize = 1000;

/// Numbers.
static SECONDS: LazyLock<Vec<HeaderValue>> =
    LazyLock::new(|| (0..AGES as u64).map(|seconds| forever(seconds.into())).collect());

/// `Cache-Status` of hits, by their seconds of freshness. For as long as the process lives: what is never freed is not counted.
static HITS: LazyLock<Vec<HeaderValue>> =
    LazyLock::new(|| (0..AGES as i64).map(|ttl| forever(CacheStatus::hit(ttl).to_value())).collect());

fn forever(value: HeaderValue) -> HeaderValue {
    match value.to_str() {
        Ok(text) => HeaderValue::from_static(Box::leak(text.into())),
        Err(_) => value,
    }
}

/// A number of seconds; the usual ones allocate nothing.
pub(crate) fn seconds(seconds: u64) -> HeaderValue {
    let written = usize::try_from(seconds).ok().and_then(|at| SECONDS.get(at));
    written.cloned().unwrap_or_else(|| HeaderValue::from(seconds))
}

thread_local! {
    /// What was said of hits with more seconds of freshness than that. A thread's own: sharing the text would cost threads more than writing it.
    static LONGER: RefCell<Vec<Option<(i64, HeaderValue)>>> = const { RefCell::new(Vec::new()) };
}

/// `Cache-Status` of an ordinary hit, with its seconds of freshness. It is kept.
pub(crate) fn hit(ttl: i64) -> HeaderValue {
    if let Some(written) = usize::try_from(ttl).ok().and_then(|at| HITS.get(at)) {
        return written.clone();
    }
    let kept = LONGER.try_with(|hits| {
        let mut hits = hits.try_borrow_mut().ok()?;
        if hits.is_empty() {
            hits.resize(PLACES, None);
        }
        let place = hits.get_mut(ttl.rem_euclid(PLACES as i64) as usize)?;
        match place {
            Some((known, value)) if *known == ttl => Some(value.clone()),
            _ => {
                let value = CacheStatus::hit(ttl).to_value();
                *place = Some((ttl, value.clone()));
                Some(value)
            }
        }
    });
    // A thread that is ending keeps nothing.
    kept.ok().flatten().unwrap_or_else(|| CacheStatus::hit(ttl).to_value())
}

/// `Cache-Status` of a request that was not for the cache. The words are few, and are written once.
pub(crate) fn bypassed(reason: Reason) -> HeaderValue {
    static BY_METHOD: HeaderValue = HeaderValue::from_static("larder; fwd=method");
    static OTHERS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
        let of = |reason: &Reason| CacheStatus::forward(Forward::Bypass).reason(*reason).to_value();
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
            for ttl in (0..1_010).chain([1_256, 2_512, 1_000, -1, 5_000, 1_256, 1_000, i64::MAX, i64::MIN]) {
                assert_eq!(hit(ttl), CacheStatus::hit(ttl).to_value(), "{ttl}, round {round}");
            }
        }
        assert_eq!(hit(1), "larder; hit; ttl=1");
    }

    #[test]
    fn each_reason_to_pass_by_is_said_by_its_own_word() {
        for reason in Reason::ALL.iter().copied().filter(|reason| *reason != Reason::Method) {
            assert_eq!(bypassed(reason), format!("larder; fwd=bypass; detail={reason}"));
        }
        assert_eq!(bypassed(Reason::Method), "larder; fwd=method");
    }
}
