//! `get_or_set`: read, or make once and store.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::beyond::{Begun, Beyond, Held, Start, begin};
use super::lease::{Lease, Turn};
use super::{Cache, WAITERS};
use crate::attachment::{Attachment, unattached};
use crate::backend::When;
use crate::entry::{Entry, Value};
use crate::error::{Error, FillError};
use crate::flight::{Joined, Leader, Outcome};
use crate::key::Key;
use crate::pack;
use crate::tag::{Fill, Nonce, Tag};
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

/// How a value is made and kept.
#[derive(Clone)]
pub(super) struct Plan {
    timeout: Timeout,
    tags: Vec<Tag>,
    max_wait: Duration,
    pub(super) max_fill: Duration,
    attach: bool,
    pub(super) beyond: Beyond,
}

/// How a value is made behind its readers, for closures that own what they need.
pub(super) type Behind<F> = fn(Start, &Cache, &Plan, F);

pub(super) struct Spec<'a, T, F> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    pub(super) plan: Plan,
    pub(super) behind: Option<Behind<F>>,
    make: F,
    value: PhantomData<fn() -> T>,
}

/// What a leader hands to those who wait.
#[derive(Clone)]
pub(super) struct Made {
    bytes: Bytes,
    origin: Origin,
}

/// What a value that was made carries, for what is made of it.
#[derive(Clone, Default)]
struct Origin {
    /// What was read while it was made.
    read: Option<Attachment>,
    /// Its own tags: as they were stored, or as they stood when its fill began.
    pairs: Arc<[(Tag, Nonce)]>,
}

impl Origin {
    /// Tells whatever is being made around the caller, who did not make the value.
    fn tell(&self, cache: &Cache) {
        let Some(making) = Attachment::current() else { return };
        making.note(cache, &self.pairs, &[]);
        if let Some(read) = &self.read {
            making.absorb(read);
        }
    }
}

impl<'a, T, F> Spec<'a, T, F> {
    fn new(cache: &'a Cache, key: &'a str, make: F) -> Self {
        let plan = Plan {
            timeout: Timeout::DEFAULT,
            tags: Vec::new(),
            max_wait: MAX_WAIT,
            max_fill: MAX_FILL,
            attach: true,
            beyond: Beyond::default(),
        };
        Self { cache, key, version: None, plan, behind: None, make, value: PhantomData }
    }
}

impl<T, F> Spec<'_, T, F>
where
    T: Serialize + DeserializeOwned + Send,
{
    /// `call` calls the closure.
    async fn run<E, Fut>(self, call: impl FnOnce(F) -> Fut) -> Result<T, FillError<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        match self.plan.attach {
            true => self.read_or_make(call).await,
            false => unattached(self.read_or_make(call)).await,
        }
    }

    async fn read_or_make<E, Fut>(self, call: impl FnOnce(F) -> Fut) -> Result<T, FillError<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let Self { cache, key, version, mut plan, behind, make, .. } = self;
        let key = cache.value_key(key, version);
        plan.timeout = plan.timeout.or(cache.inner.timeout);
        if !plan.beyond.keeps() {
            return make_it(cache, &key, &plan, || call(make), None).await;
        }
        let (stale, since) = match cache.held(&key).await {
            Ok(Held::Fresh(value)) => return Ok(value),
            Ok(Held::Stale(value, since)) => (value, since),
            Ok(Held::Nothing) => return make_it(cache, &key, &plan, || call(make), None).await,
            // Whoever waited for the store once does not try their luck with it again.
            Err(_) => return call(make).await.map_err(FillError::Fill),
        };
        let Beyond { while_revalidate, if_error, soft_timeout } = plan.beyond;
        // Whatever is being made of it is as stale.
        let stale = Shown(stale);
        let age = cache.inner.clock.now().saturating_sub(since);
        let (at_once, on_error) = (age < while_revalidate, age < if_error);
        if let Some(behind) = behind.filter(|_| at_once || (on_error && soft_timeout.is_some())) {
            let over = match begin(cache, &key) {
                Begun::New(start, over) => {
                    behind(*start, cache, &plan, make);
                    over
                }
                Begun::UnderWay(over) => over,
                Begun::Full if at_once => return Ok(stale.show()),
                Begun::Full => return make_it(cache, &key, &plan, || call(make), Some(stale)).await,
            };
            let Some(limit) = soft_timeout.filter(|_| !at_once) else { return Ok(stale.show()) };
            let in_time = tokio::select! {
                () = over.wait() => true,
                () = cache.inner.clock.sleep(limit) => false,
            };
            let made = if in_time { cache.read(&key).await.ok().flatten() } else { None };
            return Ok(made.unwrap_or_else(|| stale.show()));
        }
        make_it(cache, &key, &plan, || call(make), on_error.then_some(stale)).await
    }
}

