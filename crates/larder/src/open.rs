//! Opening caches by URL.

use larder_core::{Cache, Error, Schemes};

/// The schemes that were compiled in, and which feature brings the others. Add your own with [`Schemes::register`].
pub fn schemes() -> Schemes {
    let schemes = Schemes::new();
    #[cfg(feature = "memory")]
    let schemes = schemes.register("memory", larder_memory::open);
    #[cfg(feature = "file")]
    let schemes = schemes.register("file", larder_file::open);
    // Those that were registered above stay as they are.
    [("memory", "memory"), ("file", "file")]
        .into_iter()
        .fold(schemes, |schemes, (scheme, feature)| schemes.missing(scheme, feature))
}

/// Opens a cache: `memory:`, `dummy:`, `file:///dir`, with `timeout`, `prefix`, `version` and `deadline` as options for all. Nothing is connected yet:
/// a server that is down does not stop a start-up.
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) for a URL that can't be right; [`Unsupported`](larder_core::ErrorKind::Unsupported) for a backend
/// that was not compiled in, with the feature that brings it.
pub fn open(url: &str) -> Result<Cache, Error> {
    schemes().open(url)
}
