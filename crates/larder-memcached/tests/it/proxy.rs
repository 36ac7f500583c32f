//! A proxy that counts what passes and can spoil it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::servers::Server;

/// What is done to one portion of what a server sends.
#[derive(Clone, Debug)]
pub(crate) enum Spoil {
    /// These bytes come before it.
    Before(Vec<u8>),
    /// These bytes come instead.
    Instead(Vec<u8>),
    /// It comes twice.
    Twice,
    /// It never comes.
    Never,
    /// Its first half comes, then the connection ends.
    Half,
}

#[derive(Debug, Default)]
struct Shared {
    connections: AtomicUsize,
    open: AtomicUsize,
    exchanges: AtomicUsize,
    spoils: Mutex<VecDeque<Spoil>>,
}

/// Stands before one server.
#[derive(Debug)]
pub(crate) struct Proxy {
    directory: TempDir,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(server: &Server) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("proxy.sock")).unwrap();
        let (shared, behind) = (Arc::new(Shared::default()), server.socket());
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), behind));
        Self { directory, shared, task }
    }

    pub(crate) fn address(&self) -> String {
        self.directory.path().join("proxy.sock").display().to_string()
    }

    /// How many connections there ever were.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often something was asked after something was answered.
    pub(crate) fn exchanges(&self) -> usize {
        self.shared.exchanges.load(Ordering::SeqCst)
    }

    /// Does this to what the server sends next.
    pub(crate) fn spoil(&self, spoil: Spoil) {
        self.shared.spoils.lock().unwrap().push_back(spoil);
    }

    /// Until no connection is open.
    pub(crate) async fn all_closed(&self) {
        let closed = async {
            while self.shared.open.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), closed).await.expect("a connection stays open");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>, behind: PathBuf) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = UnixStream::connect(&behind).await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            shared.connections.fetch_add(1, Ordering::SeqCst);
            shared.open.fetch_add(1, Ordering::SeqCst);
            pass(client, server, &shared).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Both ways, until one of them ends.
async fn pass(client: UnixStream, server: UnixStream, shared: &Shared) {
    let asking = AtomicBool::new(false);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let questions = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            if !asking.swap(true, Ordering::SeqCst) {
                shared.exchanges.fetch_add(1, Ordering::SeqCst);
            }
            if to_server.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    let answers = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            asking.store(false, Ordering::SeqCst);
            let next = shared.spoils.lock().unwrap().pop_front();
            let (part, ends) = match next {
                None => (bytes[..read].to_vec(), false),
                Some(Spoil::Before(mut junk)) => {
                    junk.extend_from_slice(&bytes[..read]);
                    (junk, false)
                }
                Some(Spoil::Instead(junk)) => (junk, false),
                Some(Spoil::Twice) => (bytes[..read].repeat(2), false),
                Some(Spoil::Never) => (Vec::new(), false),
                Some(Spoil::Half) => (bytes[..read / 2].to_vec(), true),
            };
            if to_client.write_all(&part).await.is_err() || ends {
                break;
            }
        }
    };
    tokio::select! {
        () = questions => {}
        () = answers => {}
    }
}
