//! How the suite comes to a backend.

use crate::Stage;

/// Mounts the whole suite over one backend or several: a module of tests for each, named as it is called here.
///
/// What stands behind the arrow is a future of a [`Stage`] whose store is empty; each test asks for one of its own. Attributes
/// (`#[cfg(…)]`) apply to that backend's tests.
///
/// A test that is added to the suite appears wherever it is mounted.
///
/// ```
/// use larder_testkit::Plain;
///
/// larder_testkit::backend_suite! {
///     plain => async { Plain::stage() }
///     #[cfg(unix)]
///     the_same_again => async { Plain::stage() }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! backend_suite {
    ($($(#[$attribute:meta])* $name:ident => $stage:expr)+) => { $(
        $(#[$attribute])*
        #[cfg(test)]
        async fn $name() -> $crate::Stage {
            $stage.await
        }

        $(#[$attribute])*
        #[cfg(test)]
        mod $name {
            async fn stage() -> $crate::Stage {
                super::$name().await
            }
            mod attachment { $crate::__mount_attachment! {} }
            mod batches { $crate::__mount_batches! {} }
            mod beyond { $crate::__mount_beyond! {} }
            mod codecs { $crate::__mount_codecs! {} }
            mod compare { $crate::__mount_compare! {} }
            mod contract { $crate::__mount_contract! {} }
            mod damage { $crate::__mount_damage! {} }
            mod django { $crate::__mount_django! {} }
            mod fills { $crate::__mount_fills! {} }
            mod invalidation { $crate::__mount_invalidation! {} }
            mod keys { $crate::__mount_keys! {} }
            mod listing { $crate::__mount_listing! {} }
            mod locks { $crate::__mount_locks! {} }
            mod patterns { $crate::__mount_patterns! {} }
            mod sharing { $crate::__mount_sharing! {} }
            mod soft { $crate::__mount_soft! {} }
            mod spaces { $crate::__mount_spaces! {} }
            mod spans { $crate::__mount_spans! {} }
            mod times { $crate::__mount_times! {} }
            mod versions { $crate::__mount_versions! {} }
        }
    )+ };
}

/// Mounts the suite of backends that keep nothing ([`Capabilities::storing_nothing`](larder_core::Capabilities::storing_nothing)), as
/// [`backend_suite!`] does that of all others.
///
/// ```
/// use larder_core::Dummy;
/// use larder_testkit::Stage;
///
/// larder_testkit::nothing_suite! {
///     dummy => async { Stage::new(Dummy) }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! nothing_suite {
    ($($(#[$attribute:meta])* $name:ident => $stage:expr)+) => { $(
        $(#[$attribute])*
        #[cfg(test)]
        async fn $name() -> $crate::Stage {
            $stage.await
        }

        $(#[$attribute])*
        #[cfg(test)]
        mod $name {
            async fn stage() -> $crate::Stage {
                super::$name().await
            }
            mod nothing { $crate::__mount_nothing! {} }
        }
    )+ };
}

/// Runs one test over one stage. For [`backend_suite!`].
///
/// # Panics
/// If the test fails.
#[doc(hidden)]
pub fn __run<T: Future<Output = ()>>(stage: impl Future<Output = Stage>, test: impl FnOnce(Stage) -> T) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    #[expect(clippy::expect_used, reason = "a test that can't begin fails")]
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { test(stage.await).await });
}
