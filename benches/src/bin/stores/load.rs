//! The load: so many connections, each asking again as soon as it was answered.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const QUESTION: &[u8] = b"GET /page HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

/// How many answers came.
pub(crate) fn run(address: &str, connections: usize, time: Duration) -> io::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let until = Instant::now() + time;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(ask(address.to_owned(), until));
        }
        let mut answers = 0;
        while let Some(done) = tasks.join_next().await {
            answers += done.map_err(io::Error::other)??;
        }
        Ok(answers)
    })
}

/// Asks so many times, on one connection.
pub(crate) fn times(address: &str, times: u64) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        for _ in 0..times {
            connection.ask().await?;
        }
        Ok(())
    })
}

async fn ask(address: String, until: Instant) -> io::Result<u64> {
    let (mut connection, mut answers) = (Connection::open(&address).await?, 0);
    while Instant::now() < until {
        connection.ask().await?;
        answers += 1;
    }
    Ok(answers)
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 1 << 16] })
    }

    /// Asks, and reads the answer to its end.
    async fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(QUESTION).await?;
        let (mut read, mut whole) = (0, usize::MAX);
        while read < whole {
            let more = self.stream.read(&mut self.buffer[read..]).await?;
            if more == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            read += more;
            if whole == usize::MAX {
                whole = length(&self.buffer[..read])?.unwrap_or(usize::MAX);
            }
        }
        Ok(())
    }
}

/// How long an answer is, if its head is there.
fn length(answer: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&answer[..head]);
    if !text.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("the server answered {text}")));
    }
    let body = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let body = body.ok_or_else(|| io::Error::other(format!("without a length: {text}")))?;
    Ok(Some(head + 4 + body))
}
