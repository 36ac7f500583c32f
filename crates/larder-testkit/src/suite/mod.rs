//! The tests, one module a topic. Names that begin with `ll_`, `to_`, `ver_`, `key_`, `mc_` and `dr_` are lines of what Django's
//! cache does; the others are promises of our own.
//!
//! A test is a function `async fn(Stage)` and a line in the list at the front of its file; the compiler complains of one that is in
//! no list. A new file needs a line here and one in [`backend_suite!`](crate::backend_suite).
//! [`nothing`] is for backends that keep nothing, and mounted by [`nothing_suite!`](crate::nothing_suite).
//!
//! They decide by [`Capabilities`](larder_core::Capabilities) alone what a backend can't do, and then ask that it says so.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

pub mod attachment;
pub mod batches;
pub mod beyond;
pub mod codecs;
pub mod compare;
pub mod contract;
pub mod damage;
pub mod django;
pub mod fills;
pub mod invalidation;
pub mod keys;
pub mod listing;
pub mod locks;
pub mod nothing;
pub mod patterns;
pub mod sharing;
pub mod soft;
pub mod spaces;
pub mod spans;
mod store;
pub mod times;
pub mod versions;

/// Whether the backend counts; if not, it has to say `Unsupported` and its name, and to leave what stands there.
async fn counts(stage: &crate::Stage) -> bool {
    let cache = stage.cache();
    cache.set("whether it counts", 1).await.unwrap();
    let Err(error) = cache.incr("whether it counts", 1).await else { return true };
    assert_eq!(error.kind(), larder_core::ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains(cache.capabilities().name), "{error} does not name the backend");
    assert_eq!(cache.get("whether it counts").await.unwrap(), Some(1));
    false
}

/// Lists the tests of a file: makes them public in its module `tests`, and the macro that mounts them.
macro_rules! tests {
    ($topic:ident $mount:ident: $($test:ident)+) => {
        /// The tests of this topic. Each panics if the backend fails it.
        pub mod tests {
            $(
                #[doc = concat!("Asserts it: `", stringify!($test), "`.")]
                ///
                /// # Panics
                /// If it is not so.
                pub async fn $test(stage: crate::Stage) {
                    super::$test(stage).await;
                }
            )+
        }

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $mount {
            () => { $(
                #[test]
                fn $test() {
                    $crate::__run(super::stage(), $crate::suite::$topic::tests::$test);
                }
            )+ };
        }
    };
}
use tests;
