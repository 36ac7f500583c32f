//! A fill that comes too late, over a store on which that can't be arranged otherwise.

use larder_core::{Backend, Cache, Capabilities, Entry, Error, Key, Space, UnixMillis, When};

#[tokio::test]
async fn ll_23_a_lost_race_for_a_key_that_is_gone_again_gives_what_was_made() {
    /// Somebody else always was faster, and is gone when one looks.
    #[derive(Debug)]
    struct AlwaysLate;
    impl Backend for AlwaysLate {
        fn capabilities(&self) -> Capabilities {
            Capabilities::new("late")
        }
        async fn get(&self, _: &Key, _: UnixMillis) -> Result<Option<Entry>, Error> {
            Ok(None)
        }
        async fn set(&self, _: &Key, _: Entry, when: When, _: UnixMillis) -> Result<bool, Error> {
            Ok(when == When::Always)
        }
        async fn remove(&self, _: &Key, _: UnixMillis) -> Result<bool, Error> {
            Ok(false)
        }
        async fn clear(&self, _: &Space, _: UnixMillis) -> Result<(), Error> {
            Ok(())
        }
        async fn touch(&self, _: &Key, _: Option<UnixMillis>, _: UnixMillis) -> Result<bool, Error> {
            Ok(false)
        }
    }
    let patient = std::time::Duration::from_secs(60);
    let cache = Cache::builder(AlwaysLate).deadline(patient).build().unwrap();
    assert_eq!(cache.get_or_set("key", || async { "default".to_owned() }).await.unwrap(), "default");
}
