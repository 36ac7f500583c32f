//! The model: what was made when, what was forgotten when, and whether what a read brings back may still be there.

use larder_core::UnixMillis;
use parking_lot::Mutex;

use super::Tally;
use super::moves::{KEYS, TAGS};

/// How many processes one schedule is known to have; of later ones less is asked.
const PROCESSES: usize = 24;

/// A value, told by its number.
#[derive(Clone, Debug)]
struct Made {
    key: usize,
    /// When its fill had begun.
    begun: u64,
    /// The process that made it and stores it, where that process alone decides.
    by: Option<usize>,
    /// Its tags, and those of what went into it, each with the beginning of the fill that has it.
    tags: Vec<(usize, u64)>,
    expires: Option<UnixMillis>,
    /// When it was in the store.
    stored: Option<u64>,
}

/// What a read must know when it begins: all that had returned by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// For each tag, when the last of its invalidations that returned was called.
    forgotten: [u64; TAGS],
    /// The same for those that were only marked.
    marked: [u64; TAGS],
    /// The same for `clear`.
    cleared: u64,
    /// For each key, when the last change that returned was called, and removed what stood there.
    removed: [u64; KEYS],
    /// For each key, when the last change by each process that returned was called.
    overtaken: [[u64; PROCESSES]; KEYS],
    at: UnixMillis,
}

#[derive(Debug)]
struct Model {
    tick: u64,
    made: Vec<Made>,
    seen: Seen,
    wrong: Option<String>,
    tally: Tally,
}

/// Shared by all who act.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Model>);

impl Ledger {
    pub(super) fn new() -> Self {
        let seen = Seen {
            forgotten: [0; TAGS],
            marked: [0; TAGS],
            cleared: 0,
            removed: [0; KEYS],
            overtaken: [[0; PROCESSES]; KEYS],
            at: 0,
        };
        let model = Model { tick: 0, made: Vec::new(), seen, wrong: None, tally: Tally::default() };
        Self(Mutex::new(model))
    }

    /// Now, as the model counts it; no two things happen at once.
    pub(super) fn tick(&self) -> u64 {
        let mut model = self.0.lock();
        model.tick += 1;
        model.tick
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.0.lock().tally);
    }

    /// Notes a value; what went into it is named by number.
    pub(super) fn make(
        &self,
        key: usize,
        begun: u64,
        tags: impl IntoIterator<Item = usize>,
        parts: &[u64],
        expires: Option<UnixMillis>,
    ) -> u64 {
        let mut model = self.0.lock();
        let mut all: Vec<(usize, u64)> = tags.into_iter().map(|tag| (tag, begun)).collect();
        for part in parts {
            let inherited = model.find(*part).map(|made| made.tags.clone());
            all.extend(inherited.unwrap_or_default());
        }
        model.made.push(Made { key, begun, by: None, tags: all, expires, stored: None });
        model.tally.fills += 1;
        model.made.len() as u64
    }

    /// Whoever makes it stores it by `get_or_set`, and a change by the same process is not lost on it.
    pub(super) fn made_by(&self, value: u64, process: usize) {
        if let Some(made) = self.0.lock().find_mut(value) {
            made.by = Some(process).filter(|process| *process < PROCESSES);
        }
    }

    /// It is in the store.
    pub(super) fn stored(&self, value: u64) {
        let mut model = self.0.lock();
        model.tick += 1;
        model.tally.stored += 1;
        let tick = model.tick;
        if let Some(made) = model.find_mut(value) {
            made.stored = Some(tick);
        }
    }

    /// What stands under a key may live longer or shorter than was said.
    pub(super) fn prolonged(&self, key: usize) {
        self.0.lock().made.iter_mut().filter(|made| made.key == key).for_each(|made| made.expires = None);
    }

    pub(super) fn forgot(&self, tags: impl Iterator<Item = usize>, soft: bool, called: u64) {
        let mut model = self.0.lock();
        model.tally.invalidations += 1;
        let seen = &mut model.seen;
        let told = if soft { &mut seen.marked } else { &mut seen.forgotten };
        for tag in tags {
            told[tag] = told[tag].max(called);
        }
    }

    pub(super) fn cleared(&self, called: u64) {
        let seen = &mut self.0.lock().seen;
        seen.cleared = seen.cleared.max(called);
    }

    pub(super) fn removed(&self, key: usize, process: usize, called: u64) {
        let seen = &mut self.0.lock().seen;
        seen.removed[key] = seen.removed[key].max(called);
        if let Some(overtaken) = seen.overtaken[key].get_mut(process) {
            *overtaken = called.max(*overtaken);
        }
    }

    /// A read begins.
    pub(super) fn look(&self, at: UnixMillis) -> Seen {
        let mut model = self.0.lock();
        model.tally.reads += 1;
        Seen { at, ..model.seen }
    }

    /// A read that began with `seen` was given a value.
    pub(super) fn check(&self, seen: &Seen, key: usize, value: Option<u64>, how: &str) {
        let mut model = self.0.lock();
        model.tally.hits += 1;
        let Some(made) = value.and_then(|value| model.find(value)).cloned() else {
            model.wrong.get_or_insert_with(|| format!("a read of k{key} was given what nobody has made"));
            return;
        };
        let whats_wrong = wrong(&made, key, seen, how);
        if let (Some(why), Some(value)) = (whats_wrong, value) {
            model.wrong.get_or_insert_with(|| format!("a read of k{key} was given v{value} ({how}), {why}"));
        }
    }

    pub(super) fn failed(&self) {
        self.0.lock().tally.errors += 1;
    }

    /// What was found to be wrong first.
    pub(super) fn wrong(&self) -> Option<String> {
        self.0.lock().wrong.clone()
    }

    pub(super) fn tally(&self) -> Tally {
        self.0.lock().tally
    }
}

