//! The backend that stores nothing, for development and tests. Django: `DummyCache`.

use crate::backend::{Backend, Capabilities, Fetched, Scanned, When};
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::error::Error;
use crate::key::{Key, Space};
use crate::tag::{Fill, Nonce, Stamp, Tag};

/// Takes everything and keeps nothing: `add` and `set` say yes, reads miss, `touch` and `remove` say no.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dummy;

impl Backend for Dummy {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("dummy").in_process().verifying().listing().storing_nothing()
    }

    async fn get(&self, _: &Key, _: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(None)
    }

    async fn set(&self, _: &Key, _: Entry, when: When, _: UnixMillis) -> Result<bool, Error> {
        Ok(when != When::Present)
    }

    async fn remove(&self, _: &Key, _: UnixMillis) -> Result<bool, Error> {
        Ok(false)
    }

    async fn set_many(&self, _: Vec<(Key, Entry)>, _: UnixMillis) -> Result<Vec<(usize, Error)>, Error> {
        Ok(Vec::new())
    }

    async fn remove_many(&self, _: &[Key], _: UnixMillis) -> Result<usize, Error> {
        Ok(0)
    }

    async fn compare_and_set(
        &self,
        _: &Key,
        _: &[u8],
        _: Option<Entry>,
        _: UnixMillis,
    ) -> Result<bool, Error> {
        Ok(false)
    }

    async fn scan(
        &self,
        _: &Space,
        _: &str,
        _: Option<&str>,
        _: usize,
        _: UnixMillis,
    ) -> Result<Scanned, Error> {
        Ok(Scanned::default())
    }

    async fn clear(&self, _: &Space, _: UnixMillis) -> Result<(), Error> {
        Ok(())
    }

    async fn touch(&self, _: &Key, _: Option<UnixMillis>, _: UnixMillis) -> Result<bool, Error> {
        Ok(false)
    }

    fn get_now(&self, _: &Key, _: UnixMillis) -> Option<Option<Entry>> {
        Some(None)
    }

    async fn fetch(&self, _: &Space, keys: &[Key], tags: &[Tag], _: UnixMillis) -> Result<Fetched, Error> {
        Ok(Fetched { entries: vec![None; keys.len()], space: None, tags: vec![None; tags.len()] })
    }

    async fn incr(&self, _: &Key, _: i64, _: UnixMillis) -> Result<Option<i64>, Error> {
        Ok(None)
    }

    fn begin_now(&self, _: &Space, _: &[Tag]) -> Option<Fill> {
        let nothing = Nonce::from_u128(0);
        Some(Fill::new(nothing, nothing))
    }

    async fn seal(
        &self,
        _: &Space,
        fill: &Fill,
        _: &[Tag],
        _: Option<UnixMillis>,
        _: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        Ok(Some(fill.stamp([])))
    }

    async fn soften(&self, _: &Space, _: &[Tag], _: UnixMillis) -> Result<(), Error> {
        Ok(())
    }

    async fn invalidate(&self, _: &Space, _: &[Tag], _: UnixMillis) -> Result<(), Error> {
        Ok(())
    }
}
