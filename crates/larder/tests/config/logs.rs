//! Passwords in what backends log and answer while their server refuses them.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::secrets::WITH_PASSWORD;

/// Keeps everything that anybody logs on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        *text += event.metadata().target();
        event.record(&mut Line(&mut text));
        *text += "\n";
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Line(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Line(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A server that hears everybody out and refuses. Its port.
async fn refusing() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                while let Ok(1..) = stream.read(&mut heard).await {
                    if stream.write_all(b"-ERR you are not welcome\r\n").await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_server_that_refuses_a_password_does_not_bring_it_into_the_log_or_an_error() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let port = refusing().await;
    let schemes = larder::schemes();
    let mut asked = 0;
    for url in WITH_PASSWORD.iter().filter(|url| !url.contains("+unix")) {
        for port in [port, 1] {
            let (front, rest) = url.split_once('@').unwrap();
            let path = rest.find('/').map_or("", |at| &rest[at..]);
            let sign = if url.contains('?') { '&' } else { '?' };
            let url = format!("{front}@127.0.0.1:{port}{path}{sign}deadline=80ms");
            let Ok(cache) = schemes.open(&url) else { continue };
            asked += 1;
            let mut shown = format!("{:?}", cache.ping().await.expect_err(&url));
            shown += &format!("{:?}", cache.get::<u8>("a").await);
            shown += &format!("{:?}", cache.set("a", 1).tags(["t"]).await);
            shown += &format!("{cache:?}");
            let logged = std::mem::take(&mut *log.0.lock().unwrap());
            assert!(logged.contains("larder::backend"), "{url}: {logged}");
            shown += &logged;
            assert!(!shown.contains("hunter2"), "{url}: {shown}");
        }
    }
    let servers = ["redis", "postgres", "mysql"];
    let compiled = servers.iter().filter(|scheme| schemes.known().any(|known| known == **scheme)).count();
    assert!(asked >= 2 * compiled, "{asked} of {compiled} servers");
}
