//! The `tiered:` URL.

use larder_core::backplane::{DynBackplane, InProcess};
use larder_core::{Backend as _, CacheUrl, Error, Schemes, Timeout};

use crate::Tiered;

const WHAT: &str =
    "a tiered: cache URL has its two stores as options; write tiered:?l1=memory:&l2=redis://127.0.0.1:6379/0";

/// Opens `tiered:?l2=redis://host/1`, whose options are the URLs of its parts: `l1` (`memory:` unless said otherwise), `l2`, and `backplane`, which may
/// be left out where `l2` brings one; also `l2_password` and `backplane_password`, `l1_timeout` and `heartbeat`. In a URL among options `&` is
/// written `%26` and `%` is `%25`.
///
/// ```
/// use larder_core::Schemes;
///
/// let schemes = Schemes::new()
///     .register("memory", larder_memory::open)
///     .register("redis", larder_redis::open)
///     .register_over("tiered", larder_tiered::open);
/// let schemes = schemes.register_backplane("redis", larder_redis::RedisBackplane::open);
/// schemes.open("tiered:?l1=memory:?max_bytes=64MiB&l2=redis://10.0.0.1/1&l1_timeout=30s&prefix=shop")?;
/// let wrong = schemes.open("tiered:?l1=memory:").unwrap_err();
/// assert!(wrong.to_string().contains("l2=redis:"), "{wrong}");
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) if a part is missing or can't be right, [`Unsupported`](larder_core::ErrorKind::Unsupported) if one was not compiled in.
pub fn open(url: &mut CacheUrl, schemes: &Schemes) -> Result<Tiered, Error> {
    if url.authority().is_some() || !url.path().is_empty() {
        return Err(Error::config(WHAT));
    }
    let mut l1 = match part(url, "l1", None)? {
        Some(l1) => l1,
        None => CacheUrl::parse("memory:")?,
    };
    let Some(mut l2) = part(url, "l2", Some("l2_password"))? else { return Err(Error::config(WHAT)) };
    let backplane = part(url, "backplane", Some("backplane_password"))?;
    let l1 = schemes.backend(&mut l1).map_err(|error| about(url, "l1", &error))?;
    let server = l2.clone();
    let l2 = schemes.backend(&mut l2).map_err(|error| about(url, "l2", &error))?;
    let backplane = match backplane {
        Some(mut plane) => schemes.backplane(&mut plane).map_err(|error| about(url, "backplane", &error))?,
        None if !l2.capabilities().shared => DynBackplane::new(InProcess::new()),
        None => beside(server, schemes)?,
    };
    let mut builder = Tiered::builder(l1, l2).backplane(backplane);
    if let Some(timeout) = url.take("l1_timeout") {
        let timeout = timeout.parse::<Timeout>().map_err(|error| about(url, "l1_timeout", &error))?;
        builder = builder.l1_timeout(timeout);
    }
    if let Some(heartbeat) = url.take_duration("heartbeat")? {
        builder = builder.heartbeat(heartbeat);
    }
    builder.build()
}

/// The URL of a part, with its password.
fn part(
    url: &mut CacheUrl,
    name: &'static str,
    password: Option<&'static str>,
) -> Result<Option<CacheUrl>, Error> {
    let secret = password.and_then(|password| url.take(password));
    let Some(place) = url.take_url(name) else { return Ok(None) };
    let part = CacheUrl::parse(&place).and_then(|mut part| {
        if let Some(secret) = &secret {
            part.set_password(secret)?;
        }
        Ok(part)
    });
    part.map(Some).map_err(|error| about(url, name, &error))
}

/// The backplane that the second tier brings.
fn beside(mut l2: CacheUrl, schemes: &Schemes) -> Result<DynBackplane, Error> {
    if schemes.has_backplane(l2.scheme()) {
        return schemes.backplane(&mut l2);
    }
    Err(Error::config(format!(
        "a tiered: cache over {}: needs a backplane, without which its first tier could not be trusted; write backplane=redis://127.0.0.1:6379/0, say, or backplane=memory: if no other process uses that store",
        l2.scheme()
    )))
}

fn about(url: &mut CacheUrl, name: &str, error: &Error) -> Error {
    url.blame(name);
    Error::new(error.kind(), format!("{name}: {error}"))
}
