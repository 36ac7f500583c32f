//! The courses, in SQLite or PostgreSQL.

use serde::Serialize;
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{AnyPool, AssertSqlSafe, FromRow};

use crate::courses::Draft;
use crate::error::ApiError;
use crate::login::User;
use crate::query::Wanted;

/// A course, with the names of what it belongs to.
#[derive(Debug, FromRow, Serialize)]
pub(crate) struct Course {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) level: String,
    pub(crate) subject: String,
    pub(crate) author: String,
    #[serde(skip)]
    pub(crate) author_id: i64,
}

/// An author, and of how many courses.
#[derive(Debug, FromRow, Serialize)]
pub(crate) struct Author {
    name: String,
    courses: i64,
}

/// Connections to a database with courses in it. Clones share them.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
}

const COURSE: &str =
    "SELECT c.id, c.title, c.description, c.level, s.slug AS subject, u.name AS author, c.author_id
    FROM courses c JOIN subjects s ON s.id = c.subject_id JOIN users u ON u.id = c.author_id";

const WANTED: &str =
    "WHERE ($1 = '' OR lower(c.title) LIKE $1 ESCAPE '!' OR lower(c.description) LIKE $1 ESCAPE '!'
        OR lower(s.title) LIKE $1 ESCAPE '!') AND ($2 = '' OR c.level = $2) AND ($3 = '' OR s.slug = $3)";

