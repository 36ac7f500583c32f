//! A backend that panics, as drivers do at what no server says.

use larder_core::{Backend, Cache, Capabilities, Entry, Error, ErrorKind, Key, Space, UnixMillis, When};

#[derive(Debug)]
struct Panics(Capabilities);

impl Backend for Panics {
    fn capabilities(&self) -> Capabilities {
        self.0
    }
    async fn get(&self, _: &Key, _: UnixMillis) -> Result<Option<Entry>, Error> {
        tokio::task::yield_now().await;
        panic!("an index is out of bounds")
    }
    async fn set(&self, _: &Key, _: Entry, _: When, _: UnixMillis) -> Result<bool, Error> {
        panic!("an index is out of bounds")
    }
    async fn remove(&self, _: &Key, _: UnixMillis) -> Result<bool, Error> {
        panic!("an index is out of bounds")
    }
    async fn clear(&self, _: &Space, _: UnixMillis) -> Result<(), Error> {
        panic!("an index is out of bounds")
    }
    async fn touch(&self, _: &Key, _: Option<UnixMillis>, _: UnixMillis) -> Result<bool, Error> {
        panic!("an index is out of bounds")
    }
}

#[tokio::test]
async fn a_backend_that_panics_is_one_that_answers_with_an_error() {
    for capabilities in [Capabilities::new("broken"), Capabilities::new("broken").in_process()] {
        let cache = Cache::new(Panics(capabilities));
        for _ in 0..10 {
            let error = cache.get::<u8>("key").await.unwrap_err();
            assert!(error.kind() == ErrorKind::Backend && error.to_string().contains("panicked"), "{error}");
        }
        assert_eq!(cache.delete("key").await.unwrap_err().kind(), ErrorKind::Backend);
        assert_eq!(cache.clear().await.unwrap_err().kind(), ErrorKind::Backend);
        assert_eq!(cache.get_or_set("key", || async { 5 }).await.unwrap(), 5);
    }
}
