//! Functions of all shapes come out without a warning.
#![deny(warnings)]

use larder::{cached, once_per_request};

#[cached]
async fn short() -> u64 {
    7
}

#[cached(timeout = 5, some_only)]
async fn early(id: u64) -> Option<u64> {
    if id == 0 {
        return None;
    }
    fn inner(id: u64) -> u64 {
        id * 2
    }
    Some(inner(id))
}

#[cached]
async fn nothing() {}

#[once_per_request]
async fn once() -> u64 {
    7
}

#[tokio::test]
async fn bodies_of_all_shapes_give_what_they_say() {
    assert_eq!((short().await, early(0).await, early(3).await), (7, None, Some(6)));
    nothing().await;
    assert_eq!(once().await, 7);
}
