//! Whether L1 may answer, and since when.
//!
//! Two numbers say how things stand. The *epoch* changes whenever something may have been missed: copies of another epoch than the present
//! one are dead. The *round* changes whenever L2 may hold something that nobody told of: copies that were checked in an earlier round are
//! checked again before they are served. In round 0, L1 answers nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Trust {
    /// The epoch in the upper half, the round in the lower.
    state: AtomicU64,
    began: Instant,
    /// When, in ms since `began`, the follower was last known to be awake and to have taken all messages.
    heard: AtomicU64,
    /// After how much silence of its own follower L1 stops answering: a runtime that stands still takes no messages.
    patience: u64,
}

/// How things stood at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand(u64);

impl Stand {
    /// Of something that no moment has put its trust in yet.
    pub(crate) const NEVER: Self = Self(0);

    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    pub(crate) const fn same_epoch(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }

    /// The same epoch, before its first round: nothing was checked.
    pub(crate) const fn unchecked(self) -> Self {
        Self(self.0 >> 32 << 32)
    }
}

impl Trust {
    pub(crate) fn new(patience: Duration) -> Self {
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        // The first epoch is 1, so that `Stand::NEVER` is in none.
        Self { state: AtomicU64::new(1 << 32), began: Instant::now(), heard: AtomicU64::new(0), patience }
    }

    /// How things stand; `None`: L1 may not answer.
    pub(crate) fn stand(&self) -> Option<Stand> {
        let state = self.state.load(Ordering::Acquire);
        let silence = self.now().saturating_sub(self.heard.load(Ordering::Acquire));
        (state as u32 != 0 && silence <= self.patience).then_some(Stand(state))
    }

    /// The follower is awake, and has taken all messages that there were.
    pub(crate) fn hear(&self) {
        self.heard.store(self.now(), Ordering::Release);
    }

    /// From now on all changes are told; what was copied before counts no longer.
    pub(crate) fn renew(&self) {
        self.hear();
        self.change(|state| ((state >> 32) + 1) << 32 | 1);
    }

    /// L1 answers nothing until [`renew`](Self::renew).
    pub(crate) fn lose(&self) {
        self.change(|state| ((state >> 32) + 1) << 32);
    }

    /// What was copied before counts no longer.
    pub(crate) fn lapse(&self) {
        self.change(|state| ((state >> 32) + 1) << 32 | u64::from(state as u32 != 0));
    }

    /// What was checked before has to be checked again.
    pub(crate) fn next_round(&self) {
        self.change(|state| if state as u32 == 0 { state } else { state + 1 });
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        let changed =
            self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| Some(change(state)));
        debug_assert!(changed.is_ok(), "there always is a next state");
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_and_a_renewal_each_end_an_epoch_and_a_round_does_not() {
        let trust = Trust::new(Duration::from_secs(3_600));
        assert_eq!(trust.stand(), None, "nobody follows yet");
        trust.next_round();
        trust.lapse();
        assert_eq!(trust.stand(), None);
        trust.renew();
        let first = trust.stand().unwrap();
        trust.next_round();
        let second = trust.stand().unwrap();
        assert!(first != second && first.same_epoch(second));
        assert!(first.unchecked().same_epoch(second) && first.unchecked() != second);
        trust.lapse();
        let third = trust.stand().unwrap();
        assert!(!third.same_epoch(second));
        trust.lose();
        assert_eq!(trust.stand(), None);
        trust.renew();
        assert!(!trust.stand().unwrap().same_epoch(third) && !Stand::NEVER.same_epoch(third));
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_stands_still_is_not_trusted() {
        let trust = Trust::new(Duration::from_secs(3));
        trust.renew();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(trust.stand().is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(trust.stand(), None);
        trust.hear();
        assert!(trust.stand().is_some());
    }
}
