//! How many commands an operation takes, as the server counts them.

use crate::{Stage, beside};

fn counted(stage: &Stage) -> Vec<String> {
    let commands = stage.server.commands();
    stage.server.cli(&["CONFIG", "RESETSTAT"]);
    commands
}

#[tokio::test]
async fn a_hit_is_one_command_whatever_its_tags() {
    let stage = Stage::new();
    let open = || beside(&stage.server);
    for tags in [0, 3, 16] {
        let (writer, reader) = (open(), open());
        writer.set("key", "text").tags((0..tags).map(|i| format!("tag{i}"))).await.unwrap();
        reader.ping().await.unwrap();
        counted(&stage);
        assert_eq!(writer.get("key").await.unwrap(), Some("text".to_owned()));
        assert_eq!(counted(&stage), ["mget 1"], "{tags} tags, known from writing");
        assert_eq!(reader.get("key").await.unwrap(), Some("text".to_owned()));
        let first = if tags == 0 { "mget 1" } else { "mget 2" };
        assert_eq!(counted(&stage), [first], "{tags} tags, unknown");
        for _ in 0..10 {
            assert_eq!(reader.get("key").await.unwrap(), Some("text".to_owned()));
        }
        assert_eq!(counted(&stage), ["mget 10"], "{tags} tags, known from reading");
    }
}

#[tokio::test]
async fn many_are_read_at_once_and_nothing_is_asked_for_nothing() {
    let stage = Stage::new();
    let cache = stage.cache();
    for i in 0..10 {
        cache.set(&format!("key{i}"), i).tags([format!("tag{i}")]).await.unwrap();
    }
    counted(&stage);
    let keys: Vec<String> = (0..12).map(|i| format!("key{i}")).collect();
    assert_eq!(cache.get_many::<i64, _>(keys).await.unwrap().len(), 10);
    assert_eq!(counted(&stage), ["mget 1"]);
    assert_eq!(cache.get_many::<i64, _>(Vec::<String>::new()).await.unwrap().len(), 0);
    assert_eq!(cache.delete_many(Vec::<String>::new()).await.unwrap(), 0);
    assert_eq!(counted(&stage), [""; 0]);
}

#[tokio::test]
async fn storing_is_a_step_to_begin_one_to_store_and_one_more_with_tags() {
    let stage = Stage::new();
    let cache = stage.cache();
    for _ in 0..2 {
        cache.set("key", "text").tags(["t"]).await.unwrap();
    }
    counted(&stage);
    cache.set("key", "text").await.unwrap();
    assert_eq!(counted(&stage), ["mget 1", "set 1"]);
    assert!(cache.add("other", "text").await.unwrap());
    assert_eq!(counted(&stage), ["mget 1", "set 1"]);
    cache.set("key", "text").tags(["t"]).await.unwrap();
    let scripts = |commands: &[String]| {
        commands.iter().filter(|line| line.starts_with("eval")).cloned().collect::<Vec<_>>()
    };
    let commands = counted(&stage);
    assert!(commands.contains(&"mget 1".into()) && commands.contains(&"set 1".into()), "{commands:?}");
    assert_eq!(scripts(&commands), ["evalsha 1"]);
    cache.set("n", 1).await.unwrap();
    cache.incr("n", 1).await.unwrap();
    counted(&stage);
    assert_eq!(cache.incr("n", 1).await.unwrap(), 3);
    assert_eq!(scripts(&counted(&stage)), ["evalsha 1"]);
    cache.invalidate(["t", "u", "v"]).await.unwrap();
    assert_eq!(counted(&stage), ["set 4"]);
}
