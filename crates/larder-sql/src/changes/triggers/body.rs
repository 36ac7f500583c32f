//! What the triggers on a table are called, and what they say.

use larder_core::{TagPattern, TagPiece};

use super::expression;
use crate::changes::Dialect;
use crate::changes::outbox::Outbox;
use crate::changes::texts::{ALL, LONGEST, literal, quoted};

/// Of how many tags of one statement PostgreSQL tells one by one.
const TOLD: usize = 1000;

pub(super) struct Body {
    dialect: Dialect,
    #[cfg(feature = "postgres")]
    schema: String,
    table: String,
    outbox: String,
    tags: Vec<TagPattern>,
    /// Whether rows are written, and to which schema's outbox.
    rows: Option<String>,
    broadcast: bool,
    /// What the names of all our triggers for this table and outbox begin with.
    family: String,
}

/// A kind of change: the end of its trigger's name, when it fires, and the rows it is about.
type Kind = (&'static str, &'static str, &'static [&'static str]);

impl Body {
    pub(super) fn new(
        outbox: &Outbox,
        schema: &str,
        table: &str,
        outbox_schema: &str,
        tags: Vec<TagPattern>,
        rows: bool,
    ) -> Self {
        let outbox_table = outbox.inner.table.clone();
        let readable: String = table.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
        let family = format!("larder_{}_{}_", readable.to_lowercase(), hash(&[schema, table, &outbox_table]));
        Self {
            dialect: outbox.dialect(),
            #[cfg(feature = "postgres")]
            schema: schema.to_owned(),
            table: table.to_owned(),
            outbox: outbox_table,
            tags,
            rows: rows.then(|| outbox_schema.to_owned()),
            broadcast: outbox.inner.broadcast,
            family,
        }
    }

    pub(super) fn is_ours(&self, name: &str) -> bool {
        name.starts_with(&self.family)
    }

