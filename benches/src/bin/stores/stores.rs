//! Which stores there are, and where.

use std::io;

use larder::Cache;

/// What is measured: the store, and whether tags make a difference there.
pub(crate) const ALL: [(&str, &[usize]); 7] = [
    ("redis", &[0, 3, 16]),
    ("memcached", &[0, 3, 16]),
    ("sqlite", &[0, 3]),
    ("postgres", &[0, 3]),
    ("file", &[0, 3]),
    ("tiered", &[0, 3]),
    ("memory", &[0]),
];

/// Where the files of SQLite and the file cache are, of the process that runs the rounds and its children.
pub(crate) const DIRECTORY: &str = "LARDER_BENCH_DIRECTORY";

/// The numbers of tags that a store is measured with; nothing, and a word about it, where its server is not known.
pub(crate) fn tags(store: &str) -> io::Result<&'static [usize]> {
    let Some((_, tags)) = ALL.iter().find(|(known, _)| *known == store) else {
        return Err(io::Error::other(format!("{store}: there is no such store")));
    };
    Ok(match missing(store) {
        Some(variable) => {
            eprintln!("{store}: {variable} is not set, so it is left out");
            &[]
        }
        None => tags,
    })
}

/// The name of what is not set in the environment, if a store can't be measured for that.
fn missing(store: &str) -> Option<&'static str> {
    let name = match store {
        "redis" | "tiered" => "LARDER_TEST_REDIS_URL",
        "memcached" => "LARDER_TEST_MEMCACHED",
        "postgres" => "LARDER_TEST_POSTGRES_URL",
        _ => return None,
    };
    std::env::var(name).is_err().then_some(name)
}

fn env(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|_| io::Error::other(format!("{name} is not set; cargo xtask bench sets it")))
}

pub(crate) fn directory() -> io::Result<String> {
    env(DIRECTORY)
}

/// Host and port of the first server.
pub(crate) fn address(store: &str) -> io::Result<String> {
    match store {
        "memcached" => Ok(env("LARDER_TEST_MEMCACHED")?.split(',').next().unwrap_or_default().to_owned()),
        _ => {
            let url = env("LARDER_TEST_REDIS_URL")?;
            let host = url.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
            Ok(host.rsplit('@').next().unwrap_or_default().to_owned())
        }
    }
}

pub(crate) fn postgres() -> io::Result<String> {
    env("LARDER_TEST_POSTGRES_URL")
}

/// The cache of our side, at another address than the server's own where a question is listened to.
pub(crate) fn open(store: &str, tags: usize, at: Option<&str>) -> io::Result<Cache> {
    let at = |store: &str| at.map_or_else(|| address(store), |at| Ok(at.to_owned()));
    // Longer than nearly any answer takes, and no more than an application would wait.
    let prefix = format!("prefix=bench{tags}&deadline=400ms");
    let url = match store {
        "redis" => format!("redis://{}/0?{prefix}", at(store)?),
        "memcached" => format!("memcached://{}?{prefix}", at(store)?),
        "sqlite" => format!("sqlite://{}/cache{tags}.db?{prefix}", directory()?),
        "postgres" => {
            let url = postgres()?;
            let and = if url.contains('?') { '&' } else { '?' };
            format!("{url}{and}{prefix}&table=bench_{tags}")
        }
        "file" => format!("file://{}/files{tags}?{prefix}", directory()?),
        "tiered" => {
            let l2 = format!("redis://{}/0", at("redis")?);
            format!("tiered:?{prefix}&l2={l2}")
        }
        "memory" => "memory:".to_owned(),
        _ => return Err(io::Error::other(format!("{store}: there is no such store"))),
    };
    larder::open(&url).map_err(io::Error::other)
}
