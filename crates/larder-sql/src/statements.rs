//! The statements' texts. The parameters of each stand in the same order everywhere, once each.

use crate::engine::BATCH;

/// What differs from one database to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "sqlite")]
    Sqlite,
}

#[derive(Debug)]
pub(crate) struct Statements {
    dialect: Dialect,
    table: String,
    /// name, value, expires, stored.
    pub(crate) insert: String,
    /// As `insert`.
    pub(crate) upsert: String,
    /// value, expires, stored, name, the old value.
    pub(crate) swap: String,
    pub(crate) delete: String,
    /// name, value.
    pub(crate) delete_if: String,
    /// The first name, the one behind the last, and two that stay.
    pub(crate) sweep: String,
    pub(crate) expired: String,
    pub(crate) oldest: String,
    pub(crate) count: String,
    pub(crate) create: Vec<String>,
}

impl Statements {
    /// `table` was checked: it stands in the texts as it is.
    pub(crate) fn new(dialect: Dialect, table: &str) -> Self {
        let at = |i: usize| dialect.parameter(i);
        let insert = format!(
            "INSERT INTO {table} (name, value, expires, stored) VALUES ({}, {}, {}, {})",
            at(1),
            at(2),
            at(3),
            at(4)
        );
        let some = |which: String| dialect.delete_some(table, &which);
        Self {
            dialect,
            table: table.to_owned(),
            upsert: insert.clone() + dialect.or_replace(),
            insert: dialect.or_nothing(&insert),
            swap: format!(
                "UPDATE {table} SET value = {}, expires = {}, stored = {} WHERE name = {} AND value = {}",
                at(1),
                at(2),
                at(3),
                at(4),
                at(5)
            ),
            delete: format!("DELETE FROM {table} WHERE name = {}", at(1)),
            delete_if: format!("DELETE FROM {table} WHERE name = {} AND value = {}", at(1), at(2)),
            // A range, not LIKE: the index serves it, and nothing has to be escaped.
            sweep: some(format!(
                "name >= {} AND name < {} AND name <> {} AND name <> {} LIMIT {BATCH}",
                at(1),
                at(2),
                at(3),
                at(4)
            )),
            expired: some(format!("expires <= {} LIMIT {BATCH}", at(1))),
            oldest: some(format!("stored IS NOT NULL ORDER BY stored LIMIT {}", at(1))),
            count: format!("SELECT count(*) FROM {table} WHERE stored IS NOT NULL"),
            create: dialect.create(table),
        }
    }

    /// Reads `count` names. Rounded up, so that there are few different statements to prepare: see [`fill_up`].
    pub(crate) fn read(&self, count: usize) -> String {
        let names: Vec<String> = (1..=count).map(|i| self.dialect.parameter(i)).collect();
        format!("SELECT name, value FROM {} WHERE name IN ({})", self.table, names.join(", "))
    }
}

/// Repeats the last name until there are a power of two.
pub(crate) fn fill_up(names: &[String]) -> Vec<&str> {
    let count = names.len().next_power_of_two();
    names
        .iter()
        .chain(std::iter::repeat_n(&names[names.len() - 1], count - names.len()))
        .map(String::as_str)
        .collect()
}

impl Dialect {
    fn parameter(self, i: usize) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => format!("?{i}"),
        }
    }

    fn or_nothing(self, insert: &str) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => format!("{insert} ON CONFLICT (name) DO NOTHING"),
        }
    }

    fn or_replace(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => {
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires = excluded.expires, stored = excluded.stored"
            }
        }
    }

    fn delete_some(self, table: &str, which: &str) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => {
                format!("DELETE FROM {table} WHERE name IN (SELECT name FROM {table} WHERE {which})")
            }
        }
    }

    fn create(self, table: &str) -> Vec<String> {
        let index = |column: &str| {
            format!(
                "CREATE INDEX IF NOT EXISTS {table}_{column} ON {table} ({column}) WHERE {column} IS NOT NULL"
            )
        };
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => vec![
                format!(
                    "CREATE TABLE IF NOT EXISTS {table} (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, expires INTEGER, stored INTEGER)"
                ),
                index("expires"),
                index("stored"),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_up_to_a_power_of_two_and_none_is_lost() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(fill_up(&names), ["a", "b", "c", "c"]);
        assert_eq!(fill_up(&names[..1]), ["a"]);
    }
}
