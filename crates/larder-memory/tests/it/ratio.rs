//! How many requests are answered from a store that holds a tenth of what is asked for.

use crate::traces::{SITES, Zipf};

const PAGES: usize = 8_000;

#[test]
fn as_many_requests_are_answered_as_by_the_best_store_within_one_in_a_hundred() {
    for site in SITES {
        let requests = site.requests(PAGES, 120_000);
        let (ours, theirs) = site.hit_ratios(PAGES, &requests);
        assert!(ours >= theirs - 1.0, "{}: {ours:.1} % of hits, and {theirs:.1} % without us", site.name);
        if !site.skewed {
            let best = 100.0 * Zipf::new(PAGES, site.exponent).share(PAGES / 10) * (1.0 - site.once);
            assert!(ours <= best && ours > 0.93 * best, "{}: {ours:.1} % of {best:.1} %", site.name);
        }
    }
}
