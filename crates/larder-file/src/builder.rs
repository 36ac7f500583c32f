//! Settings, and the `file:` URL.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder_core::{CacheUrl, Error};

use crate::FileCache;
use crate::disk::Disk;
use crate::sweep::{EVERY, Sweep};
use crate::tidy::Limits;

const DEFAULT_MAX_ENTRIES: u64 = 100_000;
const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// Settings of a [`FileCache`].
#[derive(Clone, Debug)]
#[must_use = "call build()"]
pub struct FileCacheBuilder {
    directory: PathBuf,
    limits: Limits,
    sweep_every: Duration,
    fsync: bool,
}

impl FileCacheBuilder {
    pub(crate) fn new(directory: &Path) -> Self {
        let limits = Limits { max_entries: DEFAULT_MAX_ENTRIES, max_bytes: DEFAULT_MAX_BYTES };
        Self { directory: directory.to_owned(), limits, sweep_every: EVERY, fsync: false }
    }

    /// About how many entries there may be; 100,000 unless said otherwise, 0 for any number. Django: `MAX_ENTRIES`.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.limits.max_entries = entries;
        self
    }

    /// About how many bytes they may take; 1 GiB unless said otherwise, 0 for any number. One entry that takes more is refused.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.limits.max_bytes = bytes;
        self
    }

    /// In what time each file is looked at for having expired; 10 minutes unless said otherwise, never for zero. That is done behind writes,
    /// one of 256 directories at a time, and costs about as much as reading each file once in that time.
    pub fn sweep_every(mut self, time: Duration) -> Self {
        self.sweep_every = time;
        self
    }

    /// Whether a write waits until the disk has it. Without, what a power cut takes is a miss; a write takes a twentieth of the time.
    pub fn fsync(mut self, fsync: bool) -> Self {
        self.fsync = fsync;
        self
    }

    /// The backend. The directory is made by the first write.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if the path of the directory is not absolute: what it meant would depend on where the program was started. Or if
    /// something else than a directory is there.
    pub fn build(self) -> Result<FileCache, Error> {
        if !self.directory.is_absolute() {
            return Err(relative(&self.directory));
        }
        if std::fs::metadata(&self.directory).is_ok_and(|there| !there.is_dir()) {
            return Err(Error::config(format!(
                "{:?} is no directory; name one for the cache, which need not be there yet",
                self.directory.display()
            )));
        }
        let sweep = Sweep::new(self.sweep_every);
        let disk = Arc::new(Disk::new(self.directory, self.limits, sweep, self.fsync));
        Ok(FileCache { disk, recall: Arc::default() })
    }
}

/// Opens `file:///absolute/directory`, with the options `max_entries`, `max_bytes`, `sweep_every` and `fsync`.
///
/// ```
/// use larder_core::Schemes;
///
/// let schemes = Schemes::new().register("file", larder_file::open);
/// schemes.open("file:///var/cache/shop?max_entries=10000&max_bytes=2GiB&sweep_every=1h&fsync=false&timeout=600")?;
/// let wrong = schemes.open("file://cache").unwrap_err();
/// assert!(wrong.to_string().contains("file:///"), "it shows the absolute one: {wrong}");
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) if the directory is missing from the URL, not absolute, or something else than a directory; or an option is wrong.
pub fn open(url: &mut CacheUrl) -> Result<FileCache, Error> {
    let path = match url.authority() {
        None | Some("" | "localhost") => url.path().to_owned(),
        // Two slashes where three were meant: `file://cache/pages`.
        Some(authority) => format!("{authority}{}", url.path()),
    };
    let path = unescape(&path)?;
    let path = match path.strip_prefix('/') {
        // `file:///C:/cache`
        Some(drive) if cfg!(windows) => drive,
        _ => &path,
    };
    if path.is_empty() || path == "/" {
        return Err(Error::config("a file: cache URL needs a directory; write file:///var/cache/myapp, say"));
    }
    let mut builder = FileCache::builder(path);
    if let Some(entries) = url.take_u64("max_entries")? {
        builder = builder.max_entries(entries);
    }
    if let Some(bytes) = url.take_bytes("max_bytes")? {
        builder = builder.max_bytes(bytes);
    }
    if let Some(time) = url.take_duration("sweep_every")? {
        builder = builder.sweep_every(time);
    }
    if let Some(fsync) = url.take_bool("fsync")? {
        builder = builder.fsync(fsync);
    }
    builder.build()
}

fn relative(directory: &Path) -> Error {
    let hint = match std::env::current_dir() {
        Ok(here) => format!("; from here it is file://{}", here.join(directory).display()),
        Err(_) => String::new(),
    };
    Error::config(format!(
        "the cache directory {:?} is relative, so where it is depends on where the program is started; write an absolute path{hint}",
        directory.display()
    ))
}

/// A path without its percent escapes.
fn unescape(path: &str) -> Result<String, Error> {
    let wrong = || {
        Error::config(format!("the path {path:?} of a file: cache URL has a wrong % escape; write % as %25"))
    };
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
