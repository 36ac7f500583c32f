//! The statements' texts. The parameters of each stand in the same order everywhere, once each.

use crate::engine::BATCH;

/// What differs from one database to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres { unlogged: bool },
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

    /// Reads `count` names. Rounded up, so that there are few different statements to prepare: see `fill_up`.
    pub(crate) fn read(&self, count: usize) -> String {
        format!("SELECT name, value FROM {} WHERE name {}", self.table, self.dialect.one_of(count))
    }
}

/// Repeats the last name until there are a power of two.
#[cfg(feature = "sqlite")]
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
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => format!("${i}"),
        }
    }

    fn one_of(self, count: usize) -> String {
        #[cfg(feature = "sqlite")]
        let list = || (1..=count).map(|i| self.parameter(i)).collect::<Vec<_>>().join(", ");
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => format!("IN ({})", list()),
            // One array of any length.
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => format!("= ANY({})", self.parameter(count.min(1))),
        }
    }

    fn or_nothing(self, insert: &str) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => format!("{insert} ON CONFLICT (name) DO NOTHING"),
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => format!("{insert} ON CONFLICT (name) DO NOTHING"),
        }
    }

    fn or_replace(self) -> &'static str {
        const ON_CONFLICT: &str = " ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires = excluded.expires, stored = excluded.stored";
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => ON_CONFLICT,
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => ON_CONFLICT,
        }
    }

    fn delete_some(self, table: &str, which: &str) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => {
                format!("DELETE FROM {table} WHERE name IN (SELECT name FROM {table} WHERE {which})")
            }
            // Locked, so that what is written anew meanwhile is not taken for what it was; and nobody waits for anybody.
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => format!(
                "DELETE FROM {table} WHERE name IN (SELECT name FROM {table} WHERE {which} FOR UPDATE SKIP LOCKED)"
            ),
        }
    }

    fn create(self, table: &str) -> Vec<String> {
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
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
            // One statement, so that there is no table without its indexes. EXTERNAL: values are not compressed, which would take
            // longer than reading them.
            #[cfg(feature = "postgres")]
            Self::Postgres { unlogged } => vec![format!(
                "DO $larder$ BEGIN IF to_regclass('{table}') IS NULL THEN \
                 CREATE {} TABLE {table} (name text COLLATE \"C\" PRIMARY KEY, value bytea NOT NULL, expires bigint, stored bigint); \
                 ALTER TABLE {table} ALTER COLUMN value SET STORAGE EXTERNAL; \
                 {}; {}; END IF; END $larder$",
                if unlogged { "UNLOGGED" } else { "" },
                index("expires"),
                index("stored"),
            )],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sqlite")]
    #[test]
    fn names_are_filled_up_to_a_power_of_two_and_none_is_lost() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(fill_up(&names), ["a", "b", "c", "c"]);
        assert_eq!(fill_up(&names[..1]), ["a"]);
    }
}
