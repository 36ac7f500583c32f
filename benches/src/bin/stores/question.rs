//! What is asked for on a hit: heard on the wire, between the cache and its server.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The bytes that were asked since the last look, of all connections.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }
}

/// Passes on what comes to an address of its own, which it gives.
pub(crate) async fn listen(server: String) -> io::Result<(String, Heard)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (address, heard) = (listener.local_addr()?.to_string(), Heard::default());
    let here = heard.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&server).await else { continue };
            let heard = here.clone();
            tokio::spawn(async move { pass(client, server, &heard).await });
        }
    });
    Ok((address, heard))
}

async fn pass(client: TcpStream, server: TcpStream, heard: &Heard) {
    let ((mut from, mut back), (mut answers, mut to)) = (client.into_split(), server.into_split());
    let there = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            heard.add(&bytes[..read]);
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        // Whichever way it ends, the other ends too.
        _ = tokio::io::copy(&mut answers, &mut back).await;
    };
    tokio::join!(there, back);
}

/// The names in the last `MGET` of these bytes.
pub(crate) fn redis_names(heard: &[u8]) -> io::Result<Vec<String>> {
    let text = String::from_utf8_lossy(heard);
    let last = text.rsplit_once("MGET\r\n").ok_or_else(|| io::Error::other("no MGET was heard"))?.1;
    // Every other line is a length.
    Ok(last.split("\r\n").skip(1).step_by(2).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// The names in all `mg` of these bytes.
pub(crate) fn memcached_names(heard: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(heard);
    let lines = text.lines().filter_map(|line| line.strip_prefix("mg "));
    lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
