//! What the fields of many pages have in common.

use std::hash::{BuildHasher, Hash, Hasher};
use std::mem;
use std::sync::OnceLock;

use foldhash::fast::FixedState;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Field;

/// How many there may be. A site has few; nothing is given up for another, so whatever an application says no more memory is taken than for
/// this many times [`MOST`] fields.
const LAYOUTS: usize = 256;
/// How many fields one may have.
const MOST: usize = 32;
/// The longest name in one.
const LONGEST: usize = 64;
/// How many stand first that every hit has.
const FIRST: usize = 2;
/// How many places one may have.
const TRIES: u64 = 4;

/// Those of this process.
static KEPT: Layouts = Layouts::new();

struct Layouts([OnceLock<Layout>; LAYOUTS]);

impl Layouts {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; LAYOUTS])
    }

    fn of(&self, fields: &[Field<'_>]) -> Option<&Layout> {
        if fields.len() > MOST || fields.iter().any(|field| field.name.as_str().len() > LONGEST) {
            return None;
        }
        let mut hasher = FixedState::default().build_hasher();
        for Field { name, usual, .. } in fields {
            name.hash(&mut hasher);
            usual.as_ref().map(HeaderValue::as_bytes).hash(&mut hasher);
        }
        let hash = hasher.finish();
        let places = (0..TRIES).map(|attempt| hash.wrapping_add(attempt) % LAYOUTS as u64);
        // Whoever finds a place taken by another looks at the next.
        let mut layouts = places.map(|place| self.0[place as usize].get_or_init(|| Layout::new(fields)));
        layouts.find(|layout| layout.is_of(fields))
    }
}

/// Fields that stand on many pages. Those with a value of the page's own stand after the two that every hit has, in the order of the page, and are
/// empty; then the others; then the room.
pub(super) struct Layout {
    fields: HeaderMap,
    /// How many are the page's own.
    own: usize,
}

impl Layout {
    /// The layout of these fields: their names, of which none comes twice, and the values that are usual. `None`: no more are kept, or they are
    /// not of a kind that is.
    pub(super) fn of(fields: &[Field<'_>]) -> Option<&'static Self> {
        KEPT.of(fields)
    }

    fn new(fields: &[Field<'_>]) -> Self {
        // The copies have an index as large as this one. A roomy one is little more to copy, and the room and what servers look for are soon found.
        let mut map = HeaderMap::with_capacity(2 * (fields.len() + super::MORE));
        super::begin(&mut map);
        for Field { name, .. } in fields.iter().filter(|field| field.usual.is_none()) {
            map.insert(kept(name), HeaderValue::from_static(""));
        }
        let own = map.len() - FIRST;
        for Field { name, usual, .. } in fields {
            if let Some(value) = usual {
                map.insert(kept(name), value.clone());
            }
        }
        super::end(&mut map);
        Self { fields: map, own }
    }

    fn is_of(&self, fields: &[Field<'_>]) -> bool {
        let known = || self.fields.iter().skip(FIRST);
        let (mut own, mut others) = (known().take(self.own), known().skip(self.own));
        let mut same = fields.iter().all(|field| match &field.usual {
            None => own.next().is_some_and(|(name, _)| name == field.name),
            Some(usual) => others.next().is_some_and(|(name, value)| name == field.name && value == usual),
        });
        // The room is left.
        same &= own.next().is_none() && others.count() == 1;
        same
    }

    /// Makes these the fields of a page of this layout, with the values of the two that every hit has if they are to be set.
    #[inline]
    pub(super) fn lay(&self, fields: &mut HeaderMap, own: &[HeaderValue], said: Option<[HeaderValue; 2]>) {
        *fields = self.fields.clone();
        let mut values = fields.values_mut();
        let first = (values.next(), values.next());
        if let ((Some(age), Some(status)), Some(said)) = (first, said) {
            let [said_age, said_status] = said;
            put(age, said_age);
            put(status, said_status);
        }
        // The own ones first: no step is taken beyond the last of them.
        for (own, value) in own.iter().zip(values) {
            put(value, own.clone());
        }
    }
}

/// Puts a value in the place of one that is static, which has nothing to be freed.
#[inline]
fn put(place: &mut HeaderValue, value: HeaderValue) {
    mem::forget(mem::replace(place, value));
}

/// The same name, to be copied without counting who holds it. One of the standard's needs no memory; that of the others is kept with the layout.
fn kept(name: &HeaderName) -> HeaderName {
    HeaderName::from_static(Box::leak(name.as_str().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_end_to_what_is_kept_and_each_stays_what_it_was() {
        let layouts = Layouts::new();
        let value = HeaderValue::from_static("1");
        let kept = |n: usize| {
            let name = HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap();
            let usual = n.is_multiple_of(2).then(|| value.clone());
            let kept = layouts.of(&[Field { name: &name, value: &value, usual }]);
            assert!(kept.is_none_or(|kept| kept.fields.contains_key(&name) && kept.fields.len() == 4));
            kept.is_some()
        };
        let first = (0..4 * LAYOUTS).filter(|n| kept(*n)).count();
        let again = (0..4 * LAYOUTS).filter(|n| kept(*n)).count();
        assert!(first == again && again <= LAYOUTS && again > LAYOUTS / 2, "{first} {again}");
    }
}