/// What was made, or where that failed the stale value, if there is one.
fn or_stale<T, E>(made: Result<T, FillError<E>>, stale: Option<Shown<T>>) -> Result<T, FillError<E>> {
    match (made, stale) {
        (Err(FillError::Fill(_)), Some(stale)) => Ok(stale.stand_in()),
        (made, _) => made,
    }
}

/// A stale value that may be given.
pub(super) struct Shown<T>(T);

impl<T> Shown<T> {
    /// Gives it: what is being made of it is as stale, and not stored.
    fn show(self) -> T {
        if let Some(making) = Attachment::current() {
            making.read_stale();
        }
        self.0
    }

    /// The same, where a new one could not be had.
    fn stand_in(self) -> T {
        tracing::debug!(target: "larder::decision", "a value could not be made anew; the stale one stands in");
        self.show()
    }
}

/// Reads a value, or makes and stores it. Where that fails, here or for whom it is waited, `stale` stands in.
pub(super) async fn make_it<T, E, F, Fut>(
    cache: &Cache,
    key: &Key,
    plan: &Plan,
    make: F,
    stale: Option<Shown<T>>,
) -> Result<T, FillError<E>>
where
    T: Serialize + DeserializeOwned + Send,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut patience = std::pin::pin!(cache.inner.clock.sleep(plan.max_wait));
    // Made for the caller alone. What is read meanwhile goes to whatever is being made around us.
    let alone = async |make: F, stale| {
        cache.note_written(&plan.tags);
        or_stale(make().await.map_err(FillError::Fill), stale)
    };
    loop {
        match cache.read(key).await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            // Whoever waited for the store once does not try their luck with it again.
            Err(_) => return alone(make, stale).await,
        }
        if plan.timeout.is_zero() || !cache.inner.capabilities.stores {
            return alone(make, stale).await;
        }
        let fill = match cache.begin(&plan.tags).await {
            Ok(fill) => fill,
            Err(_) => return alone(make, stale).await,
        };
        match cache.inner.flights.join(key, fill.fence(), WAITERS) {
            Joined::Full => return alone(make, stale).await,
            Joined::Wait(mut waiter) => {
                let waited = tokio::select! {
                    outcome = waiter.wait() => Some(outcome),
                    () = &mut patience => None,
                };
                match waited {
                    Some(Outcome::Abandoned) => {}
                    Some(Outcome::Value(Some(made))) => match cache.inner.codec.decode(&made.bytes) {
                        Ok(value) => {
                            made.origin.tell(cache);
                            return Ok(value);
                        }
                        // Another caller uses this key for another type.
                        Err(_) => return alone(make, stale).await,
                    },
                    Some(Outcome::Value(None)) | None => match stale {
                        Some(stale) => return Ok(stale.stand_in()),
                        None => return alone(make, None).await,
                    },
                }
            }
            Joined::Lead(leader) => {
                let lease = match turn(cache, key, &fill, plan.max_fill, patience.as_mut()).await {
                    Place::Lead(lease) => lease,
                    Place::Found(entry, bytes) => {
                        let origin = Origin { read: None, pairs: entry.stamp().tags.as_ref().into() };
                        origin.tell(cache);
                        leader.publish(Some(Made { bytes: bytes.clone(), origin }));
                        match cache.inner.codec.decode(&bytes) {
                            Ok(value) => return Ok(value),
                            Err(_) => return alone(make, stale).await,
                        }
                    }
                    Place::TooLong => match stale {
                        Some(stale) => return Ok(stale.stand_in()),
                        None => return alone(make, None).await,
                    },
                };
                let read = plan.attach.then(Attachment::new);
                let guard = PanicGuard { cache, leader: &leader, lease: lease.as_ref() };
                let made = match &read {
                    Some(read) => read.scope(make()).await,
                    None => make().await,
                };
                drop(guard);
                return match made {
                    Ok(value) => {
                        let bytes = cache.inner.codec.encode(&value).map_err(|e| {
                            leader.publish(None);
                            FillError::Cache(e)
                        })?;
                        let landing = Landing { cache, key, leader: &leader, lease: lease.as_ref() };
                        let winner = land(&landing, fill, read, bytes, plan).await;
                        Ok(winner.and_then(|bytes| cache.inner.codec.decode(&bytes).ok()).unwrap_or(value))
                    }
                    Err(error) => {
                        each_for_itself(cache, &leader, lease.as_ref());
                        or_stale(Err(FillError::Fill(error)), stale)
                    }
                };
            }
        }
    }
}

