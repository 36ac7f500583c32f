//! Interim responses (1xx). hyper's server can't send them, so they are written to the connection beside it: while it waits for the
//! response of the one request that is under way, it writes nothing itself.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Sends interim responses on one client's connection.
#[derive(Clone, Debug)]
pub(crate) struct Interim(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    /// The server has written something that it has not flushed.
    writing: AtomicBool,
}

/// The connection as the server sees it.
pub(crate) struct Connection(Arc<Shared>);

pub(crate) fn wrap(stream: TcpStream) -> (TokioIo<Connection>, Interim) {
    let shared = Arc::new(Shared { stream, writing: AtomicBool::new(false) });
    (TokioIo::new(Connection(Arc::clone(&shared))), Interim(shared))
}

impl Interim {
    /// Sends it whole, or not at all: it is only news.
    pub(crate) fn send(&self, status: StatusCode, headers: &HeaderMap) {
        // 101 ends HTTP on the connection, and 100 is the server's own to send.
        if matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS)
            || self.0.writing.load(Ordering::Acquire)
        {
            return;
        }
        let mut head =
            format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Interim"));
        for (name, value) in headers {
            if let Ok(value) = value.to_str() {
                _ = write!(head, "{name}: {value}\r\n");
            }
        }
        head.push_str("\r\n");
        let mut rest = head.as_bytes();
        // The socket's buffer is empty but for other interim responses, so this does not wait; a client that reads nothing loses its connection.
        while !rest.is_empty() {
            match self.0.stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && rest.len() == head.len() => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(_) => return,
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.writing.store(true, Ordering::Release);
        loop {
            ready!(self.0.stream.poll_write_ready(cx))?;
            match self.0.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.writing.store(false, Ordering::Release);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = socket2::SockRef::from(&self.0.stream);
        match socket.shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
