//! What files are called, and whose they are.

use std::path::{Path, PathBuf};

use larder_core::Key;

/// What a file in the directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An entry.
    Entry,
    /// A record of a namespace.
    Record,
    /// Something half written.
    Temporary,
}

/// Where an entry is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The directory it is in, which has a lock.
    pub(crate) shard: PathBuf,
    pub(crate) path: PathBuf,
    /// The 40 digits.
    pub(crate) hash: String,
    pub(crate) kind: Kind,
}

impl Place {
    pub(crate) fn of(directory: &Path, key: &Key) -> Self {
        let hash = blake3::hash(key.identity()).to_hex()[..40].to_owned();
        let kind = if is_record(key.identity()) { Kind::Record } else { Kind::Entry };
        let suffix = if kind == Kind::Record { "larder-record" } else { "larder" };
        let shard = directory.join(&hash[..2]);
        Self { path: shard.join(format!("{hash}.{suffix}")), shard, hash, kind }
    }
}

/// What a name says, in the shard called `shard`; `None`: not one of ours.
pub(crate) fn kind(shard: &str, name: &str) -> Option<Kind> {
    let (hash, suffix) = name.split_at_checked(40)?;
    if !is_hex(hash) || !hash.starts_with(shard) {
        return None;
    }
    match suffix {
        ".larder" => Some(Kind::Entry),
        ".larder-record" => Some(Kind::Record),
        _ if suffix.starts_with(".tmp-") => Some(Kind::Temporary),
        _ => None,
    }
}

/// Whether a directory may be one of our 256.
pub(crate) fn is_shard(name: &str) -> bool {
    name.len() == 2 && is_hex(name)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether an identity is that of a record: `prefix:kind:…`, with a word where an entry has its version.
fn is_record(identity: &[u8]) -> bool {
    let mut parts = identity.splitn(3, |b| *b == b':').skip(1);
    matches!((parts.next(), parts.next()), (Some(b"space" | b"fence" | b"tag"), Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::Space;

    #[test]
    fn only_our_own_names_are_ours() {
        let hash = "5e".repeat(20);
        assert_eq!(kind("5e", &format!("{hash}.larder")), Some(Kind::Entry));
        assert_eq!(kind("5e", &format!("{hash}.larder-record")), Some(Kind::Record));
        assert_eq!(kind("5e", &format!("{hash}.tmp-x8Q")), Some(Kind::Temporary));
        for foreign in [
            format!("{hash}.djcache"),
            format!("{hash}.larder.bak"),
            format!("{}.larder", "5E".repeat(20)),
            format!("{}.larder", "5e".repeat(19)),
            format!("{}.larder", "é".repeat(20)),
            "README".into(),
            ".lock".into(),
        ] {
            assert_eq!(kind("5e", &foreign), None, "{foreign}");
        }
        assert_eq!(kind("00", &format!("{hash}.larder")), None, "in the wrong shard");
        assert!(is_shard("0f") && !is_shard("0F") && !is_shard("0") && !is_shard("..") && !is_shard("abc"));
    }

    #[test]
    fn an_entry_whose_key_looks_like_a_record_is_an_entry() {
        assert!(is_record(b"shop:tag:t") && is_record(b":space:") && is_record(b":fence:"));
        let key = Key::value(&Space::default(), 1, "tag:x");
        assert!(!is_record(key.identity()) && !is_record(b":tagged:x") && !is_record(b"tag:1:x"));
    }
}
