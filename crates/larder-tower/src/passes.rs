//! Hit-for-miss: what turned out not to be storable is remembered for a while, and nobody waits for it meanwhile.

use std::hash::{BuildHasher, Hash};

use axum::extract::MatchedPath;
use foldhash::fast::FixedState;
use foldhash::quality::RandomState;
use larder_core::{Key, UnixMillis};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// How long a key is remembered as not storable; its requests wait for nobody meanwhile.
pub(crate) const PASS_MILLIS: u64 = 60_000;
/// The same after a server error, which may be over soon.
pub(crate) const PASS_ERROR_MILLIS: u64 = 1_000;
/// How many keys are remembered as not storable.
const KEYS: usize = 10_000;
/// How many routes are.
const ROUTES: usize = 1_000;
/// After how many answers in a row that can't be stored, each of another key, a route is one of such answers.
const IN_A_ROW: u32 = 8;

/// A layer on a route of a router; apart for requests with and without credentials, since a first visit often gets a cookie and later ones
/// don't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Route(u64);

impl Route {
    /// The route that a router has chosen, under the layer of this number. Two of one hash are only waited for alike.
    pub(crate) fn of(layer: u64, path: &MatchedPath, credentialed: bool) -> Self {
        Self(FixedState::default().hash_one((layer, path.as_str(), credentialed)))
    }
}

type Known<K, V> = Cache<K, V, UnitWeighter, RandomState>;

fn known<K: Eq + Hash, V: Clone>(most: usize) -> Known<K, V> {
    let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
    Cache::with(most, most as u64, UnitWeighter, hasher, lifecycle)
}

/// What is known of a route.
#[derive(Clone, Copy, Default)]
struct Row {
    in_a_row: u32,
    until: UnixMillis,
}

/// What turned out not to be storable.
pub(crate) struct Passes {
    keys: Known<Key, UnixMillis>,
    routes: Known<Route, Row>,
}

impl Default for Passes {
    fn default() -> Self {
        Self { keys: known(KEYS), routes: known(ROUTES) }
    }
}

impl Passes {
    /// Whether nobody waits for this key.
    pub(crate) fn key(&self, key: &Key, now: UnixMillis) -> bool {
        self.keys.get(key).is_some_and(|until| is_ahead(until, now))
    }

    /// Whether nobody waits for any key of this route.
    pub(crate) fn route(&self, route: Option<Route>, now: UnixMillis) -> bool {
        let known = route.and_then(|route| self.routes.get(&route));
        known.is_some_and(|known| known.in_a_row >= IN_A_ROW && is_ahead(known.until, now))
    }

    /// A key can't be stored.
    pub(crate) fn note(&self, key: &Key, until: UnixMillis) {
        self.keys.insert(key.clone(), until);
    }

    /// The application made something of this route that can't be stored, by its own word.
    pub(crate) fn note_route(&self, route: Option<Route>, until: UnixMillis) {
        let Some(route) = route else { return };
        let in_a_row = self.routes.get(&route).unwrap_or_default().in_a_row.saturating_add(1);
        self.routes.insert(route, Row { in_a_row, until });
    }

    /// A key can be stored, and so can its route.
    pub(crate) fn forget(&self, key: &Key, route: Option<Route>) {
        self.keys.remove(key);
        if let Some(route) = route {
            self.routes.remove(&route);
        }
    }
}

/// What lies further ahead was noted before the clock was set back.
fn is_ahead(until: UnixMillis, now: UnixMillis) -> bool {
    now < until && until - now <= PASS_MILLIS
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::Space;

    fn key(name: &str) -> Key {
        Key::value(&Space::default(), 1, name)
    }

    #[test]
    fn a_key_is_remembered_until_then_and_not_after_the_clock_was_set_back() {
        let passes = Passes::default();
        passes.note(&key("a"), 100_000);
        assert!(passes.key(&key("a"), 99_999) && !passes.key(&key("b"), 99_999));
        assert!(!passes.key(&key("a"), 100_000));
        assert!(!passes.key(&key("a"), 39_999), "more than a minute ahead");
        passes.forget(&key("a"), None);
        assert!(!passes.key(&key("a"), 99_999));
    }

    #[test]
    fn a_route_is_known_after_so_many_answers_in_a_row_and_not_any_more_after_one_that_can_be_stored() {
        let passes = Passes::default();
        let (one, other) = (Some(Route(1)), Some(Route(2)));
        for _ in 1..IN_A_ROW {
            passes.note_route(one, 100_000);
        }
        assert!(!passes.route(one, 99_999));
        passes.note_route(one, 100_000);
        assert!(passes.route(one, 99_999) && !passes.route(one, 100_000));
        assert!(!passes.route(other, 99_999) && !passes.route(None, 99_999));
        passes.forget(&key("a"), one);
        assert!(!passes.route(one, 99_999));
    }
}
