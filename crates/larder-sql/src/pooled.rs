//! What servers behind sqlx have in common: connections that come with the first use and go when they are of no use any more.
//!
//! Our own connections are made by the driver's pool and then kept here: the pool would ask each of them, after every statement, whether it
//! is in order, and double what goes over the wire. Here one that somebody stopped waiting for is closed, so those that are kept are in
//! order.
//!
//! A connection is made in a task of its own: one that takes longer than the deadline of who needs it is there for the next, who waits for
//! it instead of beginning another.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};

use larder_core::{Error, ErrorKind};
use parking_lot::Mutex;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::{ConnectOptions, Connection, Database, Error as Driver, Pool};
use tokio::runtime::{Handle, Id};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::codes::Codes;
use crate::engine::{Ask, Failure};

/// How long a request waits for a connection; mostly its cache's deadline comes first.
const PATIENCE: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is asked whether it is still one: servers and firewalls close such.
const IDLE: Duration = Duration::from_secs(5);
/// One that was idle for longer is closed.
const KEPT: Duration = Duration::from_secs(600);
/// Who waited in vain for a connection gives up on all of them if none has been of use for as long.
const STUCK: Duration = Duration::from_secs(10);

/// Connections to a server.
#[derive(Debug)]
pub(crate) struct Connections<D: Database> {
    source: Source<D>,
    codes: &'static Codes,
    began: Instant,
    /// When a connection was last made or of use, in milliseconds since `began`.
    proven: AtomicU64,
}

enum Source<D: Database> {
    Own {
        pool: Box<PoolOptions<D>>,
        options: Box<<D::Connection as Connection>::Options>,
        made: Arc<Shared<D>>,
        /// How many more connections may be lent or waited for.
        permits: Semaphore,
    },
    Given(Pool<D>),
}

/// Connections that nobody uses, since when, and the runtime that they can't outlive; the last one is lent first.
type Idle<D> = Vec<(<D as Database>::Connection, Instant, Id)>;

struct Shared<D: Database> {
    made: Mutex<Made<D>>,
    /// A connection came about, or did not.
    changed: Notify,
}

/// What connections are made by, and how many such there were before it.
struct Made<D: Database> {
    pool: Option<Pool<D>>,
    before: u64,
    /// How many are in the making, and how many requests wait for one.
    making: usize,
    waiting: usize,
    /// Why the last one did not come about, for one of those who wait.
    failed: Option<Driver>,
    idle: Idle<D>,
    /// How many connections there may be.
    most: usize,
}

impl<D: Database> Made<D> {
    fn keep(&mut self, connection: D::Connection, number: u64) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.before == number && self.pool.is_some() {
            self.idle.retain(|(_, since, _)| since.elapsed() < KEPT);
            if self.idle.len() >= self.most {
                // One of another runtime, which may be gone.
                self.idle.remove(0);
            }
            self.idle.push((connection, Instant::now(), runtime.id()));
        }
    }

    /// One that was made in this runtime.
    fn idle(&mut self, runtime: Id) -> Option<(D::Connection, Instant)> {
        let at = self.idle.iter().rposition(|(_, _, of)| *of == runtime)?;
        let (connection, since, _) = self.idle.remove(at);
        Some((connection, since))
    }

    /// Forgets all connections.
    fn forget(&mut self) -> (Option<Pool<D>>, Idle<D>) {
        self.before += 1;
        self.making = 0;
        (self.pool.take(), std::mem::take(&mut self.idle))
    }
}

/// Runs something of the driver's, which panics at some of the nonsense that a server may answer.
pub(crate) async fn caught<T>(work: impl Future<Output = Result<T, Driver>>) -> Result<T, Driver> {
    let mut work = pin!(work);
    poll_fn(|context| {
        // Neither the work nor the connection that it was about is used afterwards.
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))).unwrap_or_else(|_| {
            Poll::Ready(Err(Driver::Protocol("the driver panicked at what the server answered".to_owned())))
        })
    })
    .await
}

/// Makes a connection, for whoever waits first, or to be kept.
async fn make<D: Database>(pool: Pool<D>, making: Making<D>) {
    let connection = caught(pool.acquire()).await.map(PoolConnection::detach);
    let mut made = making.shared.made.lock();
    match connection {
        Ok(connection) => made.keep(connection, making.number),
        Err(error) if made.waiting > 0 => made.failed = Some(error),
        Err(_) => {}
    }
}

/// A connection in the making; also one whose runtime ends before it is there.
struct Making<D: Database> {
    shared: Arc<Shared<D>>,
    number: u64,
}

