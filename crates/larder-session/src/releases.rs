//! The same stores for each release of `tower-sessions` that is in use: their traits read alike and are not the same.

use larder_core::Error;

use crate::cache_store::CacheStore;
use crate::cached_store::{CachedStore, Copy};
use crate::plain::Plain;
use crate::shelf::Read;

/// What a save of a session says that is not there any more.
const GONE: &str = "the session was deleted or lost while the request was under way; it is not brought back";

macro_rules! release {
    ($name:ident, $core:ident) => {
        mod $name {
            use async_trait::async_trait;
            use $core::SessionStore;
            use $core::session::{Id, Record};
            use $core::session_store::{Error as StoreError, Result};

            use super::*;

            fn plain(record: &Record) -> Plain {
                Plain { id: record.id.0, data: record.data.clone(), expires: record.expiry_date }
            }

            fn record(plain: Plain) -> Record {
                Record { id: Id(plain.id), data: plain.data, expiry_date: plain.expires }
            }

            fn backend(error: Error) -> StoreError {
                StoreError::Backend(error.to_string())
            }

            #[async_trait]
            impl SessionStore for CacheStore {
                async fn create(&self, record: &mut Record) -> Result<()> {
                    let mut new = plain(record);
                    self.shelf.create(&mut new, || Id::default().0).await.map_err(backend)?;
                    record.id = Id(new.id);
                    Ok(())
                }

                async fn save(&self, record: &Record) -> Result<()> {
                    match self.shelf.replace(&plain(record)).await.map_err(backend)? {
                        true => Ok(()),
                        false => Err(StoreError::Backend(GONE.to_owned())),
                    }
                }

                async fn load(&self, id: &Id) -> Result<Option<Record>> {
                    match self.shelf.read(id.0).await.map_err(backend)? {
                        Read::Found(plain) => Ok(Some(record(plain))),
                        Read::Marked | Read::Missing => Ok(None),
                    }
                }

                async fn delete(&self, id: &Id) -> Result<()> {
                    self.shelf.delete(id.0).await.map_err(backend)
                }
            }

            #[async_trait]
            impl<Db: SessionStore> SessionStore for CachedStore<Db> {
                async fn create(&self, record: &mut Record) -> Result<()> {
                    self.copies.shelf.check().map_err(backend)?;
                    self.db.create(record).await?;
                    self.copies.created(&plain(record)).await;
                    Ok(())
                }

                async fn save(&self, record: &Record) -> Result<()> {
                    let mark = self.copies.will_change(record.id.0).await.map_err(backend)?;
                    // Most stores write whether there is something or not, and would bring a deleted one back.
                    if self.db.load(&record.id).await?.is_none() {
                        return Err(StoreError::Backend(GONE.to_owned()));
                    }
                    self.db.save(record).await?;
                    if let Some(mark) = mark {
                        self.copies.has_changed(&mark, &plain(record)).await;
                    }
                    Ok(())
                }

                async fn load(&self, id: &Id) -> Result<Option<Record>> {
                    let mark = match self.copies.read(id.0).await.map_err(backend)? {
                        Copy::Found(plain) => return Ok(Some(record(plain))),
                        Copy::Missing(mark) => mark,
                    };
                    let now = self.copies.shelf.now();
                    let found = self.db.load(id).await?.filter(|record| plain(record).expires_ms() > now);
                    if let Some(mark) = mark {
                        self.copies.was_read(&mark, found.as_ref().map(plain).as_ref()).await;
                    }
                    Ok(found)
                }

                async fn delete(&self, id: &Id) -> Result<()> {
                    let mark = self.copies.will_change(id.0).await.map_err(backend)?;
                    self.db.delete(id).await?;
                    match mark {
                        // It stands there until nobody can be reading the original any more.
                        Some(_) => Ok(()),
                        None => Err(StoreError::Backend(
                            "the session is deleted, but the cache can't be told and may show its copy until then; delete it again"
                                .to_owned(),
                        )),
                    }
                }
            }
        }
    };
}

release!(newest, tower_sessions_core);
release!(of_axum_login, tower_sessions_core_014);
