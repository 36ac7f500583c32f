//! What a URL may say.

use larder_core::{ErrorKind, Schemes};
use larder_redis::Redis;

fn schemes() -> Schemes {
    ["redis", "rediss", "redis+unix"]
        .into_iter()
        .fold(Schemes::new(), |schemes, scheme| schemes.register(scheme, larder_redis::open))
}

#[test]
fn right_urls_open_without_a_connection() {
    for url in [
        "redis://127.0.0.1:6379/0",
        "redis://localhost",
        "redis://localhost/",
        "redis://h:1/15?connect_timeout=300ms&max_silence=2s&timeout=60&prefix=shop&deadline=1s",
        "redis://:password@h",
        "redis://user:p%2Fw@[::1]:6380/1",
        "redis://h?db=4",
        "redis+unix:///run/redis.sock",
        "redis+unix://user:pw@/run/a%20b.sock?db=2",
    ] {
        assert!(schemes().open(url).is_ok(), "{url}: {:?}", schemes().open(url));
    }
}

#[test]
fn wrong_urls_are_refused_at_once_and_say_what_would_be_right() {
    for (url, says) in [
        ("redis://", "host"),
        ("redis:", "host"),
        ("redis:///1", "host"),
        ("redis://h:x", "port"),
        ("redis://h:0", "port"),
        ("redis://h:70000", "port"),
        ("redis://h/one", "number of a database"),
        ("redis://h/-1", "number of a database"),
        ("redis://h/1/2", "number of a database"),
        ("redis://h/1?db=2", "twice"),
        ("redis://h?db=99999999999", "number of a database"),
        ("redis://::1/0", "brackets"),
        ("redis://[::1/0", "brackets"),
        ("redis://u:%zz@h", "% escape"),
        ("redis://h?connect_timout=1s", "connect_timeout"),
        ("redis://h?connect_timeout=0", "more than 0"),
        ("redis://h?ca_file=/ca.pem", "rediss://"),
        ("redis+unix://", "absolute path"),
        ("redis+unix://h/run/redis.sock", "absolute path"),
    ] {
        let error = schemes().open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
    let error = schemes().open("redis://a:1,b:2/0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[test]
fn passwords_are_shown_nowhere() {
    let builder = Redis::builder("h").username("shop").password("hunter2");
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(!shown.contains("hunter2") && shown.contains("redis://h:6379/0"), "{shown}");
    let error = schemes().open("redis://u:hunter%2@h").unwrap_err();
    assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_tls_its_urls_name_the_feature() {
    let error = schemes().open("rediss://h/1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("redis-tls"), "{error}");
}
