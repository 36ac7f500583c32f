//! Random schedules against a model: two processes with tiers and one without on a store, and a backplane that is slow, cut, or loses
//! messages.
//!
//! What the model asks of a read by a process is said in [`Duty`]; that everybody agrees again when all is delivered is asked at the end.
#![expect(clippy::collapsible_match, reason = "what a move does is no condition of its arm")]

use std::collections::HashMap;

use larder_core::backplane::{Message, What};
use larder_core::{Backend, Entry, Fill, Key, Space, Tag, UnixMillis, Value, When};
use larder_memory::Memory;
use larder_tiered::Tiered;
use proptest::prelude::*;
use tokio::task::JoinHandle;

use crate::held::Held;
use crate::watched::Watched;
use crate::{NEVER, following, settled};

const KEYS: usize = 2;
const TAGS: usize = 2;
const PROCESSES: usize = 2;
const START: UnixMillis = 1_700_000_000_000;

/// `p`: a process, `k`: a key, `t`: a tag.
#[derive(Clone, Debug)]
enum Move {
    Get {
        p: usize,
        k: usize,
    },
    /// A read whose answer stays away until `EndGet`.
    BeginGet {
        p: usize,
        k: usize,
    },
    EndGet,
    /// Begins a fill, with tags known at once and tags learned late.
    Begin {
        p: usize,
        k: usize,
        early: u8,
        late: u8,
    },
    /// Ends the oldest one.
    Store,
    /// The same with an answer of the store that stays away until `EndStore`; or the caller goes away meanwhile.
    BeginStore,
    EndStore {
        gone: bool,
    },
    Remove {
        p: usize,
        k: usize,
    },
    Invalidate {
        p: usize,
        t: usize,
    },
    Clear {
        p: usize,
    },
    /// By the process without tiers.
    InvalidateUntold {
        t: usize,
    },
    ClearUntold,
    Deliver {
        p: usize,
    },
    Lose {
        p: usize,
    },
    Cut {
        p: usize,
    },
    Mend {
        p: usize,
    },
    Compare {
        p: usize,
    },
    /// L1 forgets a copy, as it may.
    Evict {
        p: usize,
        k: usize,
    },
    Wait,
    Down(bool),
    Refuse(bool),
}

fn a_move() -> impl Strategy<Value = Move> {
    let (p, k, t) = (0..PROCESSES, 0..KEYS, 0..TAGS);
    let pk = || (0..PROCESSES, 0..KEYS);
    prop_oneof![
        12 => pk().prop_map(|(p, k)| Move::Get { p, k }),
        3 => pk().prop_map(|(p, k)| Move::BeginGet { p, k }),
        3 => Just(Move::EndGet),
        5 => (p.clone(), k, 0..4u8, 0..4u8).prop_map(|(p, k, early, late)| Move::Begin { p, k, early, late }),
        6 => Just(Move::Store),
        1 => Just(Move::BeginStore),
        1 => any::<bool>().prop_map(|gone| Move::EndStore { gone }),
        1 => pk().prop_map(|(p, k)| Move::Remove { p, k }),
        4 => (p.clone(), t.clone()).prop_map(|(p, t)| Move::Invalidate { p, t }),
        1 => p.clone().prop_map(|p| Move::Clear { p }),
        1 => t.prop_map(|t| Move::InvalidateUntold { t }),
        1 => Just(Move::ClearUntold),
        8 => p.clone().prop_map(|p| Move::Deliver { p }),
        1 => p.clone().prop_map(|p| Move::Lose { p }),
        1 => p.clone().prop_map(|p| Move::Cut { p }),
        2 => p.clone().prop_map(|p| Move::Mend { p }),
        3 => p.prop_map(|p| Move::Compare { p }),
        1 => pk().prop_map(|(p, k)| Move::Evict { p, k }),
        1 => Just(Move::Wait),
        1 => any::<bool>().prop_map(Move::Down),
        1 => any::<bool>().prop_map(Move::Refuse),
    ]
}

