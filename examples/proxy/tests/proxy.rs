//! The proxy itself: connections, bodies, upgrades, failures, its end.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser as _;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use larder::Cache;
use proxy::{Args, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A busy machine must not make a test fail.
const LONG: Duration = Duration::from_secs(30);

/// A proxy in front of an address. It ends when the sender is dropped.
async fn proxy(
    upstream: SocketAddr,
    patience: Duration,
) -> (SocketAddr, oneshot::Sender<Infallible>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let uri = format!("http://{upstream}");
    let args = Args::parse_from(["proxy", "--upstream", &uri]);
    let cache = Cache::new(larder::memory::Memory::new());
    let (stop, stopped) = oneshot::channel::<Infallible>();
    let upstream = Upstream::new(&args.upstream, patience).unwrap();
    let task = tokio::spawn(proxy::serve(listener, upstream, proxy::layer(&args, &cache), async {
        let _ = stopped.await;
    }));
    (address, stop, task)
}

/// The head of a request on a raw connection.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

async fn client(address: SocketAddr) -> http1::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    client
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header("host", "example.com").body(Empty::new()).unwrap()
}

#[tokio::test]
async fn the_first_bytes_of_a_body_reach_the_client_before_the_last_are_made() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, _stop, _) = proxy(origin.local_addr().unwrap(), LONG).await;
    let (go_on, wait) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await.unwrap();
        wait.await.unwrap();
        stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut response = client(address).await.send_request(get("/")).await.unwrap();
    let first = response.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "one");
    go_on.send(()).unwrap();
    assert_eq!(response.collect().await.unwrap().to_bytes(), "two");
}

#[tokio::test]
async fn one_connection_to_the_server_behind_serves_several_requests() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, _stop, _) = proxy(origin.local_addr().unwrap(), LONG).await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        let mut heads = Vec::new();
        for _ in 0..3 {
            heads.push(head(&mut stream).await);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
        heads
    });
    let mut client = client(address).await;
    for path in ["/a", "/b", "/c"] {
        let response = client.send_request(get(path)).await.unwrap();
        assert_eq!(response.collect().await.unwrap().to_bytes(), "ok");
        client.ready().await.unwrap();
    }
    let heads = served.await.unwrap();
    for (head, path) in heads.iter().zip(["/a", "/b", "/c"]) {
        assert!(head.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("host: example.com\r\n") && head.contains("via: 1.1 larder\r\n"), "{head}");
        assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_a_502_and_one_that_is_silent_a_504() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    let (address, _stop, _) = proxy(nobody, LONG).await;
    let response = client(address).await.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, _stop, _) = proxy(silent.local_addr().unwrap(), Duration::from_millis(50)).await;
    let response = client(address).await.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_for_the_client_and_is_not_stored() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, _stop, _) = proxy(origin.local_addr().unwrap(), LONG).await;
    tokio::spawn(async move {
        let answers = ["content-length: 10\r\n\r\nshort", "content-length: 5\r\n\r\nwhole"];
        for answer in answers {
            let (mut stream, _) = origin.accept().await.unwrap();
            head(&mut stream).await;
            let answer =
                format!("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nconnection: close\r\n{answer}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let broken = client(address).await.send_request(get("/")).await.unwrap();
    assert!(broken.collect().await.is_err(), "a body that broke must not end cleanly");
    let whole = client(address).await.send_request(get("/")).await.unwrap();
    assert_eq!(whole.collect().await.unwrap().to_bytes(), "whole");
}

#[tokio::test]
async fn an_upgrade_is_passed_through_both_ways() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, _stop, _) = proxy(origin.local_addr().unwrap(), LONG).await;
    tokio::spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        let head = head(&mut stream).await;
        assert!(head.to_lowercase().contains("upgrade: echo\r\n"), "{head}");
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            .await
            .unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
}

#[tokio::test]
async fn early_hints_are_passed_on_and_never_stored() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, _stop, _) = proxy(origin.local_addr().unwrap(), LONG).await;
    tokio::spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        std::future::pending::<()>().await;
    });
    let ask = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(ask).await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    let (hints, rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a.css>"), "{answer}");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && !rest.contains("a.css"), "{answer}");
    let mut again = TcpStream::connect(address).await.unwrap();
    again.write_all(ask).await.unwrap();
    let mut answer = String::new();
    again.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n")
            && answer.contains("larder; hit")
            && !answer.contains("a.css"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_proxy_ends() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop, task) = proxy(origin.local_addr().unwrap(), LONG).await;
    let (asked, was_asked) = oneshot::channel::<()>();
    let (go_on, wait) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        head(&mut stream).await;
        asked.send(()).unwrap();
        wait.await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut client = client(address).await;
    let answer = tokio::spawn(async move {
        client.send_request(get("/")).await.unwrap().collect().await.unwrap().to_bytes()
    });
    was_asked.await.unwrap();
    drop(stop);
    // New connections are refused once the listener is closed.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.send(()).unwrap();
    assert_eq!(answer.await.unwrap(), "ok");
    task.await.unwrap();
}

#[test]
fn an_upstream_that_can_not_be_one_is_told_before_anything_begins() {
    for wrong in ["https://host", "http://host/path", "/path", "host:80"] {
        let error = Upstream::new(&wrong.parse().unwrap(), LONG).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("http://host:port"), "{error}");
    }
}
