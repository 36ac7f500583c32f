//! `get_or_set`: read, or make once and store.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lease::{Lease, Turn};
use super::{Cache, WAITERS};
use crate::backend::When;
use crate::entry::{Entry, Value};
use crate::error::{Error, FillError};
use crate::flight::{Joined, Leader, Outcome};
use crate::key::Key;
use crate::pack;
use crate::tag::{Fill, Tag};
use crate::timeout::Timeout;

/// How long somebody waits for another's value before making their own.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long a lease is renewed for somebody who makes a value.
const MAX_FILL: Duration = Duration::from_secs(60);
/// For how long nobody in other processes waits after a closure failed: each tries for itself.
const PASS_ERROR_MILLIS: u64 = 1_000;

impl Cache {
    /// Reads a value, or makes it with a closure that can't fail and stores it. Callers who miss at the same time share one run of the
    /// closure, in this process and in all others that share the store. If the store can't be reached, the closure runs and its value is returned.
    ///
    /// # Errors
    /// When awaited: [`Encode`](crate::ErrorKind::Encode) if the value can't be serialised.
    pub fn get_or_set<'a, T, F, Fut>(&'a self, key: &'a str, make: F) -> GetOrSet<'a, T, F>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        GetOrSet(Spec::new(self, key, make))
    }

    /// Reads a value, or makes it with a closure that may fail; an error is never stored, and each of those who
    /// waited tries for itself.
    ///
    /// # Errors
    /// When awaited: [`FillError::Fill`] with the closure's error, [`FillError::Cache`] if the value can't be serialised.
    pub fn try_get_or_set<'a, T, E, F, Fut>(&'a self, key: &'a str, make: F) -> TryGetOrSet<'a, T, E, F>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        TryGetOrSet(Spec::new(self, key, make), PhantomData)
    }
}

struct Spec<'a, T, F> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    timeout: Timeout,
    tags: Vec<Tag>,
    max_wait: Duration,
    max_fill: Duration,
    make: F,
    value: PhantomData<fn() -> T>,
}

impl<'a, T, F> Spec<'a, T, F> {
    fn new(cache: &'a Cache, key: &'a str, make: F) -> Self {
        let (version, timeout, tags) = (None, Timeout::DEFAULT, Vec::new());
        let (max_wait, max_fill) = (MAX_WAIT, MAX_FILL);
        Self { cache, key, version, timeout, tags, max_wait, max_fill, make, value: PhantomData }
    }
}

impl<T, F> Spec<'_, T, F>
where
    T: Serialize + DeserializeOwned + Send,
{
    async fn run<E, Fut>(self) -> Result<T, FillError<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let Self { cache, key, version, timeout, tags, max_wait, max_fill, make, .. } = self;
        let key = cache.value_key(key, version);
        let timeout = timeout.or(cache.inner.timeout);
        let mut patience = std::pin::pin!(cache.inner.clock.sleep(max_wait));
        loop {
            match cache.read(&key).await {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                // Whoever waited for the store once does not try their luck with it again.
                Err(_) => return make().await.map_err(FillError::Fill),
            }
            if timeout.is_zero() || !cache.inner.capabilities.stores {
                return make().await.map_err(FillError::Fill);
            }
            let fill = match cache.begin(&tags).await {
                Ok(fill) => fill,
                Err(_) => return make().await.map_err(FillError::Fill),
            };
            match cache.inner.flights.join(&key, fill.fence(), WAITERS) {
                Joined::Full => return make().await.map_err(FillError::Fill),
                Joined::Wait(mut waiter) => {
                    let waited = tokio::select! {
                        outcome = waiter.wait() => Some(outcome),
                        () = &mut patience => None,
                    };
                    match waited {
                        Some(Outcome::Abandoned) => {}
                        Some(Outcome::Value(Some(bytes))) => match cache.inner.codec.decode(&bytes) {
                            Ok(value) => return Ok(value),
                            // Another caller uses this key for another type.
                            Err(_) => return make().await.map_err(FillError::Fill),
                        },
                        Some(Outcome::Value(None)) | None => return make().await.map_err(FillError::Fill),
                    }
                }
                Joined::Lead(leader) => {
                    let lease = match turn(cache, &key, &fill, max_fill, patience.as_mut()).await {
                        Place::Lead(lease) => lease,
                        Place::Found(bytes) => {
                            leader.publish(Some(bytes.clone()));
                            match cache.inner.codec.decode(&bytes) {
                                Ok(value) => return Ok(value),
                                Err(_) => return make().await.map_err(FillError::Fill),
                            }
                        }
                        Place::TooLong => return make().await.map_err(FillError::Fill),
                    };
                    return match make().await {
                        Ok(value) => {
                            let bytes = cache.inner.codec.encode(&value).map_err(|e| {
                                leader.publish(None);
                                FillError::Cache(e)
                            })?;
                            let winner = land(cache, &key, &leader, &fill, bytes, timeout).await;
                            Ok(winner
                                .and_then(|bytes| cache.inner.codec.decode(&bytes).ok())
                                .unwrap_or(value))
                        }
                        Err(error) => {
                            leader.publish(None);
                            if let Some(lease) = lease {
                                lease.pass(cache.inner.clock.now().saturating_add(PASS_ERROR_MILLIS));
                            }
                            Err(FillError::Fill(error))
                        }
                    };
                }
            }
        }
    }
}

/// What became of waiting for one's turn among all processes.
enum Place {
    /// Make it; with a lease where there are any.
    Lead(Option<Lease>),
    /// It was made.
    Found(Bytes),
    /// It was waited for long enough.
    TooLong,
}

