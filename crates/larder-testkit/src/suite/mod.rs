//! The tests, one module a topic. Names that begin with `ll_`, `to_`, `ver_` and `key_` are lines of what Django's
//! cache does; the others are promises of our own.
//!
//! A test is a function `async fn(Stage)` and a line in the list at the front of its file; the compiler complains of one that is in
//! no list. A new file needs a line here and one in [`backend_suite!`](crate::backend_suite).
//!
//! They decide by [`Capabilities`](larder_core::Capabilities) alone what a backend can't do, and then ask that it says so.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

pub mod django;
pub mod fills;
pub mod invalidation;
pub mod keys;
pub mod times;

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