/// Tells those who wait, in this process and in others, that what they wait for does not come.
fn each_for_itself(cache: &Cache, leader: &Leader<Option<Made>>, lease: Option<&Lease>) {
    leader.publish(None);
    if let Some(lease) = lease {
        lease.pass(cache.inner.clock.now().saturating_add(PASS_ERROR_MILLIS));
    }
}

/// A closure that panicked would panic for the next in line too: those who wait find out at once, instead of one after another.
struct PanicGuard<'a> {
    cache: &'a Cache,
    leader: &'a Leader<Option<Made>>,
    lease: Option<&'a Lease>,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            each_for_itself(self.cache, self.leader, self.lease);
        }
    }
}

/// What became of waiting for one's turn among all processes.
enum Place {
    /// Make it; with a lease where there are any.
    Lead(Option<Lease>),
    /// It was made.
    Found(Entry, Bytes),
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
            return Place::Found(entry, bytes);
        }
        match turn {
            Some(Turn::Look) => {}
            Some(Turn::Lead(lease)) => return Place::Lead(Some(lease)),
            // Nobody to wait for, or nowhere to ask.
            Some(Turn::Pass(_)) | None => return Place::Lead(None),
        }
    }
}

/// Where a value that was made is to stand, and who makes it.
struct Landing<'a> {
    cache: &'a Cache,
    key: &'a Key,
    leader: &'a Leader<Option<Made>>,
    lease: Option<&'a Lease>,
}

/// Stores what was made and publishes it. A competing writer's value wins, as in Django; it is returned.
async fn land(
    landing: &Landing<'_>,
    mut fill: Fill,
    read: Option<Attachment>,
    bytes: Bytes,
    plan: &Plan,
) -> Option<Bytes> {
    let cache = landing.cache;
    let unpaired = match &read {
        Some(read) => read.give(cache, &mut fill),
        None => Ok(Vec::new()),
    };
    let winner = match unpaired {
        // A store that fails was reported where it did.
        Ok(unpaired) => store(landing, &fill, &unpaired, bytes.clone(), plan).await.unwrap_or_default(),
        Err(why) => {
            tracing::debug!(target: "larder::decision", cache = cache.name(), reason = why.as_str(), "a value was not stored");
            None
        }
    };
    // Even if it was not stored, it is what the caller makes things of: with its tags as they stood when it was begun.
    let (bytes, origin, won) = match winner {
        Some(winner) => {
            let origin = Origin { read: None, pairs: winner.stamp().tags.as_ref().into() };
            (pack::bytes(winner.value()).unwrap_or(bytes), origin, true)
        }
        None => (bytes, Origin { read, pairs: fill.captured().into() }, false),
    };
    origin.tell(cache);
    landing.leader.publish(Some(Made { bytes: bytes.clone(), origin }));
    won.then_some(bytes)
}

