//! One error type for the whole of Larder's core and its backends: a kind to decide on, a context to read, a
//! source to follow.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// What went wrong, for code that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, URL or name is wrong; nothing was opened.
    Config,
    /// The backend can't do this, or a feature is not compiled in.
    Unsupported,
    /// The key or alias asked for does not exist, and the operation needs it (`incr`, `Caches::get`).
    NotFound,
    /// Somebody else holds the lock, and did not let it go in time.
    Busy,
    /// The lock is held by somebody else by now.
    NotOwned,
    /// The stored value is of another kind than the operation needs (`incr` on text).
    Value,
    /// A value could not be serialised.
    Encode,
    /// Stored bytes could not be read. Reads turn it into a miss.
    Decode,
    /// The backend can't be reached.
    Unavailable,
    /// The backend did not answer within the deadline.
    Deadline,
    /// The entry is larger than the backend takes.
    TooLarge,
    /// The backend answered with an error.
    Backend,
    /// A receiver of changes panicked, or its effect failed.
    Receiver,
}

impl ErrorKind {
    /// The kind as a lower-case word, the same in logs, metrics and tests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unsupported => "unsupported",
            Self::NotFound => "not-found",
            Self::Busy => "busy",
            Self::NotOwned => "not-owned",
            Self::Value => "value",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Unavailable => "unavailable",
            Self::Deadline => "deadline",
            Self::TooLarge => "too-large",
            Self::Backend => "backend",
            Self::Receiver => "receiver",
        }
    }

    /// Whether the store could not be asked at all, or did not answer in time.
    pub const fn is_outage(self) -> bool {
        matches!(self, Self::Unavailable | Self::Deadline)
    }
}

/// An error of a cache or one of its backends. One word wide; keys and values never stand in its text.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `context` says what was wrong and what to do about it.
    pub fn new(kind: ErrorKind, context: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, context: context.into(), source: None }))
    }

    /// The same, keeping what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A wrong setting.
    pub fn config(context: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, context)
    }

    /// What the backend can't do.
    pub fn unsupported(context: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unsupported, context)
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::Deadline | ErrorKind::Backend)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("Error");
        d.field("kind", &self.0.kind).field("context", &self.0.context);
        if let Some(source) = &self.0.source {
            d.field("source", source);
        }
        d.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

/// What [`Cache::try_get_or_set`](crate::Cache::try_get_or_set) gives when it gives no value.
#[derive(Debug)]
pub enum FillError<E> {
    /// The value was made, and the cache could not serialise it.
    Cache(Error),
    /// The closure failed; nothing was stored.
    Fill(E),
}

impl<E: fmt::Display> fmt::Display for FillError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache(e) => e.fmt(f),
            Self::Fill(e) => e.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for FillError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Cache(e) => e.source(),
            Self::Fill(e) => e.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn the_source_is_kept_and_the_kind_decides_whether_to_try_again() {
        let io = std::io::Error::other("reset");
        let e = Error::new(ErrorKind::Unavailable, "the server went away").with_source(io);
        assert_eq!(e.to_string(), "the server went away");
        assert_eq!(e.source().map(ToString::to_string).as_deref(), Some("reset"));
        assert!(e.is_transient());
        assert!(!Error::config("x").is_transient());
    }
}
