//! The `redis:` URLs.

use std::path::PathBuf;

use larder_core::{CacheUrl, Error};

use crate::{Redis, RedisBuilder};

/// Where sentinels listen unless said otherwise.
const SENTINEL_PORT: u16 = 26379;
/// Where servers listen unless said otherwise.
const PORT: u16 = 6379;

/// Opens `redis://[user:password@]host[:port][/database]`, `redis+unix:///path?db=1`,
/// `redis+sentinel://[user:password@]host[:port],host…/master[/database]`, with the feature `cluster` also
/// `redis+cluster://[user:password@]host[:port],host…`, and the same over TLS as `rediss://…`, `rediss+sentinel://…` and `rediss+cluster://…`, with the options
/// `connect_timeout`, `max_silence`, `sentinel_password`, `replicas` (as in `redis://h1?replicas=h2:6379,h3:6379`) and, for TLS, `ca_file`. What is special in a
/// URL stands as `%xx` in user, password and path.
///
/// ```
/// use larder_core::Schemes;
///
/// let schemes = Schemes::new()
///     .register("redis", larder_redis::open)
///     .register("redis+unix", larder_redis::open);
/// let cache = schemes.open("redis://shop:s%40crt@[::1]:6380/1?connect_timeout=300ms&deadline=100ms&prefix=shop")?;
/// assert!(!format!("{cache:?}").contains("crt"), "a password is shown nowhere");
/// schemes.open("redis+unix:///run/redis.sock?db=1")?;
/// assert!(schemes.open("redis://h/one").unwrap_err().to_string().contains("number"));
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) for a URL that can't be right; [`Unsupported`](larder_core::ErrorKind::Unsupported) for a Cluster without
/// the feature `cluster`, and for TLS without the feature `tls`.
pub fn open(url: &mut CacheUrl) -> Result<Redis, Error> {
    builder(url)?.build()
}

/// The settings in a URL.
pub(crate) fn builder(url: &mut CacheUrl) -> Result<RedisBuilder, Error> {
    let scheme = url.scheme().to_owned();
    let authority = url.authority().unwrap_or_default().to_owned();
    let path = url.path().to_owned();
    let (user, place) = authority.rsplit_once('@').map_or((None, authority.as_str()), |(u, p)| (Some(u), p));
    // Of several hosts each with its own, the first would be taken for a part of the password.
    if let Some(user) = user
        && (user.split(':').next().is_some_and(|name| name.contains(','))
            || user.contains('@') && user.contains(','))
    {
        return Err(Error::config(
            "user and password stand once in a redis: cache URL, before the first host; in them write , as %2C and @ as %40",
        ));
    }
    let (mut builder, database) = if scheme == "redis+unix" {
        let path = decode(&path, "path")?;
        if !place.is_empty() || path.trim_matches('/').is_empty() {
            return Err(Error::config(
                "a redis+unix: cache URL needs an absolute path; write redis+unix:///run/redis/redis.sock, say",
            ));
        }
        (RedisBuilder::at_socket(PathBuf::from(path)), None)
    } else if let Some(scheme) = scheme.strip_suffix("+sentinel") {
        let (master, rest) =
            path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        if master.is_empty() {
            return Err(Error::config(
                "a redis+sentinel: cache URL names the primary: redis+sentinel://h1:26379,h2:26379/mymaster/0",
            ));
        }
        let mut builder = RedisBuilder::watched(hosts(place, SENTINEL_PORT)?, decode(master, "name")?);
        if let Some(password) = url.take("sentinel_password") {
            builder = builder.sentinel_password(password);
        }
        (builder.tls(scheme == "rediss"), database(rest)?)
    } else if let Some(scheme) = scheme.strip_suffix("+cluster") {
        (cluster(hosts(place, PORT)?)?.tls(scheme == "rediss"), database(&path)?)
    } else {
        let (host, port) = host(place)?;
        let mut builder = RedisBuilder::new(host).tls(scheme == "rediss").port(port.unwrap_or(PORT));
        if let Some(replicas) = url.take("replicas") {
            if replicas.contains('@') {
                return Err(Error::config(
                    "a replica in a redis: cache URL is host:port, without an @; the user and the password of the primary count for its replicas",
                ));
            }
            builder = builder.replicas(hosts(&replicas, PORT)?);
        }
        (builder, database(&path)?)
    };
    if let Some(user) = user {
        let (name, password) = user.split_once(':').map_or((user, None), |(n, p)| (n, Some(p)));
        if !name.is_empty() {
            builder = builder.username(decode(name, "user")?);
        }
        if let Some(password) = password {
            builder = builder.password(decode(password, "password")?);
        }
    }
    match (database, url.take_u64("db")?) {
        (Some(_), Some(_)) => {
            return Err(Error::config(
                "the database stands twice in a redis: cache URL: in its path and as db",
            ));
        }
        (Some(database), None) => builder = builder.database(database),
        (None, Some(database)) => {
            builder = builder.database(u32::try_from(database).map_err(|_| no_number())?);
        }
        (None, None) => {}
    }
    if let Some(timeout) = url.take_duration("connect_timeout")? {
        builder = builder.connect_timeout(timeout);
    }
    if let Some(silence) = url.take_duration("max_silence")? {
        builder = builder.max_silence(silence);
    }
    if let Some(path) = url.take("ca_file") {
        builder = builder.ca_file(path);
    }
    Ok(builder)
}

