//! Values and invalidations that come with a transaction of the application's.

mod on;
mod set;

use std::fmt;

use larder_core::{Backend, Cache, Error, Nonce, Tag};

pub use on::AppTransaction;
pub(crate) use on::On;
pub use set::SetInTransaction;

use crate::SqlCache;
use crate::engine::{Ask, Row};
use crate::name;
use crate::outbox;
use crate::raw::Raw;

impl SqlCache {
    /// Begins to take part in a transaction of the application's on the same database: values that are set by what this gives, and tags
    /// that are invalidated, are so once the transaction was committed, and never if it is rolled back.
    ///
    /// `cache` is a [`Cache`] over this backend, whose namespace, version, codec and clock are used.
    ///
    /// ```no_run
    /// use larder_core::Cache;
    /// use larder_sql::{SqlCache, sqlx};
    ///
    /// # async fn rename(title: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = sqlx::PgPool::connect_lazy("postgres://shop@localhost/shop")?;
    /// let sql = SqlCache::from_pool(pool.clone()).build()?;
    /// let cache = Cache::new(sql.clone());
    ///
    /// let mut transaction = pool.begin().await?;
    /// let mut cached = sql.in_transaction(&cache, &mut transaction).await?;
    /// sqlx::query("UPDATE course SET title = $1 WHERE id = 7").bind(title).execute(&mut *transaction).await?;
    /// cached.invalidate(&mut transaction, ["course:7", "course_list"]).await?;
    /// cached.set(&mut transaction, "title:7", &title).timeout(600).tags(["course:7"]).await?;
    /// transaction.commit().await?;
    /// // From here on nobody is served what carried one of the two tags before.
    /// cached.after_commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # What is promised
    /// - The commit is the invalidation. Once it returned, no request that starts later is served anything that carries one of the tags and whose fill
    ///   began before it, in no process on this database; nothing has to happen in between that a crash could prevent. That is what
    ///   [`Cache::invalidate`] promises, too.
    /// - Nobody waits for the transaction but who writes a value under the same key: an invalidation adds a row of its own, which all reads
    ///   take into account.
    /// - [`InTransaction::after_commit`] tidies that row away. If it is not called, or the process died, whoever reads later does it.
    /// - Values that are set with tags are as old as this call: if one of their tags is invalidated by others meanwhile, nothing is stored, and what was
    ///   there is removed. So call it before you read what you will set.
    /// - It holds at every isolation level. What fails by a stricter one is an error of the transaction, as with its other statements.
    ///
    /// Fills that are under way in this process do not know of values that are set or removed this way: invalidate a tag of theirs.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if the transaction is of another kind of database, or `cache` of another backend;
    /// [`Backend`](larder_core::ErrorKind::Backend) and [`Unavailable`](larder_core::ErrorKind::Unavailable) as the database says. With PostgreSQL a
    /// failed statement fails the whole transaction. Where the table or the namespace is new, it takes a second connection for a moment.
    ///
    /// # Cancel safety
    /// As with every statement of sqlx's: dropping it leaves the transaction good for a rollback only. The cache's deadline does not count here.
    pub async fn in_transaction(
        &self,
        cache: &Cache,
        transaction: &mut impl AppTransaction,
    ) -> Result<InTransaction, Error> {
        let here = self.raw.engine.name();
        let there = cache.capabilities().name;
        if here != there {
            return Err(Error::config(format!(
                "the cache is over the {there} backend and this is a {here} one; give a cache that was made with a clone of it"
            )));
        }
        let (space, now) = (cache.space(), cache.clock().now());
        // Making the table would commit MySQL's transactions and fail PostgreSQL's.
        if !self.raw.has_table() {
            self.raw.begin(space, &[], now).await?;
        }
        let mut records = set::Records::read(&self.raw, space, &[], now, transaction).await?;
        if records.space.is_none() || records.fence.is_none() {
            self.raw.begin(space, &[], now).await?;
            // A stricter isolation does not see them even now.
            records = set::Records::read(&self.raw, space, &[], now, transaction).await?;
        }
        let (space, fence) = (records.space, records.fence);
        Ok(InTransaction { raw: self.raw.clone(), cache: cache.clone(), space, fence, notes: Vec::new() })
    }
}

/// What a cache does within a transaction of the application's; see [`SqlCache::in_transaction`].
pub struct InTransaction {
    raw: Raw,
    cache: Cache,
    /// The namespace's nonce when it began, if that could be seen.
    space: Option<Nonce>,
    /// The fence when it began, as our own invalidations changed it since.
    fence: Option<Nonce>,
    notes: Vec<String>,
}

impl InTransaction {
    /// Sets a value with the commit. It is visible to others from then on, and who sets the same key meanwhile waits.
    ///
    /// # Errors
    /// When awaited: as [`Cache::set`], and as [`SqlCache::in_transaction`].
    pub fn set<'a, V, T>(
        &'a mut self,
        transaction: &'a mut T,
        key: &str,
        value: &V,
    ) -> SetInTransaction<'a, T>
    where
        V: serde::Serialize + ?Sized,
        T: AppTransaction,
    {
        SetInTransaction::new(self, transaction, key, self.cache.encode(value))
    }

    /// Removes a value with the commit; true if there was one, valid or not.
    ///
    /// # Errors
    /// As [`SqlCache::in_transaction`].
    ///
    /// # Cancel safety
    /// As there.
    pub async fn remove(&mut self, transaction: &mut impl AppTransaction, key: &str) -> Result<bool, Error> {
        let name = name::of(&self.cache.key_of(key, None));
        Ok(self.raw.number_on(transaction.on(), &Ask::Delete(name)).await? > 0)
    }

    /// Invalidates tags with the commit.
    ///
    /// # Errors
    /// As [`SqlCache::in_transaction`].
    ///
    /// # Cancel safety
    /// As there.
    pub async fn invalidate<G: Into<Tag>>(
        &mut self,
        transaction: &mut impl AppTransaction,
        tags: impl IntoIterator<Item = G>,
    ) -> Result<(), Error> {
        let tags: Vec<Tag> = tags.into_iter().map(Into::into).collect();
        let (space, now) = (self.cache.space(), self.cache.clock().now());
        for note in outbox::notes(space, &tags, now).await? {
            let (name, value) = (note.name.clone(), note.value());
            let row = Row { name, value, expires: None, written: None, whole: None };
            self.raw.number_on(transaction.on(), &Ask::Insert(row)).await?;
            self.fence = self.fence.map(|fence| note.mask_fence(space, fence));
            self.notes.push(note.name);
        }
        Ok(())
    }

    /// Tidies up after the commit, so that reads have less to take into account. Nothing depends on it: after a rollback it does nothing, and if it fails
    /// or is never called, somebody else tidies up.
    ///
    /// # Errors
    /// [`Unavailable`](larder_core::ErrorKind::Unavailable) and [`Backend`](larder_core::ErrorKind::Backend) as the database says.
    ///
    /// # Cancel safety
    /// It is done or it is not.
    pub async fn after_commit(self) -> Result<(), Error> {
        self.raw.fold(&self.notes).await
    }
}

impl fmt::Debug for InTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTransaction").field("invalidations", &self.notes.len()).finish_non_exhaustive()
    }
}