/// What a read that begins now may not bring back: a process must know of its own changes, of those it was told, and, whenever it asks
/// L2 anyway or has compared, of all.
#[derive(Clone, Copy, Debug, Default)]
struct Duty {
    /// For each tag, when it was last invalidated: what has it and was begun before is forgotten. The last is of all that is cleared.
    forgotten: [u64; TAGS + 1],
    /// For each key, the least of the changes of it that may be seen.
    changes: [u64; KEYS],
}

impl Duty {
    fn learn(&mut self, other: &Self) {
        let pairs = self.forgotten.iter_mut().zip(other.forgotten);
        pairs
            .chain(self.changes.iter_mut().zip(other.changes))
            .for_each(|(own, other)| *own = other.max(*own));
    }
}

/// A value: it says itself what it is.
#[derive(Clone, Debug)]
struct Made {
    key: usize,
    begun: u64,
    tags: Vec<usize>,
    /// When it was last stored.
    stored: u64,
}

struct Filling {
    p: usize,
    id: u64,
    fill: Fill,
    late: Vec<Tag>,
}

struct Process {
    tiers: Tiered,
    l1: Memory,
    duty: Duty,
    cut: bool,
}

struct World {
    l2: Watched,
    held: Held,
    processes: Vec<Process>,
    /// What has happened in L2.
    happened: Duty,
    /// For each tag, and last for all that is cleared, every time it was forgotten in L2.
    forgotten: [Vec<u64>; TAGS + 1],
    made: HashMap<u64, Made>,
    fills: Vec<Filling>,
    reading: Vec<(usize, Duty, JoinHandle<Option<Entry>>)>,
    storing: Vec<(usize, u64, JoinHandle<bool>)>,
    step: u64,
    now: UnixMillis,
    down: bool,
}

fn key(k: usize) -> Key {
    Key::value(&Space::default(), 1, &format!("key {k}"))
}

fn tag(t: usize) -> Tag {
    Tag::from(format!("tag {t}"))
}

fn tags(bits: u8) -> Vec<Tag> {
    (0..TAGS).filter(|t| bits & (1 << t) != 0).map(tag).collect()
}

impl World {
    async fn new() -> Self {
        let (l2, held) = (Watched::new(), Held::default());
        let mut processes = Vec::new();
        for _ in 0..PROCESSES {
            let l1 = Memory::new();
            let tiers = Tiered::builder(l1.clone(), l2.clone()).backplane(held.clone()).heartbeat(NEVER);
            let tiers = following(tiers.build().unwrap()).await;
            processes.push(Process { tiers, l1, duty: Duty::default(), cut: false });
        }
        Self {
            l2,
            held,
            processes,
            happened: Duty::default(),
            forgotten: Default::default(),
            made: HashMap::new(),
            fills: Vec::new(),
            reading: Vec::new(),
            storing: Vec::new(),
            step: 0,
            now: START,
            down: false,
        }
    }

