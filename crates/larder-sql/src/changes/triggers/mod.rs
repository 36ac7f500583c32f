//! Triggers: what any program changes in a table goes to the outbox.

mod body;

use std::fmt;

use larder_core::{Error, TagPattern, TagPiece};

use super::outbox::{Outbox, Place};
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::pending::Statement;
use super::texts::{literal, quoted};
use super::{Dialect, round};
use body::Body;

/// Triggers on a table of the application's, by which the tags of whatever changes in it go to an [`Outbox`], whoever changes it: the application,
/// another program, somebody with `psql`. `{column}` stands for a row's column, before and after the change.
///
/// ```no_run
/// # async fn f(pool: larder_sql::sqlx::PgPool) -> Result<(), larder_core::Error> {
/// use larder_sql::changes::{Outbox, Triggers};
///
/// let outbox = Outbox::postgres(&pool);
/// outbox.create_table().await?;
/// Triggers::on_table("course").tag("course:{id}").tag("course_list").install(&outbox).await?;
/// # Ok(()) }
/// ```
///
/// | | PostgreSQL | MySQL, MariaDB | SQLite |
/// |---|---|---|---|
/// | runs | once a statement | for each row | for each row |
/// | `TRUNCATE` | seen | not seen | – |
/// | `ON DELETE CASCADE` to the table | seen | not seen | seen |
/// | what a `REPLACE` displaces | – | seen | with `PRAGMA recursive_triggers = ON` |
/// | who changes needs rights on the outbox | no (`SECURITY DEFINER`) | no (its definer) | – |
/// | `NOTIFY` | yes | – | – |
///
/// A tag with a column that is null is left out. Values stand in a tag as the database writes them as text; times in PostgreSQL in ISO form and UTC.
/// What a logical replication brings fires triggers only if they are set to (`ENABLE ALWAYS TRIGGER`). The triggers write within the statement that
/// changes: where the outbox is taken away before them, that statement fails.
#[derive(Clone)]
#[must_use = "nothing is installed until install() is awaited"]
pub struct Triggers {
    schema: Option<String>,
    table: String,
    tags: Vec<String>,
    rows: bool,
}

impl Triggers {
    /// On a table of this name, exactly as the database has it; it is put into quotes.
    pub fn on_table(table: impl Into<String>) -> Self {
        Self { schema: None, table: table.into(), tags: Vec::new(), rows: true }
    }

    /// In which schema of PostgreSQL the table is; else where the search path finds it.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Another tag: `course:{id}`, `course_list`.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Nothing is written to the outbox, PostgreSQL only tells of it: where every process has a [`Listener`](super::Listener), and none a
    /// [`Relay`](super::Relay).
    pub fn notify_only(mut self) -> Self {
        self.rows = false;
        self
    }

    /// The statements that make them, for a migration that is run by the database's own program. In PostgreSQL both tables are taken to be in the same schema,
    /// `public` unless [`schema`](Triggers::schema) says otherwise. Whether there are such columns is up to you: [`Triggers::install`] looks, this can't.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if there is no tag, or one can't be right.
    pub fn sql(&self, outbox: &Outbox) -> Result<String, Error> {
        let schema = self.told_schema(outbox);
        let body = self.body(outbox, schema, schema)?;
        let mut statements: Vec<String> = body.create_function().into_iter().collect();
        statements.extend(body.create_triggers());
        Ok(body.script(&statements))
    }

    /// The statements that take away what [`Triggers::sql`] made.
    ///
    /// # Errors
    /// As there.
    pub fn uninstall_sql(&self, outbox: &Outbox) -> Result<String, Error> {
        let schema = self.told_schema(outbox);
        let body = self.body(outbox, schema, schema)?;
        Ok(body.script(&body.drop(&body.names())))
    }

