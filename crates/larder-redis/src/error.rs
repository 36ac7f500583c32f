//! The driver's errors in Larder's words.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use larder_core::{Error, ErrorKind};
use redis::{ErrorKind as Driver, RedisError, ServerErrorKind as Server};

/// Neither keys nor values stand in the text: of what the server says, only its first word is taken, since it likes to repeat what it
/// was sent. The whole is the source.
pub(crate) fn mapped(error: RedisError) -> Error {
    let (kind, text) = match error.kind() {
        _ if error.is_timeout() => {
            (ErrorKind::Deadline, "the Redis server did not answer in time".to_owned())
        }
        Driver::Io | Driver::ClusterConnectionNotFound => {
            let why = system(&error).map_or_else(|| error.category().to_owned(), io::Error::to_string);
            (ErrorKind::Unavailable, format!("the Redis server can't be reached: {why}"))
        }
        Driver::MasterNameNotFoundBySentinel => {
            (ErrorKind::Unavailable, format!("there is no Redis primary now: {}", error.category()))
        }
        Driver::Server(
            Server::BusyLoading
            | Server::TryAgain
            | Server::ClusterDown
            | Server::MasterDown
            | Server::ReadOnly,
        ) => (ErrorKind::Unavailable, format!("the Redis server can't serve now: {}", code(&error))),
        _ if error.kind() == Driver::AuthenticationFailed
            || matches!(error.code(), Some("WRONGPASS" | "NOAUTH")) =>
        {
            (ErrorKind::Backend, "the Redis server refused the user name or the password".to_owned())
        }
        Driver::RESP3NotSupported => {
            (ErrorKind::Backend, "the server does not speak RESP3; Larder needs Redis 6 or newer".to_owned())
        }
        Driver::InvalidClientConfig => {
            (ErrorKind::Backend, "the connection to Redis is not set up rightly".to_owned())
        }
        _ => match set_up(&error) {
            Some(why) => (ErrorKind::Backend, why.to_owned()),
            None => {
                (ErrorKind::Backend, format!("the Redis server answered with an error: {}", code(&error)))
            }
        },
    };
    Error::new(kind, text).with_source(error)
}

/// What is wrong with the URL, where the server's words tell: those say nothing of what is stored.
fn set_up(error: &RedisError) -> Option<&'static str> {
    let said = error.to_string().to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if says(&["db index is out of range", "invalid db index"]) {
        return Some(
            "the Redis server has no database of this number; its setting `databases` says how many it has",
        );
    }
    if says(&["cluster support disabled"]) {
        return Some("the Redis server is no Cluster; write redis://host:port/0 for a single one");
    }
    if says(&["unknown command 'sentinel'", "unknown command `sentinel`"]) {
        return Some("the Redis server is no Sentinel; write redis://host:port/0 for a single one");
    }
    None
}

fn code(error: &RedisError) -> &str {
    error.code().unwrap_or_else(|| error.category())
}

/// What the system, or TLS, said of a connection.
fn system(error: &RedisError) -> Option<&io::Error> {
    let shared = error.source()?.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>()?;
    shared.downcast_ref()
}

/// Whether a connection is of no more use after this.
pub(crate) fn is_fatal(error: &RedisError) -> bool {
    // A primary that was demoted stays connected; a new connection finds the new one.
    error.is_unrecoverable_error() || error.kind() == Driver::Server(Server::ReadOnly)
}

pub(crate) fn no_runtime() -> Error {
    Error::new(ErrorKind::Unavailable, "Redis can only be talked to inside a Tokio runtime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_meaning_and_say_nothing_of_what_was_sent() {
        let server = |code: &str, rest: &str| redis::make_extension_error(code.into(), Some(rest.into()));
        let error = mapped(server("OOM", "command not allowed: 'SET' 'secret'"));
        assert_eq!(error.kind(), ErrorKind::Backend);
        assert!(error.to_string().contains("OOM") && !error.to_string().contains("secret"), "{error}");
        let wrong = mapped(server("ERR", "DB index is out of range"));
        assert!(wrong.to_string().contains("`databases`"), "{wrong}");
        let wrong = mapped(server("ERR", "This instance has cluster support disabled"));
        assert!(wrong.to_string().contains("no Cluster"), "{wrong}");
        let wrong = mapped(server("ERR", "unknown command 'SENTINEL', with args beginning with: 'secret'"));
        assert!(
            wrong.to_string().contains("no Sentinel") && !wrong.to_string().contains("secret"),
            "{wrong}"
        );
        let io = |kind: std::io::ErrorKind| mapped(std::io::Error::from(kind).into()).kind();
        assert_eq!(io(std::io::ErrorKind::ConnectionRefused), ErrorKind::Unavailable);
        assert_eq!(io(std::io::ErrorKind::BrokenPipe), ErrorKind::Unavailable);
        assert_eq!(io(std::io::ErrorKind::TimedOut), ErrorKind::Deadline);
        let refused = mapped(std::io::Error::from_raw_os_error(111).into());
        assert!(refused.to_string().contains("os error 111"), "{refused}");
    }
}
