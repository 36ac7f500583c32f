//! What keys are called on a server.

use larder_core::Key;

use crate::client::Name;

/// The longest name that Memcached takes, in bytes.
const LONGEST: usize = 250;

/// `prefix:version:key`, as everywhere, if Memcached takes it; else `prefix:b3:` and the BLAKE3 hash of the whole identity. No other
/// key can be called like that: a version is a number, and core's records are of other kinds.
pub(crate) fn of(key: &Key) -> Name {
    let name = key.name();
    if name.len() <= LONGEST && name.bytes().all(|byte| byte > b' ' && byte != 0x7f) {
        return Name::copy_from_slice(name.as_bytes());
    }
    let mut hashed = prefix(key).to_vec();
    hashed.extend_from_slice(b":b3:");
    hashed.extend_from_slice(blake3::hash(key.identity()).to_hex().as_bytes());
    hashed.into()
}

fn prefix(key: &Key) -> &[u8] {
    key.identity().split(|byte| *byte == b':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::Space;
    use proptest::prelude::*;

    fn named(prefix: &str, key: &str) -> String {
        String::from_utf8(of(&Key::value(&Space::new(prefix).unwrap(), 1, key)).to_vec()).unwrap()
    }

    #[test]
    fn what_memcached_takes_stays_readable() {
        assert_eq!(named("shop", "course:7"), "shop:1:course:7");
        assert_eq!(named("", "清"), ":1:清");
        assert_eq!(named("", &"x".repeat(247)), format!(":1:{}", "x".repeat(247)));
    }

    #[test]
    fn what_it_does_not_take_is_hashed_and_keeps_its_namespace() {
        for key in ["a b", "\n", "\0", "\u{7f}", &"x".repeat(248), &"清".repeat(83)] {
            let name = named("shop", key);
            assert!(name.starts_with("shop:b3:") && name.len() == "shop:b3:".len() + 64, "{name}");
        }
        assert_ne!(named("shop", "a b"), named("shop", "a c"));
    }

    #[test]
    fn a_page_is_already_short() {
        let space = Space::new("shop").unwrap();
        let mut builder = Key::builder(&space, 1, "page");
        builder.part(b"a:b\0c");
        let key = builder.build();
        assert_eq!(of(&key), key.name().as_bytes());
    }

    proptest! {
        #[test]
        fn every_name_is_one_that_memcached_takes(key in ".{0,300}", prefix in "[a-z0-9._é清-]{0,20}") {
            let name = named(&prefix, &key);
            prop_assert!(name.len() <= LONGEST && name.bytes().all(|b| b > b' ' && b != 0x7f));
            prop_assert_eq!(name.split(':').next(), Some(prefix.as_str()));
        }
    }
}
