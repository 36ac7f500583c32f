//! [`Memory`] as a [`Backend`]. Nothing here waits.

use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Fetched, Fill, Key, Scanned, Space, Stamp, Tag,
    UnixMillis, Value, When,
};

use crate::Memory;

impl Backend for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("memory").in_process().verifying().listing()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(self.store.read(key, now))
    }

    fn get_now(&self, key: &Key, now: UnixMillis) -> Option<Option<Entry>> {
        Some(self.store.read(key, now))
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        Ok(keys.iter().map(|key| self.store.read(key, now)).collect())
    }

    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        let entries = keys.iter().map(|key| self.store.read(key, now)).collect();
        let (cleared, numbers) = self.store.records.numbers(space, tags);
        Ok(Fetched { entries, space: Some(cleared), tags: numbers.into_iter().map(Some).collect() })
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let held = self.store.hold(key);
        let store = match when {
            When::Always => true,
            When::Absent => held.entry(now).is_none(),
            When::Present => held.entry(now).is_some(),
        };
        if store {
            held.put(entry, now)?;
        }
        Ok(store)
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        let held = self.store.hold(key);
        let found = held.entry(now).is_some();
        held.remove();
        Ok(found)
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let held = self.store.hold(key);
        let Some(entry) = held.entry(now) else { return Ok(false) };
        if entry.value().to_bytes()? != expected {
            return Ok(false);
        }
        match with {
            Some(with) => held.put(with, now)?,
            None => held.remove(),
        }
        Ok(true)
    }

    async fn scan(
        &self,
        _: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        self.store.scan(front.as_bytes(), after, limit, now)
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        let held = self.store.hold(key);
        let Some(entry) = held.entry(now) else { return Ok(false) };
        held.put(entry.with_expiry(expires), now)?;
        Ok(true)
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        let held = self.store.hold(key);
        let Some(entry) = held.entry(now) else { return Ok(None) };
        let number = integer(&entry.value().to_bytes()?)
            .ok_or_else(|| Error::new(ErrorKind::Value, "the stored value is not an integer"))?;
        let sum = number
            .checked_add(delta)
            .ok_or_else(|| Error::new(ErrorKind::Value, "the sum does not fit 64 bits"))?;
        held.put(entry.with_value(Value::Bytes(sum.to_string().into())), now)?;
        Ok(Some(sum))
    }

    async fn clear(&self, space: &Space, _: UnixMillis) -> Result<(), Error> {
        self.store.records.clear(space);
        self.store.sweep_space(space.prefix().as_bytes());
        Ok(())
    }

    async fn begin(&self, _: &Space, tags: &[Tag], _: UnixMillis) -> Result<Fill, Error> {
        Ok(self.start(tags))
    }

    fn begin_now(&self, _: &Space, tags: &[Tag]) -> Option<Fill> {
        Some(self.start(tags))
    }

    async fn seal(
        &self,
        _: &Space,
        fill: &Fill,
        late: &[Tag],
        _: Option<UnixMillis>,
        _: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        // Late tags get the number of the beginning too: whatever was invalidated since is larger.
        Ok(Some(fill.stamp(fill.missing(late).into_iter().map(|tag| (tag, fill.fence())))))
    }

    async fn is_current(&self, space: &Space, stamp: &Stamp, _: UnixMillis) -> Result<bool, Error> {
        Ok(self.store.records.is_current(space, stamp))
    }

    async fn soften(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.store.records.soften(space, tags, now);
        Ok(())
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], _: UnixMillis) -> Result<(), Error> {
        self.store.records.invalidate(space, tags);
        Ok(())
    }
}

impl Memory {
    fn start(&self, tags: &[Tag]) -> Fill {
        let begun = self.store.records.fence();
        let mut fill = Fill::new(begun, begun);
        let named = tags.iter().filter(|tag| !tag.as_str().is_empty());
        fill.capture_all(named.cloned(), begun);
        fill
    }
}

/// An integer as JSON writes it: no plus sign, no leading zeros, no spaces.
fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let bare = digits == "0" || (!digits.starts_with(['0', '+']) && !digits.is_empty());
    if bare { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_decimal_integers_are_counted_on() {
        for (text, number) in
            [("0", Some(0)), ("-7", Some(-7)), ("9223372036854775807", Some(i64::MAX)), ("-0", Some(0))]
        {
            assert_eq!(integer(text.as_bytes()), number, "{text}");
        }
        for text in ["", "-", "+1", "01", " 1", "1.0", "1e3", "\"1\"", "9223372036854775808", "--1", "é"] {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }
}
