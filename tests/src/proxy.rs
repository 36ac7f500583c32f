//! Proxies that count the steps on the wire: how often something is asked after something was answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Proxies before the servers of one cache, which count together.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use larder_tests::proxy::Proxies;
///
/// let proxies = Proxies::before(&["127.0.0.1:11211", "127.0.0.1:11212"]).await;
/// // A cache on proxies.addresses() is asked, and then:
/// assert_eq!(proxies.take().rounds, 1);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the proxies stop when this is dropped"]
pub struct Proxies {
    counters: Arc<Counters>,
    addresses: Vec<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// For each server: how often it was asked after it had answered, over all connections.
    pub each: Vec<usize>,
    /// How often any was asked after any had answered: one, if several are asked at the same time.
    pub rounds: usize,
}

#[derive(Debug, Default)]
struct Counters {
    steps: Mutex<Steps>,
    asking: AtomicBool,
    hold: AtomicUsize,
}

impl Proxies {
    /// One before each of these servers, `host:port`.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn before(servers: &[impl AsRef<str>]) -> Self {
        let counters = Arc::new(Counters::default());
        let (mut addresses, mut tasks) = (Vec::new(), Vec::new());
        for (number, server) in servers.iter().enumerate() {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
            addresses.push(listener.local_addr().expect("a bound listener has an address"));
            let (server, counters) = (server.as_ref().to_owned(), Arc::clone(&counters));
            tasks.push(tokio::spawn(accept(listener, server, number, counters)));
        }
        let proxies = Self { counters, addresses, tasks };
        _ = proxies.take();
        proxies
    }

    /// Where to ask instead, in the order of the servers.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Holds each answer back for a while, so that what is asked at the same time is on its way before the first answer.
    pub fn hold(&self, time: Duration) {
        let millis = usize::try_from(time.as_millis()).unwrap_or(usize::MAX);
        self.counters.hold.store(millis, Ordering::SeqCst);
    }

    /// What was counted since the last time.
    #[must_use]
    pub fn take(&self) -> Steps {
        let none = Steps { each: vec![0; self.addresses.len()], rounds: 0 };
        let mut steps = self.counters.steps.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *steps, none)
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn accept(listener: TcpListener, server: String, number: usize, counters: Arc<Counters>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(&server).await else { continue };
        let counters = Arc::clone(&counters);
        tokio::spawn(async move { pass(client, server, number, &counters).await });
    }
}

/// Both ways, until one of them ends.
async fn pass(client: TcpStream, server: TcpStream, number: usize, counters: &Counters) {
    let asking = AtomicBool::new(false);
    // Nagle's algorithm would hold back what the client sends in two writes.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let questions = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            counters.asked(number, &asking);
            if to_server.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    let answers = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            let hold = counters.hold.load(Ordering::SeqCst) as u64;
            if hold > 0 {
                tokio::time::sleep(Duration::from_millis(hold)).await;
            }
            asking.store(false, Ordering::SeqCst);
            counters.asking.store(false, Ordering::SeqCst);
            if to_client.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = questions => {}
        () = answers => {}
    }
}

impl Counters {
    fn asked(&self, number: usize, asking: &AtomicBool) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if !asking.swap(true, Ordering::SeqCst) {
            steps.each[number] += 1;
        }
        if !self.asking.swap(true, Ordering::SeqCst) {
            steps.rounds += 1;
        }
    }
}
