//! Every order in which the steps of a fill and of an invalidation can come, one step of a store at a time.
//!
//! The origin is a number. A fill begins, asks the origin and stores what it got; a change raises the number and invalidates. Once the change has
//! returned, nobody may be given the old number, in none of the orders.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_core::{Cache, Entry, Key, ManualClock, Tag, Value, When};
use larder_testkit::Plain;
use larder_testkit::schedules::{Stepped, gate, has_stopped};

/// What is under way; it answers what it has to tell at its end.
type Way = Pin<Box<dyn Future<Output = ()>>>;

/// Takes all ways in one order: at each step `choices` says which of those that can go on does, and 0 where it says nothing. Who waits for
/// another can't, until another has gone on. Gives the choices that were made, with how many there were to choose from.
fn walk(ways: Vec<Way>, choices: &[usize], mut after: impl FnMut()) -> Vec<(usize, usize)> {
    let mut context = Context::from_waker(Waker::noop());
    let mut made = Vec::new();
    let mut ways: Vec<(Way, bool)> = ways.into_iter().map(|way| (way, false)).collect();
    while !ways.is_empty() {
        let able: Vec<usize> = (0..ways.len()).filter(|way| !ways[*way].1).collect();
        assert!(!able.is_empty() && made.len() < 200, "somebody waits for ever: {made:?}");
        let chosen = choices.get(made.len()).copied().unwrap_or(0);
        made.push((chosen, able.len()));
        let at = able[chosen];
        has_stopped();
        let polled = ways[at].0.as_mut().poll(&mut context);
        let waits = polled.is_pending() && !has_stopped();
        match polled {
            Poll::Ready(()) => drop(ways.remove(at)),
            Poll::Pending => ways[at].1 = waits,
        }
        if !waits {
            ways.iter_mut().for_each(|(_, waits)| *waits = false);
        }
        after();
    }
    made
}

/// Runs `run` in every order there is, and gives how many there were.
fn every_order(mut run: impl FnMut(&[usize]) -> Vec<(usize, usize)>) -> u64 {
    let (mut choices, mut orders) = (Vec::new(), 0);
    loop {
        let made = run(&choices);
        orders += 1;
        // The next in lexical order.
        let Some(at) = made.iter().rposition(|(chosen, of)| chosen + 1 < *of) else { return orders };
        choices = made[..at].iter().map(|(chosen, _)| *chosen).collect();
        choices.push(made[at].0 + 1);
    }
}

fn now<T>(answer: impl Future<Output = T>) -> T {
    match std::pin::pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a store of this test answers at once"),
    }
}

/// How a change makes the old number out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Hard,
    Soft,
    Clear,
}

/// How a value is removed, or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    Delete,
    Many,
    Set,
}

/// How its fill learns the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learned {
    Early,
    Late,
    /// From a value that was stored before, which carries it.
    Inherited,
}

struct World {
    /// Each step of which waits for its turn.
    stepped: Cache,
    /// The same store, at once.
    plain: Cache,
    origin: Arc<AtomicU64>,
    /// The number that nobody may be given less than.
    least: Arc<AtomicU64>,
}

impl World {
    fn new() -> Self {
        let store = Plain::default();
        let clock = ManualClock::new(1_763_683_200_000).clock();
        let patient = Duration::from_secs(3600);
        let stepped = Cache::builder(Stepped::new(store.clone())).clock(clock.clone()).deadline(patient);
        let plain = Cache::builder(store).clock(clock);
        Self {
            stepped: stepped.build().unwrap(),
            plain: plain.build().unwrap(),
            origin: Arc::new(AtomicU64::new(1)),
            least: Arc::default(),
        }
    }

    fn page(&self) -> Key {
        self.stepped.key_builder("page").key()
    }

    /// A fragment that was made of the origin before everything.
    fn with_fragment(self) -> Self {
        now(self.plain.set("fragment", 1).tags(["t"]).into_future()).unwrap();
        self
    }

    fn fill(&self, learned: Learned) -> Way {
        let (cache, origin, page) = (self.stepped.clone(), Arc::clone(&self.origin), self.page());
        Box::pin(async move {
            let tag = [Tag::new("t")];
            let (early, late) = match learned {
                Learned::Early => (&tag[..], &[][..]),
                Learned::Late => (&[][..], &tag[..]),
                Learned::Inherited => (&[][..], &[][..]),
            };
            let mut fill = cache.begin(early).await.expect("a store that works");
            let mut number = origin.load(Ordering::SeqCst);
            if learned == Learned::Inherited {
                let key = cache.key_of("fragment", None);
                let found = cache.lookup(std::slice::from_ref(&key)).await.expect("a store that works");
                match &found[0] {
                    Some(fragment) => {
                        number = 1;
                        fill.inherit(fragment.stamp());
                    }
                    // The fragment is gone after the change alone, and so the origin is asked.
                    None => number = origin.load(Ordering::SeqCst),
                }
            }
            gate().await;
            let Some(stamp) = cache.seal(&fill, late, None).await.expect("a store that works") else {
                return;
            };
            let entry = Entry::new(Value::Bytes(number.to_string().into()), None, stamp);
            cache.put(&page, entry, When::Always).await.expect("a store that works");
        })
    }

