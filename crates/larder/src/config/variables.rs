//! Environment variables, or what stands for them in tests.

use std::collections::BTreeMap;
use std::ffi::OsString;

use larder_core::Error;

/// Variables by name, as they were when they were asked for.
#[derive(Clone)]
pub(super) struct Variables(BTreeMap<String, OsString>);

impl Variables {
    /// Those of the process.
    pub(super) fn of_process() -> Self {
        // A name that is not UTF-8 can't be one that anybody asks for.
        Self(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect(),
        )
    }

    /// These and no others.
    pub(super) fn given(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name, value.into())).collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of a variable that has to be there.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if it is not set, empty, or not UTF-8. What it is is never shown.
    pub(super) fn get(&self, name: &str) -> Result<&str, Error> {
        let Some(value) = self.0.get(name) else {
            return Err(Error::config(format!("the environment variable {name} is not set")));
        };
        match value.to_str() {
            Some(value) if !value.trim().is_empty() => Ok(value),
            Some(_) => Err(Error::config(format!(
                "the environment variable {name} is empty; give it a value, or unset it"
            ))),
            None => Err(Error::config(format!("the environment variable {name} is not UTF-8"))),
        }
    }
}
