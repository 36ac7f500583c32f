//! One server: connected to when it is first asked, and again when the connection ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{Error, ErrorKind};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::codec::{Command, Reply};
use super::connection::{self, Job, Weight};
use super::health::{Ended, Health};
use crate::address::Address;

/// How many requests may wait to be written, and how many bytes. More is refused: it would only wait for its deadline.
const WAITING: usize = 16_384;
const WAITING_BYTES: usize = 64 << 20;

/// How long the request waits that finds out whether a server is back. Then the others know, and the next one does.
const LOOK: Duration = Duration::from_millis(50);

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    /// How long nothing may come while something is awaited.
    pub(crate) silence: Duration,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    health: Arc<Health>,
    patience: Patience,
    link: Mutex<Option<Link>>,
}

/// The way to the task that owns the connection. It ends when this is dropped and everything is answered.
#[derive(Debug)]
struct Link {
    jobs: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
    /// Whether the server has shown that it is there.
    ready: Arc<AtomicBool>,
}

/// The replies to come.
#[derive(Debug)]
pub(crate) struct Ticket {
    reply: oneshot::Receiver<Vec<Reply>>,
    health: Arc<Health>,
    patience: Option<Duration>,
}

impl Ticket {
    /// One reply for each command, in order.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Cancel safety
    /// The commands may be carried out or not; the connection stays in order.
    pub(crate) async fn replies(self) -> Result<Vec<Reply>, Error> {
        let replies = match self.patience {
            None => self.reply.await.ok(),
            Some(patience) => timeout(patience, self.reply).await.ok().and_then(Result::ok),
        };
        replies.ok_or_else(|| self.health.error())
    }
}

impl Server {
    pub(crate) fn new(address: Address, patience: Patience) -> Self {
        Self { health: Arc::new(Health::new(address)), patience, link: Mutex::new(None) }
    }

    pub(crate) fn address(&self) -> &Address {
        self.health.address()
    }

    /// What a request is told that gets no answer.
    pub(crate) fn error(&self) -> Error {
        self.health.error()
    }

    /// Sends commands on their way, connecting first if need be. Never waits.
    ///
    /// # Errors
    /// At once if the server is known to be down: while it is left alone after a failure, and while somebody else is finding out
    /// whether it is back.
    pub(crate) fn ask(&self, commands: Vec<Command>) -> Result<Ticket, Error> {
        let runtime = Handle::try_current().map_err(|_| {
            Error::new(ErrorKind::Unavailable, "Memcached can only be asked from within a Tokio runtime")
        })?;
        let mut patience = None;
        let mut link = self.link.lock();
        // The task is gone if the connection ended, or if the runtime that it ran on did.
        let live = match link.as_mut().filter(|link| !link.jobs.is_closed()) {
            Some(live) => {
                if !live.ready.load(Ordering::Acquire) && self.health.is_ailing() {
                    return Err(self.health.error());
                }
                live
            }
            None => {
                if self.health.is_resting() {
                    return Err(self.health.error());
                }
                patience = self.health.is_ailing().then_some(LOOK);
                link.insert(self.connect(&runtime))
            }
        };
        let bytes = commands.iter().filter_map(Command::data).map(|data| data.len()).sum();
        let crowded = || {
            Error::new(
                ErrorKind::Unavailable,
                format!("too much waits already to be sent to the Memcached server {}", self.address()),
            )
        };
        let weight = Weight::take(&live.waiting, bytes, WAITING_BYTES).ok_or_else(crowded)?;
        let (reply, ticket) = oneshot::channel();
        live.jobs.try_send(Job { commands, reply, weight }).map_err(|_| crowded())?;
        Ok(Ticket { reply: ticket, health: Arc::clone(&self.health), patience })
    }

    /// Lets go of the connection, once what was asked is answered.
    pub(crate) fn close(&self) {
        self.link.lock().take();
    }

    fn connect(&self, runtime: &Handle) -> Link {
        let (jobs, queue) = mpsc::channel(WAITING);
        let ready = Arc::new(AtomicBool::new(false));
        runtime.spawn(live(Arc::clone(&self.health), self.patience, Arc::clone(&ready), queue));
        Link { jobs, waiting: Arc::default(), ready }
    }
}

/// Connects and serves. Why it ended, stands in the health before the queue is dropped and whoever waits in it finds out.
async fn live(
    health: Arc<Health>,
    patience: Patience,
    ready: Arc<AtomicBool>,
    mut jobs: mpsc::Receiver<Job>,
) -> Result<(), Ended> {
    let stream = match timeout(patience.connect, connect(health.address())).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(health.failed(ErrorKind::Unavailable, error)),
        Err(_) => {
            let why = format!("it could not be reached within {:?}", patience.connect);
            return Err(health.failed(ErrorKind::Unavailable, why));
        }
    };
    ready.store(true, Ordering::Release);
    match stream {
        Stream::Tcp(stream) => {
            let (from, to) = stream.into_split();
            connection::serve(from, to, &mut jobs, patience.silence, &health).await
        }
        #[cfg(unix)]
        Stream::Unix(stream) => {
            let (from, to) = stream.into_split();
            connection::serve(from, to, &mut jobs, patience.silence, &health).await
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

async fn connect(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Tcp { host, port } => {
            let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            greet(&mut stream).await?;
            Ok(Stream::Tcp(stream))
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let mut stream = tokio::net::UnixStream::connect(path).await?;
            greet(&mut stream).await?;
            Ok(Stream::Unix(stream))
        }
        #[cfg(not(unix))]
        Address::Unix(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
    }
}

/// Asks for an answer before anything depends on it: the kernel accepts connections for servers that are stopped.
async fn greet(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> io::Result<()> {
    stream.write_all(b"mn\r\n").await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    if answer == *b"MN\r\n" {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "what answers there is not Memcached 1.6 or newer"))
}
