//! The compressors.

#[cfg(feature = "zstd")]
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind};

const ZSTD: u8 = b'z';
const LZ4: u8 = b'4';
/// What is smaller than this stays as it is unless said otherwise: little is won, and `redis-cli` shows it.
pub(crate) const ABOVE: usize = 1024;

/// How values and pages are compressed that leave the process. What was written with one is read with any other, or none.
///
/// A compressor is there if its feature is: `zstd`, `lz4`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Compression(Kind);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Kind {
    #[default]
    None,
    #[cfg(feature = "zstd")]
    Zstd(i32),
    #[cfg(feature = "lz4")]
    Lz4,
}

impl Compression {
    /// Nothing is compressed. What is there already is read.
    pub const fn none() -> Self {
        Self(Kind::None)
    }

    /// [Zstandard](https://facebook.github.io/zstd/): the smallest. Level 1 is right for most; a higher one takes more time and wins little on
    /// pages. Levels go from 1 to 22, and below 0 for even faster ones.
    #[cfg(feature = "zstd")]
    pub const fn zstd(level: i32) -> Self {
        Self(Kind::Zstd(level))
    }

    /// [LZ4](https://lz4.org): the fastest, and all Rust.
    #[cfg(feature = "lz4")]
    pub const fn lz4() -> Self {
        Self(Kind::Lz4)
    }

    /// What [`named`](Self::named) takes.
    pub(crate) const READS: &str = "none, zstd, zstd with a level (zstd:3) or lz4";

    /// The compression that a URL's option names.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) with the feature it needs; [`Config`](ErrorKind::Config) for anything else.
    pub(crate) fn named(text: &str) -> Result<Self, Error> {
        let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
        match (name, level) {
            ("none", None) => Ok(Self::none()),
            #[cfg(feature = "zstd")]
            ("zstd", None) => Ok(Self::zstd(1)),
            #[cfg(feature = "zstd")]
            ("zstd", Some(level)) => match level.parse() {
                Ok(level) => Ok(Self::zstd(level)),
                Err(_) => Err(Error::config(Self::READS)),
            },
            #[cfg(not(feature = "zstd"))]
            ("zstd", _) => Err(missing("zstd")),
            #[cfg(feature = "lz4")]
            ("lz4", None) => Ok(Self::lz4()),
            #[cfg(not(feature = "lz4"))]
            ("lz4", None) => Err(missing("lz4")),
            _ => Err(Error::config(Self::READS)),
        }
    }

    /// # Errors
    /// [`Config`](ErrorKind::Config) for a level that there is not.
    pub(crate) fn check(self) -> Result<(), Error> {
        #[cfg(feature = "zstd")]
        if let Kind::Zstd(level) = self.0 {
            let levels = zstd::compression_level_range();
            if level == 0 || !levels.contains(&level) {
                return Err(Error::config(format!(
                    "zstd has no level {level}; 1 to {} are its levels, and below 0 down to {} for faster ones",
                    levels.end(),
                    levels.start()
                )));
            }
        }
        Ok(())
    }
}

#[cfg(not(all(feature = "zstd", feature = "lz4")))]
fn missing(name: &'static str) -> Error {
    Error::unsupported(format!(
        "{name} is not compiled in; enable the feature {name:?} of the crate `larder`"
    ))
}

/// A cache's compressor, with what it needs again each time.
pub(crate) struct Compressor {
    #[cfg_attr(
        not(any(feature = "zstd", feature = "lz4")),
        expect(dead_code, reason = "there is no compressor")
    )]
    how: Compression,
    above: usize,
    #[cfg(feature = "zstd")]
    zstd: Mutex<Vec<zstd::bulk::Compressor<'static>>>,
}

/// How many of a cache's contexts stay allocated. Each takes some 100 KiB to some MiB.
#[cfg(feature = "zstd")]
const KEPT: usize = 8;

impl Compressor {
    pub(crate) fn new(how: Compression, above: usize) -> Self {
        // A length that no value has: nothing is compressed.
        let above = if how == Compression::none() { usize::MAX } else { above.max(super::SMALLEST - 1) };
        Self {
            how,
            above,
            #[cfg(feature = "zstd")]
            zstd: Mutex::default(),
        }
    }

    /// Whether a value of this length is to be compressed.
    pub(crate) fn wants(&self, length: usize) -> bool {
        length > self.above
    }

    /// What compressed it, and the outcome; `None` if it can't be done, and it stays as it is.
    pub(crate) fn compress(&self, plain: &[u8]) -> Option<(u8, Vec<u8>)> {
        #[cfg(not(any(feature = "zstd", feature = "lz4")))]
        {
            let _ = plain;
            None
        }
        #[cfg(any(feature = "zstd", feature = "lz4"))]
        match self.how.0 {
            Kind::None => None,
            #[cfg(feature = "zstd")]
            Kind::Zstd(level) => {
                let kept = self.zstd.lock().pop();
                let mut context = kept.or_else(|| zstd::bulk::Compressor::new(level).ok())?;
                let small = context.compress(plain).ok()?;
                let mut kept = self.zstd.lock();
                if kept.len() < KEPT {
                    kept.push(context);
                }
                Some((ZSTD, small))
            }
            #[cfg(feature = "lz4")]
            Kind::Lz4 => Some((LZ4, lz4_flex::block::compress(plain))),
        }
    }
}

/// The value, which should be `length` bytes long, and is never longer.
pub(crate) fn decompress(kind: u8, small: &[u8], length: usize) -> Result<Vec<u8>, Error> {
    let _ = (small, length);
    match kind {
        #[cfg(feature = "zstd")]
        ZSTD => {
            static CONTEXTS: Mutex<Vec<zstd::bulk::Decompressor<'static>>> = Mutex::new(Vec::new());
            // Believed only if what follows says the same.
            let said = zstd::zstd_safe::get_frame_content_size(small).ok().flatten();
            if said != Some(length as u64) {
                return Err(garbage("zstd"));
            }
            let kept = CONTEXTS.lock().pop();
            let mut context = match kept {
                Some(context) => context,
                None => zstd::bulk::Decompressor::new().map_err(|e| garbage("zstd").with_source(e))?,
            };
            let plain = context.decompress(small, length).map_err(|e| garbage("zstd").with_source(e))?;
            let mut kept = CONTEXTS.lock();
            if kept.len() < KEPT {
                kept.push(context);
            }
            Ok(plain)
        }
        #[cfg(feature = "lz4")]
        LZ4 => {
            // No block expands more than that.
            if length > small.len().saturating_mul(255) {
                return Err(garbage("lz4"));
            }
            lz4_flex::block::decompress(small, length).map_err(|e| garbage("lz4").with_source(e))
        }
        #[cfg(not(feature = "zstd"))]
        ZSTD => Err(missing("zstd")),
        #[cfg(not(feature = "lz4"))]
        LZ4 => Err(missing("lz4")),
        _ => Err(garbage("anything known")),
    }
}

fn garbage(what: &'static str) -> Error {
    Error::new(ErrorKind::Decode, format!("the stored value is not what {what} makes"))
}
