//! The default key: whose value it is, in full.

use larder_core::{Error, ErrorKind};
use serde::Serialize;

/// What can be a part of a default key: whatever serialises.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a part of the key of what is kept",
    label = "this argument does not serialise",
    note = "derive `serde::Serialize` for it, leave it out with `skip(…)` if it makes no difference, or give the key: key = \"user:{{id}}\""
)]
pub trait KeyPart {
    #[doc(hidden)]
    fn write(&self) -> Result<Vec<u8>, Error>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> KeyPart for T {
    fn write(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| {
            let what =
                "an argument of a cached function can't be serialised for its key; give the key, or skip it";
            Error::new(ErrorKind::Encode, what).with_source(error)
        })
    }
}

/// Gathers a default key: a function's path, readable, and a digest of everything that tells its calls apart.
#[derive(Debug)]
#[doc(hidden)]
pub struct KeyParts {
    path: &'static str,
    parts: blake3::Hasher,
    any: bool,
    wrong: Option<Error>,
}

#[doc(hidden)]
impl KeyParts {
    pub fn of(path: &'static str) -> Self {
        Self { path, parts: blake3::Hasher::new(), any: false, wrong: None }
    }

    #[must_use]
    pub fn of_type(self, name: &str) -> Self {
        self.bytes(name.as_bytes())
    }

    #[must_use]
    pub fn part<T: KeyPart + ?Sized>(self, part: &T) -> Self {
        match part.write() {
            Ok(bytes) => self.bytes(&bytes),
            Err(error) => Self { wrong: Some(error), ..self },
        }
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        // With its length, so that two never run into each other.
        self.parts.update(&(bytes.len() as u64).to_be_bytes());
        self.parts.update(bytes);
        self.any = true;
        self
    }

    pub fn key(self) -> Result<String, Error> {
        match self.wrong {
            Some(error) => Err(error),
            None if self.any => Ok(format!("{}:{}", self.path, self.parts.finalize().to_hex())),
            None => Ok(self.path.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_never_run_into_each_other_and_stand_in_no_key() {
        let key = |parts: &[&str]| {
            let all = parts.iter().fold(KeyParts::of("m::f"), |key, part| key.part(part));
            all.key().unwrap()
        };
        let lists: [&[&str]; 6] = [&[], &[""], &["ab"], &["a", "b"], &["a\",\"b"], &["ab", ""]];
        for (i, one) in lists.iter().enumerate() {
            for other in &lists[i + 1..] {
                assert_ne!(key(one), key(other), "{one:?} {other:?}");
            }
        }
        assert!(key(&["hunter2"]).starts_with("m::f:") && !key(&["hunter2"]).contains("hunter2"));
        assert_ne!(KeyParts::of("f").part("1").key().unwrap(), KeyParts::of("f").part(&1).key().unwrap());
    }

    #[test]
    fn what_does_not_serialise_is_an_error_and_no_key() {
        let bad = std::collections::HashMap::from([((1, 2), 3)]);
        assert_eq!(KeyParts::of("f").part(&bad).part(&1).key().unwrap_err().kind(), ErrorKind::Encode);
    }
}