async fn turn(
    cache: &Cache,
    key: &Key,
    fill: &Fill,
    max_fill: Duration,
    mut patience: Pin<&mut (impl Future<Output = ()> + Send)>,
) -> Place {
    let mut request = cache.lease(key, fill, max_fill);
    loop {
        let turn = match &mut request {
            Some(request) => tokio::select! {
                turn = request.turn() => turn.ok(),
                () = &mut patience => return Place::TooLong,
            },
            None => None,
        };
        // Whoever led before may have landed between our look and our lead.
        if let Ok(Some(entry)) = cache.lookup_one(key).await
            && let Ok(bytes) = pack::bytes(entry.value())
        {
            return Place::Found(bytes);
        }
        match turn {
            Some(Turn::Look) => {}
            Some(Turn::Lead(lease)) => return Place::Lead(Some(lease)),
            // Nobody to wait for, or nowhere to ask.
            Some(Turn::Pass(_)) | None => return Place::Lead(None),
        }
    }
}

/// Stores what was made and publishes it. A competing writer's value wins, as in Django; it is returned.
async fn land(
    cache: &Cache,
    key: &Key,
    leader: &Leader<Option<Bytes>>,
    fill: &Fill,
    bytes: Bytes,
    timeout: Timeout,
) -> Option<Bytes> {
    // A store that fails was reported where it did.
    let winner = store(cache, key, leader, fill, bytes.clone(), timeout).await.unwrap_or_default();
    leader.publish(Some(winner.clone().unwrap_or(bytes)));
    winner
}

async fn store(
    cache: &Cache,
    key: &Key,
    leader: &Leader<Option<Bytes>>,
    fill: &Fill,
    bytes: Bytes,
    timeout: Timeout,
) -> Result<Option<Bytes>, Error> {
    let expires = timeout.expires(cache.inner.clock.now());
    let Some(stamp) = cache.seal(fill, &[], expires).await? else { return Ok(None) };
    // Set or deleted meanwhile: what we made is older than that.
    if !leader.is_open() {
        return Ok(None);
    }
    if cache.put(key, Entry::new(Value::Bytes(bytes), expires, stamp), When::Absent).await? {
        // Set or deleted between our look and our put: at worst a newer value goes with ours, and is made again.
        if !leader.is_open() {
            cache.evict(key).await?;
        }
        return Ok(None);
    }
    match cache.lookup_one(key).await? {
        Some(entry) => pack::bytes(entry.value()).map(Some),
        None => Ok(None),
    }
}

/// Adds the setters that both share.
macro_rules! setters {
    ($name:ident<$($g:ident),*>, |$spec:ident| $rebuild:expr) => {
        impl<'a, $($g),*> $name<'a, $($g),*> {
            /// How long the value lives.
            pub fn timeout(self, timeout: impl Into<Timeout>) -> Self {
                let mut $spec = self.0;
                $spec.timeout = timeout.into();
                $rebuild
            }

            /// Under which tags it is invalidated.
            pub fn tags<Tg: Into<Tag>>(self, tags: impl IntoIterator<Item = Tg>) -> Self {
                let mut $spec = self.0;
                $spec.tags.extend(tags.into_iter().map(Into::into));
                $rebuild
            }

            /// How long to wait at most for somebody else who makes the value, before making it without storing it; 30 s unless said otherwise.
            pub fn max_wait(self, limit: Duration) -> Self {
                let mut $spec = self.0;
                $spec.max_wait = limit;
                $rebuild
            }

            /// For how long other processes wait at most for this one to make the value; 60 s unless said otherwise.
            pub fn max_fill(self, limit: Duration) -> Self {
                let mut $spec = self.0;
                $spec.max_fill = limit;
                $rebuild
            }

            /// Another version than the cache's own.
            pub fn version(self, version: u64) -> Self {
                let mut $spec = self.0;
                $spec.version = Some(version);
                $rebuild
            }
        }

        impl<$($g),*> fmt::Debug for $name<'_, $($g),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

/// See [`Cache::get_or_set`].
#[must_use = "nothing happens until it is awaited"]
pub struct GetOrSet<'a, T, F>(Spec<'a, T, F>);

setters!(GetOrSet<T, F>, |spec| Self(spec));

impl<'a, T, F, Fut> IntoFuture for GetOrSet<'a, T, F>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'a,
    F: FnOnce() -> Fut + Send + 'a,
    Fut: Future<Output = T> + Send + 'a,
{
    type Output = Result<T, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Spec { cache, key, version, timeout, tags, max_wait, max_fill, make, value } = self.0;
        let make = || async { Ok::<T, Infallible>(make().await) };
        let spec = Spec { cache, key, version, timeout, tags, max_wait, max_fill, make, value };
        Box::pin(async move {
            match spec.run().await {
                Ok(value) => Ok(value),
                Err(FillError::Cache(error)) => Err(error),
                Err(FillError::Fill(never)) => match never {},
            }
        })
    }
}

/// See [`Cache::try_get_or_set`].
#[must_use = "nothing happens until it is awaited"]
pub struct TryGetOrSet<'a, T, E, F>(Spec<'a, T, F>, PhantomData<fn() -> E>);

setters!(TryGetOrSet<T, E, F>, |spec| Self(spec, PhantomData));

impl<'a, T, E, F, Fut> IntoFuture for TryGetOrSet<'a, T, E, F>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'a,
    E: Send + 'a,
    F: FnOnce() -> Fut + Send + 'a,
    Fut: Future<Output = Result<T, E>> + Send + 'a,
{
    type Output = Result<T, FillError<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.run())
    }
}
