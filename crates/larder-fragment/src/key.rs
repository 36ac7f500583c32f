//! What a fragment is called: Django's `make_template_fragment_key`.

use std::fmt::Display;

use md5::{Digest, Md5};

/// The key of a fragment in its cache, for deleting it from code: the name that the template gives it, and the values that it
/// varies on.
///
/// It is that of Django 6.1 to the letter: each value as text behind its length in bytes, so that `a`, `b` and `a:b` are three
/// fragments, and 1 and `"1"` are one.
///
/// ```
/// use larder_fragment::fragment_key;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
/// # let cache = larder_core::Cache::new(larder_memory::Memory::new());
/// assert_eq!(
///     fragment_key("top_author", ["ada"]),
///     "template.cache.top_author.c8843cdac1ee0741e7f6868b025041ed",
/// );
/// cache.delete(&fragment_key("top_author", ["ada"])).await?;
/// # Ok(()) }
/// ```
///
/// Without values to vary on:
///
/// ```
/// # use larder_fragment::fragment_key;
/// let nothing: [&str; 0] = [];
/// assert_eq!(fragment_key("a.fragment", nothing), "template.cache.a.fragment.d41d8cd98f00b204e9800998ecf8427e");
/// ```
pub fn fragment_key<V: Display>(name: &str, vary_on: impl IntoIterator<Item = V>) -> String {
    let mut text = Vec::new();
    for value in vary_on {
        netstring(&mut text, &value.to_string());
    }
    let digest = Md5::digest(&text);
    let mut key = format!("template.cache.{name}.");
    for byte in digest {
        key.push(digit(byte >> 4));
        key.push(digit(byte & 15));
    }
    key
}

/// Stands in the stored fragment and is compared: MD5 is Django's choice, and who chooses the values may find two of the same.
pub(crate) fn identity(name: &str, vary_on: &[String]) -> String {
    let mut text = Vec::new();
    netstring(&mut text, name);
    for value in vary_on {
        netstring(&mut text, value);
    }
    blake3::hash(&text).to_hex().to_string()
}

fn netstring(text: &mut Vec<u8>, value: &str) {
    text.extend_from_slice(value.len().to_string().as_bytes());
    text.push(b':');
    text.extend_from_slice(value.as_bytes());
    text.push(b',');
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FRAG-06, FRAG-08, FRAG-09.
    #[test]
    fn a_fragment_is_called_as_in_django() {
        let none: [&str; 0] = [];
        for (name, vary, hash) in [
            ("a.fragment", &none[..], "d41d8cd98f00b204e9800998ecf8427e"),
            ("bar", &["abc", "def"], "250310c146db454966b64f5fc265a540"),
            ("foo", &["1", "2", "3", "4", "5"], "087c006c1b99e0d147f624b4921f8a13"),
            ("foo", &["42º", "😀"], "ab66482052ab2084b9d25bdd04bc9b10"),
        ] {
            assert_eq!(fragment_key(name, vary), format!("template.cache.{name}.{hash}"));
        }
        assert_eq!(fragment_key("foo", [1, 2, 3, 4, 5]), fragment_key("foo", ["1", "2", "3", "4", "5"]));
    }

    #[test]
    fn values_never_run_into_each_other() {
        let split: [&[&str]; 6] = [&["a", "b"], &["a:b"], &["a,1:b"], &["ab"], &["", "ab"], &["a", "b", ""]];
        for (i, one) in split.iter().enumerate() {
            for other in &split[i + 1..] {
                assert_ne!(fragment_key("f", *one), fragment_key("f", *other), "{one:?} {other:?}");
                let text = |values: &[&str]| identity("f", &values.map_owned());
                assert_ne!(text(one), text(other), "{one:?} {other:?}");
            }
        }
        assert_ne!(identity("f", &[]), identity("f", &[String::new()]));
        assert_ne!(identity("f", &["g".into()]), identity("fg", &[]));
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for [&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(ToString::to_string).collect()
        }
    }
}