/// How a value came that did not come from the store.
pub(super) const JOINED: &str = "by joining a flight";

/// How a value came that is known to be stale.
pub(super) const STALE: &str = "stored, as stale";

/// Why the value must not be there any more.
fn wrong(made: &Made, key: usize, seen: &Seen, how: &str) -> Option<String> {
    if made.key != key {
        return Some(format!("which was made for k{}", made.key));
    }
    for (tag, begun) in &made.tags {
        let forgotten = seen.forgotten[*tag];
        if *begun < forgotten {
            return Some(format!(
                "begun at {begun}, though t{tag} was invalidated at {forgotten}, which had returned before the read began"
            ));
        }
    }
    for (tag, begun) in made.tags.iter().filter(|_| how != STALE) {
        let marked = seen.marked[*tag];
        if *begun < marked {
            return Some(format!(
                "begun at {begun} and as fresh, though t{tag} was marked at {marked}, which had returned before the read began"
            ));
        }
    }
    let overtaken = made.by.map_or(0, |process| seen.overtaken[made.key][process]);
    if made.begun < overtaken {
        return Some(format!(
            "begun at {}, though the process that made it had replaced or removed it at {overtaken}",
            made.begun
        ));
    }
    if made.begun < seen.cleared {
        return Some(format!(
            "begun at {}, before a clear at {} that had returned",
            made.begun, seen.cleared
        ));
    }
    if how == JOINED {
        return None;
    }
    let removed = seen.removed[key];
    if made.stored.is_some_and(|stored| stored < removed) {
        return Some(format!("which was replaced or removed at {removed}"));
    }
    made.expires
        .filter(|at| *at <= seen.at)
        .map(|at| format!("which expired at {at}, and it was {}", seen.at))
}

impl Model {
    fn find(&self, value: u64) -> Option<&Made> {
        self.made.get(usize::try_from(value).ok()?.checked_sub(1)?)
    }

    fn find_mut(&mut self, value: u64) -> Option<&mut Made> {
        self.made.get_mut(usize::try_from(value).ok()?.checked_sub(1)?)
    }
}