#[cfg(feature = "cluster")]
fn cluster(nodes: Vec<(String, u16)>) -> Result<RedisBuilder, Error> {
    Ok(RedisBuilder::nodes(nodes))
}

#[cfg(not(feature = "cluster"))]
fn cluster(_: Vec<(String, u16)>) -> Result<RedisBuilder, Error> {
    Err(Error::unsupported(
        "Redis Cluster is not compiled in; enable the feature \"redis-cluster\" of the crate `larder`",
    ))
}

/// Several, separated by commas.
fn hosts(places: &str, default: u16) -> Result<Vec<(String, u16)>, Error> {
    places.split(',').map(|one| host(one).map(|(host, port)| (host, port.unwrap_or(default)))).collect()
}

fn host(place: &str) -> Result<(String, Option<u16>), Error> {
    if place.contains(',') {
        return Err(Error::unsupported(
            "a redis: cache URL names one server; of several, write redis+cluster://h1,h2 for a Cluster, redis+sentinel://h1,h2/mymaster/0 for Sentinel, redis://h1/0?replicas=h2 for replicas",
        ));
    }
    if let Some(rest) = place.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return Err(Error::config(
                "an IPv6 address in a redis: cache URL stands in brackets: redis://[::1]:6379/0",
            ));
        };
        let bare = address.split('%').next().unwrap_or_default();
        if bare.parse::<std::net::Ipv6Addr>().is_err() || !(port.is_empty() || port.starts_with(':')) {
            return Err(Error::config(
                "what stands in brackets in a redis: cache URL is an IPv6 address, with its port behind them: redis://[::1]:6379/0",
            ));
        }
        return Ok((address.to_owned(), port.strip_prefix(':').map(number).transpose()?));
    }
    if place.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Error::config(
            "a host in a redis: cache URL has no white space; write redis://127.0.0.1:6379/0, say",
        ));
    }
    match place.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Err(Error::config(
            "an IPv6 address in a redis: cache URL stands in brackets: redis://[::1]:6379/0",
        )),
        Some((host, port)) => Ok((decode(host, "host")?, Some(number(port)?))),
        None => Ok((decode(place, "host")?, None)),
    }
}

/// What is no port is not shown: it may be a password, of which the host was forgotten.
fn number(port: &str) -> Result<u16, Error> {
    match port.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(Error::config(
            "what stands behind the host's : in a redis: cache URL is not a port, which is a number from 1 to 65535; write redis://127.0.0.1:6379/0, or redis://user:password@127.0.0.1:6379/0",
        )),
    }
}

fn database(path: &str) -> Result<Option<u32>, Error> {
    match path.trim_start_matches('/') {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| no_number()),
    }
}

fn no_number() -> Error {
    Error::config("the path of a redis: cache URL is the number of a database: redis://127.0.0.1:6379/0")
}

/// Without percent escapes. What it was is not shown: it may be a password.
fn decode(text: &str, what: &str) -> Result<String, Error> {
    let wrong =
        || Error::config(format!("the {what} in a redis: cache URL has a wrong % escape; write % as %25"));
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(wrong()),
        }
    }
    String::from_utf8(out).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use larder_core::Schemes;

    #[test]
    fn what_may_be_a_password_is_not_shown_and_hosts_have_one_user() {
        let mut schemes = Schemes::new();
        for scheme in ["redis", "redis+sentinel", "redis+cluster"] {
            schemes = schemes.register(scheme, crate::open);
        }
        for (url, remedy) in [
            ("redis://h/1?replicas=u:hunter2@h2", "without an @"),
            ("redis://u:hunter2", "not a port"),
            ("redis://:hunter2", "not a port"),
            ("redis+sentinel://u:hunter2/m/0", "not a port"),
            ("redis://h:123456", "not a port"),
            ("redis+sentinel://u:hunter2@127.0.0.1:1,u:hunter2@127.0.0.1:2/m", "stand once"),
            ("redis+sentinel://h1,u:hunter2@h2/m", "stand once"),
            ("redis://[hunter2]/1", "IPv6"),
            ("redis://[::1]6379/1", "IPv6"),
            ("redis://h h/1", "white space"),
        ] {
            let error = schemes.open(url).unwrap_err();
            assert!(error.to_string().contains(remedy), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error:?}");
            assert!(!error.to_string().contains("123456"), "{error}");
        }
        for url in [
            "redis://u:a,b@h/1",
            "redis://u:a%40b%2C@h/1",
            "redis+sentinel://u:p@h1,[::1]:2/m",
            "redis://[fe80::1%eth0]/1",
        ] {
            schemes.open(url).unwrap();
        }
    }
}
