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
}

#[derive(Debug)]
struct Line {
    feed: Feed,
    waiting: VecDeque<Bytes>,
    cut: bool,
}

impl Held {
    /// Lets the next message through to one subscriber; false if there is none.
    pub(crate) fn deliver(&self, to: usize) -> bool {
        let mut state = self.0.lock();
        let line = &mut state.lines[to];
        let message = line.waiting.pop_front();
        message.map(|message| line.feed.message(message)).is_some()
    }

    pub(crate) fn deliver_all(&self) {
        let lines = self.0.lock().lines.len();
        for to in 0..lines {
            while self.deliver(to) {}
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
        for line in state.lines.iter_mut().filter(|line| !line.cut) {
            line.waiting.push_back(message.clone());
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
