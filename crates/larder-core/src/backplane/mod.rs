//! How processes that keep copies of one store's entries tell each other what has changed.
//!
//! A [`Backplane`] carries small messages from everybody to everybody, as quickly as it can and without keeping them: Redis' pub/sub,
//! say. It need not be reliable, but it has to be honest: whoever listens is told when messages may have been lost, and then trusts no copy that
//! was made before.
//!
//! ```
//! use larder_core::backplane::{Backplane, Event, InProcess};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
//! let plane = InProcess::new();
//! let mut subscription = plane.subscribe();
//! plane.publish("hello".into()).await?;
//! assert_eq!(subscription.next().await, Some(Event::Connected));
//! assert_eq!(subscription.next().await, Some(Event::Message("hello".into())));
//! # Ok(()) }
//! ```

mod feed;
mod in_process;
mod message;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;

pub use feed::{Event, Feed, Subscription, feed};
pub use in_process::InProcess;
pub use message::{Message, What};

/// Carries messages between processes.
///
/// What an author has to keep to:
///
/// - Messages of one publisher whose calls follow each other arrive in that order.
/// - From [`Feed::connected`] to [`Feed::lost`], each message that anybody published arrives, or
///   [`Feed::lost`] follows. A connection that is silently dead is found out within seconds.
pub trait Backplane: fmt::Debug + Send + Sync + 'static {
    /// Sends a message to all who are subscribed; whether that includes the sender itself does not matter. Without a connection this fails
    /// soon: nothing is kept for later.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) and the like: it may not have been sent.
    ///
    /// # Cancel safety
    /// After being dropped it may or may not have been sent.
    fn publish(&self, message: Bytes) -> impl Future<Output = Result<(), Error>> + Send;

    /// Subscribes to all messages, inside a Tokio runtime. Returns at once: what connects, and connects again, is a task of the
    /// backplane's own, which ends when the subscription is dropped.
    fn subscribe(&self) -> Subscription;

    /// Lets go of connections. The backplane may be used again afterwards.
    ///
    /// # Errors
    /// What letting go gives.
    fn close(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }
}

/// Any [`Backplane`], behind one pointer. Clones share it.
#[derive(Clone)]
pub struct DynBackplane(Arc<dyn Erased>);

impl DynBackplane {
    /// Erases a backplane.
    pub fn new(backplane: impl Backplane) -> Self {
        Self(Arc::new(backplane))
    }
}

impl fmt::Debug for DynBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

type Boxed<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// [`Backplane`] with boxed futures.
trait Erased: fmt::Debug + Send + Sync {
    fn publish(&self, message: Bytes) -> Boxed<'_>;
    fn subscribe(&self) -> Subscription;
    fn close(&self) -> Boxed<'_>;
}

impl<B: Backplane> Erased for B {
    fn publish(&self, message: Bytes) -> Boxed<'_> {
        Box::pin(Backplane::publish(self, message))
    }
    fn subscribe(&self) -> Subscription {
        Backplane::subscribe(self)
    }
    fn close(&self) -> Boxed<'_> {
        Box::pin(Backplane::close(self))
    }
}

impl Backplane for DynBackplane {
    async fn publish(&self, message: Bytes) -> Result<(), Error> {
        self.0.publish(message).await
    }
    fn subscribe(&self) -> Subscription {
        self.0.subscribe()
    }
    async fn close(&self) -> Result<(), Error> {
        self.0.close().await
    }
}
