//! Servers that are emptied by somebody else: `flush_all`, or the item evicted. What depends on what is gone is a miss; what was
//! invalidated before never comes back.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use larder_core::Cache;
use larder_memcached::Memcached;

use crate::servers::Server;
use crate::{PATIENT, Stage};

const KEYS: usize = 30;

/// Thirty values, each with a tag of its own and one of all.
async fn fill(cache: &Cache) {
    for i in 0..KEYS {
        cache.set(&format!("key{i}"), i).tags([format!("tag{i}"), "all".into()]).await.unwrap();
    }
}

/// The places of those that are there.
async fn there(cache: &Cache) -> Vec<usize> {
    let mut found = Vec::new();
    for i in 0..KEYS {
        if let Some(value) = cache.get::<usize>(&format!("key{i}")).await.unwrap() {
            assert_eq!(value, i, "key{i}");
            found.push(i);
        }
    }
    found
}

fn flush(server: &Server) {
    assert_eq!(server.say("flush_all"), "OK\r\n");
}

#[tokio::test]
async fn after_flush_all_on_every_server_all_is_cold_and_goes_on() {
    for servers in [1, 3] {
        let stage = Stage::on(servers);
        let cache = stage.cache();
        fill(&cache).await;
        assert_eq!(there(&cache).await.len(), KEYS);
        stage.servers.iter().for_each(flush);
        assert_eq!(there(&cache).await, Vec::<usize>::new());
        // Nothing of the counters and records is taken for what it was.
        assert!(cache.add("key0", 0).await.unwrap());
        assert!(cache.incr("n", 1).await.is_err());
        fill(&cache).await;
        assert_eq!(there(&cache).await.len(), KEYS);
        cache.invalidate(["tag3"]).await.unwrap();
        assert_eq!(there(&cache).await.len(), KEYS - 1);
    }
}

#[tokio::test]
async fn of_one_emptied_server_of_three_only_what_depends_on_it_is_cold() {
    for emptied in 0..3 {
        let stage = Stage::on(3);
        let cache = stage.cache();
        fill(&cache).await;
        cache.invalidate(["tag7"]).await.unwrap();
        let homes = |name: &str| (0..3).position(|server| stage.servers[server].has(name)).unwrap();
        let records = [":space:", ":tag:all"].map(homes);
        let rest: Vec<usize> = (0..KEYS)
            .filter(|i| {
                let own = [format!(":1:key{i}"), format!(":tag:tag{i}")].map(|name| homes(&name));
                *i != 7 && records.iter().chain(&own).all(|home| *home != emptied)
            })
            .collect();
        flush(&stage.servers[emptied]);
        assert_eq!(there(&cache).await, rest, "server {emptied}");
        // A record that is made anew is another one: what stands elsewhere stays cold, and what was invalidated stays so.
        cache.set("new", 1).tags(["all", "tag7"]).await.unwrap();
        let after = there(&cache).await;
        assert!(after.iter().all(|i| rest.contains(i)), "server {emptied}: {after:?}");
        fill(&cache).await;
        assert_eq!(there(&cache).await.len(), KEYS, "server {emptied}");
    }
}

#[tokio::test]
async fn a_fill_that_began_before_the_servers_were_emptied_is_not_served() {
    let stage = Stage::on(3);
    let cache = stage.cache();
    let fill = cache.begin(&["t".into()]).await.unwrap();
    stage.servers.iter().for_each(flush);
    let sealed = cache.seal(&fill, &["late".into()], None).await.unwrap();
    assert!(sealed.is_none(), "its tag's record is another one");
    // The same without tags: it is stored, and the namespace's record is another one.
    let fill = cache.begin(&[]).await.unwrap();
    let stamp = cache.seal(&fill, &[], None).await.unwrap().unwrap();
    stage.servers.iter().for_each(flush);
    cache.set("other", 1).await.unwrap();
    let key = larder_core::Key::value(cache.space(), 1, "key");
    let entry = larder_core::Entry::new(larder_core::Value::Bytes("1".into()), None, stamp);
    cache.put(&key, entry, larder_core::When::Always).await.unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
}

#[tokio::test]
async fn what_a_full_server_evicts_costs_hits_and_nothing_else() {
    let server = Server::with(&["-m", "2", "-I", "512k"]);
    let backend = Memcached::builder([server.address()]).max_silence(PATIENT).build().unwrap();
    let cache = Cache::builder(backend).deadline(PATIENT).build().unwrap();
    let text = "x".repeat(50_000);
    for i in 0..200 {
        cache.set(&format!("key{i}"), format!("{i} {text}")).tags([format!("tag{i}")]).await.unwrap();
    }
    let mut hits = 0;
    for i in 0..200 {
        if let Some(found) = cache.get::<String>(&format!("key{i}")).await.unwrap() {
            assert_eq!(found, format!("{i} {text}"));
            hits += 1;
        }
    }
    assert!(hits < 200, "it evicts");
    cache.set("last", 1).await.unwrap();
    assert_eq!(cache.get("last").await.unwrap(), Some(1));
}

#[tokio::test]
async fn tags_that_come_and_go_leave_nothing_that_does_not_expire() {
    let stage = Stage::on(1);
    let cache = stage.cache();
    for i in (0..2_000).step_by(100) {
        let tags: Vec<String> = (i..i + 100).map(|i| format!("tag{i}")).collect();
        cache.set(&format!("key{i}"), i).timeout(60).tags(&tags).await.unwrap();
        cache.invalidate(&tags[..50]).await.unwrap();
        cache.get_or_set(&format!("made{i}"), || async { i }).timeout(60).tags(&tags[50..]).await.unwrap();
    }
    // The crawler is one, and may be busy with the server's own errands.
    let mut dump = dumped(&stage.servers[0]);
    for _ in 0..500 {
        if !dump.starts_with("BUSY") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        dump = dumped(&stage.servers[0]);
    }
    let items: Vec<&str> = dump.lines().filter(|line| line.starts_with("key=")).collect();
    assert!(items.len() >= 2_000, "each tag has a record while something may carry it: {}", items.len());
    let forever: Vec<&&str> = items.iter().filter(|line| line.contains(" exp=-1 ")).collect();
    assert!(forever.len() <= 2, "but for the namespace's own two, all of them expire: {forever:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for item in items.iter().filter(|line| !line.contains(" exp=-1 ")) {
        let expires: u64 = item.split_once(" exp=").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        assert!(expires <= now + 2 * 3_600 + 120, "within the hours that something may carry it: {item}");
    }
}

/// All items of a server, with what it knows of them.
fn dumped(server: &Server) -> String {
    let mut stream = UnixStream::connect(server.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENT)).unwrap();
    stream.write_all(b"lru_crawler metadump all\r\n").unwrap();
    let (mut answer, mut part) = (Vec::new(), [0; 65_536]);
    while !answer.ends_with(b"END\r\n") && !answer.starts_with(b"BUSY") {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "memcached hung up");
        answer.extend_from_slice(&part[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