    fn change(&self, change: Change) -> Way {
        let (cache, origin, least) =
            (self.stepped.clone(), Arc::clone(&self.origin), Arc::clone(&self.least));
        Box::pin(async move {
            let new = origin.fetch_add(1, Ordering::SeqCst) + 1;
            match change {
                Change::Hard => cache.invalidate(["t"]).await.expect("a store that works"),
                Change::Soft => cache.soft_invalidate(["t"]).await.expect("a store that works"),
                Change::Clear => cache.clear().await.expect("a store that works"),
            }
            least.fetch_max(new, Ordering::SeqCst);
        })
    }

    /// A value of the low-level cache, made of the origin.
    fn value(&self) -> Way {
        let (cache, origin) = (self.stepped.clone(), Arc::clone(&self.origin));
        Box::pin(async move {
            let make = || async {
                let number = origin.load(Ordering::SeqCst);
                gate().await;
                number
            };
            cache.get_or_set("value", make).await.expect("a number can be stored");
        })
    }

    /// A change after which the value is deleted, or set.
    fn remove(&self, removal: Removal) -> Way {
        let (cache, origin, least) =
            (self.stepped.clone(), Arc::clone(&self.origin), Arc::clone(&self.least));
        Box::pin(async move {
            let new = origin.fetch_add(1, Ordering::SeqCst) + 1;
            match removal {
                Removal::Delete => _ = cache.delete("value").await.expect("a store that works"),
                Removal::Many => _ = cache.delete_many(["value"]).await.expect("a store that works"),
                Removal::Set => cache.set("value", new).await.expect("a store that works"),
            }
            least.fetch_max(new, Ordering::SeqCst);
        })
    }

    /// What somebody is given who reads the value now.
    fn read(&self) -> Option<u64> {
        now(self.plain.get("value").into_future()).unwrap()
    }

    /// What somebody is given as fresh who asks now.
    fn given(&self) -> Option<u64> {
        let found = now(self.plain.lookup(&[self.page()])).unwrap().remove(0);
        let fresh = found.filter(|entry| entry.stale_since().is_none())?;
        String::from_utf8(fresh.value().to_bytes().unwrap().to_vec()).unwrap().parse().ok()
    }
}

/// All orders of these, with a look after each step. How many there were, and in how many of them something was stored in the end.
fn look_in_every_order(
    world: impl Fn() -> World,
    ways: impl Fn(&World) -> Vec<Way>,
    what: impl std::fmt::Debug,
) -> (u64, u64) {
    let mut kept = 0;
    let orders = every_order(|choices| {
        let world = world();
        let made = walk(ways(&world), choices, || {
            let least = world.least.load(Ordering::SeqCst);
            // Before it has returned, both numbers will do.
            if least == 0 {
                return;
            }
            let given = world.given();
            assert!(
                given.is_none_or(|given| given >= least),
                "{what:?}: {given:?} after {least}: {choices:?}"
            );
        });
        kept += u64::from(world.given().is_some());
        made
    });
    (orders, kept)
}

const CHANGES: [Change; 3] = [Change::Hard, Change::Soft, Change::Clear];

#[tokio::test]
async fn no_order_of_a_fill_and_a_change_brings_back_the_old_number() {
    for change in CHANGES {
        for learned in [Learned::Early, Learned::Late] {
            let ways = |world: &World| vec![world.fill(learned), world.change(change)];
            let (orders, kept) = look_in_every_order(World::new, ways, (change, learned));
            assert!(orders > 50, "{change:?}, {learned:?}: {orders}");
            // What came wholly afterwards stays, at least.
            assert!(kept > 0 && kept < orders, "{change:?}, {learned:?}: {kept} of {orders}");
        }
    }
}

#[tokio::test]
async fn no_order_brings_back_what_was_made_of_an_old_fragment() {
    for change in CHANGES {
        let ways = |world: &World| vec![world.fill(Learned::Inherited), world.change(change)];
        let world = || World::new().with_fragment();
        let (orders, _) = look_in_every_order(world, ways, (change, Learned::Inherited));
        assert!(orders > 50, "{change:?}: {orders}");
    }
}

#[test]
fn no_order_of_a_value_that_is_made_and_one_that_is_removed_brings_back_the_old_number() {
    for removal in [Removal::Delete, Removal::Many, Removal::Set] {
        let mut kept = 0;
        let orders = every_order(|choices| {
            let world = World::new();
            let made = walk(vec![world.value(), world.remove(removal)], choices, || {
                let least = world.least.load(Ordering::SeqCst);
                let read = (least > 0).then(|| world.read()).flatten();
                assert!(
                    read.is_none_or(|read| read >= least),
                    "{removal:?}: {read:?} after {least}: {choices:?}"
                );
            });
            kept += u64::from(world.read().is_some());
            made
        });
        assert!(orders > 20, "{removal:?}: {orders}");
        let all = removal == Removal::Set;
        assert!(kept > 0 && (kept < orders || all), "{removal:?}: {kept} of {orders}");
    }
}