    async fn make(&mut self, what: Move) {
        self.step += 1;
        self.held.set_time(self.step);
        let (step, now, space) = (self.step, self.now, Space::default());
        match what {
            Move::Get { p, k } => {
                let duty = self.duty(p);
                if let Ok(found) = self.processes[p].tiers.get(&key(k), now).await {
                    self.check(p, k, duty, found.as_ref());
                }
            }
            Move::BeginGet { p, k } if self.reading.len() < 2 && !self.down => {
                let duty = self.duty(p);
                self.l2.hold_reads(true);
                let tiers = self.processes[p].tiers.clone();
                let reading = tokio::spawn(async move { tiers.get(&key(k), now).await.unwrap() });
                settled().await;
                self.l2.hold_reads(false);
                self.reading.push((p * KEYS + k, duty, reading));
            }
            Move::EndGet if !self.reading.is_empty() => {
                let (pk, duty, reading) = self.reading.remove(0);
                if !reading.is_finished() {
                    self.l2.let_read_go();
                }
                let found = reading.await.unwrap();
                self.check(pk / KEYS, pk % KEYS, duty, found.as_ref());
            }
            Move::Begin { p, k, early, late } if self.fills.len() < 3 => {
                let begun = self.processes[p].tiers.begin(&space, &tags(early), now).await;
                if let Ok(fill) = begun {
                    let tags_of = (0..TAGS).filter(|t| (early | late) & (1 << t) != 0).collect();
                    self.made.insert(step, Made { key: k, begun: step, tags: tags_of, stored: 0 });
                    self.fills.push(Filling { p, id: step, fill, late: tags(late) });
                }
            }
            Move::Store if !self.fills.is_empty() => {
                let Some((p, id, entry)) = self.sealed().await else { return };
                let k = self.made[&id].key;
                let stored = self.processes[p].tiers.set(&key(k), entry, When::Always, now).await;
                if stored.is_ok() {
                    self.stored(id);
                    self.processes[p].duty.changes[k] = step;
                }
            }
            Move::BeginStore if !self.fills.is_empty() && self.storing.is_empty() && !self.down => {
                let Some((p, id, entry)) = self.sealed().await else { return };
                let k = self.made[&id].key;
                self.l2.hold_writes(true);
                let tiers = self.processes[p].tiers.clone();
                let storing = async move { tiers.set(&key(k), entry, When::Always, now).await.unwrap() };
                let storing = tokio::spawn(storing);
                settled().await;
                self.l2.hold_writes(false);
                self.stored(id);
                self.storing.push((p, id, storing));
            }
            Move::EndStore { gone } if !self.storing.is_empty() => {
                let (p, id, storing) = self.storing.remove(0);
                if gone {
                    storing.abort();
                    _ = storing.await;
                } else {
                    self.l2.let_write_go();
                    assert!(storing.await.unwrap());
                }
                let Made { key, stored, .. } = self.made[&id];
                let seen = &mut self.processes[p].duty.changes[key];
                *seen = stored.max(*seen);
            }
            Move::Remove { p, k } => {
                if self.processes[p].tiers.remove(&key(k), now).await.is_ok() {
                    self.happened.changes[k] = step;
                    self.processes[p].duty.changes[k] = step;
                }
            }
            Move::Invalidate { p, t } => {
                if self.processes[p].tiers.invalidate(&space, &[tag(t)], now).await.is_ok() {
                    self.forgot(t);
                    self.processes[p].duty.forgotten[t] = step;
                }
            }
            Move::Clear { p } => {
                if self.processes[p].tiers.clear(&space, now).await.is_ok() {
                    self.forgot(TAGS);
                    self.processes[p].duty.forgotten[TAGS] = step;
                }
            }
            Move::InvalidateUntold { t } => {
                self.l2.store().invalidate(&space, &[tag(t)], now).await.unwrap();
                self.forgot(t);
            }
            Move::ClearUntold => {
                self.l2.store().clear(&space, now).await.unwrap();
                self.forgot(TAGS);
            }
            Move::Deliver { p } => self.deliver(p).await,
            Move::Lose { p } => _ = self.held.lose(p),
            Move::Cut { p } => {
                self.held.cut(p);
                self.processes[p].cut = true;
            }
            Move::Mend { p } => {
                // The last moment at which each read goes to L2.
                let duty = self.duty(p);
                self.processes[p].duty = duty;
                self.held.mend(p);
                self.processes[p].cut = false;
            }
            Move::Compare { p } => {
                if self.processes[p].tiers.compare().await.is_ok() {
                    let happened = Duty { changes: [0; KEYS], ..self.happened };
                    self.processes[p].duty.learn(&happened);
                }
            }
            Move::Evict { p, k } => _ = self.processes[p].l1.remove(&key(k), now).await.unwrap(),
            Move::Wait => self.now += 61_000,
            Move::Down(down) => {
                self.down = down;
                self.l2.set_down(down);
            }
            Move::Refuse(refuses) => self.held.refuse(refuses),
            _ => {}
        }
        settled().await;
    }

    /// What a read of this process that begins now has to keep to.
    fn duty(&self, p: usize) -> Duty {
        let mut duty = self.processes[p].duty;
        if self.processes[p].cut {
            duty.learn(&self.happened);
        }
        duty
    }

