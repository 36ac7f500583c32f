//! Operations on several keys.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Cache;
use crate::error::Error;
use crate::key::Key;
use crate::timeout::Timeout;

impl Cache {
    /// Reads several values in one step where the backend can. Missing ones are absent from the map, not null.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub async fn get_many<T, K>(&self, keys: impl IntoIterator<Item = K>) -> Result<HashMap<String, T>, Error>
    where
        T: DeserializeOwned,
        K: Into<String>,
    {
        let names: Vec<String> = keys.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<Key> = names.iter().map(|name| self.value_key(name, None)).collect();
        let mut found = HashMap::with_capacity(names.len());
        for ((name, key), entry) in names.into_iter().zip(&keys).zip(self.lookup(&keys).await?) {
            let Some(entry) = entry else { continue };
            if let Some(value) = self.decode(key, &entry).await? {
                found.insert(name, value);
            }
        }
        Ok(found)
    }

    /// Stores several values. Those before an error are stored.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn set_many<K, T>(
        &self,
        values: impl IntoIterator<Item = (K, T)>,
        timeout: impl Into<Timeout>,
    ) -> Result<(), Error>
    where
        K: AsRef<str>,
        T: Serialize,
    {
        let timeout = timeout.into();
        for (key, value) in values {
            self.set(key.as_ref(), value).timeout(timeout).await?;
        }
        Ok(())
    }

    /// Removes several values; how many there were.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn delete_many<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<usize, Error> {
        let mut removed = 0;
        for key in keys {
            removed += usize::from(self.delete(key.as_ref()).await?);
        }
        Ok(removed)
    }
}