    /// Installs them, and takes away those that were installed on this table for this outbox before and say something else. If they are there, nothing
    /// is done, and nobody is kept waiting: it may be called at each start.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if there is no tag or one can't be right, no such table, outbox or column;
    /// [`Backend`](larder_core::ErrorKind::Backend) if this user may not make triggers on it, [`Unavailable`](larder_core::ErrorKind::Unavailable).
    ///
    /// # Cancel safety
    /// In PostgreSQL and SQLite all is done or nothing, in MySQL the new ones are there before the old ones go. It may be repeated.
    pub async fn install(&self, outbox: &Outbox) -> Result<(), Error> {
        let (body, there) = self.look(outbox).await?;
        let wanted = body.names();
        let old: Vec<String> = there.iter().filter(|name| !wanted.contains(name)).cloned().collect();
        let mut statements = Vec::new();
        if !wanted.iter().all(|name| there.contains(name)) {
            statements.extend(body.alone());
            statements.extend(body.create_function());
            statements.extend(body.create_triggers());
        }
        statements.extend(body.drop(&old));
        if statements.is_empty() { Ok(()) } else { outbox.run_all(statements).await }
    }

    /// Takes away all that were installed on this table for this outbox, whatever they say; how many there were.
    ///
    /// # Errors
    /// As [`Triggers::install`].
    ///
    /// # Cancel safety
    /// It may be repeated.
    pub async fn uninstall(&self, outbox: &Outbox) -> Result<usize, Error> {
        let (body, there) = self.look(outbox).await?;
        if !there.is_empty() {
            outbox.run_all(body.drop(&there)).await?;
        }
        Ok(there.len())
    }

    /// What is to be there, and the names of those of ours that are.
    async fn look(&self, outbox: &Outbox) -> Result<(Body, Vec<String>), Error> {
        let dialect = outbox.dialect();
        let (mut schema, mut outbox_schema) = (String::new(), String::new());
        if let Some((here, there)) = self.schemas(outbox).await? {
            (schema, outbox_schema) = (here, there);
        } else if self.rows && self.ask(outbox, columns(dialect), &outbox.inner.table).await?.is_empty() {
            return Err(no_outbox(outbox));
        }
        let body = self.body(outbox, &schema, &outbox_schema)?;
        let relation = body.relation();
        let known = self.ask(outbox, columns(dialect), relation.as_deref().unwrap_or(&self.table)).await?;
        if known.is_empty() {
            return Err(Error::config(format!(
                "there is no table {:?}; make it before its triggers",
                self.table
            )));
        }
        for column in body.columns() {
            if !known.iter().any(|known| known == column) {
                return Err(Error::config(format!(
                    "the table {:?} has no column {column:?}, it has {known:?}; write the tag's {{…}} as one of them",
                    self.table
                )));
            }
        }
        let mut there =
            self.ask(outbox, installed(dialect), relation.as_deref().unwrap_or(&self.table)).await?;
        there.retain(|name| body.is_ours(name));
        Ok((body, there))
    }