impl Database {
    /// Opens a database, `sqlite::memory:` or `postgres://…`, makes its tables if there are none, and puts some courses into them.
    ///
    /// # Errors
    /// If it can't be opened, or is no database of courses.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        install_default_drivers();
        // What is in memory, or temporary, is as old as its connection, and each has its own.
        let own = url.contains(":memory:") || url.contains("pg_temp");
        let options = AnyPoolOptions::new().max_connections(if own { 1 } else { 8 });
        let pool = options.idle_timeout(None).max_lifetime(None).connect(url).await?;
        let key = if url.starts_with("sqlite:") { "INTEGER PRIMARY KEY" } else { "BIGSERIAL PRIMARY KEY" };
        let schema = include_str!("schema.sql").replace("KEY!", key);
        sqlx::raw_sql(AssertSqlSafe(schema)).execute(&pool).await?;
        let database = Self { pool };
        database.seed().await?;
        Ok(database)
    }

    /// Some courses, where there are none.
    async fn seed(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let (users,): (i64,) = sqlx::query_as("SELECT count(*) FROM users").fetch_one(&mut *tx).await?;
        if users > 0 {
            return Ok(());
        }
        for name in ["ada", "grace", "linus"] {
            sqlx::query("INSERT INTO users (name) VALUES ($1)").bind(name).execute(&mut *tx).await?;
        }
        for (slug, title) in [("programming", "Programming"), ("mathematics", "Mathematics")] {
            let insert = sqlx::query("INSERT INTO subjects (slug, title) VALUES ($1, $2)");
            insert.bind(slug).bind(title).execute(&mut *tx).await?;
        }
        let titles = [
            "Rust from the beginning",
            "Async Rust",
            "Python for scientists",
            "Compilers",
            "Operating systems",
            "Databases",
            "Machine learning",
            "Linear algebra",
            "Number theory",
            "Statistics",
            "Logic",
            "Graphs",
        ];
        for (n, title) in (0_i64..).zip(titles) {
            let insert = sqlx::query(
                "INSERT INTO courses (title, description, level, subject_id, author_id) VALUES ($1, $2, $3, $4, $5)",
            );
            let level = ["beginner", "intermediate", "advanced"][(n % 3) as usize];
            let insert = insert.bind(title).bind(format!("{title}, in twelve lessons")).bind(level);
            insert.bind(if n < 7 { 1_i64 } else { 2 }).bind(1 + n % 3).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    /// How many there are, and those of one page.
    pub(crate) async fn list(&self, wanted: &Wanted) -> Result<(i64, Vec<Course>), sqlx::Error> {
        let pattern = match wanted.search.as_str() {
            "" => String::new(),
            text => format!("%{}%", text.replace('!', "!!").replace('%', "!%").replace('_', "!_")),
        };
        let count = format!("SELECT count(*) FROM courses c JOIN subjects s ON s.id = c.subject_id {WANTED}");
        let count =
            sqlx::query_as(AssertSqlSafe(count)).bind(&pattern).bind(&wanted.level).bind(&wanted.subject);
        let (count,): (i64,) = count.fetch_one(&self.pool).await?;
        let page = format!("{COURSE} {WANTED} ORDER BY c.id LIMIT $4 OFFSET $5");
        let page =
            sqlx::query_as(AssertSqlSafe(page)).bind(&pattern).bind(&wanted.level).bind(&wanted.subject);
        let page = page.bind(wanted.perpage).bind((wanted.page - 1) * wanted.perpage);
        Ok((count, page.fetch_all(&self.pool).await?))
    }

    pub(crate) async fn course(&self, id: i64) -> Result<Option<Course>, sqlx::Error> {
        let one = format!("{COURSE} WHERE c.id = $1");
        sqlx::query_as(AssertSqlSafe(one)).bind(id).fetch_optional(&self.pool).await
    }

    pub(crate) async fn create(&self, user: &User, draft: &Draft) -> Result<i64, ApiError> {
        let mut tx = self.pool.begin().await?;
        let insert = "INSERT INTO courses (title, description, level, subject_id, author_id)
            VALUES ($1, $2, $3, (SELECT id FROM subjects WHERE slug = $4), $5) RETURNING id";
        let insert = sqlx::query_as(insert).bind(&draft.title).bind(&draft.description).bind(&draft.level);
        let insert = insert.bind(&draft.subject).bind(user.id).fetch_one(&mut *tx);
        let (id,): (i64,) = insert.await.map_err(refused)?;
        tx.commit().await?;
        Ok(id)
    }

    pub(crate) async fn update(&self, user: &User, id: i64, draft: &Draft) -> Result<(), ApiError> {
        let mut tx = self.pool.begin().await?;
        let title =
            sqlx::query("UPDATE courses SET title = $1, description = $2 WHERE id = $3 AND author_id = $4");
        let title = title.bind(&draft.title).bind(&draft.description).bind(id).bind(user.id);
        if title.execute(&mut *tx).await?.rows_affected() == 0 {
            drop(tx);
            return Err(self.not_yours(id).await?);
        }
        let place = "UPDATE courses SET level = $1, subject_id = (SELECT id FROM subjects WHERE slug = $2) WHERE id = $3";
        let place = sqlx::query(place).bind(&draft.level).bind(&draft.subject).bind(id);
        // If this is refused, the transaction is rolled back, and the title is the old one.
        place.execute(&mut *tx).await.map_err(refused)?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn delete(&self, user: &User, id: i64) -> Result<(), ApiError> {
        let delete =
            sqlx::query("DELETE FROM courses WHERE id = $1 AND author_id = $2").bind(id).bind(user.id);
        match delete.execute(&self.pool).await?.rows_affected() {
            0 => Err(self.not_yours(id).await?),
            _ => Ok(()),
        }
    }

    async fn not_yours(&self, id: i64) -> Result<ApiError, sqlx::Error> {
        Ok(if self.course(id).await?.is_some() { ApiError::Forbidden } else { ApiError::NotFound })
    }

    pub(crate) async fn user(&self, name: &str) -> Result<Option<User>, sqlx::Error> {
        sqlx::query_as("SELECT id, name FROM users WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
    }

    pub(crate) async fn top_authors(&self) -> Result<Vec<Author>, sqlx::Error> {
        let top = "SELECT u.name, count(*) AS courses FROM users u JOIN courses c ON c.author_id = u.id
            GROUP BY u.id, u.name ORDER BY courses DESC, u.name LIMIT 3";
        sqlx::query_as(top).fetch_all(&self.pool).await
    }

    /// Deletes a course as another program would: nothing here is told of it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_behind(&self, id: i64) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM courses WHERE id = $1").bind(id).execute(&self.pool).await.map(drop)
    }
}

/// What the tables themselves refuse is the client's mistake.
fn refused(error: sqlx::Error) -> ApiError {
    use sqlx::error::ErrorKind;
    match error.as_database_error().map(|error| error.kind()) {
        Some(ErrorKind::CheckViolation | ErrorKind::NotNullViolation) => {
            ApiError::Wrong("a course needs a title, a level (beginner, intermediate or advanced) and a subject that there is".to_owned())
        }
        _ => error.into(),
    }
}
