//! A backplane whose deliveries a test holds in its hand.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::backplane::{Backplane, Feed, Subscription, feed};
use larder_core::{Error, ErrorKind};
use parking_lot::Mutex;

/// One line for each subscriber, in the order in which they subscribed. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// Nothing can be published.
    refuses: bool,
    /// As a test counts it.
    time: u64,
}

#[derive(Debug)]
struct Line {
    feed: Feed,
    /// Each with the time at which it was published.
    waiting: VecDeque<(Bytes, u64)>,
    cut: bool,
}

impl Held {
    /// Lets the next message through to one subscriber; `None` if there is none, else what it was, and when it was published.
    pub(crate) fn deliver(&self, to: usize) -> Option<(Bytes, u64)> {
        let mut state = self.0.lock();
        let line = &mut state.lines[to];
        let (message, at) = line.waiting.pop_front()?;
        line.feed.message(message.clone());
        Some((message, at))
    }

    /// What is published from now on is published at this time.
    pub(crate) fn set_time(&self, time: u64) {
        self.0.lock().time = time;
    }

    pub(crate) fn deliver_all(&self) {
        let lines = self.0.lock().lines.len();
        for to in 0..lines {
            while self.deliver(to).is_some() {}
        }
    }

    /// Loses the next message without anybody noticing, as no honest backplane does.
    pub(crate) fn lose(&self, to: usize) -> bool {
        self.0.lock().lines[to].waiting.pop_front().is_some()
    }

    /// Lets a message through that nobody published.
    pub(crate) fn forge(&self, to: usize, message: impl Into<Bytes>) {
        self.0.lock().lines[to].feed.message(message.into());
    }

    pub(crate) fn waiting(&self, to: usize) -> usize {
        self.0.lock().lines[to].waiting.len()
    }

    /// Cuts one subscriber's connection.
    pub(crate) fn cut(&self, to: usize) {
        let mut state = self.0.lock();
        let line = &mut state.lines[to];
        line.cut = true;
        line.waiting.clear();
        line.feed.lost();
    }

    pub(crate) fn mend(&self, to: usize) {
        let mut state = self.0.lock();
        let line = &mut state.lines[to];
        if std::mem::take(&mut line.cut) {
            line.feed.connected();
        }
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.0.lock().refuses = refuses;
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.0.lock().lines.iter().filter(|line| !line.feed.is_closed()).count()
    }
}

impl Backplane for Held {
    async fn publish(&self, message: Bytes) -> Result<(), Error> {
        let mut state = self.0.lock();
        if state.refuses {
            return Err(Error::new(ErrorKind::Unavailable, "the test refuses"));
        }
        let time = state.time;
        for line in state.lines.iter_mut().filter(|line| !line.cut) {
            line.waiting.push_back((message.clone(), time));
        }
        Ok(())
    }

    fn subscribe(&self) -> Subscription {
        let (feed, subscription) = feed();
        feed.connected();
        self.0.lock().lines.push(Line { feed, waiting: VecDeque::new(), cut: false });
        subscription
    }
}
