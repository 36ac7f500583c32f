//! Counting. The backend does it, but for values that are kept beyond their timeout: those it can't read.

use super::Cache;
use crate::backend::Backend;
use crate::codec::is_integer;
use crate::entry::Value;
use crate::error::{Error, ErrorKind};
use crate::events::Operation;
use crate::key::Key;
use crate::pack;

/// How often a value is read again that others change at the same time.
const TRIES: usize = 1000;

/// What came of counting on a value that is kept beyond its timeout.
enum Counted {
    Sum(i64),
    /// It is past its timeout, or gone.
    Nothing,
    /// It is no such value.
    Another,
    /// It is one that the store counts on.
    Plain,
    /// Somebody was quicker.
    Changed,
}

impl Cache {
    /// Adds to the integer under a key; `None` if there is no valid one, or it is past its timeout.
    pub(super) async fn count(&self, key: &Key, delta: i64) -> Result<Option<i64>, Error> {
        let inner = &*self.inner;
        // Only a valid value is counted on: an invalidated one is absent, and one that this process keeps as it is may be past its timeout.
        let looks = !inner.capabilities.verifies || !inner.capabilities.shared;
        let mut was_plain = false;
        for _ in 0..TRIES {
            if looks && self.lookup_one(key).await?.is_none() {
                return Ok(None);
            }
            // Of a value that is wrapped the store says that it is no integer, which is no failure yet.
            let step = async {
                match inner.backend.incr(key, delta, inner.clock.now()).await {
                    Err(error) if error.kind() == ErrorKind::Value => Ok(Err(error)),
                    counted => counted.map(Ok),
                }
            };
            let error = match self.within(Operation::Incr, step).await? {
                Ok(sum) => return Ok(sum),
                Err(error) => error,
            };
            match self.count_kept(key, delta).await? {
                Counted::Sum(sum) => return Ok(Some(sum)),
                Counted::Nothing => return Ok(None),
                Counted::Changed => {}
                // Put there just now; or the store takes it for none.
                Counted::Plain if !was_plain => was_plain = true,
                Counted::Plain | Counted::Another => {
                    self.tell(Operation::Incr, &error);
                    return Err(error);
                }
            }
        }
        Err(Error::new(ErrorKind::Backend, "others change this value all the time; it was not counted"))
    }

    /// Adds to a value that is kept beyond its timeout. Its windows stay.
    async fn count_kept(&self, key: &Key, delta: i64) -> Result<Counted, Error> {
        let inner = &*self.inner;
        if !inner.capabilities.shared {
            return Ok(Counted::Another);
        }
        let stored = self.within(Operation::Get, inner.backend.get(key, inner.clock.now())).await?;
        // Looked at after that: what is put in its place has to be what was found valid.
        let valid = self.lookup_one(key).await?.is_some();
        let Some(stored) = stored.filter(|_| valid) else { return Ok(Counted::Nothing) };
        let expected = stored.value().to_bytes()?;
        let opened = self.open_entry(stored)?;
        let plain = pack::bytes(opened.value())?;
        if !is_integer(&plain) {
            return Ok(Counted::Another);
        }
        if opened.fresh_until().is_none() {
            return Ok(Counted::Plain);
        }
        let sum = sum(&plain, delta)?;
        let with = opened.with_value(Value::Bytes(sum.to_string().into()));
        let swapped = self.compare_and_set(key, &expected, Some(with)).await?;
        Ok(if swapped { Counted::Sum(sum) } else { Counted::Changed })
    }
}

fn sum(number: &[u8], delta: i64) -> Result<i64, Error> {
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse::<i64>().ok());
    number
        .and_then(|number| number.checked_add(delta))
        .ok_or_else(|| Error::new(ErrorKind::Value, "the sum does not fit 64 bits"))
}
