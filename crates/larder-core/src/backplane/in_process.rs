//! A backplane within one process.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Backplane, Feed, Subscription, feed};
use crate::error::Error;

/// A backplane within one process: for several caches on one store, where no other process uses that store; and for tests. Clones are
/// the same one.
#[derive(Clone, Debug, Default)]
pub struct InProcess(Arc<Mutex<Vec<Feed>>>);

impl InProcess {
    /// One of its own.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Backplane for InProcess {
    async fn publish(&self, message: Bytes) -> Result<(), Error> {
        self.0.lock().retain(|feed| {
            feed.message(message.clone());
            !feed.is_closed()
        });
        Ok(())
    }

    fn subscribe(&self) -> Subscription {
        let (feed, subscription) = feed();
        feed.connected();
        self.0.lock().push(feed);
        subscription
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backplane::Event;

    #[tokio::test]
    async fn everybody_hears_everything_and_who_left_is_forgotten() {
        let plane = InProcess::new();
        let (mut one, two) = (plane.subscribe(), plane.clone().subscribe());
        plane.publish("a".into()).await.unwrap();
        drop(two);
        plane.publish("b".into()).await.unwrap();
        for event in [Event::Connected, Event::Message("a".into()), Event::Message("b".into())] {
            assert_eq!(one.next().await, Some(event));
        }
        assert_eq!(plane.0.lock().len(), 1);
    }
}