    async fn sealed(&mut self) -> Option<(usize, u64, Entry)> {
        let Filling { p, id, fill, late } = self.fills.remove(0);
        let tiers = &self.processes[p].tiers;
        let stamp = tiers.seal(&Space::default(), &fill, &late, None, self.now).await.ok()??;
        let expires = Some(self.now + 1_000_000);
        Some((p, id, Entry::new(Value::Bytes(format!("value {id}").into()), expires, stamp)))
    }

    fn stored(&mut self, id: u64) {
        if let Some(made) = self.made.get_mut(&id) {
            made.stored = self.step;
            self.happened.changes[made.key] = self.step;
        }
    }

    fn forgot(&mut self, what: usize) {
        self.forgotten[what].push(self.step);
        self.happened.forgotten[what] = self.step;
    }

    /// When it was last forgotten as of then. A change that L2 refused is told too, since it may have happened: it obliges nobody.
    fn last_forgotten(&self, what: usize, as_of: u64) -> u64 {
        self.forgotten[what].iter().copied().filter(|at| *at <= as_of).max().unwrap_or(0)
    }

    async fn deliver(&mut self, p: usize) {
        let Some((bytes, at)) = self.held.deliver(p) else { return };
        settled().await;
        let mut duty = self.processes[p].duty;
        match Message::decode(&bytes).unwrap().what {
            What::Tags(tags) => {
                for t in (0..TAGS).filter(|t| tags.contains(&tag(*t))) {
                    duty.forgotten[t] = duty.forgotten[t].max(self.last_forgotten(t, at));
                }
            }
            What::Keys(keys) => {
                for k in (0..KEYS).filter(|k| keys.contains(&key(*k))) {
                    // A store whose caller waited long was published later than it happened.
                    let published =
                        self.made.values().filter(|m| m.key == k && m.stored <= at).map(|m| m.stored);
                    duty.changes[k] = duty.changes[k].max(published.max().unwrap_or(0));
                }
            }
            What::Clear => duty.forgotten[TAGS] = duty.forgotten[TAGS].max(self.last_forgotten(TAGS, at)),
            _ => {}
        }
        self.processes[p].duty = duty;
    }

    fn check(&self, p: usize, k: usize, duty: Duty, found: Option<&Entry>) {
        let Some(entry) = found else { return };
        let text = String::from_utf8(entry.value().to_bytes().unwrap().to_vec()).unwrap();
        let id: u64 = text.strip_prefix("value ").unwrap().parse().unwrap();
        let made = &self.made[&id];
        assert_eq!(made.key, k);
        for t in made.tags.iter().copied().chain([TAGS]) {
            assert!(made.begun > duty.forgotten[t], "process {p} is served {made:?} in spite of {duty:?}");
        }
        assert!(made.stored >= duty.changes[k], "process {p} is served {made:?} in spite of {duty:?}");
    }

    /// Everything arrives, and all see what L2 says.
    async fn end(mut self) {
        self.make(Move::Down(false)).await;
        self.make(Move::Refuse(false)).await;
        while !self.reading.is_empty() {
            self.make(Move::EndGet).await;
        }
        self.make(Move::EndStore { gone: false }).await;
        // What was lost or not told is made good by a new connection.
        for p in 0..PROCESSES {
            self.make(Move::Cut { p }).await;
            self.make(Move::Mend { p }).await;
        }
        self.held.deliver_all();
        settled().await;
        for k in 0..KEYS {
            let truth = self.l2.get_many(&[key(k)], self.now).await.unwrap();
            let truth = truth[0].as_ref().map(|entry| entry.value().to_bytes().unwrap());
            for p in 0..PROCESSES {
                for _ in 0..2 {
                    let found = self.processes[p].tiers.get(&key(k), self.now).await.unwrap();
                    assert_eq!(found.map(|entry| entry.value().to_bytes().unwrap()), truth);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn nobody_is_served_what_they_must_know_is_gone(moves in proptest::collection::vec(a_move(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for what in moves {
                world.make(what).await;
            }
            world.end().await;
        });
    }
}

/// `LARDER_MODEL_CASES=100000 cargo test --release -p larder-tiered model` searches longer.
fn cases() -> u32 {
    std::env::var("LARDER_MODEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(192)
}
