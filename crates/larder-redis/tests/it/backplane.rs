//! Pub/sub as a backplane.

use std::time::Duration;

use larder_core::CacheUrl;
use larder_core::backplane::{Backplane, Event};
use larder_redis::{Redis, RedisBackplane};

use crate::server::Server;
use crate::{PATIENT, patient};

fn message(text: &'static str) -> Event {
    Event::Message(text.into())
}

#[tokio::test]
async fn what_is_published_arrives_in_order_at_all_who_are_connected() {
    let server = Server::start();
    let one = RedisBackplane::new(&patient(&server)).unwrap();
    let other = RedisBackplane::new(&patient(&server)).unwrap();
    let elsewhere = RedisBackplane::named(&patient(&server), "elsewhere").unwrap();
    let (mut here, mut there) = (one.subscribe(), other.subscribe());
    let mut nothing = elsewhere.subscribe();
    for subscription in [&mut here, &mut there, &mut nothing] {
        assert_eq!(subscription.next().await, Some(Event::Connected));
    }
    for text in ["a", "b", "c"] {
        one.publish(text.into()).await.unwrap();
    }
    elsewhere.publish("for another channel".into()).await.unwrap();
    for subscription in [&mut here, &mut there] {
        for text in ["a", "b", "c"] {
            assert_eq!(subscription.next().await, Some(message(text)));
        }
    }
    assert_eq!(nothing.next().await, Some(message("for another channel")));
}

#[tokio::test]
async fn a_server_that_dies_is_told_as_a_loss_and_found_again() {
    let mut server = Server::start();
    let backplane = RedisBackplane::new(&patient(&server)).unwrap();
    let mut subscription = backplane.subscribe();
    assert_eq!(subscription.next().await, Some(Event::Connected));
    server.kill();
    assert_eq!(subscription.next().await, Some(Event::Lost));
    assert!(backplane.publish("nobody hears".into()).await.is_err());
    server.again();
    loop {
        match subscription.next().await {
            Some(Event::Connected) => break,
            other => assert_eq!(other, Some(Event::Lost)),
        }
    }
    while backplane.publish("back".into()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(subscription.next().await, Some(message("back")));
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_told_as_a_loss() {
    let server = Server::start();
    let backplane = RedisBackplane::new(&patient(&server)).unwrap();
    let mut subscription = backplane.subscribe();
    for _ in 0..3 {
        assert_eq!(subscription.next().await, Some(Event::Connected));
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        assert_eq!(subscription.next().await, Some(Event::Lost));
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_told_as_a_loss() {
    let server = Server::start();
    let brief = Redis::unix_socket(server.socket()).connect_timeout(PATIENT);
    let brief = brief.max_silence(Duration::from_millis(50));
    let mut subscription = RedisBackplane::new(&brief).unwrap().subscribe();
    assert_eq!(subscription.next().await, Some(Event::Connected));
    server.signal("STOP");
    assert_eq!(subscription.next().await, Some(Event::Lost));
    server.signal("CONT");
    while subscription.next().await != Some(Event::Connected) {}
}

#[tokio::test]
async fn a_server_that_was_never_there_fails_and_is_found_when_it_comes() {
    let mut server = Server::start();
    server.kill();
    let backplane = RedisBackplane::new(&patient(&server)).unwrap();
    let mut subscription = backplane.subscribe();
    assert_eq!(subscription.next().await, Some(Event::Lost));
    assert!(backplane.publish("nobody hears".into()).await.is_err());
    server.again();
    while subscription.next().await != Some(Event::Connected) {}
}

#[tokio::test]
async fn who_listens_no_more_leaves_no_connection_behind() {
    let server = Server::start();
    let backplane = RedisBackplane::new(&patient(&server)).unwrap();
    let mut subscription = backplane.subscribe();
    assert_eq!(subscription.next().await, Some(Event::Connected));
    assert!(server.cli(&["PUBSUB", "CHANNELS"]).contains("larder:0"));
    drop(subscription);
    while !server.cli(&["PUBSUB", "CHANNELS"]).is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn without_a_runtime_a_subscription_has_ended() {
    let backplane = RedisBackplane::new(&Redis::builder("127.0.0.1")).unwrap();
    let mut subscription = backplane.subscribe();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(subscription.next()), Some(Event::Lost));
    assert_eq!(runtime.block_on(subscription.next()), None);
}

#[test]
fn a_url_opens_a_backplane_and_shows_no_password() {
    let open = |url: &str| RedisBackplane::open(&mut CacheUrl::parse(url).unwrap());
    let shown = format!("{:?}", open("redis://user:s3cret@h/3").unwrap());
    assert!(shown.contains("larder:3") && !shown.contains("s3cret"), "{shown}");
    assert!(format!("{:?}", open("redis://h?channel=mine").unwrap()).contains("mine"));
    assert!(open("redis://h/one").is_err());
}