    /// The columns that stand in tags.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().flat_map(TagPattern::pieces).filter_map(|piece| match piece {
            TagPiece::Parameter(column) => Some(&**column),
            TagPiece::Text(_) => None,
        })
    }

    /// The table, for PostgreSQL's `to_regclass`.
    pub(super) fn relation(&self) -> Option<String> {
        match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => Some(self.quoted_table()),
            #[cfg(any(feature = "mysql", feature = "sqlite"))]
            _ => None,
        }
    }

    fn quoted_table(&self) -> String {
        match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => format!("{}.{}", self.quoted(&self.schema), self.quoted(&self.table)),
            #[cfg(any(feature = "mysql", feature = "sqlite"))]
            _ => self.quoted(&self.table),
        }
    }

    fn quoted(&self, name: &str) -> String {
        quoted(self.dialect, name)
    }

    fn kinds(&self) -> &'static [Kind] {
        match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => &[
                ("i", "INSERT", &["larder_new"]),
                ("u", "UPDATE", &["larder_new", "larder_old"]),
                ("d", "DELETE", &["larder_old"]),
                ("t", "TRUNCATE", &[]),
            ],
            #[cfg(any(feature = "mysql", feature = "sqlite"))]
            _ => &[("i", "INSERT", &["NEW"]), ("u", "UPDATE", &["NEW", "OLD"]), ("d", "DELETE", &["OLD"])],
        }
    }

    /// The names carry what the triggers say, so that others are others.
    fn stem(&self) -> String {
        format!("{}{}", self.family, hash(&[&self.function_body(), &self.row_body("NEW")]))
    }

    pub(super) fn names(&self) -> Vec<String> {
        let stem = self.stem();
        self.kinds().iter().map(|(end, ..)| format!("{stem}_{end}")).collect()
    }

    /// What keeps others from installing at the same time, where that would fail.
    pub(super) fn alone(&self) -> Option<String> {
        match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                Some("SELECT pg_advisory_xact_lock(hashtextextended('larder triggers', 0))".to_owned())
            }
            #[cfg(any(feature = "mysql", feature = "sqlite"))]
            _ => None,
        }
    }

    /// What all triggers need.
    pub(super) fn create_function(&self) -> Option<String> {
        match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let body = self.function_body();
                let mut fence = "$larder$".to_owned();
                while body.contains(&fence) {
                    fence.insert(1, '_');
                }
                // As its owner, since who changes a course need not be allowed to write to the outbox; so nothing is found by the caller's path.
                Some(format!(
                    "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
                     SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC' \
                     SET intervalstyle = 'postgres' SET extra_float_digits = 1 AS {fence}{body}{fence}",
                    self.function(&self.stem()),
                ))
            }
            #[cfg(any(feature = "mysql", feature = "sqlite"))]
            _ => None,
        }
    }

    /// The triggers.
    pub(super) fn create_triggers(&self) -> Vec<String> {
        let (stem, table) = (self.stem(), self.quoted_table());
        let one = |(end, event, rows): &Kind| {
            let name = self.quoted(&format!("{stem}_{end}"));
            match self.dialect {
                #[cfg(feature = "postgres")]
                Dialect::Postgres => {
                    let when = if rows.is_empty() { "BEFORE" } else { "AFTER" };
                    let mut referencing = String::new();
                    for row in *rows {
                        let which = if *row == "larder_new" { "NEW" } else { "OLD" };
                        referencing += &format!(" {which} TABLE AS {row}");
                    }
                    let referencing =
                        if rows.is_empty() { String::new() } else { format!(" REFERENCING{referencing}") };
                    let function = self.function(&stem);
                    vec![
                        format!("DROP TRIGGER IF EXISTS {name} ON {table}"),
                        format!(
                            "CREATE TRIGGER {name} {when} {event} ON {table}{referencing} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
                        ),
                    ]
                }
                #[cfg(feature = "mysql")]
                Dialect::MySql => vec![format!(
                    "CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON {table} FOR EACH ROW {}",
                    self.rows_body(rows)
                )],
                #[cfg(feature = "sqlite")]
                Dialect::Sqlite => vec![format!(
                    "CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON {table} FOR EACH ROW BEGIN {}; END",
                    self.rows_body(rows)
                )],
            }
        };
        self.kinds().iter().flat_map(one).collect()
    }

    /// What takes these away, with what they needed.
    pub(super) fn drop(&self, names: &[String]) -> Vec<String> {
        let mut statements = Vec::new();
        for name in names {
            let quoted = self.quoted(name);
            statements.push(match self.dialect {
                #[cfg(feature = "postgres")]
                Dialect::Postgres => format!("DROP TRIGGER IF EXISTS {quoted} ON {}", self.quoted_table()),
                #[cfg(any(feature = "mysql", feature = "sqlite"))]
                _ => format!("DROP TRIGGER IF EXISTS {quoted}"),
            });
        }
        #[cfg(feature = "postgres")]
        if self.dialect == Dialect::Postgres {
            let mut stems: Vec<&str> =
                names.iter().filter_map(|name| Some(name.rsplit_once('_')?.0)).collect();
            stems.sort_unstable();
            stems.dedup();
            statements.extend(
                stems.iter().map(|stem| format!("DROP FUNCTION IF EXISTS {}()", self.function(stem))),
            );
        }
        statements
    }

    #[cfg(feature = "postgres")]
    fn function(&self, name: &str) -> String {
        format!("{}.{}", self.quoted(&self.schema), self.quoted(name))
    }

    /// Statements as a text for the database's own program.
    pub(super) fn script(&self, statements: &[String]) -> String {
        statements.iter().map(|statement| format!("{statement};\n")).collect()
    }

    /// PostgreSQL: one function for all kinds.
    fn function_body(&self) -> String {
        let named = |source: &str| {
            let tags: Vec<String> =
                self.tags.iter().map(|tag| format!("({})", expression(self.dialect, tag, "r"))).collect();
            format!(
                "SELECT named.tag FROM {source} AS r CROSS JOIN LATERAL (VALUES {}) AS named (tag)",
                tags.join(", ")
            )
        };
        let distinct = |sources: &[&str]| {
            let all: Vec<String> = sources.iter().map(|source| named(source)).collect();
            format!(
                "tags := ARRAY(SELECT DISTINCT t.tag FROM ({}) AS t WHERE t.tag <> '')",
                all.join(" UNION ALL ")
            )
        };
        let mut say = String::new();
        if let Some(schema) = &self.rows {
            let outbox = format!("{}.{}", self.quoted(schema), self.quoted(&self.outbox));
            say += &format!("INSERT INTO {outbox} (tag) SELECT unnest(tags); ");
        }
        if self.broadcast {
            let channel = literal(self.dialect, &self.outbox);
            say += &format!(
                "IF cardinality(tags) > {TOLD} THEN PERFORM pg_notify({channel}, '{ALL}'); ELSE \
                 PERFORM pg_notify({channel}, CASE WHEN octet_length(t) > {LONGEST} THEN '{ALL}' ELSE 't' || t END) FROM unnest(tags) AS t; END IF; "
            );
        }
        format!(
            " DECLARE tags text[]; BEGIN \
             IF TG_OP = 'INSERT' THEN {}; ELSIF TG_OP = 'UPDATE' THEN {}; ELSIF TG_OP = 'DELETE' THEN {}; ELSE {}; END IF; \
             IF cardinality(tags) > 0 THEN {say}END IF; RETURN NULL; END ",
            distinct(&["larder_new"]),
            distinct(&["larder_new", "larder_old"]),
            distinct(&["larder_old"]),
            distinct(&[&self.quoted_table()]),
        )
    }

    /// MySQL and SQLite: what happens for a row.
    #[cfg(any(feature = "mysql", feature = "sqlite"))]
    fn rows_body(&self, rows: &[&str]) -> String {
        let all: Vec<String> = rows.iter().map(|row| self.row_body(row)).collect();
        format!(
            "INSERT INTO {} (tag) SELECT named.tag FROM ({}) AS named WHERE named.tag <> ''",
            self.quoted(&self.outbox),
            all.join(" UNION ")
        )
    }

    fn row_body(&self, row: &str) -> String {
        let tags: Vec<String> = self
            .tags
            .iter()
            .map(|tag| format!("SELECT {} AS tag", expression(self.dialect, tag, row)))
            .collect();
        tags.join(" UNION ")
    }
}

/// Eight digits that tell what was put in.
fn hash(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..8].to_owned()
}
