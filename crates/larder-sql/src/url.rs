//! The URLs.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;

use larder_core::{CacheUrl, Error};

use crate::SqlCache;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::builder::SqlCacheBuilder;

/// Opens `sqlite:///absolute/file.db`, `postgres://user:password@host:5432/database` and `mysql://user:password@host:3306/database`, with the
/// options `table` and `max_entries`. For a server also `max_connections`, `socket`, and for TLS `sslmode`, `sslrootcert`, `sslcert` and `sslkey`; for
/// PostgreSQL `unlogged`.
///
/// ```
/// use larder_core::Schemes;
///
/// let schemes = Schemes::new().register("sqlite", larder_sql::open);
/// schemes.open("sqlite:///var/cache/shop.db?table=pages&max_entries=10000&timeout=600")?;
/// let wrong = schemes.open("sqlite::memory:").unwrap_err();
/// assert!(wrong.to_string().contains("memory:"), "{wrong}");
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) if the place or an option is wrong, [`Unsupported`](larder_core::ErrorKind::Unsupported) if the database was not compiled in.
pub fn open(url: &mut CacheUrl) -> Result<SqlCache, Error> {
    let mut builder = match url.scheme() {
        #[cfg(feature = "sqlite")]
        "sqlite" => SqlCache::sqlite(file(url)?),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => postgres(url)?,
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => mysql(url)?,
        other => {
            return Err(Error::unsupported(format!("{other}: caches were not compiled into larder-sql")));
        }
    };
    if let Some(table) = url.take("table") {
        builder = builder.table(table);
    }
    if let Some(entries) = url.take_u64("max_entries")? {
        builder = builder.max_entries(entries);
    }
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    if url.scheme() != "sqlite"
        && let Some(connections) = url.take_u64("max_connections")?
    {
        builder = builder.max_connections(u32::try_from(connections).unwrap_or(u32::MAX));
    }
    builder.build()
}

#[cfg(feature = "postgres")]
fn postgres(url: &mut CacheUrl) -> Result<SqlCacheBuilder, Error> {
    use sqlx::postgres::PgSslMode as Mode;

    let mut options = crate::postgres::options(&server("postgres", url)?)?;
    if let Some(address) = bracketed(url) {
        options = options.host(address);
    }
    if let Some(socket) = url.take("socket") {
        options = options.socket(socket);
    }
    let tls = Tls::take(url, cfg!(feature = "postgres-tls"), "postgres-tls")?;
    if let Some(mode) = tls.mode {
        options = options.ssl_mode(match mode {
            Security::Disable => Mode::Disable,
            Security::Prefer => Mode::Prefer,
            Security::Require => Mode::Require,
            Security::VerifyCa => Mode::VerifyCa,
            Security::VerifyFull => Mode::VerifyFull,
        });
    }
    if let Some(authorities) = tls.authorities {
        options = options.ssl_root_cert(authorities);
    }
    if let Some((certificate, key)) = tls.client {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    let builder = SqlCacheBuilder::new(crate::builder::Place::Postgres(Box::new(options)));
    Ok(match url.take_bool("unlogged")? {
        Some(unlogged) => builder.unlogged(unlogged),
        None => builder,
    })
}

#[cfg(feature = "mysql")]
fn mysql(url: &mut CacheUrl) -> Result<SqlCacheBuilder, Error> {
    use sqlx::mysql::MySqlSslMode as Mode;

    let mut options = crate::mysql::options(&server("mysql", url)?)?;
    if let Some(address) = bracketed(url) {
        options = options.host(address);
    }
    if let Some(socket) = url.take("socket") {
        options = options.socket(socket);
    }
    let tls = Tls::take(url, cfg!(feature = "mysql-tls"), "mysql-tls")?;
    if let Some(mode) = tls.mode {
        options = options.ssl_mode(match mode {
            Security::Disable => Mode::Disabled,
            Security::Prefer => Mode::Preferred,
            Security::Require => Mode::Required,
            Security::VerifyCa => Mode::VerifyCa,
            Security::VerifyFull => Mode::VerifyIdentity,
        });
    }
    if let Some(authorities) = tls.authorities {
        options = options.ssl_ca(authorities);
    }
    if let Some((certificate, key)) = tls.client {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(SqlCacheBuilder::new(crate::builder::Place::MySql(Box::new(options))))
}

/// How a connection is secured, in the words of PostgreSQL, which is where most of these URLs come from.
#[cfg(any(feature = "postgres", feature = "mysql"))]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Security {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
struct Tls {
    mode: Option<Security>,
    authorities: Option<String>,
    /// Certificate and key.
    client: Option<(String, String)>,
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl Tls {
    fn take(url: &mut CacheUrl, compiled: bool, feature: &str) -> Result<Self, Error> {
        let mode = match url.take("sslmode").as_deref() {
            None => None,
            Some("disable") => Some(Security::Disable),
            Some("prefer") => Some(Security::Prefer),
            Some("require") => Some(Security::Require),
            Some("verify-ca") => Some(Security::VerifyCa),
            Some("verify-full") => Some(Security::VerifyFull),
            Some(other) => {
                return Err(Error::config(format!(
                    "sslmode={other}: it is disable, prefer, require, verify-ca or verify-full"
                )));
            }
        };
        let authorities = pem(url, "sslrootcert")?;
        let client = match (pem(url, "sslcert")?, pem(url, "sslkey")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(Error::config("sslcert and sslkey belong together; give both or none")),
        };
        let secured = !matches!(mode, None | Some(Security::Disable | Security::Prefer));
        if !secured && (authorities.is_some() || client.is_some()) {
            return Err(Error::config(
                "certificates are of no use unless the connection has to be secured; add sslmode=verify-full",
            ));
        }
        if secured && !compiled {
            return Err(Error::unsupported(format!(
                "sslmode needs TLS, which was not compiled in; enable the feature {feature:?}"
            )));
        }
        if compiled && mode != Some(Security::Disable) {
            provide();
        }
        Ok(Self { mode, authorities, client })
    }
}

/// Chooses what TLS computes with, unless the application has: where another crate brings a second implementation along, the driver could not
/// choose, and would panic at the first connection.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn provide() {
    #[cfg(any(feature = "postgres-tls", feature = "mysql-tls"))]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else was quicker: as good.
        _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// The path of a file that looks as it should: the driver would notice with the first request only.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn pem(url: &mut CacheUrl, option: &'static str) -> Result<Option<String>, Error> {
    let Some(path) = url.take(option) else { return Ok(None) };
    let text = std::fs::read(&path)
        .map_err(|error| Error::config(format!("{option}={path} can't be read")).with_source(error))?;
    if !text.windows(11).any(|at| at == b"-----BEGIN ") {
        return Err(Error::config(format!("{option}={path} is no PEM file: it has no -----BEGIN line")));
    }
    Ok(Some(path))
}

/// The IPv6 address of a URL without its brackets, with which the driver would ask for it by name.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn bracketed(url: &CacheUrl) -> Option<&str> {
    let authority = url.authority()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    Some(place.strip_prefix('[')?.split_once(']')?.0)
}

/// The URL for a driver, without the options, which are ours.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn server(scheme: &str, url: &CacheUrl) -> Result<String, Error> {
    match url.authority() {
        Some(authority) if url.path().len() > 1 => Ok(format!("{scheme}://{authority}{}", url.path())),
        _ => Err(Error::config(format!(
            "a {scheme}: cache URL names a server and a database; write {scheme}://user:password@host/database"
        ))),
    }
}

