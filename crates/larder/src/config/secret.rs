//! Passwords that stand apart from a URL.

use std::fs;
use std::path::Path;

use larder_core::Error;

use super::at::{placed, wrong};
use super::document::{Pair, Table};
use super::interpolate::interpolate;
use super::variables::Variables;

/// A password, by the name of its option.
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) at: String,
}

/// Takes the passwords out of a table: `password`, `password_env`, `password_file`, and the same of any option that ends in `_password`.
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) if one stands there in two ways, is empty, or can't be found. What it is is never shown.
pub(super) fn take(table: &mut Table, variables: &Variables) -> Result<Vec<Secret>, Error> {
    let mut secrets: Vec<Secret> = Vec::new();
    let pairs = std::mem::take(&mut table.pairs);
    for pair in pairs {
        let Some((name, way)) = split(&pair.name) else {
            table.pairs.push(pair);
            continue;
        };
        if let Some(there) = secrets.iter().find(|there| there.name == name) {
            return Err(wrong(
                &pair.at,
                format_args!("{name} is said twice, here and at {}; leave one out", there.at),
            ));
        }
        let value = match way {
            Way::Plain => pair.value.clone(),
            Way::Variable => variables.get(&pair.value).map_err(|error| unnamed(&pair, &error))?.to_owned(),
            Way::File => {
                let path = interpolate(&pair.value, variables).map_err(|error| placed(&pair.at, &error))?;
                read(&table.folder.clone().unwrap_or_default().join(path))
                    .map_err(|error| placed(&pair.at, &error))?
            }
        };
        if value.is_empty() {
            return Err(wrong(
                &pair.at,
                format_args!("{} is empty; leave it out if there is none", pair.name),
            ));
        }
        secrets.push(Secret { name: name.to_owned(), value, at: pair.at });
    }
    Ok(secrets)
}

#[derive(Clone, Copy)]
enum Way {
    Plain,
    Variable,
    File,
}

fn split(key: &str) -> Option<(&str, Way)> {
    let (name, way) = match (key.strip_suffix("_env"), key.strip_suffix("_file")) {
        (Some(name), _) => (name, Way::Variable),
        (_, Some(name)) => (name, Way::File),
        _ => (key, Way::Plain),
    };
    (name == "password" || name.ends_with("_password")).then_some((name, way))
}

/// A `password_env` whose variable is not there. One that can't be a variable's name is probably the password itself.
fn unnamed(pair: &Pair, error: &Error) -> Error {
    let ok = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if pair.value.chars().all(ok) && !pair.value.is_empty() {
        return placed(&pair.at, error);
    }
    wrong(
        &pair.at,
        format_args!(
            "{} is the name of a variable that is not set; the password itself stands as {}",
            pair.name,
            pair.name.trim_end_matches("_env")
        ),
    )
}

fn read(path: &Path) -> Result<String, Error> {
    let shown = path.display();
    let mut value = fs::read_to_string(path)
        .map_err(|error| Error::config(format!("the password file {shown} can't be read: {error}")))?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    Ok(value)
}
