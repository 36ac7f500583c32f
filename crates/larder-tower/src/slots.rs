//! In which of its two slots a variant is stored, and who makes room for it.
//!
//! Where both are taken, the page in one of them moves to its own other slot, if that is free, or becomes free in the same way: as in cuckoo
//! hashing, half as many variants as there are slots all find room, where otherwise some of them would go on evicting each other. A page is the
//! same in either slot, and its entry moves as it is; if two processes move at the same time, a page may be lost, which is a miss.

use larder_core::{Cache, Entry, Error, Key};

use crate::identity::places;
use crate::landing::Place;
use crate::record::Record;

/// How many pages make room for one, in a store in this process.
const MOVES: usize = 4;
/// The same where each look is a step to a server.
const MOVES_AFAR: usize = 1;

/// Where a variant is stored.
pub(crate) struct Seat {
    pub(crate) slot: Key,
    /// What goes elsewhere for it.
    pub(crate) moved: Vec<(Key, Entry)>,
}

/// A slot, and what stands there.
struct Taken {
    place: u32,
    entry: Entry,
}

impl Seat {
    /// The slot for a variant, of which `found` says what stands in its two: its own from before, else a free one, else one that is made free, else
    /// the one with the older page.
    pub(crate) async fn of(
        place: &Place<'_>,
        cache: &Cache,
        found: [Option<Entry>; 2],
    ) -> Result<Self, Error> {
        let Place { identity, variant, limit, .. } = *place;
        let own = variant.places(limit);
        let seat = |at: u32| Self { slot: variant.slot(identity, at), moved: Vec::new() };
        let ages = found.each_ref().map(|entry| age(entry.as_ref(), variant.key()));
        let best = if ages[1] < ages[0] { own[1] } else { own[0] };
        let [Some(first), Some(second)] = found else { return Ok(seat(best)) };
        if ages.iter().any(|age| *age < TAKEN) {
            return Ok(seat(best));
        }
        let moves = if cache.capabilities().shared { MOVES_AFAR } else { MOVES };
        let mut ways =
            vec![vec![Taken { place: own[0], entry: first }], vec![Taken { place: own[1], entry: second }]];
        for _ in 0..moves {
            let next: Vec<_> = ways.iter().map(|way| other_place(way, limit)).collect();
            ways = ways.into_iter().zip(&next).filter_map(|(way, next)| next.map(|_| way)).collect();
            let next: Vec<u32> = next.into_iter().flatten().collect();
            let keys: Vec<Key> = next.iter().map(|at| variant.slot(identity, *at)).collect();
            if keys.is_empty() {
                break;
            }
            let at_once: Option<Vec<_>> = keys.iter().map(|key| cache.lookup_now(key)).collect();
            let looked = match at_once {
                Some(looked) => looked,
                None => cache.lookup(&keys).await?,
            };
            for ((way, at), (key, entry)) in ways.iter_mut().zip(next).zip(keys.into_iter().zip(looked)) {
                let Some(entry) = entry else {
                    let mut goals: Vec<Key> =
                        way[1..].iter().map(|taken| variant.slot(identity, taken.place)).collect();
                    goals.push(key);
                    let mut seat = seat(way[0].place);
                    seat.moved = goals.into_iter().zip(way.drain(..).map(|taken| taken.entry)).collect();
                    return Ok(seat);
                };
                way.push(Taken { place: at, entry });
            }
        }
        Ok(seat(best))
    }
}

/// From here on it is when another variant's page was made.
const TAKEN: u64 = 2;

fn age(entry: Option<&Entry>, key: &Key) -> u64 {
    let record = entry.and_then(|entry| Record::from_entry(entry).ok());
    match record.as_ref().and_then(|record| record.page.as_ref()) {
        None => 1,
        Some(page) if *page.meta.key == *key.identity() => 0,
        Some(page) => page.meta.timing.response_time.max(TAKEN),
    }
}

/// Where the last page on a way could go: none that the way has been at.
fn other_place(way: &[Taken], limit: u32) -> Option<u32> {
    let Taken { place, entry } = way.last()?;
    let record = Record::from_entry(entry).ok()?;
    let other = match places(&record.page.as_ref()?.meta.key, limit) {
        [here, other] | [other, here] if here == *place => other,
        // It was stored under another limit.
        _ => return None,
    };
    way.iter().all(|taken| taken.place != other).then_some(other)
}
