//! What stands in the store: a URL's record, and its variants.

use std::any::Any;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderName;
use larder_core::{Entry, Error, ErrorKind, SharedValue, Value};
use larder_http::{Coding, Form, StoredResponse, VaryFields};

use crate::kept::Page;
use crate::usual;

/// How many field lists of one URL are remembered; the oldest is forgotten.
const SETS: usize = 4;
const MAGIC: &[u8; 4] = b"LRR2";

/// What stands under a URL's primary key (and, without field lists, in a variant's slot).
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The `Vary` field lists seen, the newest first. An empty one: pages that differ by credentials alone.
    pub(crate) sets: Vec<VaryFields>,
    /// The page for everybody that varies on nothing.
    pub(crate) page: Option<Arc<Page>>,
}

impl Record {
    pub(crate) fn of(page: Arc<Page>) -> Self {
        Self { sets: Vec::new(), page: Some(page) }
    }

    /// Notes a field list; false if it was the newest already.
    pub(crate) fn note(&mut self, set: &VaryFields) -> bool {
        if self.sets.first() == Some(set) {
            return false;
        }
        self.sets.retain(|known| known != set);
        self.sets.insert(0, set.clone());
        self.sets.truncate(SETS);
        true
    }

    /// The record in an entry: as it is from memory, decoded, once an entry, from anywhere else.
    pub(crate) fn from_entry(entry: &Entry) -> Result<Arc<Self>, Error> {
        let shared: Arc<dyn Any + Send + Sync> = match entry.value() {
            Value::Bytes(_) => return entry.decoded(Self::decode),
            Value::Shared(value) => Arc::clone(value).into_any(),
        };
        match shared.downcast::<Page>() {
            Ok(page) => Ok(Arc::new(Self::of(page))),
            Err(other) => {
                other.downcast().map_err(|_| Error::new(ErrorKind::Decode, "the stored value is not a page"))
            }
        }
    }

    /// The record in an entry that has it decoded, where it is more than its page.
    pub(crate) fn at_hand(entry: &Entry) -> Option<&Self> {
        match entry.value() {
            Value::Shared(value) => {
                let value: &dyn Any = &**value;
                value.downcast_ref()
            }
            Value::Bytes(_) => entry.was_decoded(),
        }
    }

    /// The page in an entry.
    pub(crate) fn page_of(entry: &Entry) -> Option<Arc<Page>> {
        let shared = match entry.value() {
            Value::Shared(value) => Arc::clone(value).into_any().downcast().ok(),
            Value::Bytes(_) => None,
        };
        shared.or_else(|| match Self::at_hand(entry) {
            Some(record) => record.page.clone(),
            None => Self::from_entry(entry).ok()?.page.clone(),
        })
    }

    /// The page in an entry that has it decoded and nothing beside it: no field lists.
    pub(crate) fn sole_page(entry: &Entry) -> Option<&Page> {
        match entry.value() {
            Value::Shared(value) => {
                let value: &dyn Any = &**value;
                value.downcast_ref()
            }
            Value::Bytes(_) => {
                let Self { sets, page } = entry.was_decoded()?;
                page.as_deref().filter(|_| sets.is_empty())
            }
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self.page {
            Some(page) if self.sets.is_empty() => Value::Shared(page),
            page => Value::Shared(Arc::new(Self { page, ..self })),
        }
    }

    fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let bad = || Error::new(ErrorKind::Decode, "the stored record of a URL can't be read");
        let mut at = Reader { bytes, at: 0 };
        if at.take(4).ok_or_else(bad)? != MAGIC {
            return Err(Error::new(ErrorKind::Decode, "the stored record of a URL has another version"));
        }
        let mut sets = Vec::new();
        for _ in 0..at.byte().ok_or_else(bad)? {
            let mut names = Vec::new();
            for _ in 0..at.byte().ok_or_else(bad)? {
                let len = at.byte().ok_or_else(bad)?;
                let name = at.take(usize::from(len)).ok_or_else(bad)?;
                names.push(HeaderName::from_bytes(name).map_err(|_| bad())?);
            }
            sets.push(names.into_iter().collect());
        }
        let mut forms = Vec::new();
        for _ in 0..at.byte().ok_or_else(bad)? {
            let coding = match at.byte().ok_or_else(bad)? {
                b'g' => Coding::Gzip,
                b'b' => Coding::Brotli,
                _ => return Err(bad()),
            };
            let len =
                at.take(4).and_then(|len| len.try_into().ok()).map(u32::from_be_bytes).ok_or_else(bad)?;
            let begin = at.at;
            at.take(len as usize).ok_or_else(bad)?;
            forms.push(Form { coding, body: bytes.slice(begin..at.at) });
        }
        let rest = bytes.slice(at.at..);
        let page = match rest.is_empty() {
            true => None,
            false => {
                let mut page = StoredResponse::decode(rest).map_err(|e| bad().with_source(e))?;
                page.meta.forms = forms;
                for (name, value) in &mut page.headers {
                    if let Some(usual) = usual::value(name, value) {
                        *value = usual;
                    }
                }
                Some(Arc::new(Page::from(page)))
            }
        };
        Ok(Self { sets, page })
    }
}

