//! Attacks on the gateway's own side of HTTP/1.1, over raw sockets: framing, Host, Connection.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use larder::Cache;
use parking_lot::Mutex;
use proxy::{Args, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A proxy with an origin behind that answers with what it was asked.
struct Stage {
    address: SocketAddr,
    /// Method, target, fields and content of each request that reached the origin.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    async fn new(policy: &str) -> Self {
        let (behind, front) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let asked = Arc::new(Mutex::new(Vec::new()));
        let uri = format!("http://{}", behind.local_addr().unwrap());
        tokio::spawn(origin(behind, Arc::clone(&asked)));
        let args = Args::parse_from(["proxy", "--upstream", &uri, "--policy", policy]);
        let cache = Cache::new(larder::memory::Memory::new());
        let upstream = Upstream::new(&args.upstream, Duration::from_secs(30)).unwrap();
        let address = front.local_addr().unwrap();
        tokio::spawn(proxy::serve(front, upstream, proxy::layer(&args, &cache), std::future::pending()));
        Self { address, asked }
    }

    /// Sends bytes and reads until the proxy closes the connection.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is reset was closed too.
        let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What an honest client gets.
    async fn honest(&self, host: &str, more: &str) -> String {
        self.send(format!("GET /a HTTP/1.1\r\nhost: {host}\r\n{more}connection: close\r\n\r\n").as_bytes())
            .await
    }
}

async fn origin(listener: TcpListener, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let asked = Arc::clone(&asked);
        let service = service_fn(move |request: Request<Incoming>| {
            let asked = Arc::clone(&asked);
            async move {
                let (parts, body) = request.into_parts();
                let content = body.collect().await?.to_bytes();
                let mut seen = format!("{} {}\n", parts.method, parts.uri);
                for (name, value) in &parts.headers {
                    seen.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
                }
                seen.push_str(&String::from_utf8_lossy(&content));
                asked.lock().push(seen.clone());
                let response =
                    Response::builder().header("cache-control", "max-age=60").header("vary", "x-lang");
                Ok::<_, hyper::Error>(response.body(Full::<bytes::Bytes>::from(seen)).unwrap())
            }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

#[tokio::test]
async fn a_message_framed_in_two_ways_is_one_request_or_none() {
    for policy in ["shared", "origin"] {
        for method in ["GET", "POST", "QUERY"] {
            for framing in [
                "content-length: 6\r\ntransfer-encoding: chunked\r\n",
                "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
                "transfer-encoding: chunked\r\ncontent-length: 60\r\n",
                "content-length: 5\r\ncontent-length: 60\r\n",
                "content-length: +5\r\n",
                "content-length: 5, 60\r\n",
                "transfer-encoding: chunked, identity\r\n",
                "transfer-encoding: xchunked\r\n",
                "transfer-encoding : chunked\r\ncontent-length: 5\r\n",
                "transfer-encoding:\x0bchunked\r\ncontent-length: 5\r\n",
            ] {
                let stage = Stage::new(policy).await;
                let smuggled = "GET /evil HTTP/1.1\r\nhost: h\r\n\r\n";
                let attack = format!(
                    "{method} /a HTTP/1.1\r\nhost: h\r\n{framing}connection: close\r\n\r\n0\r\n\r\n{smuggled}"
                );
                stage.send(attack.as_bytes()).await;
                {
                    let asked = stage.asked.lock();
                    assert!(asked.len() <= 1, "{policy}, {method} {framing}: {asked:?}");
                    for one in asked.iter() {
                        assert!(!one.contains("GET /evil"), "{policy}, {method} {framing}: {one}");
                        let framed = ["\ncontent-length:", "\ntransfer-encoding:"];
                        assert!(framed.iter().filter(|name| one.contains(**name)).count() < 2, "{one}");
                    }
                }
                let honest = stage.honest("h", "").await;
                assert!(
                    honest.contains("GET /a\n") && !honest.contains("/evil"),
                    "{policy}, {method} {framing}: {honest}"
                );
            }
        }
    }
}

#[tokio::test]
async fn connection_can_not_take_away_what_a_page_is_made_by() {
    for policy in ["shared", "origin"] {
        for listed in ["host", "x-lang", "close, Host, x-forwarded-for, cookie, authorization"] {
            let stage = Stage::new(policy).await;
            let fields = "x-lang: de\r\ncookie: a=1\r\nauthorization: b\r\nx-forwarded-for: 192.0.2.7\r\n";
            let attack = format!(
                "GET /a HTTP/1.1\r\nhost: h\r\n{fields}connection: {listed}\r\nconnection: close\r\n\r\n"
            );
            let answer = stage.send(attack.as_bytes()).await;
            assert!(answer.contains("detail=connection-listed"), "{answer}");
            let seen = stage.asked.lock().pop().unwrap();
            for kept in
                ["\nhost: h\n", "\ncookie: a=1\n", "\nauthorization: b\n", "\nx-forwarded-for: 192.0.2.7\n"]
            {
                assert!(seen.contains(kept), "{policy}, {listed}: {seen}");
            }
            let honest = stage.honest("h", "x-lang: de\r\n").await;
            assert!(honest.contains("\nx-lang: de\n"), "{policy}, {listed}: {honest}");
        }
    }
}

#[tokio::test]
async fn two_hosts_are_refused_and_an_absolute_form_is_the_host() {
    for policy in ["shared", "origin"] {
        let stage = Stage::new(policy).await;
        let refused =
            stage.send(b"GET /a HTTP/1.1\r\nhost: h\r\nhost: evil\r\nconnection: close\r\n\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
        assert!(stage.asked.lock().is_empty());
        let absolute = b"GET http://evil/a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        stage.send(absolute).await;
        assert!(stage.asked.lock().pop().unwrap().contains("\nhost: evil\n"));
        for _ in 0..2 {
            let honest = stage.honest("h", "").await;
            assert!(
                honest.starts_with("HTTP/1.1 200 ") && honest.contains("\nhost: h\n"),
                "{policy}: {honest}"
            );
        }
    }
}