async fn store(
    landing: &Landing<'_>,
    fill: &Fill,
    unpaired: &[Tag],
    bytes: Bytes,
    plan: &Plan,
) -> Result<Option<Entry>, Error> {
    let Landing { cache, key, leader, lease } = *landing;
    let (expires, fresh_until) = plan.beyond.expiry(plan.timeout, cache.inner.clock.now());
    let seal = cache.seal(fill, unpaired, expires);
    // The lease is asked for beside that.
    let stamp = match lease {
        None => seal.await?,
        Some(lease) => match tokio::try_join!(seal, cache.is_taken_back(lease))? {
            (stamp, false) => stamp,
            (_, true) => None,
        },
    };
    let Some(stamp) = stamp else { return Ok(None) };
    // Set or deleted meanwhile: what we made is older than that. Who does it from now on waits for us.
    if !leader.land() {
        return Ok(None);
    }
    let entry = Entry::new(Value::Bytes(bytes.clone()), expires, stamp).with_fresh_until(fresh_until);
    let mut stored = cache.put(key, entry.clone(), When::Absent).await?;
    if !stored && let Some(stale) = cache.kept_beyond(key).await? {
        stored = cache.swap(key, &stale, entry.clone()).await?;
    }
    if !stored && !cache.inner.capabilities.verifies {
        if let Some(winner) = cache.lookup_one(key).await? {
            return Ok(Some(winner));
        }
        // What stands there is invalid, and must not win.
        cache.evict(key).await?;
        stored = cache.put(key, entry, When::Absent).await?;
    }
    if stored {
        if let Some(lease) = lease {
            lease.stored(key, bytes);
        }
        return Ok(None);
    }
    cache.lookup_one(key).await
}

/// Adds the setters that both share.
macro_rules! setters {
    ($name:ident<$($g:ident),*>, |$spec:ident| $rebuild:expr) => {
        impl<'a, $($g),*> $name<'a, $($g),*> {
            /// How long the value lives.
            pub fn timeout(self, timeout: impl Into<Timeout>) -> Self {
                let mut $spec = self.0;
                $spec.plan.timeout = timeout.into();
                $rebuild
            }

            /// Under which tags it is invalidated.
            pub fn tags<Tg: Into<Tag>>(self, tags: impl IntoIterator<Item = Tg>) -> Self {
                let mut $spec = self.0;
                $spec.plan.tags.extend(tags.into_iter().map(Into::into));
                $rebuild
            }

            /// How long to wait at most for somebody else who makes the value, before making it without storing it; 30 s unless said otherwise.
            pub fn max_wait(self, limit: Duration) -> Self {
                let mut $spec = self.0;
                $spec.plan.max_wait = limit;
                $rebuild
            }

            /// For how long other processes wait at most for this one to make the value; 60 s unless said otherwise.
            pub fn max_fill(self, limit: Duration) -> Self {
                let mut $spec = self.0;
                $spec.plan.max_fill = limit;
                $rebuild
            }

            /// Another version than the cache's own.
            pub fn version(self, version: u64) -> Self {
                let mut $spec = self.0;
                $spec.version = Some(version);
                $rebuild
            }

            /// Whether the tags of what is read while the value is made become its own, and its tags those of a page or value that is
            /// being made with it; they do unless said otherwise. With `false` it stands apart, in both directions.
            pub fn attach(self, attach: bool) -> Self {
                let mut $spec = self.0;
                $spec.plan.attach = attach;
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
pub struct GetOrSet<'a, T, F>(pub(super) Spec<'a, T, F>);

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
        let spec = self.0;
        Box::pin(async move {
            match spec.run(|make: F| async { Ok::<T, Infallible>(make().await) }).await {
                Ok(value) => Ok(value),
                Err(FillError::Cache(error)) => Err(error),
                Err(FillError::Fill(never)) => match never {},
            }
        })
    }
}

/// See [`Cache::try_get_or_set`].
#[must_use = "nothing happens until it is awaited"]
pub struct TryGetOrSet<'a, T, E, F>(pub(super) Spec<'a, T, F>, PhantomData<fn() -> E>);

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
        Box::pin(self.0.run(|make: F| make()))
    }
}
