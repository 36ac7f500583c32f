//! The default key: whose value it is, in full.

use larder_core::{Codec, Error, ErrorKind};
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
        // As values are: JSON has one word for what is missing and for what is no number.
        Codec::Json.encode(self).map(Vec::from).map_err(|error| {
            let what =
                "an argument of a cached function can't be serialised for its key; give the key, or skip it";
            Error::new(ErrorKind::Encode, what).with_source(error)
        })
    }
}

/// Where a function stands, by an item in it: the module, and what of it is around the function (an `impl`, another function).
#[doc(hidden)]
pub fn stands_in<T>(_: &T) -> &'static str {
    around(std::any::type_name::<T>())
}

fn around(item: &'static str) -> &'static str {
    let outer = |path: &'static str| path.rsplit_once("::").map_or("", |(outer, _)| outer);
    let mut function = outer(item);
    // An async function's body.
    while let Some(body) = function.strip_suffix("::{{closure}}") {
        function = body;
    }
    outer(function)
}

/// Gathers a default key: a function's path, readable, and a digest of everything that tells its calls apart.
#[derive(Debug)]
#[doc(hidden)]
pub struct KeyParts {
    place: &'static str,
    function: &'static str,
    parts: blake3::Hasher,
    any: bool,
    wrong: Option<Error>,
}

#[doc(hidden)]
impl KeyParts {
    pub fn of(place: &'static str, function: &'static str) -> Self {
        Self { place, function, parts: blake3::Hasher::new(), any: false, wrong: None }
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
            None if self.any => {
                Ok(format!("{}::{}:{}", self.place, self.function, self.parts.finalize().to_hex()))
            }
            None => Ok(format!("{}::{}", self.place, self.function)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_never_run_into_each_other_and_stand_in_no_key() {
        let key = |parts: &[&str]| {
            let all = parts.iter().fold(KeyParts::of("m", "f"), |key, part| key.part(part));
            all.key().unwrap()
        };
        let lists: [&[&str]; 6] = [&[], &[""], &["ab"], &["a", "b"], &["a\",\"b"], &["ab", ""]];
        for (i, one) in lists.iter().enumerate() {
            for other in &lists[i + 1..] {
                assert_ne!(key(one), key(other), "{one:?} {other:?}");
            }
        }
        assert!(key(&["hunter2"]).starts_with("m::f:") && !key(&["hunter2"]).contains("hunter2"));
        let f = || KeyParts::of("m", "f");
        assert_ne!(f().part("1").key().unwrap(), f().part(&1).key().unwrap());
    }

    #[test]
    fn what_does_not_serialise_is_an_error_and_no_key() {
        let bad = std::collections::HashMap::from([((1, 2), 3)]);
        assert_eq!(KeyParts::of("m", "f").part(&bad).part(&1).key().unwrap_err().kind(), ErrorKind::Encode);
        for no_number in [f64::NAN, f64::INFINITY] {
            assert!(KeyParts::of("m", "f").part(&no_number).key().is_err(), "it would be the key of None");
        }
    }

    #[test]
    fn a_function_is_told_by_what_stands_around_it() {
        for (item, place) in [
            ("app::m::f::here", "app::m"),
            ("app::m::f::{{closure}}::here", "app::m"),
            ("app::m::A::f::{{closure}}::here", "app::m::A"),
            ("<app::m::A as app::m::T>::f::here", "<app::m::A as app::m::T>"),
            ("app::m::outer::{{closure}}::f::{{closure}}::here", "app::m::outer::{{closure}}"),
            ("here", ""),
        ] {
            assert_eq!(around(item), place);
        }
    }
}