impl<D: Database> Drop for Making<D> {
    fn drop(&mut self) {
        {
            let mut made = self.shared.made.lock();
            if made.before == self.number {
                made.making -= 1;
            }
        }
        self.shared.changed.notify_waiters();
    }
}

/// A request that waits for a connection.
struct Waits<'a, D: Database>(&'a Shared<D>);

impl<'a, D: Database> Waits<'a, D> {
    fn begin(shared: &'a Shared<D>) -> Self {
        shared.made.lock().waiting += 1;
        Self(shared)
    }
}

impl<D: Database> Drop for Waits<'_, D> {
    fn drop(&mut self) {
        let mut made = self.0.made.lock();
        made.waiting -= 1;
        if made.waiting == 0 {
            made.failed = None;
        }
    }
}

/// One of the application's. If nobody waits for it any more when it is there, its pool has it.
async fn given<D: Database>(pool: &Pool<D>) -> Result<PoolConnection<D>, Driver> {
    if let Some(connection) = pool.try_acquire() {
        return Ok(connection);
    }
    let pool = pool.clone();
    tokio::spawn(async move { pool.acquire().await }).await.unwrap_or(Err(Driver::PoolClosed))
}

impl<D: Database> Connections<D> {
    /// Made when they are needed.
    pub(crate) fn own(
        codes: &'static Codes,
        options: <D::Connection as Connection>::Options,
        pool: PoolOptions<D>,
        most: u32,
    ) -> Self {
        let pool = pool.max_connections(most).acquire_timeout(PATIENCE);
        let pool = Box::new(pool);
        // Else each statement of each request would be logged.
        let options = Box::new(options.disable_statement_logging());
        let (idle, most_kept) = (Vec::new(), most as usize);
        let made = Made { pool: None, before: 0, making: 0, waiting: 0, failed: None, idle, most: most_kept };
        let made = Arc::new(Shared { made: Mutex::new(made), changed: Notify::new() });
        Self::from(codes, Source::Own { pool, options, made, permits: Semaphore::new(most as usize) })
    }

    /// The application's.
    pub(crate) fn given(codes: &'static Codes, pool: Pool<D>) -> Self {
        Self::from(codes, Source::Given(pool))
    }

    fn from(codes: &'static Codes, source: Source<D>) -> Self {
        Self { source, codes, began: Instant::now(), proven: AtomicU64::new(0) }
    }

