//! Redis' pub/sub as a [`Backplane`].

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_core::backplane::{Backplane, Feed, Subscription, feed};
use larder_core::{CacheUrl, Error};
use redis::aio::SendError;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue as _, PushInfo, PushKind, RedisError, Value};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::RedisBuilder;
use crate::connector::{Connector, pause};
use crate::error::{mapped, no_runtime};
use crate::link::within;
use crate::target::Target;
use crate::url::builder;

/// A channel of a Redis server, by which processes with [tiers](larder_core::backplane) tell each other what has changed. Clones share
/// the connections: one for publishing, and one for each subscription.
///
/// With Sentinel it follows the primary; a Cluster carries messages from any node to any other. Channels know nothing of databases, so the number of the database stands in the
/// channel's name unless another one is given. Whoever may publish there can make copies go, and nothing worse.
///
/// ```no_run
/// use larder_redis::{Redis, RedisBackplane};
///
/// # fn main() -> Result<(), larder_core::Error> {
/// let backplane = RedisBackplane::new(&Redis::builder("127.0.0.1").database(1))?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisBackplane {
    inner: Arc<Inner>,
}

struct Inner {
    shown: String,
    channel: String,
    /// Any of them will do.
    targets: Vec<Target>,
    publishers: Vec<Arc<Connector>>,
    connect_timeout: Duration,
    max_silence: Duration,
}

impl RedisBackplane {
    /// A channel of the server that these settings name. Nothing is connected yet.
    ///
    /// # Errors
    /// As [`RedisBuilder::build`].
    pub fn new(settings: &RedisBuilder) -> Result<Self, Error> {
        Self::named(settings, format!("larder:{}", settings.number()))
    }

    /// The same, with a name for the channel.
    ///
    /// # Errors
    /// As [`RedisBuilder::build`].
    pub fn named(settings: &RedisBuilder, channel: impl Into<String>) -> Result<Self, Error> {
        let (targets, connect_timeout, max_silence) = settings.targets()?;
        // Each has its own clients, which connect to nothing before they are asked to.
        let publishers = settings.targets()?.0.into_iter();
        let publishers =
            publishers.map(|target| Arc::new(Connector::new(target, connect_timeout, max_silence)));
        let (shown, channel) = (settings.shown(), channel.into());
        let publishers = publishers.collect();
        let inner = Inner { shown, channel, targets, publishers, connect_timeout, max_silence };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens a URL as [`open`](crate::open) takes it, with the option `channel`.
    ///
    /// # Errors
    /// As [`open`](crate::open).
    pub fn open(url: &mut CacheUrl) -> Result<Self, Error> {
        let channel = url.take("channel");
        let settings = builder(url)?;
        match channel {
            Some(channel) => Self::named(&settings, channel),
            None => Self::new(&settings),
        }
    }
}

impl Backplane for RedisBackplane {
    async fn publish(&self, message: Bytes) -> Result<(), Error> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(&self.inner.channel).arg(&message[..]);
        let mut last = no_runtime();
        for publisher in &self.inner.publishers {
            match published(publisher, command.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn subscribe(&self) -> Subscription {
        let (feed, subscription) = feed();
        // Without a runtime the feed ends here, and the subscription with it.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(keep(Arc::clone(&self.inner), Arc::new(feed)));
        }
        subscription
    }

    async fn close(&self) -> Result<(), Error> {
        for publisher in &self.inner.publishers {
            publisher.close();
        }
        Ok(())
    }
}

impl fmt::Debug for RedisBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane")
            .field("url", &self.inner.shown)
            .field("channel", &self.inner.channel)
            .finish()
    }
}

async fn published(publisher: &Arc<Connector>, command: Cmd) -> Result<(), Error> {
    let link = publisher.link().await?;
    let answers = link.exchange(vec![command]).await.map_err(mapped)?;
    answers.into_iter().try_for_each(|answer| answer.to::<()>())
}

/// Listens, and connects again and again, until nobody wants to hear any more.
async fn keep(inner: Arc<Inner>, feed: Arc<Feed>) {
    let mut failures: u32 = 0;
    for target in (0..inner.targets.len()).cycle() {
        let was_connected = AtomicBool::new(false);
        let listening = listen(&inner, &inner.targets[target], &feed, &was_connected);
        let error = tokio::select! {
            () = feed.closed() => return,
            error = listening => match error { Err(error) => error },
        };
        feed.lost();
        let connected = was_connected.into_inner();
        failures = if connected { 1 } else { failures.saturating_add(1) };
        // Told once: who is away long would fill the log.
        if failures == 1 {
            tracing::warn!(target: "larder::backend", error = %mapped(error), "not connected to the backplane: copies in this process are not used until it is");
        }
        tokio::select! {
            () = feed.closed() => return,
            () = tokio::time::sleep(pause(failures)) => {}
        }
    }
}

/// Until something is wrong with the connection.
async fn listen(
    inner: &Inner,
    target: &Target,
    feed: &Arc<Feed>,
    connected: &AtomicBool,
) -> Result<Infallible, RedisError> {
    let over = Arc::new((AtomicBool::new(false), Notify::new()));
    let (told, ended) = (Arc::clone(feed), Arc::clone(&over));
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(inner.connect_timeout))
        .set_response_timeout(Some(inner.max_silence))
        .set_push_sender(move |push: PushInfo| {
            let message = match push.kind {
                // What comes and can't be read is as bad as what does not come.
                PushKind::Message => payload(push.data),
                PushKind::Disconnection | PushKind::Unsubscribe => None,
                _ => return Ok(()),
            };
            match message {
                Some(message) => told.message(message),
                None => {
                    ended.0.store(true, Ordering::SeqCst);
                    told.lost();
                    ended.1.notify_one();
                }
            }
            Ok::<(), SendError>(())
        });
    let client = target.client(inner.connect_timeout).await?;
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = within(inner.connect_timeout, connecting).await?;
    within(inner.connect_timeout, connection.subscribe(&inner.channel)).await?;
    feed.connected();
    connected.store(true, Ordering::Relaxed);
    if over.0.load(Ordering::SeqCst) {
        // It ended between the two, and the loss was told too early.
        return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
    }
    loop {
        tokio::select! {
            () = over.1.notified() => {
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
            }
            () = tokio::time::sleep(inner.max_silence) => {}
        }
        // A connection may be dead without anybody being told.
        let asked = redis::cmd("PING");
        within(inner.max_silence, asked.query_async::<Value>(&mut connection)).await?;
    }
}

/// What stands in a message, after the name of the channel.
fn payload(data: Vec<Value>) -> Option<Bytes> {
    let value = data.into_iter().nth(1)?;
    Bytes::from_redis_value(value).ok()
}
