//! The statements' texts. The parameters of each stand in the same order everywhere, once each.

use std::sync::{Arc, OnceLock};

use crate::engine::BATCH;

/// What differs from one database to the other.
pub(crate) trait Dialect {
    /// The `i`th parameter.
    fn parameter(i: usize) -> String;

    /// A name that was checked, so that a word of SQL is a name as well.
    fn quoted(name: &str) -> String;

    /// What follows `WHERE name` for one of `count`, the parameters beginning with the first.
    fn one_of(count: usize) -> String;

    /// `INSERT INTO …` that does nothing where a row is.
    fn or_nothing(insert: &str) -> String;

    /// `INSERT INTO …` that replaces the row that is there.
    fn or_replace(insert: &str) -> String;

    /// Deletes of `table` some rows, `which` ends with a limit.
    fn delete_some(table: &str, which: &str) -> String;
}

/// The texts for so many names and fewer are kept once they were made: there are a few of them, and each hit needs one.
const KEPT: usize = 64;

/// One text for each number of names.
#[derive(Debug)]
struct Texts([OnceLock<Arc<str>>; KEPT]);

impl Texts {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; KEPT])
    }

    fn of(&self, count: usize, make: impl Fn() -> String) -> Arc<str> {
        match self.0.get(count) {
            Some(kept) => Arc::clone(kept.get_or_init(|| make().into())),
            None => make().into(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Statements {
    table: String,
    reads: Texts,
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    reads_with: Texts,
    /// name, value, expires, written, whole.
    pub(crate) insert: String,
    /// As `insert`.
    pub(crate) upsert: String,
    /// value, expires, written, name, the old value.
    pub(crate) swap: String,
    pub(crate) delete: String,
    /// name, value.
    pub(crate) delete_if: String,
    /// The first name, the one behind the last, and as `sweep_range` says.
    pub(crate) sweep: String,
    pub(crate) expired: String,
    pub(crate) oldest: String,
    pub(crate) count: String,
    /// The first name, the last that was seen, the one behind the last, how many.
    pub(crate) scan: String,
    /// value, name.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) put_value: String,
}

impl Statements {
    /// `table` was checked.
    pub(crate) fn new<D: Dialect>(table: &str) -> Self {
        let at = D::parameter;
        let table = D::quoted(table);
        let (p1, p2, p3, p4, p5, p6) = (at(1), at(2), at(3), at(4), at(5), at(6));
        let insert = format!(
            "INSERT INTO {table} (name, value, expires, written, whole) VALUES ({p1}, {p2}, {p3}, {p4}, {p5})"
        );
        let some = |which: String| D::delete_some(&table, &which);
        Self {
            upsert: D::or_replace(&insert),
            insert: D::or_nothing(&insert),
            swap: format!(
                "UPDATE {table} SET value = {p1}, expires = {p2}, written = {p3} WHERE name = {p4} AND value = {p5}"
            ),
            delete: format!("DELETE FROM {table} WHERE name = {p1}"),
            delete_if: format!("DELETE FROM {table} WHERE name = {p1} AND value = {p2}"),
            // A range, not LIKE: the index serves it, and nothing has to be escaped.
            sweep: some(format!(
                "name >= {p1} AND name < {p2} AND name <> {p3} AND name <> {p4} AND (name < {p5} OR name >= {p6}) LIMIT {BATCH}"
            )),
            expired: some(format!("expires <= {p1} LIMIT {BATCH}")),
            oldest: some(format!("written IS NOT NULL ORDER BY written LIMIT {p1}")),
            count: format!("SELECT count(*) FROM {table} WHERE written IS NOT NULL"),
            scan: format!(
                "SELECT name, expires, written, whole FROM {table} WHERE name >= {p1} AND name > {p2} AND name < {p3} ORDER BY name LIMIT {p4}"
            ),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            put_value: format!("UPDATE {table} SET value = {p1} WHERE name = {p2}"),
            reads: Texts::new(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            reads_with: Texts::new(),
            table,
        }
    }

    /// Reads `count` names.
    pub(crate) fn read<D: Dialect>(&self, count: usize) -> Arc<str> {
        let make = || format!("SELECT name, value FROM {} WHERE name {}", self.table, D::one_of(count));
        self.reads.of(count, make)
    }

    /// As `read`, with some rows of a range as well, whose bounds are the parameters behind `behind` others.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn read_with<D: Dialect>(&self, count: usize, behind: usize, most: usize) -> Arc<str> {
        self.reads_with.of(count, || {
            let (read, table) = (self.read::<D>(count), &self.table);
            let (first, end) = (D::parameter(behind + 1), D::parameter(behind + 2));
            format!(
                "({read}) UNION ALL (SELECT name, value FROM {table} WHERE name >= {first} AND name < {end} ORDER BY name LIMIT {most})"
            )
        })
    }

    /// As `read`, and keeps the rows as they are until the transaction ends.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn lock<D: Dialect>(&self, count: usize) -> Arc<str> {
        // All in the same order, so that nobody waits in a circle.
        format!("{} ORDER BY name FOR UPDATE", self.read::<D>(count)).into()
    }

    /// Deletes `count` names.
    pub(crate) fn delete_many<D: Dialect>(&self, count: usize) -> String {
        format!("DELETE FROM {} WHERE name {}", self.table, D::one_of(count))
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn table(&self) -> &str {
        &self.table
    }
}

/// What SQLite and PostgreSQL say where MySQL has its own.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod usual {
    pub(crate) fn quoted(name: &str) -> String {
        format!("\"{name}\"")
    }

    pub(crate) fn or_nothing(insert: &str) -> String {
        format!("{insert} ON CONFLICT (name) DO NOTHING")
    }

    pub(crate) fn or_replace(insert: &str) -> String {
        format!(
            "{insert} ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires = excluded.expires, written = excluded.written"
        )
    }

    pub(crate) fn index(table: &str, column: &str) -> String {
        let (index, table) = (quoted(&format!("{table}_{column}")), quoted(table));
        format!("CREATE INDEX IF NOT EXISTS {index} ON {table} ({column}) WHERE {column} IS NOT NULL")
    }
}

/// A list of parameters, for one of as many.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn list(count: usize, parameter: impl Fn(usize) -> String) -> String {
    format!("IN ({})", (1..=count).map(parameter).collect::<Vec<_>>().join(", "))
}

/// Repeats the last name until there are a power of two, so that there are few different statements to prepare.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn fill_up(names: &[String]) -> Vec<&str> {
    let count = names.len().next_power_of_two();
    let mut filled: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(last) = filled.last().copied() {
        filled.resize(count, last);
    }
    filled
}

#[cfg(all(test, any(feature = "sqlite", feature = "mysql")))]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_up_to_a_power_of_two_and_none_is_lost() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(fill_up(&names), ["a", "b", "c", "c"]);
        assert_eq!(fill_up(&names[..1]), ["a"]);
    }
}
