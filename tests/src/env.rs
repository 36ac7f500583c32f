//! Where the servers are: the addresses that `cargo xtask test` (or a person) put into the environment.
//!
//! A test whose server is not there fails, and its message says how to get one. It never passes by doing nothing.

use std::env::var;
use std::fs::File;

use crate::names::{
    BROWSER, CHROMIUM, MARIADB, MEMCACHED, Name, POSTGRES, REDIS, REDIS_CLUSTER, REDIS_REPLICAS,
    REDIS_SENTINEL,
};

/// The URL of a Redis server that tests may write to.
///
/// # Panics
/// When the address is not in the environment; the message tells how to get the server.
#[must_use]
pub fn redis_url() -> String {
    address(&REDIS)
}

/// The URL of a Redis Cluster that tests may empty.
///
/// # Panics
/// When the address is not in the environment; the message tells how to get the servers.
#[must_use]
pub fn redis_cluster_url() -> String {
    address(&REDIS_CLUSTER)
}

/// The URL of a Redis primary by way of its sentinel.
///
/// # Panics
/// When the address is not in the environment; the message tells how to get the servers.
#[must_use]
pub fn redis_sentinel_url() -> String {
    address(&REDIS_SENTINEL)
}

/// The URL of the same primary and its replicas, which tests may empty, if it is known.
#[must_use]
pub fn redis_replicas_url() -> Option<String> {
    var(REDIS_REPLICAS).ok().filter(|url| !url.trim().is_empty())
}

/// Waits until nobody else empties the servers of a URL, whatever process they are in; they are left alone until what is returned is dropped.
///
/// # Panics
/// If the URL has no port, or the lock can't be had.
#[must_use]
pub fn alone_with(url: &str) -> File {
    let place = url.split("://").nth(1).unwrap_or(url).split([',', '/', '?']).next().unwrap_or(url);
    let port = place.rsplit(':').next().expect("a port");
    // The name is that of the backend's own tests.
    let lock = File::create(std::env::temp_dir().join(format!("larder-redis-{port}.lock"))).expect("a lock");
    lock.lock().expect("a lock");
    lock
}

/// The `host:port` of each Memcached server, three of them when `cargo xtask` started them.
///
/// # Panics
/// When the address is not in the environment; the message tells how to get the server.
#[must_use]
pub fn memcached() -> Vec<String> {
    address(&MEMCACHED).split(',').map(|server| server.trim().to_owned()).collect()
}

/// The URL of a PostgreSQL database whose user may create schemas and databases.
///
/// # Panics
/// When the address is not in the environment; the message tells how to get the server.
#[must_use]
pub fn postgres_url() -> String {
    address(&POSTGRES)
}

/// The URL of a MariaDB or MySQL database.
///
/// # Panics
/// When the address is not in the environment; the message tells how to get the server.
#[must_use]
pub fn mysql_url() -> String {
    address(&MARIADB)
}

/// The address of a chromedriver; [`Browser`](crate::browser::Browser) is the way to use it.
///
/// # Panics
/// When the address is not in the environment; the message tells how to get the server.
#[must_use]
pub fn chromedriver_url() -> String {
    address(&BROWSER)
}

/// The Chromium binary that chromedriver is to run, if one is named.
#[must_use]
pub fn chromium() -> Option<String> {
    var(CHROMIUM).ok().filter(|path| !path.is_empty())
}

fn address(name: &Name) -> String {
    found(name, var(name.env).ok())
}

fn found(name: &Name, value: Option<String>) -> String {
    value.filter(|value| !value.trim().is_empty()).unwrap_or_else(|| {
        panic!(
            "{} is not set, so this test has no {}. Any of these mends it:\n{}",
            name.env,
            name.name,
            name.remedy()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "apt-get install -y --no-install-recommends redis-server")]
    fn a_missing_server_fails_with_the_command_that_brings_it() {
        found(&REDIS, None);
    }

    #[test]
    #[should_panic(expected = "LARDER_TEST_MEMCACHED is not set")]
    fn an_empty_address_counts_as_missing() {
        found(&MEMCACHED, Some("  ".to_owned()));
    }

    #[test]
    fn an_address_comes_back_as_it_was_given() {
        assert_eq!(found(&REDIS, Some("redis://h:1/0".to_owned())), "redis://h:1/0");
    }
}
