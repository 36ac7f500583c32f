//! TLS, with certificates made on the spot.

use std::path::Path;
use std::time::Duration;

use larder_core::{Cache, ErrorKind};
use larder_redis::Redis;
use tempfile::TempDir;

use crate::certificates::certificates;
use crate::ports::own_port;
use crate::server::Server;

fn file(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).display().to_string()
}

fn open(port: u16, ca: Option<&Path>) -> Cache {
    let redis = Redis::builder("localhost").port(port).tls(true).connect_timeout(Duration::from_secs(30));
    let redis = match ca {
        Some(path) => redis.ca_file(path),
        None => redis,
    };
    Cache::builder(redis.build().unwrap()).deadline(Duration::from_secs(30)).build().unwrap()
}

#[tokio::test]
async fn a_trusted_server_is_talked_to_and_another_one_is_not() {
    let made = tempfile::tempdir().unwrap();
    certificates(made.path(), "DNS:localhost,IP:127.0.0.1");
    let port = own_port();
    let _server = Server::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file(&made, "cert.pem"),
        "--tls-key-file",
        &file(&made, "key.pem"),
        "--tls-ca-cert-file",
        &file(&made, "ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let cache = open(port, Some(&made.path().join("ca.pem")));
    cache.set("key", "text").tags(["t"]).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some("text".to_owned()));
    // The public authorities know nothing of ours.
    let error = open(port, None).ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[test]
fn certificates_that_cannot_be_used_are_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n").unwrap();
    for path in [directory.path().join("missing.pem"), garbage] {
        let error = Redis::builder("localhost").tls(true).ca_file(path).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    }
    let error = Redis::unix_socket("/run/redis.sock").tls(true).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
}
