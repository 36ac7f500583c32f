//! The least that a backend author may write: five operations, and a counter. Everything else, tags included, is what
//! core provides on top of them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Key, Space, UnixMillis, Value, When, renew_space, wire,
};
use parking_lot::Mutex;

/// A backend over a map of names to bytes, as a server far away is. Clones share the map.
///
/// For tests and for reading: it has no bound, and removes nothing that expired until it is written over.
#[derive(Clone, Debug, Default)]
pub struct Plain(Arc<Mutex<HashMap<String, Bytes>>>);

fn read(map: &HashMap<String, Bytes>, key: &Key, now: UnixMillis) -> Option<Entry> {
    let entry = map.get(&*key.name()).and_then(|bytes| wire::decode(bytes).ok())?;
    (!entry.is_expired(now)).then_some(entry)
}

impl Backend for Plain {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("plain")
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(read(&self.0.lock(), key, now))
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let mut map = self.0.lock();
        let there = read(&map, key, now).is_some();
        let stores = match when {
            When::Always => true,
            When::Absent => !there,
            When::Present => there,
        };
        if stores {
            map.insert(key.name().into_owned(), wire::encode(&entry)?);
        }
        Ok(stores)
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        let mut map = self.0.lock();
        let there = read(&map, key, now).is_some();
        map.remove(&*key.name());
        Ok(there)
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        renew_space(self, space, now).await?;
        let front = format!("{}:", space.prefix());
        self.0.lock().retain(|name, _| !name.starts_with(&front));
        renew_space(self, space, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        let mut map = self.0.lock();
        let Some(entry) = read(&map, key, now) else { return Ok(false) };
        map.insert(key.name().into_owned(), wire::encode(&entry.with_expiry(expires))?);
        Ok(true)
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        let mut map = self.0.lock();
        let Some(entry) = read(&map, key, now) else { return Ok(None) };
        let number: Option<i64> =
            std::str::from_utf8(&entry.value().to_bytes()?).ok().and_then(|n| n.parse().ok());
        let sum = number
            .and_then(|number| number.checked_add(delta))
            .ok_or_else(|| Error::new(ErrorKind::Value, "not an integer, or too large"))?;
        let entry = entry.with_value(Value::Bytes(sum.to_string().into()));
        map.insert(key.name().into_owned(), wire::encode(&entry)?);
        Ok(Some(sum))
    }
}