    /// A connection; it is closed unless it is given back.
    pub(crate) async fn lend(&self) -> Result<Lent<'_, D>, Failure> {
        let Ok(runtime) = Handle::try_current() else {
            let error = "a cache in a database server needs a Tokio runtime; use it from within one";
            return Err(Failure::Other(Error::new(ErrorKind::Unsupported, error)));
        };
        let mut lent = Lent { from: self, number: self.number(), state: State::Waiting };
        match self.connection(runtime.id()).await {
            Ok((connection, number)) => (lent.state, lent.number) = (State::Lent(connection), number),
            Err(error) => return Err(self.codes.failure(error, None)),
        }
        Ok(lent)
    }

    fn number(&self) -> u64 {
        match &self.source {
            Source::Given(_) => 0,
            Source::Own { made, .. } => made.made.lock().before,
        }
    }

    async fn connection(&self, runtime: Id) -> Result<(Held<'_, D>, u64), Driver> {
        match &self.source {
            Source::Given(pool) => Ok((Held::Given(given(pool).await?), 0)),
            Source::Own { permits, .. } => {
                let owned = async {
                    let permit = permits.acquire().await.map_err(|_| Driver::PoolClosed)?;
                    let (connection, number) = self.owned(runtime).await?;
                    Ok((Held::Own(connection, permit), number))
                };
                timeout(PATIENCE, owned).await.unwrap_or(Err(Driver::PoolTimedOut))
            }
        }
    }

    /// One that nobody uses, or the next that is made.
    async fn owned(&self, runtime: Id) -> Result<(D::Connection, u64), Driver> {
        let Source::Own { pool, options, made: shared, .. } = &self.source else {
            return Err(Driver::PoolClosed);
        };
        let _waits = Waits::begin(shared);
        loop {
            // Before looking, or what happens in between would be missed.
            let mut changed = pin!(shared.changed.notified());
            changed.as_mut().enable();
            let (idle, begun) = {
                let mut made = shared.made.lock();
                let made = &mut *made;
                let idle = made.idle(runtime).map(|(connection, since)| (connection, since, made.before));
                if idle.is_none()
                    && let Some(error) = made.failed.take()
                {
                    return Err(error);
                }
                let begin = idle.is_none() && made.making < made.waiting;
                let begun = begin.then(|| {
                    let begin = || {
                        self.prove();
                        (**pool).clone().connect_lazy_with((**options).clone())
                    };
                    made.making += 1;
                    let pool = made.pool.get_or_insert_with(begin).clone();
                    (pool, Making { shared: Arc::clone(shared), number: made.before })
                });
                (idle, begun)
            };
            if let Some((pool, making)) = begun {
                // Not under the lock: a runtime that is about to end drops it at once.
                tokio::spawn(make(pool, making));
            }
            match idle {
                Some((mut connection, since, number)) => {
                    if since.elapsed() < IDLE || caught(connection.ping()).await.is_ok() {
                        return Ok((connection, number));
                    }
                }
                None => {
                    changed.await;
                    // A runtime that ends drops what is begun at once: without this it would be begun again for ever, and the runtime
                    // could not end.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Takes one back that is in order.
    fn keep(&self, connection: D::Connection, number: u64) {
        if let Source::Own { made, .. } = &self.source {
            made.made.lock().keep(connection, number);
        }
    }

    fn prove(&self) {
        self.proven.store(self.began.elapsed().as_millis() as u64, Relaxed);
    }

    /// Forgets all connections, as what broke one has probably broken all; unless somebody did since.
    fn give_up(&self, number: u64) {
        if let Source::Own { made, .. } = &self.source {
            let mut made = made.made.lock();
            if made.before == number && made.pool.is_some() {
                made.forget();
            }
        }
    }

    /// Closes; the next use makes a new pool. The application's own stays open.
    pub(crate) async fn close(&self) {
        if let Source::Own { made, .. } = &self.source {
            // What is lent now is not taken back.
            let (pool, idle) = made.made.lock().forget();
            for (connection, ..) in idle {
                // It is closed in any case; a server that can't be told so finds out.
                _ = connection.close().await;
            }
            if let Some(pool) = pool {
                pool.close().await;
            }
        }
    }
}

impl<D: Database> std::fmt::Debug for Source<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options hold a password.
        f.write_str(match self {
            Self::Own { .. } => "Own",
            Self::Given(_) => "Given",
        })
    }
}

/// A connection out of a pool, or the wait for one. If it is dropped, somebody stopped waiting for the answer to a question: what comes
/// next on it would have to wait for that answer, so it is closed.
pub(crate) struct Lent<'a, D: Database> {
    from: &'a Connections<D>,
    number: u64,
    state: State<'a, D>,
}

enum State<'a, D: Database> {
    Waiting,
    Lent(Held<'a, D>),
    GivenBack,
}

enum Held<'a, D: Database> {
    Own(D::Connection, SemaphorePermit<'a>),
    Given(PoolConnection<D>),
}

impl<D: Database> Lent<'_, D> {
    pub(crate) fn connection(&mut self) -> Result<&mut D::Connection, Driver> {
        match &mut self.state {
            State::Lent(Held::Own(connection, _)) => Ok(connection),
            State::Lent(Held::Given(connection)) => Ok(&mut *connection),
            State::Waiting | State::GivenBack => Err(Driver::PoolClosed),
        }
    }

    /// Gives it back if it is still good for anything; and what the outcome means.
    pub(crate) fn done<T>(mut self, outcome: Result<T, Driver>, ask: Option<&Ask>) -> Result<T, Failure> {
        match &outcome {
            Err(error) if self.from.codes.broke(error) => self.from.give_up(self.number),
            // The driver would roll back with the next statement on it, and keep its locks until then.
            Err(_) if ask.is_some_and(Ask::is_a_transaction) => {}
            _ => {
                self.from.prove();
                if let State::Lent(Held::Own(connection, permit)) =
                    std::mem::replace(&mut self.state, State::GivenBack)
                {
                    self.from.keep(connection, self.number);
                    drop(permit);
                }
            }
        }
        outcome.map_err(|error| self.from.codes.failure(error, ask))
    }
}

impl<D: Database> Drop for Lent<'_, D> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::GivenBack) {
            State::GivenBack | State::Lent(Held::Own(..)) => {}
            // Without a runtime there is nobody whom the pool could tell.
            State::Lent(Held::Given(connection)) if Handle::try_current().is_err() => {
                std::mem::forget(connection);
            }
            State::Lent(Held::Given(connection)) => drop(connection.detach()),
            State::Waiting => {
                let now = self.from.began.elapsed().as_millis() as u64;
                if now.saturating_sub(self.from.proven.load(Relaxed)) > STUCK.as_millis() as u64 {
                    self.from.give_up(self.number);
                }
            }
        }
    }
}
