//! From a backplane's task to who listens: a bounded queue that never hides a loss.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many messages may wait for a subscriber.
const CAPACITY: usize = 4_096;

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// From now on messages arrive.
    Connected,
    /// The connection is gone; messages are being missed until [`Connected`](Self::Connected).
    Lost,
    /// Messages were missed because they were not taken in time. It goes on from here.
    Lagged,
    /// A message.
    Message(Bytes),
}

/// A queue from a backplane to one subscriber.
pub fn feed() -> (Feed, Subscription) {
    let queue = Arc::new(Queue::default());
    (Feed(Arc::clone(&queue)), Subscription(queue))
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// There is something to take.
    filled: Notify,
    /// The subscriber is gone.
    left: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    left: bool,
    ended: bool,
}

/// The backplane's end: it never waits. Dropped, it tells of the loss.
pub struct Feed(Arc<Queue>);

impl Feed {
    /// Messages arrive from now on.
    pub fn connected(&self) {
        self.put(|events| events.push_back(Event::Connected));
    }

    /// The connection is gone.
    pub fn lost(&self) {
        // What was not taken yet is worth nothing: who was told of a loss trusts nothing from before.
        self.put(|events| {
            events.clear();
            events.push_back(Event::Lost);
        });
    }

    /// A message came.
    pub fn message(&self, message: Bytes) {
        self.put(|events| {
            if events.len() < CAPACITY {
                events.push_back(Event::Message(message));
            } else {
                events.clear();
                events.push_back(Event::Lagged);
            }
        });
    }

    /// Whether the subscription was dropped.
    pub fn is_closed(&self) -> bool {
        self.0.state.lock().left
    }

    /// Waits until the subscription is dropped.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn closed(&self) {
        loop {
            let left = self.0.left.notified();
            if self.is_closed() {
                return;
            }
            left.await;
        }
    }

    fn put(&self, put: impl FnOnce(&mut VecDeque<Event>)) {
        let mut state = self.0.state.lock();
        if !state.left {
            put(&mut state.events);
        }
        drop(state);
        self.0.filled.notify_one();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.lost();
        self.0.state.lock().ended = true;
        self.0.filled.notify_one();
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("waiting", &self.0.state.lock().events.len()).finish()
    }
}

/// The subscriber's end.
#[must_use = "dropped, it unsubscribes"]
pub struct Subscription(Arc<Queue>);

impl Subscription {
    /// The next event; `None` at the end, when the backplane has stopped. What was published before `Connected` is not told.
    ///
    /// # Cancel safety
    /// May be dropped at any point; nothing is lost by it.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let filled = self.0.filled.notified();
            {
                let mut state = self.0.state.lock();
                if let Some(event) = state.events.pop_front() {
                    return Some(event);
                }
                if state.ended {
                    return None;
                }
            }
            filled.await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.left = true;
        state.events.clear();
        drop(state);
        self.0.left.notify_one();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("waiting", &self.0.state.lock().events.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_take_messages_in_time_is_told_that_some_are_missing() {
        let (feed, mut subscription) = feed();
        feed.connected();
        for i in 0..CAPACITY + 7 {
            feed.message(Bytes::from(i.to_string()));
            assert!(feed.0.state.lock().events.len() <= CAPACITY);
        }
        assert_eq!(subscription.next().await, Some(Event::Lagged));
        // The first of those after the loss; the one that found no room is among the missing.
        assert_eq!(subscription.next().await, Some(Event::Message(CAPACITY.to_string().into())));
    }

    #[tokio::test]
    async fn a_loss_swallows_what_came_before_it_and_nothing_that_came_after() {
        let (feed, mut subscription) = feed();
        feed.connected();
        feed.message("before".into());
        feed.lost();
        feed.connected();
        feed.message("after".into());
        for event in [Event::Lost, Event::Connected, Event::Message("after".into())] {
            assert_eq!(subscription.next().await, Some(event));
        }
        drop(feed);
        assert_eq!(subscription.next().await, Some(Event::Lost), "whoever stops tells of it");
        assert_eq!(subscription.next().await, None);
        assert_eq!(subscription.next().await, None);
    }

    #[tokio::test]
    async fn a_backplane_notices_that_nobody_listens_any_more() {
        let (feed, subscription) = feed();
        assert!(!feed.is_closed());
        let waiting = tokio::spawn(async move { feed.closed().await });
        tokio::task::yield_now().await;
        drop(subscription);
        waiting.await.unwrap();
    }
}
