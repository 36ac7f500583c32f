//! What keys are called in the table.

use larder_core::{Error, Key};

/// The longest name that the column takes, in bytes.
const LONGEST: usize = 512;

/// `prefix:version:key`, as everywhere, if the column takes it; else `prefix:b3:` and the BLAKE3 hash of the whole identity. No
/// other key can be called like that: a version is a number, and core's records are of other kinds.
pub(crate) fn of(key: &Key) -> String {
    of_both(key).0
}

/// The same, and where that is a hash what it would be else.
pub(crate) fn of_both(key: &Key) -> (String, Option<String>) {
    let name = key.name();
    // PostgreSQL's text can't hold a NUL.
    if name.len() <= LONGEST && !name.contains('\0') {
        return (name.into_owned(), None);
    }
    let [front, _] = hashed(&String::from_utf8_lossy(prefix(key)));
    (front + &blake3::hash(key.identity()).to_hex(), Some(name.into_owned()))
}

/// Where the names of a namespace stand that are hashes: the first, and the one behind the last.
pub(crate) fn hashed(prefix: &str) -> [String; 2] {
    [format!("{prefix}:b3:"), format!("{prefix}:b3;")]
}

/// Whether a key is that of a record: `prefix:kind:…`, with a word where an entry has its version.
pub(crate) fn is_record(key: &Key) -> bool {
    let mut parts = key.identity().splitn(3, |b| *b == b':').skip(1);
    matches!((parts.next(), parts.next()), (Some(b"space" | b"fence" | b"tag"), Some(_)))
}

fn prefix(key: &Key) -> &[u8] {
    key.identity().split(|byte| *byte == b':').next().unwrap_or_default()
}

/// Whether a table may be called so without quotes or an injection.
pub(crate) fn check_table(table: &str) -> Result<(), Error> {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = table.chars().next();
    // PostgreSQL cuts names off after 63 bytes, and the indexes' names are longer than the table's.
    if first.is_some_and(|c| !c.is_ascii_digit()) && table.len() <= 50 && table.chars().all(ok) {
        return Ok(());
    }
    Err(Error::config(format!(
        "a cache table can't be called {table:?}: write letters, digits and '_', no digit first, and 50 at most"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::Space;

    fn named(prefix: &str, key: &str) -> String {
        of(&Key::value(&Space::new(prefix).unwrap(), 1, key))
    }

    #[test]
    fn what_the_column_takes_stays_readable_and_the_rest_keeps_its_namespace() {
        assert_eq!(named("shop", "a b 清 %_'"), "shop:1:a b 清 %_'");
        assert_eq!(named("", &"x".repeat(509)).len(), 512);
        for key in ["\0".to_owned(), "x".repeat(510), "清".repeat(170)] {
            let name = named("shop", &key);
            assert!(name.starts_with("shop:b3:") && name.len() == 72, "{name}");
        }
        assert_ne!(named("", "\0a"), named("", "\0b"));
    }

    #[test]
    fn a_table_is_called_by_plain_words_only() {
        for good in ["larder_cache", "_a", "Cache2"] {
            check_table(good).unwrap();
        }
        for bad in ["", "a b", "2a", "a;drop table x", "a\"", "ä", "a.b", &"x".repeat(51)] {
            assert!(check_table(bad).is_err(), "{bad:?}");
        }
    }
}
