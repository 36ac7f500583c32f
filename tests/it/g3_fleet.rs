//! G3 in a fleet: four processes, children of the test, share a store. One of them asks the origin, which is the test, and the others wait
//! for it; if it is killed, one of the others asks once more.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeSet;
use std::env::{current_exe, var};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use futures_util::future::join_all;
use larder::{Cache, Policy, cache_page};
use larder_tests::env;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::fed::soon;
use crate::support::{ask, get_with, with_patience};

const MEMBER: &str = "g3_fleet::a_member_of_a_fleet_does_as_it_is_told";
const PROCESSES: usize = 4;
const REQUESTS: usize = 25;
/// Where the test listens, and which store the members share.
const ORIGIN: &str = "LARDER_FLEET_ORIGIN";
const STORE: &str = "LARDER_FLEET_STORE";

/// A line of a member.
struct Line {
    text: String,
    answer: mpsc::UnboundedSender<String>,
}

/// The test's end of all connections.
struct Origin {
    lines: mpsc::UnboundedReceiver<Line>,
    members: Vec<(u32, mpsc::UnboundedSender<String>)>,
    children: Vec<Child>,
}

impl Origin {
    async fn start(store: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let (told, mut lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hear(stream, told.clone()));
            }
        });
        let child = || {
            Command::new(current_exe().unwrap())
                .args(["--exact", MEMBER, "--ignored", "--nocapture", "--test-threads=1"])
                .env(ORIGIN, &place)
                .env(STORE, store)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let children: Vec<Child> = (0..PROCESSES).map(|_| child()).collect();
        let mut members = Vec::new();
        while members.len() < PROCESSES {
            let Line { text, answer } = patiently(lines.recv()).await.unwrap();
            members.push((text.strip_prefix("member ").unwrap().parse().unwrap(), answer));
        }
        Self { lines, members, children }
    }

    fn tell(&self, text: &str) {
        for (_, member) in &self.members {
            // One may have been killed.
            _ = member.send(text.to_owned());
        }
    }

    /// The next one that asks, by its process.
    async fn asked(&mut self) -> (u32, Line) {
        let line = patiently(self.lines.recv()).await.unwrap();
        let member = line.text.strip_prefix("ask ").unwrap_or_else(|| panic!("{}", line.text));
        (member.parse().unwrap(), line)
    }

    /// What all members were answered with. Nobody asks meanwhile.
    async fn done(&mut self, members: usize) -> BTreeSet<String> {
        let mut texts = BTreeSet::new();
        for _ in 0..members {
            let Line { text, .. } = patiently(self.lines.recv()).await.unwrap();
            texts.insert(
                text.strip_prefix("done ").unwrap_or_else(|| panic!("more than one: {text}")).to_owned(),
            );
        }
        texts
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        for child in &mut self.children {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("nobody hangs")
}

async fn hear(stream: TcpStream, told: mpsc::UnboundedSender<Line>) {
    let (read, mut write) = stream.into_split();
    let (answer, mut answers) = mpsc::unbounded_channel::<String>();
    tokio::spawn(async move {
        while let Some(text) = answers.recv().await {
            if write.write_all(format!("{text}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        _ = told.send(Line { text, answer: answer.clone() });
    }
}

/// What stands in for the origin in a member: it asks the test.
async fn origin() -> String {
    let mut stream = TcpStream::connect(var(ORIGIN).unwrap()).await.unwrap();
    stream.write_all(format!("ask {}\n", std::process::id()).as_bytes()).await.unwrap();
    let mut text = String::new();
    BufReader::new(stream).read_line(&mut text).await.unwrap();
    text.trim_end().to_owned()
}

async fn page() -> ([(&'static str, &'static str); 1], String) {
    ([("cache-control", "max-age=600")], origin().await)
}

async fn by(way: &str, cache: &Cache, url: &str) -> String {
    let app = Router::new().fallback(page);
    let app = match way {
        "value" => return cache.get_or_set(url, origin).await.unwrap(),
        "page" => app.layer(cache_page(600).cache(cache)),
        "gateway" => app.layer(cache_page(600).cache(cache).policy(Policy::shared())),
        "site" => larder::site(app).cache(cache).into_router(),
        other => panic!("{other} is no way"),
    };
    ask(&app, get_with(url, &[("host", "shop.example")])).await.text().to_owned()
}

#[tokio::test]
#[ignore = "the tests beside it start it as a process of its own"]
async fn a_member_of_a_fleet_does_as_it_is_told() {
    let cache = larder::open(&var(STORE).expect("the tests beside it say it")).unwrap();
    let stream = TcpStream::connect(var(ORIGIN).unwrap()).await.unwrap();
    let (read, mut write) = stream.into_split();
    write.write_all(format!("member {}\n", std::process::id()).as_bytes()).await.unwrap();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let (way, url) = line.split_once(' ').unwrap();
        let all = join_all((0..REQUESTS).map(|_| by(way, &cache, url))).await;
        let texts: BTreeSet<String> = all.into_iter().collect();
        let texts = texts.into_iter().collect::<Vec<_>>().join(",");
        write.write_all(format!("done {texts}\n").as_bytes()).await.unwrap();
    }
}

async fn four_processes_ask_once(store: &str) {
    let more = if store.contains('?') { '&' } else { '?' };
    let store = with_patience(&format!("{store}{more}prefix=fleet{}&lease=3s", std::process::id()));
    // Whatever has to be made first (a table, say) is there.
    let cache = larder::open(&store).unwrap();
    cache.clear().await.unwrap();
    let mut fleet = Origin::start(&store).await;
    for way in ["page", "site", "gateway", "value"] {
        fleet.tell(&format!("{way} /{way}"));
        let (_, first) = fleet.asked().await;
        // Once longer than the lease lives without being renewed: others have the time to ask.
        let longer = if way == "page" { Duration::from_secs(4) } else { Duration::from_millis(300) };
        tokio::time::sleep(longer).await;
        assert!(fleet.lines.try_recv().is_err(), "{way}: a second one asks");
        first.answer.send(format!("the {way}")).unwrap();
        assert_eq!(fleet.done(PROCESSES).await, BTreeSet::from([format!("the {way}")]), "{way}");
    }
    for (way, left) in [("page", 3), ("value", 2)] {
        fleet.tell(&format!("{way} /killed/{way}"));
        let (killed, _unanswered) = fleet.asked().await;
        let child = fleet.children.iter_mut().find(|child| child.id() == killed).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let (second, line) = fleet.asked().await;
        assert_ne!(killed, second, "{way}");
        line.answer.send("after all".to_owned()).unwrap();
        assert_eq!(fleet.done(left).await, BTreeSet::from(["after all".to_owned()]), "{way}");
    }
    assert!(fleet.lines.try_recv().is_err(), "nobody asks once more");
    drop(fleet);
    soon(cache.clear()).await.unwrap();
}

#[tokio::test]
async fn four_processes_on_redis_ask_the_origin_once_and_once_more_if_the_one_that_asked_is_killed() {
    four_processes_ask_once(&env::redis_url()).await;
}

#[tokio::test]
async fn four_processes_on_memcached_ask_the_origin_once_and_once_more_if_the_one_that_asked_is_killed() {
    four_processes_ask_once(&format!("memcached://{}", env::memcached().join(","))).await;
}

#[tokio::test]
async fn four_processes_on_postgresql_ask_the_origin_once_and_once_more_if_the_one_that_asked_is_killed() {
    four_processes_ask_once(&format!("{}?table=fleet_{}", env::postgres_url(), std::process::id())).await;
}

#[tokio::test]
async fn four_processes_on_mariadb_ask_the_origin_once_and_once_more_if_the_one_that_asked_is_killed() {
    four_processes_ask_once(&format!("{}?table=fleet_{}", env::mysql_url(), std::process::id())).await;
}

#[tokio::test]
async fn four_processes_on_sqlite_ask_the_origin_once_and_once_more_if_the_one_that_asked_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    four_processes_ask_once(&format!("sqlite://{}", directory.path().join("cache.db").display())).await;
}

#[tokio::test]
async fn four_processes_on_files_ask_the_origin_once_and_once_more_if_the_one_that_asked_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    four_processes_ask_once(&format!("file://{}", directory.path().display())).await;
}
