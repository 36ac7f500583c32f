//! Opening caches by URL.

use larder_core::{Cache, Error, Schemes};

/// The schemes that were compiled in, and which feature brings the others. Add your own with [`Schemes::register`].
pub fn schemes() -> Schemes {
    let schemes = Schemes::new();
    #[cfg(feature = "memory")]
    let schemes = schemes.register("memory", larder_memory::open);
    #[cfg(feature = "file")]
    let schemes = schemes.register("file", larder_file::open);
    #[cfg(feature = "redis")]
    let schemes = ["redis", "redis+unix", "redis+sentinel"]
        .into_iter()
        .fold(schemes, |schemes, scheme| schemes.register(scheme, larder_redis::open));
    #[cfg(feature = "redis-tls")]
    let schemes =
        schemes.register("rediss", larder_redis::open).register("rediss+sentinel", larder_redis::open);
    #[cfg(feature = "redis-cluster")]
    let schemes = schemes.register("redis+cluster", larder_redis::open);
    #[cfg(all(feature = "redis-cluster", feature = "redis-tls"))]
    let schemes = schemes.register("rediss+cluster", larder_redis::open);
    #[cfg(feature = "memcached")]
    let schemes = schemes
        .register("memcached", larder_memcached::open)
        .register("memcached+unix", larder_memcached::open);
    #[cfg(feature = "sqlite")]
    let schemes = schemes.register("sqlite", larder_sql::open);
    #[cfg(feature = "postgres")]
    let schemes = schemes.register("postgres", larder_sql::open).register("postgresql", larder_sql::open);
    #[cfg(feature = "mysql")]
    let schemes = schemes.register("mysql", larder_sql::open).register("mariadb", larder_sql::open);
    #[cfg(feature = "redis")]
    let schemes = with_backplanes(schemes);
    #[cfg(feature = "tiered")]
    let schemes = schemes.register_over("tiered", larder_tiered::open);
    // Those that were registered above stay as they are.
    [
        ("memory", "memory"),
        ("file", "file"),
        ("redis", "redis"),
        ("redis+unix", "redis"),
        ("redis+sentinel", "redis"),
        ("rediss", "redis-tls"),
        ("rediss+sentinel", "redis-tls"),
        ("redis+cluster", "redis-cluster"),
        ("rediss+cluster", without_tls_for_cluster()),
        ("memcached", "memcached"),
        ("memcached+unix", "memcached"),
        ("sqlite", "sqlite"),
        ("postgres", "postgres"),
        ("postgresql", "postgres"),
        ("mysql", "mysql"),
        ("mariadb", "mysql"),
        ("tiered", "tiered"),
    ]
    .into_iter()
    .fold(schemes, |schemes, (scheme, feature)| schemes.missing(scheme, feature))
}

/// Every Redis that keeps entries carries messages, too.
#[cfg(feature = "redis")]
fn with_backplanes(schemes: Schemes) -> Schemes {
    let redis: Vec<_> = schemes.known().filter(|scheme| scheme.starts_with("redis")).collect();
    redis.into_iter().fold(schemes, |schemes, scheme| {
        schemes.register_backplane(scheme, larder_redis::RedisBackplane::open)
    })
}

/// Which of the two features that it takes is missing.
fn without_tls_for_cluster() -> &'static str {
    if cfg!(feature = "redis-cluster") { "redis-tls" } else { "redis-cluster" }
}

/// Opens a cache: `memory:`, `dummy:`, `file:///dir`, `redis://host/1`, `redis+cluster://a,b`, `memcached://a,b`, `sqlite:///file.db`, `postgres://host/database`, `mysql://host/database`, `tiered:?l2=redis://host`,
/// with `timeout`, `prefix`, `version`, `deadline`, `breaker`, `cooldown` and `ignore_errors` as options for all. Nothing is connected yet: a server that is down does not stop a
/// start-up.
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) for a URL that can't be right; [`Unsupported`](larder_core::ErrorKind::Unsupported) for a backend
/// that was not compiled in, with the feature that brings it.
pub fn open(url: &str) -> Result<Cache, Error> {
    schemes().open(url)
}
