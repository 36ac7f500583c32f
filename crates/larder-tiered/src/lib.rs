//! Two tiers: copies in this process (*L1*) in front of a store that several processes share (*L2*), and a
//! [backplane](larder_core::backplane) by which the processes tell each other what has changed.
//!
//! ```
//! use larder_core::Cache;
//! use larder_core::backplane::InProcess;
//! use larder_memory::Memory;
//! use larder_tiered::Tiered;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
//! # let shared_by_all = Memory::new();
//! let l1 = Memory::builder().max_bytes(64 << 20).build()?;
//! let tiers = Tiered::builder(l1, shared_by_all).backplane(InProcess::new()).l1_timeout(30).build()?;
//! let cache = Cache::builder(tiers).key_prefix("shop").build()?;
//! cache.set("answer", 42).timeout(600).tags(["facts"]).await?;
//! assert_eq!(cache.get("answer").await?, Some(42));
//! cache.invalidate(["facts"]).await?;
//! assert_eq!(cache.get::<i32>("answer").await?, None);
//! # Ok(()) }
//! ```
//!
//! # What is read where
//! - What L1 has, while it is trusted, is served without asking anybody: about as quickly as from memory alone. A page that came from L2 is decoded once, not
//!   each time.
//! - Everything else is read from L2 in one step, checked as L2 checks it, and copied.
//! - Changes go to L2, then to the L1 of this process, then to the others. A change that L2 refused or did not answer is an error.
//! - An entry lives in L1 for as long as it says, and at most for the L1 timeout (60 s). It carries the stamp it has in L2, so what is made from a copy is
//!   invalidated together with what the copy was made from.
//!
//! # What is promised
//! After `invalidate`, `clear`, `set`, `remove` or another change returned `Ok`, no read in this process that begins later sees what was there
//! before. Other processes on the same backplane follow when the message reaches them, which takes about as long as a ping; whatever goes wrong with messages, *no
//! L1 serves what was invalidated or cleared more than three heartbeats ago* (1 s each) as long as L2 can be read. For that:
//!
//! - **L1 is trusted only while somebody follows.** Before it is subscribed, after the connection is lost, and when the follower's runtime stands still for three heartbeats,
//!   each read goes to L2. With a new connection L1 begins empty, since nobody knows what changed meanwhile. The same happens if messages were not taken in
//!   time, if a number is missing in what another process sent, and for a message of a version that is not known here.
//! - **Each heartbeat compares.** The namespace's nonce and fence are read from L2. If they are not what they were, somebody has invalidated or cleared, perhaps without telling (a
//!   process without tiers, a person with a client), or L2 was emptied, restored or replaced by another. L1 then asks L2 before it serves a copy again, once a copy: a step that brings no
//!   value, only whether the stamp still holds. A change counts as going on for two more heartbeats, as an invalidation may take some steps.
//! - **What could not be told is owed.** If a message can't be sent, or the deadline passes while it is, the others are told to drop everything as soon as that is possible.
//! - **A copy is a fill of L1**, begun before L2 is read: what is invalidated or changed meanwhile is not copied. What this process stores is laid into L1 unchecked, and checked against L2 before it
//!   is first served, because its fill may have begun before an invalidation that L1 has forgotten already.
//!
//! What other programs do to single keys of L2 without the backplane (`DEL`, `SET`) is seen when the copies expire. A bare integer without expiry is not copied: stores that count on such do not
//! tell when they expire.
//!
//! # When something is down
//! | what | reads | changes |
//! |---|---|---|
//! | the backplane | go to L2 | succeed; the other processes read from L2 too, or find out at their next heartbeat |
//! | L2, while the backplane works | L1 goes on serving what it has, until it expires there | fail |
//! | both, as where they are one server | fail; the layers above go to the origin | fail |
//!
//! While L2 is down nobody can invalidate anything, so what L1 serves then is what L2 would. If L2 is cut off from this process alone, the messages of the others still come. Only what is
//! invalidated by somebody off the backplane, in an L2 that this process can't reach, stays until the L1 timeout. Nothing has to be done when something is up again.
//!
//! # What runs
//! One task, the follower, begun with the first operation inside a Tokio runtime, and ended when the last handle is dropped or [closed](larder_core::Backend::close). If its runtime ends, the next operation begins
//! another.

mod backend;
mod builder;
mod change;
mod far;
mod follower;
mod kept;
mod near;
mod open;
mod outbox;
mod read;
mod shared;
mod spaces;
mod trust;

use std::fmt;
use std::sync::Arc;

use larder_core::{Error, UnixMillis};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub use builder::TieredBuilder;
pub use open::open;

use shared::Shared;

/// A first tier in this process in front of a second one. Clones share both.
#[derive(Clone)]
pub struct Tiered {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    follower: Mutex<Option<JoinHandle<()>>>,
}

impl Inner {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, follower: Mutex::default() }
    }

    /// Sees to it that the follower runs.
    fn wake(&self) {
        if self.shared.outbox.is_none() {
            return;
        }
        let mut follower = self.follower.lock();
        if follower.as_ref().is_some_and(|follower| !follower.is_finished()) {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            *follower = Some(runtime.spawn(follower::follow(Arc::clone(&self.shared))));
        }
    }

    /// Ends the follower, and with it the trust in L1.
    fn sleep(&self) {
        if let Some(follower) = self.follower.lock().take() {
            follower.abort();
        }
        self.shared.near.trust.lose();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sleep();
    }
}

impl Tiered {
    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// What every operation begins with.
    fn awake(&self, now: UnixMillis) -> &Shared {
        self.inner.shared.note_time(now);
        self.inner.wake();
        self.shared()
    }

    /// Whether L1 may answer now: somebody follows what the others tell.
    pub fn is_following(&self) -> bool {
        self.shared().near.trust.stand().is_some()
    }

    /// What each heartbeat does: compares L2's records with what they were. Afterwards L1 serves nothing that was invalidated
    /// in L2 before this call, told or not.
    ///
    /// # Errors
    /// What L2 gives for the first namespace that could not be compared.
    pub async fn compare(&self) -> Result<(), Error> {
        self.shared().compare().await
    }
}

impl fmt::Debug for Tiered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiered")
            .field("l1", self.shared().near.l1())
            .field("l2", self.shared().far.l2())
            .field("backplane", &self.shared().outbox.as_ref().map(outbox::Outbox::backplane))
            .field("is_following", &self.is_following())
            .finish()
    }
}
