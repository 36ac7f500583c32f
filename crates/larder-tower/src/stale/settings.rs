//! What a layer was told about stale pages.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_core::UnixMillis;
use larder_http::{StaleWindows, StoredMeta};
use tokio::sync::Semaphore;

use crate::again::Wants;

/// How many pages of a layer are made behind their answers at once, unless said otherwise.
const PLACES: usize = 64;

/// What a layer was told about stale pages.
#[derive(Clone, Debug)]
pub(crate) struct Staleness {
    pub(crate) windows: StaleWindows,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) early: Option<EarlyRefresh>,
    pub(crate) deadline: Option<Duration>,
    /// Those of all clones of the layer.
    pub(crate) places: Arc<Semaphore>,
    /// Whether layers inside may want to run requests again.
    pub(crate) wants: Wants,
}

impl Default for Staleness {
    fn default() -> Self {
        Self {
            windows: StaleWindows::default(),
            soft_timeout: None,
            early: None,
            deadline: None,
            places: Arc::new(Semaphore::new(PLACES)),
            wants: Wants::default(),
        }
    }
}

impl Staleness {
    /// Whether pages of this layer may come to be made behind their answers, as far as its settings say.
    pub(crate) fn refreshes(&self) -> bool {
        self.windows.while_revalidate_ms > 0 || self.soft_timeout.is_some() || self.early.is_some()
    }

    pub(crate) fn set_places(&mut self, places: usize) {
        self.places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
    }

    /// Whether it is left to chance when a fresh page is made anew.
    pub(crate) fn throws_dice(&self) -> bool {
        self.early.is_some()
    }

    /// Whether a fresh page is to be made anew already.
    pub(crate) fn is_early(&self, page: &StoredMeta, now: UnixMillis) -> bool {
        self.early.as_ref().is_some_and(|early| early.is_due(page, now))
    }
}

/// When a page that is still fresh is made anew: by chance, the likelier the nearer its expiry and the longer it took to make. Of many who read
/// it, one will be a little early, and nobody finds it expired (Vattani, Chierichetti and Lowenstein, *Optimal Probabilistic Cache Stampede
/// Prevention*).
///
/// ```
/// use larder_tower::EarlyRefresh;
///
/// let usual = EarlyRefresh::new(1.0);
/// // In tests: the dice are loaded.
/// let at_once = EarlyRefresh::new(1.0).random(|| f64::MIN_POSITIVE);
/// # let _ = (usual, at_once);
/// ```
#[derive(Clone)]
pub struct EarlyRefresh {
    beta: f64,
    random: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl EarlyRefresh {
    /// With `beta` 1, the mean head start is the time that the page took to make; it grows with `beta`. Zero, negative numbers and what is no number
    /// switch it off.
    pub fn new(beta: f64) -> Self {
        Self { beta, random: Arc::new(unit) }
    }

    /// Where the chance comes from: numbers above 0 and up to 1, evenly spread.
    #[must_use]
    pub fn random(mut self, source: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.random = Arc::new(source);
        self
    }

    pub(crate) fn is_on(&self) -> bool {
        self.beta > 0.0
    }

    /// Whether to make this page anew now.
    pub(crate) fn is_due(&self, page: &StoredMeta, now: UnixMillis) -> bool {
        let left = page.timing.fresh_for_ms.saturating_sub(page.timing.age_ms(now));
        // A page that is made in no time takes a millisecond all the same.
        let took = f64::from(page.fill_ms.max(1));
        // No luck is so bad that it is worth a number that is none.
        let chance = (self.random)().clamp(f64::MIN_POSITIVE, 1.0);
        took * self.beta * -chance.ln() >= left as f64
    }
}

impl From<f64> for EarlyRefresh {
    fn from(beta: f64) -> Self {
        Self::new(beta)
    }
}

impl fmt::Debug for EarlyRefresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyRefresh").field("beta", &self.beta).finish_non_exhaustive()
    }
}

/// A number above 0 and up to 1. Nobody is harmed by one who guesses it.
fn unit() -> f64 {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    static KEYS: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
    let bits = KEYS.get_or_init(RandomState::new).hash_one(drawn) >> 11;
    (bits as f64 + 1.0) / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_http::Timing;

    fn page(fill_ms: u32) -> StoredMeta {
        let timing = Timing { fresh_for_ms: 10_000, ..Timing::default() };
        StoredMeta { fill_ms, timing, ..StoredMeta::default() }
    }

    #[test]
    fn the_slower_the_page_and_the_worse_the_luck_the_earlier() {
        // −ln(1/e) is 1: exactly the time that the page took.
        let even = |beta| EarlyRefresh::new(beta).random(|| (-1.0f64).exp());
        assert!(!even(1.0).is_due(&page(500), 9_400));
        assert!(even(1.0).is_due(&page(501), 9_500));
        assert!(even(4.0).is_due(&page(501), 8_000));
        assert!(!even(1.0).is_due(&page(0), 9_900), "made in no time");
        let lucky = EarlyRefresh::new(1.0).random(|| 1.0);
        assert!(!lucky.is_due(&page(u32::MAX), 9_999));
        let broken = EarlyRefresh::new(1.0).random(|| f64::NAN);
        assert!(!broken.is_due(&page(1), 0));
    }

    #[test]
    fn what_is_no_number_switches_it_off() {
        for beta in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(!EarlyRefresh::new(beta).is_on(), "{beta}");
        }
        assert!(EarlyRefresh::from(1.0).is_on());
    }

    #[test]
    fn chance_is_above_zero_and_spread() {
        let drawn: Vec<f64> = (0..10_000).map(|_| unit()).collect();
        assert!(drawn.iter().all(|u| *u > 0.0 && *u <= 1.0));
        let mean = drawn.iter().sum::<f64>() / 10_000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
