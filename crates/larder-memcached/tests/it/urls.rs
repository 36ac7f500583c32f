//! What can be known to be wrong before anything is connected.

use larder_core::{ErrorKind, Schemes};

fn schemes() -> Schemes {
    let schemes = Schemes::new().register("memcached", larder_memcached::open);
    schemes.register("memcached+unix", larder_memcached::open)
}

#[test]
fn mc_01_and_02_lists_of_every_shape_are_understood() {
    for (url, servers) in [
        ("memcached://127.0.0.1", r#"["127.0.0.1:11211"]"#),
        ("memcached://server1.tld,server2:11212/", r#"["server1.tld:11211", "server2:11212"]"#),
        ("memcached://server1.tld;server2:11212", r#"["server1.tld:11211", "server2:11212"]"#),
        ("memcached://[::1],[::2]:11212", r#"["[::1]:11211", "[::2]:11212"]"#),
        ("memcached+unix:///run/a.sock,/run/b.sock", r#"["unix:/run/a.sock", "unix:/run/b.sock"]"#),
        ("memcached+unix:///run/a.sock?connect_timeout=2s&max_silence=1s", r#"["unix:/run/a.sock"]"#),
    ] {
        let mut parsed = larder_core::CacheUrl::parse(url).unwrap();
        let shown = format!("{:?}", larder_memcached::open(&mut parsed).unwrap());
        assert!(shown.contains(&format!("servers: {servers}")), "{url}: {shown}");
        schemes().open(url).unwrap();
    }
    let built = larder_memcached::Memcached::builder(["unix:/run/a.sock", "b:1"]).build().unwrap();
    assert!(format!("{built:?}").contains(r#"["unix:/run/a.sock", "b:1"]"#), "{built:?}");
}

#[test]
fn what_can_not_be_right_says_what_would_be() {
    for (url, remedy) in [
        ("memcached:", "memcached://a:11211"),
        ("memcached://", "memcached://a:11211"),
        ("memcached:///run/memcached.sock", "memcached+unix:///run/memcached.sock"),
        ("memcached://a/1", "memcached://a:11211"),
        ("memcached://,", "memcached://127.0.0.1:11211"),
        ("memcached://a,a:11211", "a:11211 stands twice"),
        ("memcached://a:port", "1 to 65535"),
        ("memcached+unix://run/m.sock", "memcached+unix:///run/memcached.sock"),
        ("memcached+unix:", "memcached+unix:///run/memcached.sock"),
        ("memcached://a?max_entry=lots", "64MiB"),
        ("memcached://a?max_entry=0", "max_entry=0"),
        ("memcached://a?max_silence=0", "limit of 0"),
        ("memcached://a?connect_timeot=1s", "\"connect_timeout\""),
        ("memcached://user:hunter2@a", "without user and password"),
    ] {
        let error = schemes().open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.to_string().contains(remedy), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
