//! Each server answers in its own protocol, spoken here by hand, so a failure of a backend's tests is never a mystery of
//! the set-up.

use std::{collections::BTreeSet, time::Duration};

use larder_tests::{browser::Browser, env};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The `host:port` in a URL such as `scheme://user:password@host:port/path?query`.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Sends a few bytes and reads the beginning of the answer, at least `least` bytes of it.
async fn ask(server: &str, question: &[u8], least: usize) -> Vec<u8> {
    let conversation = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(question).await?;
        let mut answer = Vec::new();
        while answer.len() < least && stream.read_buf(&mut answer).await? > 0 {}
        std::io::Result::Ok(answer)
    };
    let answer = timeout(Duration::from_secs(10), conversation).await;
    let answer = answer.unwrap_or_else(|_| panic!("{server} does not answer"));
    answer.unwrap_or_else(|error| panic!("{server}: {error}"))
}

#[tokio::test]
async fn redis_answers_ping() {
    // With a password in the URL the answer is -NOAUTH, which a Redis says just as well.
    let answer = ask(authority(&env::redis_url()), b"*1\r\n$4\r\nPING\r\n", 7).await;
    assert!(answer.starts_with(b"+PONG\r\n") || answer.starts_with(b"-NOAUTH"), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn the_redis_cluster_has_all_its_slots() {
    let places = authority(&env::redis_cluster_url()).to_owned();
    for place in places.split(',') {
        let answer = ask(place, b"*2\r\n$7\r\nCLUSTER\r\n$4\r\nINFO\r\n", 60).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.contains("cluster_state:ok") && answer.contains("cluster_slots_assigned:16384"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn the_sentinel_names_a_primary() {
    let url = env::redis_sentinel_url();
    let question = b"*3\r\n$8\r\nSENTINEL\r\n$23\r\nGET-MASTER-ADDR-BY-NAME\r\n$6\r\nlarder\r\n";
    let answer = ask(authority(&url), question, 20).await;
    assert!(answer.starts_with(b"*2\r\n"), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn three_memcached_servers_each_tell_their_version() {
    let servers = env::memcached();
    let distinct: BTreeSet<_> = servers.iter().collect();
    assert_eq!(distinct.len(), 3, "keys spread over several servers need several: {servers:?}");
    for server in &servers {
        let version = ask(server, b"version\r\n", 10).await;
        assert!(version.starts_with(b"VERSION 1."), "{server}: {}", version.escape_ascii());
    }
}

#[tokio::test]
async fn postgresql_answers_a_startup_packet() {
    let mut packet = vec![0; 4];
    packet.extend(196_608_u32.to_be_bytes());
    packet.extend(b"user\0larder\0database\0postgres\0\0");
    let length = u32::try_from(packet.len()).unwrap().to_be_bytes();
    packet[..4].copy_from_slice(&length);

    let answer = ask(authority(&env::postgres_url()), &packet, 1).await;
    assert_eq!(answer.first(), Some(&b'R'), "not an authentication request: {}", answer.escape_ascii());
}

#[tokio::test]
async fn mariadb_greets_with_protocol_ten() {
    let answer = ask(authority(&env::mysql_url()), b"", 5).await;
    assert_eq!(answer.get(4), Some(&10), "not a greeting: {}", answer.escape_ascii());
}

#[tokio::test]
async fn the_browser_runs_a_page_and_its_script() {
    let (title, computed) = Browser::with(async |page| {
        page.goto("data:text/html,<title>a page</title><p id=x>").await.unwrap();
        let computed = page.execute("return [6 * 7, document.querySelector('#x') !== null]", vec![]).await;
        (page.title().await.unwrap(), computed.unwrap())
    })
    .await;
    assert_eq!((title.as_str(), computed.to_string().as_str()), ("a page", "[42,true]"));
}

#[test]
fn the_authority_of_a_url_leaves_out_the_user_and_the_path() {
    assert_eq!(authority("postgres://u:p@h:5432/db?x=1"), "h:5432");
    assert_eq!(authority("redis://127.0.0.1:6379"), "127.0.0.1:6379");
}
