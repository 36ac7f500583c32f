//! Two handles on one store, as two processes have them, and several who write at once.

use larder_core::When;

use super::store::Store;
use super::{counts, tests};
use crate::Stage;

tests! {
    sharing __mount_sharing:
    what_one_handle_writes_the_other_reads
    what_one_handle_forgets_the_other_does_not_serve
    counts_of_two_handles_add_up
    of_those_who_add_by_two_handles_one_wins
    a_value_that_many_write_is_that_of_one_of_them_and_whole
    writers_of_other_keys_do_not_disturb_each_other
}

async fn what_one_handle_writes_the_other_reads(stage: Stage) {
    let (one, two) = (Store::of(&stage), Store::again(&stage));
    for (value, longer) in [("text", "newer"), ("7", "8"), ("", "\0")] {
        one.set("key", value).await;
        assert_eq!(two.value("key").await, Some(value.into()));
        two.set("key", longer).await;
        assert_eq!(one.value("key").await, Some(longer.into()));
        assert!(!one.set_when(When::Absent, "key", "third").await);
        assert!(two.remove("key").await);
        assert_eq!(one.value("key").await, None);
    }
    one.set_for(60_000, "brief", "text").await;
    assert!(two.touch("brief", None).await);
    stage.wait(60);
    assert_eq!(one.value("brief").await, Some("text".into()), "the other has prolonged it");
}

async fn what_one_handle_forgets_the_other_does_not_serve(stage: Stage) {
    let (one, two) = (stage.cache(), stage.other());
    for round in 0..3 {
        one.set("tagged", round).tags(["t"]).await.unwrap();
        one.set("other", round).await.unwrap();
        assert_eq!(two.get("tagged").await.unwrap(), Some(round));
        two.invalidate(["t"]).await.unwrap();
        assert_eq!(one.get::<i32>("tagged").await.unwrap(), None);
        assert_eq!(one.get("other").await.unwrap(), Some(round));
        two.clear().await.unwrap();
        assert_eq!(one.get::<i32>("other").await.unwrap(), None);
    }
}

async fn counts_of_two_handles_add_up(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    let (one, two) = (stage.cache(), stage.other());
    one.set("count", 0).await.unwrap();
    let tasks = [one.clone(), two.clone(), one.clone(), two].map(|cache| {
        tokio::spawn(async move {
            for _ in 0..25 {
                cache.incr("count", 1).await.unwrap();
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(one.get("count").await.unwrap(), Some(100));
}

async fn of_those_who_add_by_two_handles_one_wins(stage: Stage) {
    let handles = [Store::of(&stage), Store::again(&stage)];
    for round in 0..20 {
        let tasks: Vec<_> = (0..6)
            .map(|i| {
                let store = handles[i % 2].clone();
                tokio::spawn(
                    async move { store.set_when(When::Absent, &format!("key{round}"), "text").await },
                )
            })
            .collect();
        let mut wins = 0;
        for task in tasks {
            wins += usize::from(task.await.unwrap());
        }
        assert_eq!(wins, 1, "round {round}");
    }
}

async fn a_value_that_many_write_is_that_of_one_of_them_and_whole(stage: Stage) {
    let handles = [Store::of(&stage), Store::again(&stage)];
    handles[0].set("key", vec![b'0'; 20_000]).await;
    let writers: Vec<_> = (1..=6_u8)
        .map(|i| {
            let store = handles[usize::from(i) % 2].clone();
            tokio::spawn(async move {
                for _ in 0..15 {
                    // Of another length each, so that a shorter one over a longer one shows.
                    store.set("key", vec![b'0' + i; 20_000 - usize::from(i)]).await;
                }
            })
        })
        .collect();
    let reader = {
        let store = handles[0].clone();
        tokio::spawn(async move {
            for _ in 0..60 {
                // Nothing at all may stand there for a moment: a store may move what it writes.
                if let Some(value) = store.value("key").await {
                    let (first, length) = (value[0], value.len());
                    assert_eq!(length, 20_000 - usize::from(first - b'0'), "a part of {first}");
                    assert!(value.iter().all(|byte| *byte == first), "two values in one");
                }
            }
        })
    };
    for task in writers {
        task.await.unwrap();
    }
    reader.await.unwrap();
    assert!(handles[1].value("key").await.is_some());
}

async fn writers_of_other_keys_do_not_disturb_each_other(stage: Stage) {
    let handles = [Store::of(&stage), Store::again(&stage)];
    let tasks: Vec<_> = (0..6)
        .map(|i| {
            let store = handles[i % 2].clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    store.set(&format!("key{i}"), format!("{round}!")).await;
                    assert_eq!(store.value(&format!("key{i}")).await, Some(format!("{round}!").into()));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for i in 0..6 {
        assert_eq!(handles[1].value(&format!("key{i}")).await, Some("19!".into()), "key{i}");
    }
}
