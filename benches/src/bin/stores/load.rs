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

async fn ask(address: String, until: Instant) -> io::Result<u64> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut buffer, mut answers) = (vec![0; 1 << 16], 0);
    while Instant::now() < until {
        stream.write_all(QUESTION).await?;
        let (mut read, mut whole) = (0, usize::MAX);
        while read < whole {
            let more = stream.read(&mut buffer[read..]).await?;
            if more == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            read += more;
            if whole == usize::MAX {
                whole = length(&buffer[..read])?.unwrap_or(usize::MAX);
            }
        }
        answers += 1;
    }
    Ok(answers)
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
