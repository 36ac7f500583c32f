//! A page as memory keeps it.
//!
//! The fields of pages that are alike differ in few values: a tag, a date. So the names, and the values that say something of a site rather than of
//! a page, stand once, in a [`Layout`], and a page keeps what is its own. All of that lies in one piece of memory that is as long as it has to be:
//! what an application or a client's library hands over is often a part of something larger, a connection's buffer say, which would be
//! kept along with it and be counted by nobody.

mod layout;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use larder_core::{Error, SharedValue};
use larder_http::{CACHE_STATUS, Form, StoredMeta, StoredResponse};
use smallvec::SmallVec;

use crate::record;
use crate::usual;
use layout::Layout;

/// What one piece of memory takes besides its bytes: who counts it, and the allocator's share.
const PIECE: usize = 48;
/// What a field takes in a map of its own, its place in the index included.
const FIELD: usize = 120;

/// How many fields are added to those of the page.
const MORE: usize = 3;

/// Stands in stored pages and nowhere else: a field that no response has (RFC 9110, section 10.1.4). A copy of the fields has room for as many as
/// there are, so taking it out leaves some for the length that a server adds.
const ROOM: HeaderName = header::TE;

/// A stored page.
#[derive(Clone)]
pub(crate) struct Page {
    known: Known,
    fields: Fields,
}

/// All of a page but its fields.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) meta: StoredMeta,
}

/// The values that are a page's own: mostly a date, when it expires, its tag. So few stand within the page.
type Own = SmallVec<[HeaderValue; 4]>;

#[derive(Clone)]
enum Fields {
    /// In a map of their own.
    Apart(Box<HeaderMap>),
    /// As the layout has them, but for those that are the page's own.
    Laid { layout: &'static Layout, own: Own },
}

impl Deref for Page {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.known
    }
}

impl From<StoredResponse> for Page {
    fn from(page: StoredResponse) -> Self {
        let StoredResponse { status, headers, body, meta } = page;
        Self { known: Known { status, body, meta }, fields: Fields::Apart(Box::new(headers)) }
    }
}

impl Page {
    /// A page to be kept; `answers`: as it is sent on each hit, with the two fields that every hit has standing first.
    pub(crate) fn kept(page: StoredResponse, answers: bool) -> Self {
        let StoredResponse { status, headers, body, mut meta } = page;
        let of_its_own = headers.iter().filter(|(name, _)| !(answers && is_said_anew(name)));
        let fields: Vec<Field<'_>> =
            of_its_own.map(|(name, value)| Field { name, value, usual: usual::value(name, value) }).collect();
        let own = || fields.iter().filter(|field| field.usual.is_none()).map(|field| field.value);

        let values: usize = own().map(HeaderValue::len).sum();
        let mut piece = Vec::with_capacity(meta.key.len() + values + body.len());
        piece.extend_from_slice(&meta.key);
        own().for_each(|value| piece.extend_from_slice(value.as_bytes()));
        piece.extend_from_slice(&body);
        let mut piece = Bytes::from(piece);
        meta.key = piece.split_to(meta.key.len());
        let own: Own = own().map(|value| moved(value, piece.split_to(value.len()))).collect();
        let body = piece;

        // What has names twice, or answers to other rules, is kept apart.
        let layout = match answers && headers.len() == headers.keys_len() {
            true => Layout::of(&fields),
            false => None,
        };
        let fields = match layout {
            Some(layout) => Fields::Laid { layout, own },
            None => {
                let mut own = own.into_iter();
                let mut apart = HeaderMap::with_capacity(headers.keys_len() + MORE);
                if answers {
                    begin(&mut apart);
                }
                for Field { name, value, usual } in fields {
                    let value = usual.or_else(|| own.next()).unwrap_or_else(|| value.clone());
                    apart.append(name.clone(), value);
                }
                if answers {
                    end(&mut apart);
                }
                Fields::Apart(Box::new(apart))
            }
        };
        Self { known: Known { status, body, meta }, fields }
    }

    /// Its fields.
    pub(crate) fn fields(&self) -> Cow<'_, HeaderMap> {
        match &self.fields {
            Fields::Apart(fields) => Cow::Borrowed(fields),
            Fields::Laid { layout, own } => {
                let mut fields = HeaderMap::new();
                layout.lay(&mut fields, own, None);
                Cow::Owned(fields)
            }
        }
    }

    /// Makes these its fields, to be sent with these two.
    #[inline]
    pub(crate) fn lay(&self, fields: &mut HeaderMap, age: HeaderValue, status: HeaderValue) {
        match &self.fields {
            Fields::Laid { layout, own } => layout.lay(fields, own, Some([age, status])),
            Fields::Apart(own) => {
                *fields = HeaderMap::clone(own);
                say(fields, age, status);
            }
        }
        fields.remove(ROOM);
    }

    /// The page as it is written to a store.
    pub(crate) fn to_stored(&self) -> StoredResponse {
        let Known { status, body, meta } = self.known.clone();
        StoredResponse { status, headers: self.fields().into_owned(), body, meta }
    }
}

/// A field of a page.
struct Field<'a> {
    name: &'a HeaderName,
    value: &'a HeaderValue,
    /// The same value, if it is a usual one.
    usual: Option<HeaderValue>,
}

/// What is said anew of each page on each hit.
fn is_said_anew(name: &HeaderName) -> bool {
    matches!(*name, header::AGE | ROOM) || *name == CACHE_STATUS
}

/// The two that a hit sets: they stand first, where they are found without a search.
fn begin(fields: &mut HeaderMap) {
    fields.insert(header::AGE, HeaderValue::from_static("0"));
    fields.insert(CACHE_STATUS, HeaderValue::from_static("larder; hit"));
}

/// Sets these two.
pub(crate) fn say(fields: &mut HeaderMap, age: HeaderValue, status: HeaderValue) {
    let mut first = fields.iter_mut();
    match (first.next(), first.next()) {
        (Some((first, old_age)), Some((second, old_status)))
            if *first == header::AGE && *second == CACHE_STATUS =>
        {
            (*old_age, *old_status) = (age, status);
        }
        _ => {
            fields.insert(header::AGE, age);
            fields.insert(CACHE_STATUS, status);
        }
    }
}

fn end(fields: &mut HeaderMap) {
    fields.insert(ROOM, HeaderValue::from_static("room"));
}

/// The same value in another place.
fn moved(value: &HeaderValue, text: Bytes) -> HeaderValue {
    let mut moved = HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| value.clone());
    moved.set_sensitive(value.is_sensitive());
    moved
}

impl SharedValue for Page {
    fn encode(&self) -> Result<Bytes, Error> {
        Ok(record::encode(&[], Some(self)))
    }

    fn weight(&self) -> usize {
        let fields = match &self.fields {
            Fields::Apart(fields) => {
                fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum()
            }
            Fields::Laid { own, .. } => {
                let apart = if own.spilled() { own.capacity() * size_of::<HeaderValue>() + PIECE } else { 0 };
                own.iter().map(HeaderValue::len).sum::<usize>() + apart
            }
        };
        let Known { body, meta, .. } = &self.known;
        let vary: usize = meta.vary.iter().map(|name| name.as_str().len() + size_of::<HeaderName>()).sum();
        let forms: usize = meta.forms.iter().map(|form| size_of::<Form>() + form.body.len() + PIECE).sum();
        size_of::<Self>() + fields + meta.key.len() + body.len() + PIECE + vary + forms
    }

    fn identity(&self) -> Option<&Bytes> {
        Some(&self.meta.key)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

// Keys and values may hold what belongs to one user, so neither is printed.
impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_stored().fmt(f)
    }
}
