//! A TOML file as tables of keys and plain values, each with its line.

use std::path::{Path, PathBuf};

use larder_core::Error;
use toml::de::{DeTable, DeValue};

use super::at::wrong;

/// One `[table]`.
pub(super) struct Table {
    pub(super) name: String,
    /// `caches.toml:3`, or the name of a variable.
    pub(super) at: String,
    pub(super) pairs: Vec<Pair>,
    /// Where relative paths begin.
    pub(super) folder: Option<PathBuf>,
}

/// One `key = value`.
pub(super) struct Pair {
    pub(super) name: String,
    /// As a URL would have it.
    pub(super) value: String,
    pub(super) at: String,
}

impl Table {
    /// Takes a pair out.
    pub(super) fn take(&mut self, name: &str) -> Option<Pair> {
        let at = self.pairs.iter().position(|pair| pair.name == name)?;
        Some(self.pairs.remove(at))
    }
}

/// Reads a whole text; `file` is what errors call it.
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config), with the line and without the line's text: a password may stand there.
pub(super) fn read(text: &str, file: &str, folder: Option<&Path>) -> Result<Vec<Table>, Error> {
    let at = |offset: usize| format!("{file}:{}", line(text, offset));
    let document = DeTable::parse(text).map_err(|error| {
        let place = error.span().map_or_else(|| file.to_owned(), |span| at(span.start));
        wrong(place, format_args!("this is not TOML: {}", error.message()))
    })?;
    let mut tables = Vec::new();
    for (name, content) in document.get_ref() {
        let place = at(name.span().start);
        let name = name.get_ref().to_string();
        let DeValue::Table(content) = content.get_ref() else {
            return Err(wrong(
                place,
                format_args!(
                    "{name:?} stands in no table; write [default] above it, or which cache it is for"
                ),
            ));
        };
        let mut pairs: Vec<_> = content.iter().collect();
        // The map has them by name; what is wrong first is to be said first.
        pairs.sort_by_key(|(key, _)| key.span().start);
        let pairs = pairs.into_iter().map(|(key, value)| {
            let place = format!("{}: [{name}]", at(key.span().start));
            let key = key.get_ref().to_string();
            let value = value.get_ref();
            match plain(value) {
                Some(value) => Ok(Pair { name: key, value, at: place }),
                None => Err(wrong(
                    place,
                    format_args!("{key} is {}; it must be text, a number, true or false", value.type_str()),
                )),
            }
        });
        let pairs = pairs.collect::<Result<_, Error>>()?;
        tables.push(Table { pairs, name, at: place, folder: folder.map(Path::to_owned) });
    }
    Ok(tables)
}

/// A value as a URL would have it.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}
