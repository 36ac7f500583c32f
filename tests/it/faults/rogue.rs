//! A proxy before a server that falls silent, hangs up, or makes garbage of what the server says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Honest,
    /// It takes connections and what is said on them, and gives no answer.
    Silent,
    /// It takes connections and ends them, also those that it has.
    HangsUp,
    /// As many bytes as the server says, and others.
    Noise,
    /// What the server says, with one bit wrong.
    Flips,
    /// The first half of what the server says, and then the end.
    Halves,
}

#[derive(Debug)]
pub(crate) struct Rogue {
    pub(crate) address: SocketAddr,
    manner: Arc<watch::Sender<Manner>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Rogue {
    pub(crate) async fn before(port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let manner = Arc::new(watch::Sender::new(manner));
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, port, Arc::clone(&manner), Arc::clone(&connections)));
        Self { address, manner, connections, task }
    }

    pub(crate) fn turns(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// How many connections were begun since the last time.
    pub(crate) fn connections(&self) -> usize {
        self.connections.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    port: u16,
    manner: Arc<watch::Sender<Manner>>,
    connections: Arc<AtomicUsize>,
) {
    while let Ok((client, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(pass(client, port, manner.subscribe()));
    }
}

async fn pass(client: TcpStream, port: u16, mut manner: watch::Receiver<Manner>) {
    if *manner.borrow_and_update() == Manner::HangsUp {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut hangs_up = manner.clone();
    tokio::select! {
        () = questions(from_client, to_server, manner.clone()) => {}
        () = answers(from_server, to_client, manner) => {}
        _ = hangs_up.wait_for(|manner| *manner == Manner::HangsUp) => {}
    }
}

async fn questions(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut manner: watch::Receiver<Manner>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        _ = manner.wait_for(|manner| *manner != Manner::Silent).await;
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut manner: watch::Receiver<Manner>) {
    let mut bytes = vec![0; 1 << 16];
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        // xorshift: the same each time.
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        chance
    };
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let now =
            manner.wait_for(|manner| *manner != Manner::Silent).await.map_or(Manner::Honest, |now| *now);
        let mut part = &mut bytes[..read];
        match now {
            Manner::Noise => part.iter_mut().for_each(|byte| *byte = next().to_le_bytes()[3]),
            Manner::Flips => {
                let at = usize::try_from(next() >> 8).unwrap_or_default() % part.len();
                part[at] ^= 1 << (next() % 8);
            }
            Manner::Halves => part = &mut part[..read / 2],
            Manner::Honest | Manner::Silent | Manner::HangsUp => {}
        }
        if to.write_all(part).await.is_err() || now == Manner::Halves {
            return;
        }
    }
}
