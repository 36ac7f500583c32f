//! Messages as they stand on the wire, some of them odd: what is read, what is refused, what is never stored.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use larder::Cache;
use parking_lot::Mutex;
use proxy::{Args, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A proxy in front of an origin that answers each request with the next of its bytes and closes the connection.
struct Stage {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    async fn new(answers: &[&str]) -> Self {
        let (behind, front) = (listener().await, listener().await);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let uri = format!("http://{}", behind.local_addr().unwrap());
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        tokio::spawn(origin(behind, Arc::clone(&asked), answers));
        let args = Args::parse_from(["proxy", "--upstream", &uri]);
        let cache = Cache::new(larder::memory::Memory::new());
        let upstream = Upstream::new(&args.upstream, Duration::from_secs(30)).unwrap();
        let address = front.local_addr().unwrap();
        tokio::spawn(proxy::serve(front, upstream, proxy::layer(&args, &cache), std::future::pending()));
        Self { address, asked }
    }

    /// Sends bytes and reads until the proxy closes the connection.
    async fn send(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is reset was closed too.
        let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self) -> String {
        self.send("GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn origin(listener: TcpListener, asked: Arc<Mutex<Vec<String>>>, answers: Vec<String>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (asked, answers) = (Arc::clone(&asked), answers.clone());
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read_exact(&mut byte).await.is_err() {
                    return;
                }
                head.push(byte[0]);
            }
            let turn = {
                let mut asked = asked.lock();
                asked.push(String::from_utf8_lossy(&head).into_owned());
                asked.len()
            };
            let answer = answers.get(turn - 1).or(answers.last()).unwrap();
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
    }
}

/// Far ahead, so that only what is lost in reading would let it be stored.
const LONG: &str = "expires: Fri, 01 Jan 2100 00:00:00 GMT\r\nconnection: close\r\ncontent-length: 2\r\n";

#[tokio::test]
async fn what_forbids_storing_is_read_however_oddly_its_line_is_written() {
    for line in [
        "Cache-Control : no-store\r\n",
        "Cache-Control\t: private\r\n",
        "Cache-Control: max-age=60,\r\n no-store\r\n",
        "Cache-Control: max-age=60\r\n\t, private\r\n",
        "CACHE-CONTROL:no-store\r\n",
        "cache-control: max-age=60\r\nX: 1\r\nCache-control:\tno-store\t\r\n",
        "Vary :*\r\n",
    ] {
        let stage = Stage::new(&[&format!("HTTP/1.1 200 OK\r\n{line}{LONG}\r\nok")]).await;
        for times in 1..3 {
            let answer = stage.get().await;
            assert!(answer.ends_with("\r\n\r\nok"), "{line:?}: {answer}");
            assert_eq!(stage.asked(), times, "{line:?} was not read: {answer}");
        }
    }
}

#[tokio::test]
async fn a_response_that_can_not_be_read_is_a_502_and_is_not_stored() {
    let good = format!("HTTP/1.1 200 OK\r\n{LONG}\r\nok");
    for odd in [
        "HTTP/1.1 200 OK\r\nCache-Control: no-store\0\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nCache Control: no-store\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\ncontent-length: +2\r\n\r\nno",
        "HTTP/1.1 20x OK\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/3.7 200 OK\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
        "",
        "<html>no</html>",
    ] {
        let stage = Stage::new(&[odd, &good]).await;
        let answer = stage.get().await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{odd:?}: {answer}");
        let answer = stage.get().await;
        assert!(answer.ends_with("\r\n\r\nok"), "{odd:?}: {answer}");
        assert_eq!(stage.asked(), 2, "{odd:?} was stored");
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_not_stored() {
    let good = format!("HTTP/1.1 200 OK\r\n{LONG}\r\nok");
    let head = "HTTP/1.1 200 OK\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\n";
    for body in [
        "content-length: 10\r\n\r\nshort",
        "transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "transfer-encoding: chunked\r\n\r\n10\r\nshort",
        "transfer-encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nshort",
        "transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n",
    ] {
        let stage = Stage::new(&[&format!("{head}{body}"), &good]).await;
        let answer = stage.get().await;
        assert!(!answer.ends_with("\r\n0\r\n\r\n"), "{body:?} must not look whole: {answer}");
        let answer = stage.get().await;
        assert!(answer.ends_with("\r\n\r\nok"), "{body:?}: {answer}");
        assert_eq!(stage.asked(), 2, "{body:?} was stored");
    }
}

#[tokio::test]
async fn whole_bodies_are_stored_however_they_are_framed() {
    let head = "200 OK\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\n";
    for answer in [
        format!("HTTP/1.1 {head}transfer-encoding: chunked\r\n\r\n2;ext=\"a;b\"\r\nok\r\n0;last\r\n\r\n"),
        format!("HTTP/1.1 {head}transfer-encoding: chunked\r\n\r\n0001\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
        format!("HTTP/1.0 {head}\r\nok"),
        format!("HTTP/1.0 {head}content-length: 2\r\n\r\nok"),
        format!("HTTP/1.1 {head}content-length: 2\r\n\r\nok and what nobody asked for"),
        format!("HTTP/1.1 {head}content-length: 2, 2\r\n\r\nok"),
    ] {
        let stage = Stage::new(&[&answer]).await;
        stage.get().await;
        let stored = stage.get().await;
        assert!(stored.contains("larder; hit") && stored.ends_with("\r\n\r\nok"), "{answer:?}: {stored}");
        assert_eq!(stage.asked(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_with_trailers_is_not_stored() {
    let answer = "HTTP/1.1 200 OK\r\nexpires: Fri, 01 Jan 2100 00:00:00 GMT\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nCache-Control: no-store\r\n\r\n";
    let stage = Stage::new(&[answer]).await;
    for times in 1..3 {
        let answer = stage.get().await;
        assert!(!answer.to_lowercase().contains("cache-control"), "a trailer is no field: {answer}");
        assert_eq!(stage.asked(), times);
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_is_answered_so_that_it_can_read_it() {
    let answer = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let stage = Stage::new(&[answer]).await;
    for _ in 0..2 {
        let answer = stage.send("GET /a HTTP/1.0\r\nhost: h\r\n\r\n").await;
        assert!(!answer.to_lowercase().contains("transfer-encoding"), "{answer}");
        assert!(answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
    }
    assert_eq!(stage.asked(), 1);
    let seen = stage.asked.lock().pop().unwrap();
    assert!(seen.starts_with("GET /a HTTP/1.1\r\n") && seen.contains("via: 1.0 larder\r\n"), "{seen}");
}

#[tokio::test]
async fn requests_sent_one_behind_the_other_are_answered_in_their_order() {
    let stage = Stage::new(&[
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nconnection: close\r\ncontent-length: 3\r\n\r\none",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nconnection: close\r\ncontent-length: 3\r\n\r\ntwo",
    ])
    .await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
    let last = "GET /b HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let answer = stage.send(&[request("/a"), request("/b"), request("/a"), last.to_owned()].concat()).await;
    let bodies: Vec<&str> = answer.split("HTTP/1.1 200 OK").skip(1).map(|a| &a[a.len() - 3..]).collect();
    assert_eq!(bodies, ["one", "two", "one", "two"], "{answer}");
    assert_eq!(stage.asked(), 2);
}

#[tokio::test]
async fn content_is_sent_once_it_is_asked_for() {
    let stage = Stage::new(&["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"]).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let head = "POST /a HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut news = [0; 25];
    stream.read_exact(&mut news).await.unwrap();
    assert_eq!(&news, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"data").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok"), "{answer}");
}

#[tokio::test]
async fn a_host_that_is_none_is_refused_before_anything_is_looked_up() {
    let stage = Stage::new(&[&format!("HTTP/1.1 200 OK\r\n{LONG}\r\nok")]).await;
    stage.get().await;
    for hosts in [
        "",
        "host: h\r\nhost: h\r\n",
        "host: h\r\nhost: evil\r\n",
        "host: h, evil\r\n",
        "host: h evil\r\n",
        "host: h/evil\r\n",
        "host: user@h\r\n",
        "host: h?x\r\n",
        "host: http://h\r\n",
    ] {
        let answer = stage.send(&format!("GET /a HTTP/1.1\r\n{hosts}connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts:?}: {answer}");
    }
    let answer = stage.send("GET http://user@h/a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(stage.asked(), 1);
    for host in ["h:80", "[::1]:8080", "127.0.0.1", "H_1.example"] {
        let answer =
            stage.send(&format!("GET /a HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
        assert!(stage.asked.lock().pop().unwrap().contains(&format!("host: {host}\r\n")));
    }
}

#[tokio::test]
async fn methods_that_are_for_proxies_are_answered_or_passed_on() {
    let stage = Stage::new(&[&format!("HTTP/1.1 200 OK\r\n{LONG}\r\nok")]).await;
    let ask = |line: &'static str, more: &'static str| {
        let stage = &stage;
        async move { stage.send(&format!("{line} HTTP/1.1\r\nhost: h\r\n{more}connection: close\r\n\r\n")).await }
    };
    assert!(ask("CONNECT h:443", "").await.starts_with("HTTP/1.1 501 "));
    assert!(ask("OPTIONS /a", "max-forwards: 0\r\n").await.starts_with("HTTP/1.1 204 "));
    assert!(ask("TRACE /a", "max-forwards: 0\r\n").await.starts_with("HTTP/1.1 405 "));
    assert_eq!(stage.asked(), 0);
    assert!(ask("OPTIONS *", "max-forwards: 7\r\n").await.starts_with("HTTP/1.1 200 "));
    let seen = stage.asked.lock().pop().unwrap();
    assert!(seen.starts_with("OPTIONS * HTTP/1.1\r\n") && seen.contains("max-forwards: 6\r\n"), "{seen}");
    assert!(ask("GET /a", "max-forwards: 0\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_spoils_nothing() {
    let stage = Stage::new(&[&format!("HTTP/1.1 200 OK\r\n{LONG}\r\nok")]).await;
    let long = "a".repeat(600_000);
    let answer = stage.send(&format!("GET /{long} HTTP/1.1\r\nhost: h\r\n\r\n")).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let many = "x: 1\r\n".repeat(500);
    for fields in [format!("x-long: {long}\r\n"), many] {
        let answer =
            stage.send(&format!("GET /a HTTP/1.1\r\nhost: h\r\n{fields}connection: close\r\n\r\n")).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(stage.asked(), 0);
    assert!(stage.get().await.ends_with("\r\n\r\nok"));
}

#[tokio::test]
async fn h2c_smuggling_an_upgrade_to_http_2_is_not_passed_on() {
    let stage = Stage::new(&[&format!("HTTP/1.1 200 OK\r\n{LONG}\r\nok")]).await;
    for protocol in ["h2c", "H2C", "h2c, websocket", "websocket,h2c"] {
        let request = format!(
            "GET /a HTTP/1.1\r\nhost: h\r\nconnection: upgrade, http2-settings, close\r\nupgrade: {protocol}\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
        );
        let answer = stage.send(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let seen = stage.asked.lock().pop().unwrap().to_lowercase();
        assert!(!seen.contains("upgrade") && !seen.contains("http2-settings"), "{seen}");
    }
}

#[tokio::test]
async fn what_a_304_or_a_204_carries_is_no_content() {
    let stage = Stage::new(&[
        "HTTP/1.1 200 OK\r\ncache-control: no-cache\r\netag: \"a\"\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 9\r\nconnection: close\r\n\r\nmore of it",
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\nmore of it",
    ])
    .await;
    assert!(stage.get().await.ends_with("\r\n\r\nok"));
    let answer = stage.get().await;
    assert!(answer.contains("content-length: 2\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    let answer = stage.get().await;
    assert!(answer.starts_with("HTTP/1.1 204 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_502() {
    let stage = Stage::new(&[
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: evil\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    ])
    .await;
    let answer = stage.get().await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && !answer.contains("evil"), "{answer}");
}