impl SharedValue for Record {
    fn encode(&self) -> Result<Bytes, Error> {
        Ok(encode(&self.sets, self.page.as_deref()))
    }

    fn weight(&self) -> usize {
        let sets: usize = self.sets.iter().map(|set| 32 + set.len() * 32).sum();
        sets + self.page.as_ref().map_or(0, |page| page.weight()) + size_of::<Self>()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// The bytes of a record, or of a page alone: a record without field lists is kept as its page, and written as one.
pub(crate) fn encode(sets: &[VaryFields], page: Option<&Page>) -> Bytes {
    let encoded = page.map(|page| page.to_stored().encode()).unwrap_or_default();
    let mut out = BytesMut::with_capacity(encoded.len() + 64);
    out.put_slice(MAGIC);
    // Lists and names beyond 255 were never noted: see `Vary` and `SETS`.
    out.put_u8(u8::try_from(sets.len()).unwrap_or(u8::MAX));
    for set in sets.iter().take(usize::from(u8::MAX)) {
        out.put_u8(u8::try_from(set.len()).unwrap_or(u8::MAX));
        for name in set.iter().take(usize::from(u8::MAX)) {
            let name = name.as_str().as_bytes();
            out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
            out.put_slice(&name[..name.len().min(usize::from(u8::MAX))]);
        }
    }
    let forms = page.map_or(&[][..], |page| &page.meta.forms);
    let fits = |form: &&Form| u32::try_from(form.body.len()).is_ok();
    out.put_u8(u8::try_from(forms.iter().filter(fits).count()).unwrap_or(0));
    for form in forms.iter().filter(fits) {
        out.put_u8(match form.coding {
            Coding::Gzip => b'g',
            Coding::Brotli => b'b',
        });
        out.put_u32(u32::try_from(form.body.len()).unwrap_or(0));
        out.put_slice(&form.body);
    }
    out.put_slice(&encoded);
    out.freeze()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&'static str]) -> VaryFields {
        names.iter().map(|n| HeaderName::from_static(n)).collect()
    }

    #[test]
    fn the_newest_field_list_stands_first_and_the_oldest_is_forgotten() {
        let mut record = Record::default();
        let lists = [set(&["a"]), set(&["b"]), set(&["c"]), set(&["d"]), set(&["e"])];
        for list in &lists {
            assert!(record.note(list));
        }
        assert!(!record.note(&lists[4]));
        assert!(record.note(&lists[2]));
        assert_eq!(record.sets, [&lists[2], &lists[4], &lists[3], &lists[1]].map(Clone::clone));
    }

    #[test]
    fn a_page_that_is_kept_as_bytes_is_decoded_once() {
        let bytes = Record { sets: vec![set(&["a"])], page: None }.encode().unwrap();
        let stamp = larder_core::Stamp::untagged(larder_core::Nonce::from_u128(1));
        let entry = Entry::new(Value::Bytes(bytes), None, stamp);
        let first = Record::from_entry(&entry).unwrap();
        assert!(Arc::ptr_eq(&first, &Record::from_entry(&entry.clone()).unwrap()));
    }

    #[test]
    fn a_record_survives_the_wire_and_garbage_does_not() {
        let mut record = Record::default();
        record.note(&set(&["accept-language", "x-a"]));
        record.note(&set(&[]));
        let bytes = record.encode().unwrap();
        assert_eq!(Record::decode(&bytes).unwrap().sets, record.sets);
        for cut in 0..bytes.len() {
            assert!(Record::decode(&bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
        assert!(Record::decode(&Bytes::from_static(b"LRR1")).is_err());
    }
}
