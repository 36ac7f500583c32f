//! A table with two tiers.

use super::read;

#[cfg(not(feature = "tiered"))]
#[test]
fn tiers_that_are_not_compiled_in_say_which_feature_they_need() {
    let error = read("[default]\nl2 = 'memory:'", &[]).unwrap_err();
    assert_eq!(error.kind(), larder::ErrorKind::Unsupported);
    assert!(error.to_string().starts_with("configuration:2: [default]: tiered:"), "{error}");
    assert!(error.to_string().contains("feature \"tiered\""), "{error}");
}

#[cfg(feature = "tiered")]
mod tiered {
    use super::read;
    use crate::refused;

    #[tokio::test]
    async fn the_parts_are_keys_of_the_table() {
        let text = "[default]\nl1 = 'memory:?max_entries=100'\nl2 = '${L2}'\nbackplane = 'memory:'\nl1_timeout = 30\nheartbeat = '2s'\ntimeout = 60";
        let caches = read(text, &[("L2", "memory:tiers-of-a-file")]).unwrap().into_caches();
        let cache = caches.default_cache().unwrap();
        assert_eq!((cache.capabilities().name, cache.default_timeout()), ("tiered", 60.into()));
        cache.set("a", 1).await.unwrap();
        assert_eq!(cache.get("a").await.unwrap(), Some(1));
        let l2 = larder::open("memory:tiers-of-a-file").unwrap();
        assert_eq!(l2.get("a").await.unwrap(), Some(1), "it stands in the second tier");
        caches.close().await.unwrap();
    }

    #[test]
    fn what_is_wrong_in_a_part_names_its_line_and_what_was_meant() {
        let with = |line: &str| format!("[default]\nl2 = 'memory:'\n{line}");
        for (text, named) in [
            (
                with("l1 = 'memory:?max_entires=5'"),
                &[":3: [default]: l1: ", "did you mean \"max_entries\"?"][..],
            ),
            (with("l1 = 'memroy:'"), &[":3:", "did you mean \"memory\"?"]),
            (with("backplane = 'dummy:'"), &[":3:", "backplane: dummy: URLs bring no backplane"]),
            (with("l1_timeuot = 5"), &[":3:", "did you mean \"l1_timeout\"?"]),
            (with("l1_timeout = 'soon'"), &[":3:", "\"soon\""]),
            (with("heartbeat = 0"), &[":3:", "heartbeat"]),
            (with("l2_password = 'hunter2'"), &[":2:", "names no server"]),
            ("[default]\nl2 = 'memory:?prefix=a'".into(), &[":2:", "prefix is an option of the cache"]),
            ("[default]\nl1 = 'memory:'".into(), &[":2:", "l2=redis:"]),
            ("[default]\nurl = 'tiered://h?l2=memory:'".into(), &[":2:", "as options"]),
        ] {
            let error = refused(&text, named);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[cfg(feature = "file")]
    #[test]
    fn a_shared_store_that_brings_no_backplane_needs_one() {
        refused("[default]\nl2 = 'file:///tmp/larder'", &[":2:", "needs a backplane", "backplane=memory:"]);
        read("[default]\nl2 = 'file:///tmp/larder'\nbackplane = 'memory:'", &[]).unwrap();
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_redis_store_brings_its_own_backplane() {
        let text = "[default]\nl2 = 'redis://shop@h/1?connect_timeout=1s&replicas=h2'\nl2_password = 'p@ss'";
        let shown = format!("{:?}", read(text, &[]).unwrap());
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{shown}");
        read(&format!("{text}\nbackplane = 'redis://h3/0?channel=pages'"), &[]).unwrap();
        refused(
            &format!("{text}\nbackplane = 'redis://h3/0?chanel=pages'"),
            &[":4:", "did you mean \"channel\"?"],
        );
    }

    #[test]
    fn no_password_of_a_part_is_shown() {
        for url in [
            "tiered:?l2=redis://u:hunter2@h/1&backplane=redis://u:hunter2@h/1",
            "tiered:?l2=redis://u@h/1&l2_password=hunter2",
            "tiered:?l2=redis://u:hunter2@h/1?x=1",
            "tiered:?l2=redis://u:hunter/2@h/1",
            "tiered:?l2=redis:u:hunter2@h/1",
            "tiered:?l2=u:hunter2@h/1",
            "tiered:?l2=memory:&backplane=redis://u:hunter2@h/one",
            "tiered:?l2=memory:&backplane=u:hunter2@h/one",
        ] {
            let shown = match larder::schemes().builder(url) {
                Ok(builder) => format!("{builder:?} {:?}", larder::open(url)),
                Err(error) => format!("{error} {error:?}"),
            };
            let masked = larder::CacheUrl::masked(url);
            let parsed = format!("{:?}", larder::CacheUrl::parse(url));
            let written = format!("{:?}", read(&format!("[default]\nurl = '{url}'"), &[]));
            for shown in [shown, masked, parsed, written] {
                assert!(!shown.contains("hunter"), "{url}: {shown}");
            }
        }
    }
}
