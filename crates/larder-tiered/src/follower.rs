//! The task that follows what others tell, and compares L2 at each heartbeat.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use larder_core::Nonce;
use larder_core::backplane::{Backplane, Event, Message, What};
use tokio::time::{Instant, MissedTickBehavior};

use crate::outbox::Outbox;
use crate::shared::Shared;

/// How many senders are told apart.
const ORIGINS: usize = 1_024;
/// After how many messages without a pause others get their turn.
const AT_A_STRETCH: usize = 64;

/// Runs until it is aborted, or its runtime ends.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let Some(outbox) = &shared.outbox else { return };
    let _lost_when_over = LostWhenOver(&shared);
    let mut follower = Follower { shared: &shared, outbox, numbers: HashMap::new() };
    loop {
        follower.listen().await;
        // The backplane has given up; it is asked again, but not in a tight loop.
        shared.near.trust.lose();
        tokio::time::sleep(shared.heartbeat).await;
    }
}

/// However the task ends, L1 is not trusted afterwards.
struct LostWhenOver<'a>(&'a Shared);

impl Drop for LostWhenOver<'_> {
    fn drop(&mut self) {
        self.0.near.trust.lose();
    }
}

struct Follower<'a> {
    shared: &'a Shared,
    outbox: &'a Outbox,
    /// Of each sender, the number of its last message since the connection was made.
    numbers: HashMap<Nonce, u64>,
}

impl Follower<'_> {
    async fn listen(&mut self) {
        let mut subscription = self.outbox.backplane().subscribe();
        let mut ticks = tokio::time::interval(self.shared.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = pin!(None);
        let mut stretch = 0;
        loop {
            tokio::select! {
                // Messages first: L1 counts as followed only when none is left.
                biased;
                event = subscription.next() => {
                    let Some(event) = event else { return };
                    if event == Event::Connected {
                        // What could not be told while there was no connection is told at once.
                        ticks.reset_immediately();
                    }
                    self.take(event);
                    stretch += 1;
                    if stretch % AT_A_STRETCH == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                _ = ticks.tick() => {
                    self.shared.near.trust.hear();
                    if beat.is_none() {
                        beat.set(Some(beat_once(self.shared, self.outbox)));
                    }
                }
                () = async { if let Some(beat) = beat.as_mut().as_pin_mut() { beat.await } }, if beat.is_some() => {
                    beat.set(None);
                }
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Connected | Event::Lagged => self.renew(),
            Event::Message(bytes) => match Message::decode(&bytes) {
                Ok(message) if message.origin == self.outbox.origin() => {}
                Ok(message) => self.hear(&message),
                Err(error) => {
                    tracing::warn!(target: "larder::backend", %error, "a message of another process could not be read; all copies are dropped");
                    self.renew();
                }
            },
            // A kind of event that is not known here is no good news.
            _ => self.shared.near.trust.lose(),
        }
    }

    fn hear(&mut self, message: &Message) {
        if self.is_missing_some(message) {
            tracing::warn!(target: "larder::backend", "messages of another process were lost; all copies are dropped");
            self.renew();
        }
        self.shared.near.drop_what(&message.space, &message.what, self.shared.now());
    }

    /// Everything that changes from now on will be told; nothing is known of what changed before.
    fn renew(&mut self) {
        self.numbers.clear();
        self.shared.near.trust.renew();
        self.shared.near.sweep(self.shared.now());
    }

    /// Whether a message of this sender before this one did not come. Of its first one nobody can tell.
    fn is_missing_some(&mut self, message: &Message) -> bool {
        let fits = self.numbers.len() < ORIGINS || self.numbers.contains_key(&message.origin);
        if !fits {
            self.numbers.clear();
        }
        let last = self.numbers.insert(message.origin, message.number);
        let due = if message.what == What::Beat { message.number } else { message.number.saturating_sub(1) };
        !fits || last.is_some_and(|last| last < due)
    }
}

async fn beat_once(shared: &Shared, outbox: &Outbox) {
    let started = Instant::now();
    let (compared, settled) = tokio::join!(shared.compare(), outbox.settle());
    for error in [compared.err(), settled.err()].into_iter().flatten() {
        tracing::debug!(target: "larder::backend", kind = error.kind().as_str(), %error, took = ?started.elapsed(), "a heartbeat failed");
    }
}
