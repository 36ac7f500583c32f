//! How values become bytes, and smaller ones: MC-10, DR-23.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use larder_core::{Backend as _, Cache, Codec, Compression, ErrorKind, Key, Value, When};

use crate::Stage;
use crate::suite::{counts, tests};

tests! { codecs __mount_codecs:
    every_codec_gives_back_what_it_was_given
    integers_are_counted_in_every_codec
    raw_values_are_bytes_of_any_kind
    what_a_codec_cannot_store_is_an_error_that_names_the_remedy
    dr_23_compressed_values_come_back_and_so_do_those_of_another_setting
    dr_23_integers_are_counted_under_compression
    what_cannot_be_unpacked_is_a_miss_and_removed
    a_shared_value_is_compressed_too
    a_made_value_is_compressed_and_comes_back_to_all
}

fn nested() -> BTreeMap<String, Vec<Option<f64>>> {
    BTreeMap::from([("a".into(), vec![Some(0.5), None]), ("ü".into(), vec![])])
}

fn with(stage: &Stage, codec: Codec) -> Cache {
    stage.builder().key_prefix(codec.as_str()).codec(codec).build().unwrap()
}

async fn every_codec_gives_back_what_it_was_given(stage: Stage) {
    for codec in [Codec::Json, Codec::MessagePack] {
        let cache = with(&stage, codec);
        cache.set("nested", nested()).await.unwrap();
        cache.set("null", None::<u8>).await.unwrap();
        assert!(cache.add("bool", true).await.unwrap());
        cache.set_many([("text", "Iñt\n"), ("digits", "42")]).await.unwrap();
        assert_eq!(cache.get("nested").await.unwrap(), Some(nested()), "{codec:?}");
        assert_eq!(cache.get::<Option<u8>>("null").await.unwrap(), Some(None));
        assert_eq!(cache.get("bool").await.unwrap(), Some(true));
        let texts = cache.get_many::<String, _>(["text", "digits", "nothing"]).await.unwrap();
        let expected = [("text", "Iñt\n"), ("digits", "42")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(texts, HashMap::from(expected));
        let made = cache.get_or_set("made", || async { nested() }).await.unwrap();
        assert_eq!((made, cache.get("made").await.unwrap()), (nested(), Some(nested())));
        assert_eq!(cache.get::<u8>("text").await.unwrap(), None, "another type is a miss");
        assert!(!cache.has_key("text").await.unwrap());
    }
    let maps = with(&stage, Codec::MessagePack);
    maps.set("keys", HashMap::from([((1, 2), 3)])).await.unwrap();
    assert_eq!(maps.get("keys").await.unwrap(), Some(HashMap::from([((1, 2), 3)])));
}

async fn integers_are_counted_in_every_codec(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    for codec in [Codec::Json, Codec::MessagePack, Codec::Raw] {
        let cache = with(&stage, codec);
        for (key, start) in [("small", 49), ("minus", -46), ("large", 1 << 40)] {
            cache.set(key, start).await.unwrap();
            assert_eq!(cache.incr(key, 2).await.unwrap(), start + 2, "{codec:?} {key}");
            assert_eq!(cache.get(key).await.unwrap(), Some(start + 2), "{codec:?} {key}");
        }
    }
    // Of a raw value nobody knows whether it was a number.
    let raw = with(&stage, Codec::Raw);
    raw.set("text", "5").await.unwrap();
    assert_eq!(raw.incr("text", 1).await.unwrap(), 6);
    assert_eq!(raw.get("text").await.unwrap(), Some("6".to_owned()));
}

async fn raw_values_are_bytes_of_any_kind(stage: Stage) {
    let cache = with(&stage, Codec::Raw);
    let values: Vec<Vec<u8>> = vec![
        vec![],
        (0..=255).collect(),
        vec![0xc1],
        vec![0xc1, 0],
        vec![0xc1, b'z', 0xff, 0xff, 0xff, 0xff],
        b"larder1 - 0\nx".to_vec(),
        b"\r\nEND\r\n".to_vec(),
        vec![0; 10_000],
    ];
    for (i, value) in values.iter().enumerate() {
        let key = format!("key{i}");
        cache.set(&key, value).timeout(60).tags(["t"]).await.unwrap();
        assert_eq!(cache.get::<Vec<u8>>(&key).await.unwrap().as_ref(), Some(value), "{i}");
        assert!(cache.touch(&key).await.unwrap());
    }
    assert!(
        cache.set_many(values.iter().enumerate().map(|(i, v)| (i.to_string(), v))).await.unwrap().is_empty()
    );
    for (i, value) in values.iter().enumerate() {
        assert_eq!(cache.get::<Vec<u8>>(&i.to_string()).await.unwrap().as_ref(), Some(value), "{i}");
    }
    cache.set("text", "é").await.unwrap();
    assert_eq!(cache.get("text").await.unwrap(), Some("é".as_bytes().to_vec()));
}

async fn what_a_codec_cannot_store_is_an_error_that_names_the_remedy(stage: Stage) {
    let cache = with(&stage, Codec::Raw);
    cache.set("key", "old").await.unwrap();
    let error = cache.set("key", nested()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert!(error.to_string().contains("codec=msgpack"), "{error}");
    assert_eq!(cache.get("key").await.unwrap(), Some("old".to_owned()));
    assert_eq!(cache.set("key", None::<u8>).await.unwrap_err().kind(), ErrorKind::Encode);
    let cache = with(&stage, Codec::Json);
    cache.set("key", 1.5).await.unwrap();
    let error = cache.set("key", Some(f64::NAN)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert!(error.to_string().contains("codec=msgpack"), "{error}");
    assert_eq!(cache.get("key").await.unwrap(), Some(1.5));
    let made = cache.get_or_set("made", || async { f64::INFINITY }).await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Encode);
    assert!(!cache.has_key("made").await.unwrap());
    with(&stage, Codec::MessagePack).set("key", f64::INFINITY).await.unwrap();
}

/// Some text that pays to be compressed, and some that does not.
fn texts() -> [String; 3] {
    ["all of this is said more than once. ".repeat(300), "short".into(), String::new()]
}

/// Those that are there, and none.
fn compressions() -> Vec<Compression> {
    vec![
        Compression::none(),
        #[cfg(feature = "zstd")]
        Compression::zstd(1),
        #[cfg(feature = "zstd")]
        Compression::zstd(9),
        Compression::lz4(),
    ]
}

async fn dr_23_compressed_values_come_back_and_so_do_those_of_another_setting(stage: Stage) {
    for codec in [Codec::Json, Codec::MessagePack, Codec::Raw] {
        let caches: Vec<Cache> = compressions()
            .into_iter()
            .map(|compression| {
                let builder = stage.builder().key_prefix(codec.as_str()).codec(codec);
                builder.compression(compression).compress_above(100).build().unwrap()
            })
            .collect();
        for (i, text) in texts().iter().enumerate() {
            for writer in &caches {
                let key = format!("key{i}");
                writer.set(&key, text).timeout(60).tags(["t"]).await.unwrap();
                for reader in &caches {
                    assert_eq!(reader.get::<String>(&key).await.unwrap().as_ref(), Some(text));
                    assert_eq!(reader.get_many::<String, _>([&key]).await.unwrap().get(&key), Some(text));
                }
                assert!(writer.touch(&key).timeout(90).await.unwrap());
                assert_eq!(writer.incr_version(&key).await.unwrap(), 2);
                assert_eq!(writer.get::<String>(&key).version(2).await.unwrap().as_ref(), Some(text));
                writer.invalidate(["t"]).await.unwrap();
                assert!(!writer.has_key(&key).version(2).await.unwrap());
            }
        }
    }
}

async fn dr_23_integers_are_counted_under_compression(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    for compression in compressions() {
        let cache = stage.builder().compression(compression).compress_above(0).build().unwrap();
        cache.set("count", i64::MAX - 1).await.unwrap();
        assert_eq!(cache.incr("count", 1).await.unwrap(), i64::MAX);
        assert_eq!(cache.get("count").await.unwrap(), Some(i64::MAX));
    }
}

async fn what_cannot_be_unpacked_is_a_miss_and_removed(stage: Stage) {
    let cache = stage.cache();
    if !cache.capabilities().shared {
        // What is in memory is never packed.
        return;
    }
    let key = Key::value(cache.space(), cache.version(), "key");
    for garbage in [&b"\xc1"[..], b"\xc14", b"\xc14\xff\xff\xff\xff1234567", b"\xc1?1234567890"] {
        cache.set("key", "old").await.unwrap();
        let there = cache.lookup(std::slice::from_ref(&key)).await.unwrap().pop().flatten().unwrap();
        let entry = there.with_value(Value::Bytes(Bytes::from_static(garbage)));
        stage.backend().set(&key, entry, When::Always, stage.hand().now()).await.unwrap();
        assert_eq!(cache.get::<String>("key").await.unwrap(), None, "{garbage:?}");
        let left = stage.backend().get(&key, stage.hand().now()).await.unwrap();
        assert!(left.is_none(), "{garbage:?} stays");
        assert!(cache.add("key", "new").await.unwrap());
        assert_eq!(cache.get("key").await.unwrap(), Some("new".to_owned()));
    }
}

async fn a_shared_value_is_compressed_too(stage: Stage) {
    for compression in compressions() {
        let cache = stage.builder().compression(compression).build().unwrap();
        let value = std::sync::Arc::new(texts().to_vec());
        cache.set_shared("shared", value.clone()).await.unwrap();
        assert_eq!(cache.get_shared::<Vec<String>>("shared").await.unwrap(), Some(value.clone()));
        assert_eq!(cache.get::<Vec<String>>("shared").await.unwrap().as_ref(), Some(&*value));
    }
}

async fn a_made_value_is_compressed_and_comes_back_to_all(stage: Stage) {
    for (i, compression) in compressions().into_iter().enumerate() {
        let cache = stage.builder().compression(compression).build().unwrap();
        let (key, [text, ..]) = (format!("made{i}"), texts());
        let made = || async { texts()[0].clone() };
        let (one, two) = tokio::join!(async { cache.get_or_set(&key, made).await }, async {
            cache.get_or_set(&key, made).await
        });
        assert_eq!((one.unwrap(), two.unwrap()), (text.clone(), text.clone()));
        assert_eq!(cache.get(&key).await.unwrap(), Some(text));
    }
}
