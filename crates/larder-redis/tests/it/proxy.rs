//! A proxy before a server, that counts what passes and can hold it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Debug, Default)]
struct Shared {
    exchanges: AtomicUsize,
    deaf: AtomicBool,
}

/// Stands before one server.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<TcpListener>,
    task: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { port, shared: Arc::default(), listener: Some(listener), task: None }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Passes on to the server at this port.
    pub(crate) fn before(&mut self, server: u16) {
        let (listener, shared) = (self.listener.take().unwrap(), Arc::clone(&self.shared));
        self.task = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                tokio::spawn(pass(client, server, Arc::clone(&shared)));
            }
        }));
    }

    /// How often something was asked after something was answered, since this was asked the last time.
    pub(crate) fn exchanges(&self) -> usize {
        self.shared.exchanges.swap(0, Ordering::SeqCst)
    }

    /// Whether answers are kept back.
    pub(crate) fn hold(&self, deaf: bool) {
        self.shared.deaf.store(deaf, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Both ways, until one of them ends.
async fn pass(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let asking = AtomicBool::new(false);
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
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
            while shared.deaf.load(Ordering::SeqCst) {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
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