    /// Where PostgreSQL has both tables; nothing elsewhere.
    async fn schemas(&self, outbox: &Outbox) -> Result<Option<(String, String)>, Error> {
        match outbox.dialect() {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let of = "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";
                let quoted = |name: &str| quoted(Dialect::Postgres, name);
                let table = match &self.schema {
                    Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.table)),
                    None => quoted(&self.table),
                };
                let first = |names: Vec<String>| names.into_iter().next();
                let here = first(self.ask(outbox, of, &table).await?).ok_or_else(|| {
                    Error::config(format!(
                        "there is no table {table}; make it before its triggers, or say in which schema it is"
                    ))
                })?;
                let there = match self.rows {
                    true => first(self.ask(outbox, of, &quoted(&outbox.inner.table)).await?)
                        .ok_or_else(|| no_outbox(outbox))?,
                    false => here.clone(),
                };
                Ok(Some((here, there)))
            }
            #[cfg(any(feature = "mysql", feature = "sqlite"))]
            _ => Ok(None),
        }
    }

    /// Names, by a query with one parameter.
    async fn ask(&self, outbox: &Outbox, sql: &str, parameter: &str) -> Result<Vec<String>, Error> {
        round(async {
            match &outbox.inner.place {
                #[cfg(feature = "postgres")]
                Place::Postgres(pool) => {
                    let asked = Statement { sql: sql.to_owned(), parameters: vec![parameter.to_owned()] };
                    super::served::postgres::names(pool, &outbox.inner.table, &asked).await
                }
                #[cfg(feature = "mysql")]
                Place::MySql(pool) => {
                    let asked = Statement { sql: sql.to_owned(), parameters: vec![parameter.to_owned()] };
                    super::served::mysql::names(pool, &outbox.inner.table, &asked).await
                }
                #[cfg(feature = "sqlite")]
                Place::Sqlite(lite) => lite.names(sql.to_owned(), parameter.to_owned()).await,
            }
        })
        .await
    }

    fn told_schema(&self, outbox: &Outbox) -> &str {
        match outbox.dialect() {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => self.schema.as_deref().unwrap_or("public"),
            #[cfg(any(feature = "mysql", feature = "sqlite"))]
            _ => "",
        }
    }

    fn body(&self, outbox: &Outbox, schema: &str, outbox_schema: &str) -> Result<Body, Error> {
        if self.tags.is_empty() {
            return Err(Error::config(format!(
                "the triggers on {:?} have no tag; add one with tag(…)",
                self.table
            )));
        }
        let told = super::texts::broadcasts(outbox.dialect()) && outbox.inner.broadcast;
        if !self.rows && !told {
            return Err(Error::config(
                "notify_only is for PostgreSQL and an outbox that broadcasts; without it nobody would hear of a change",
            ));
        }
        if self.table.is_empty() || self.table.contains('\0') || schema.contains('\0') {
            return Err(Error::config(format!("no table is called {:?}", self.table)));
        }
        let tags = self.tags.iter().map(|tag| TagPattern::new(tag)).collect::<Result<Vec<_>, _>>()?;
        Ok(Body::new(outbox, schema, &self.table, outbox_schema, tags, self.rows))
    }
}

fn no_outbox(outbox: &Outbox) -> Error {
    Error::config(format!(
        "there is no outbox {:?}; make it with Outbox::create_table before the triggers",
        outbox.inner.table
    ))
}

/// The columns of a table.
fn columns(dialect: Dialect) -> &'static str {
    match dialect {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        }
        #[cfg(feature = "mysql")]
        Dialect::MySql => {
            "SELECT CONVERT(COLUMN_NAME USING utf8mb4) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION"
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => "SELECT name FROM pragma_table_xinfo(?) ORDER BY cid",
    }
}

/// The triggers of a table.
fn installed(dialect: Dialect) -> &'static str {
    match dialect {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "SELECT tgname::text FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal ORDER BY tgname"
        }
        #[cfg(feature = "mysql")]
        Dialect::MySql => {
            "SELECT CONVERT(TRIGGER_NAME USING utf8mb4) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = ? ORDER BY TRIGGER_NAME"
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name"
        }
    }
}

/// A tag as an expression over a row.
fn expression(dialect: Dialect, tag: &TagPattern, row: &str) -> String {
    let pieces: Vec<String> = tag
        .pieces()
        .iter()
        .map(|piece| match piece {
            TagPiece::Text(text) => match dialect {
                #[cfg(feature = "postgres")]
                Dialect::Postgres => format!("{}::text", literal(dialect, text)),
                #[cfg(any(feature = "mysql", feature = "sqlite"))]
                _ => literal(dialect, text),
            },
            TagPiece::Parameter(column) => {
                let column = format!("{row}.{}", quoted(dialect, column));
                match dialect {
                    #[cfg(feature = "postgres")]
                    Dialect::Postgres => format!("{column}::text"),
                    // Bytes that are no text must not make the application's statement fail.
                    #[cfg(feature = "mysql")]
                    Dialect::MySql => format!("CONVERT({column} USING utf8mb4)"),
                    #[cfg(feature = "sqlite")]
                    Dialect::Sqlite => column,
                }
            }
        })
        .collect();
    match dialect {
        #[cfg(feature = "mysql")]
        Dialect::MySql => format!("CONCAT({})", pieces.join(", ")),
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        _ => pieces.join(" || "),
    }
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Triggers")
            .field("schema", &self.schema)
            .field("table", &self.table)
            .field("tags", &self.tags)
            .field("rows", &self.rows)
            .finish()
    }
}