#[cfg(feature = "sqlite")]
fn file(url: &CacheUrl) -> Result<PathBuf, Error> {
    if url.path().trim_matches('/') == ":memory:" || url.authority() == Some(":memory:") {
        return Err(Error::config(
            "SQLite in memory would be slower than memory: and no longer lived; write memory: instead",
        ));
    }
    let path = unescape(url.path())?;
    let named = !matches!(path.as_str(), "" | "/") && !path.ends_with('/');
    if !matches!(url.authority(), None | Some("" | "localhost")) || !named {
        return Err(Error::config(
            "an sqlite: cache URL needs the absolute path of a file; write sqlite:///var/cache/shop.db, say",
        ));
    }
    Ok(PathBuf::from(path))
}

/// A path without its percent escapes.
#[cfg(feature = "sqlite")]
fn unescape(path: &str) -> Result<String, Error> {
    let wrong = || Error::config("the path of an sqlite: cache URL has a wrong % escape; write % as %25");
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(wrong()),
        }
    }
    String::from_utf8(out).ok().filter(|path| !path.contains('\0')).ok_or_else(wrong)
}

#[cfg(all(test, any(feature = "postgres", feature = "mysql")))]
mod tests {
    use super::*;

    #[test]
    fn the_brackets_of_an_ipv6_address_are_for_the_url_alone() {
        let of = |url: &str| bracketed(&CacheUrl::parse(url).unwrap()).map(str::to_owned);
        assert_eq!(of("postgres://u@[::1]:5432/d").as_deref(), Some("::1"));
        assert_eq!(of("mysql://[fe80::1]/d").as_deref(), Some("fe80::1"));
        assert_eq!(of("postgres://u:[p]@h/d"), None);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn postgresql_is_asked_for_at_the_address() {
        let mut url = CacheUrl::parse("postgres://u@[::1]:5433/d").unwrap();
        let builder = postgres(&mut url).unwrap();
        let crate::builder::Place::Postgres(options) = builder.into_place() else {
            panic!("another database")
        };
        assert_eq!((options.get_host(), options.get_port()), ("::1", 5433));
    }
}
