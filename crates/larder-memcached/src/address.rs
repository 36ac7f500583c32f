//! Where a server listens.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use larder_core::Error;

const DEFAULT_PORT: u16 = 11211;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Address {
    /// Reads `host`, `host:port`, `[::1]`, `[::1]:port`, `::1`, `/path` or `unix:/path`.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) for anything else.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Self::Unix(path.into()));
        }
        if text.contains('@') {
            // Not shown: what stands before it may be a password.
            return Err(Error::config(
                "a Memcached address has an @ in it; Larder speaks to Memcached without user and password",
            ));
        }
        let wrong = |why: &str| {
            Error::config(format!(
                "{text:?} is not the address of a Memcached server: {why}; write host:11211, [::1]:11211 or unix:/path"
            ))
        };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| wrong("the ] is missing"))?,
            None if text.parse::<Ipv6Addr>().is_ok() => (text, ""),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port {
            "" => DEFAULT_PORT,
            port => {
                let port = port.strip_prefix(':').and_then(|port| port.parse().ok());
                port.filter(|port| *port > 0).ok_or_else(|| wrong("the port must be 1 to 65535"))?
            }
        };
        if text.starts_with('[') && host.parse::<Ipv6Addr>().is_err() {
            return Err(wrong("between [ and ] there must be an IPv6 address"));
        }
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '[' | ']' | '?' | '#');
        if host.is_empty() || host.contains(odd) {
            return Err(wrong("the host can't be right"));
        }
        Ok(Self::Tcp { host: host.into(), port })
    }

    /// What libmemcached hashes for the ring.
    pub(crate) fn ring_name(&self) -> String {
        match self {
            Self::Tcp { host, port: DEFAULT_PORT } => host.clone(),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(path) => format!("{}:0", path.display()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_address_is_understood() {
        for (text, shown, ring) in [
            ("cache-a", "cache-a:11211", "cache-a"),
            ("server2:11311", "server2:11311", "server2:11311"),
            ("127.0.0.1:11211", "127.0.0.1:11211", "127.0.0.1"),
            ("[::1]", "[::1]:11211", "::1"),
            ("[::1]:5", "[::1]:5", "::1:5"),
            ("fe80::1", "[fe80::1]:11211", "fe80::1"),
            ("unix:/run/m.sock", "unix:/run/m.sock", "/run/m.sock:0"),
            ("/run/m.sock", "unix:/run/m.sock", "/run/m.sock:0"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.ring_name().as_str()), (shown, ring));
        }
    }

    #[test]
    fn what_is_no_address_says_what_would_be_one() {
        for text in [
            "", ":11211", "h:", "h:0", "h:65536", "h:x", "h:1:2", "[::1", "[::1]x", "[h]:1", "a b", "h/x",
            "unix:x",
        ] {
            let e = Address::parse(text).unwrap_err();
            assert_eq!(e.kind(), larder_core::ErrorKind::Config);
            assert!(e.to_string().contains("host:11211"), "{text}: {e}");
        }
        let e = Address::parse("user:hunter2@h").unwrap_err();
        assert!(!format!("{e:?}").contains("hunter2"), "{e:?}");
    }
}
