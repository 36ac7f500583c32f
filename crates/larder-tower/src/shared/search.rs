//! Which parts of a query count, as far as responses have said so (No-Vary-Search).
//!
//! The rule has to be known before the key can be made, so this process remembers, bounded, what the last response of each path said. Where it
//! is not known, or another, a request is a miss, never the wrong page: what is stored carries its own rule, and is compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_http::NoVarySearch;

/// How many paths are remembered.
const PATHS: usize = 10_000;

/// The rules of paths.
pub(crate) struct SearchRules {
    rules: quick_cache::sync::Cache<[u8; 32], Arc<NoVarySearch>>,
    /// Most caches never see the field.
    used: AtomicBool,
}

impl Default for SearchRules {
    fn default() -> Self {
        Self { rules: quick_cache::sync::Cache::new(PATHS), used: AtomicBool::new(false) }
    }
}

fn place(host: &[u8], path: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(host.len() as u64).to_le_bytes()).update(host).update(path.as_bytes());
    *hasher.finalize().as_bytes()
}

impl SearchRules {
    /// The rule of a path; `None`: the query counts as it is.
    pub(crate) fn of(&self, host: &[u8], path: &str) -> Option<Arc<NoVarySearch>> {
        self.used.load(Ordering::Relaxed).then(|| self.rules.get(&place(host, path)))?
    }

    /// Remembers what a response said; true if that is news.
    pub(crate) fn learn(&self, host: &[u8], path: &str, rule: NoVarySearch) -> bool {
        let known = self.of(host, path);
        if known.as_deref().unwrap_or(&NoVarySearch::default()) == &rule {
            return false;
        }
        let place = place(host, path);
        if rule.is_default() {
            self.rules.remove(&place);
        } else {
            self.used.store(true, Ordering::Relaxed);
            self.rules.insert(place, Arc::new(rule));
        }
        true
    }
}
