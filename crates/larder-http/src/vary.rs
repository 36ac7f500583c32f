//! What a stored response varies on
//! ([RFC 9110 §12.5.5](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5),
//! [RFC 9111 §4.1](https://www.rfc-editor.org/rfc/rfc9111#section-4.1)).
//!
//! ```text
//! Vary = #( "*" / field-name )
//! ```
//!
//! A response may answer another request only when both requests agree on every field that its Vary names. [`Vary`]
//! reads the names; [`canonical_field`](crate::canonical_field) writes what a request says in one of them.
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::Vary;
//!
//! let mut headers = HeaderMap::new();
//! headers.append(header::VARY, "Cookie, Accept-Language".parse()?);
//! headers.append(header::VARY, "cookie".parse()?);
//! let Vary::Fields(fields) = Vary::from_headers(&headers) else { panic!() };
//! assert!(fields.iter().eq([&header::ACCEPT_LANGUAGE, &header::COOKIE]));
//!
//! headers.append(header::VARY, "*".parse()?);
//! assert_eq!(Vary::from_headers(&headers), Vary::Any);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

/// What the Vary of a response says, over all its lines.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Vary {
    /// `*`: on more than the request's fields, so no other request matches. Also what a value reads as that
    /// names something unreadable.
    Any,
    /// On these fields; on none if there are none.
    Fields(VaryFields),
}

impl Vary {
    /// Reads all Vary lines of a response.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Vary {
        let mut fields = VaryFields::default();
        for line in headers.get_all(header::VARY) {
            for member in line.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                if member.is_empty() {
                    continue;
                }
                // '*' is a token and would make a header name.
                match HeaderName::from_bytes(member) {
                    Ok(name) if member != b"*" => fields.insert(name),
                    _ => return Vary::Any,
                }
            }
        }
        Vary::Fields(fields)
    }
}

/// Field names without duplicates, in one order however they were written: equal sets are equal values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct VaryFields {
    names: SmallVec<[HeaderName; 4]>,
}

impl VaryFields {
    /// Adds a name in its place; one that is there stays once.
    pub fn insert(&mut self, name: HeaderName) {
        if let Err(place) = self.names.binary_search_by(|known| known.as_str().cmp(name.as_str())) {
            self.names.insert(place, name);
        }
    }

    /// The names in alphabetical order.
    pub fn iter(&self) -> std::slice::Iter<'_, HeaderName> {
        self.names.iter()
    }

    /// The names in alphabetical order.
    #[must_use]
    pub fn as_slice(&self) -> &[HeaderName] {
        &self.names
    }

    /// Whether the response varies on no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the response varies on this field.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.names.binary_search_by(|known| known.as_str().cmp(name.as_str())).is_ok()
    }
}

impl<'a> IntoIterator for &'a VaryFields {
    type Item = &'a HeaderName;
    type IntoIter = std::slice::Iter<'a, HeaderName>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<HeaderName> for VaryFields {
    fn from_iter<I: IntoIterator<Item = HeaderName>>(names: I) -> Self {
        let mut fields = VaryFields::default();
        fields.extend(names);
        fields
    }
}

impl Extend<HeaderName> for VaryFields {
    fn extend<I: IntoIterator<Item = HeaderName>>(&mut self, names: I) {
        names.into_iter().for_each(|name| self.insert(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> Vary {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::VARY, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        Vary::from_headers(&headers)
    }

    #[test]
    fn mw_10_an_asterisk_anywhere_is_any() {
        for lines in [&["*"][..], &[" * "], &["Cookie, * , Pony"], &["Cookie", "*"], &["\t*"]] {
            assert_eq!(read(lines), Vary::Any, "{lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_field_name_is_any() {
        for line in ["Accept Language", "Cookie; Accept", "ü", "\"cookie\"", "a:b"] {
            assert_eq!(read(&[line]), Vary::Any, "{line}");
        }
    }

    #[test]
    fn case_order_lines_and_duplicates_make_no_difference() {
        let one = read(&["Cookie, Accept, X-B, x-a"]);
        assert_eq!(one, read(&["x-a,,accept", "", "COOKIE", "X-B, cookie"]));
        let Vary::Fields(fields) = one else { panic!("fields") };
        assert!(fields.iter().map(HeaderName::as_str).eq(["accept", "cookie", "x-a", "x-b"]));
        assert_eq!(fields.len(), 4);
        assert!(fields.contains(&header::COOKIE) && !fields.contains(&header::ORIGIN));
    }

    #[test]
    fn no_vary_is_no_field() {
        assert_eq!(read(&[]), Vary::Fields(VaryFields::default()));
        assert_eq!(read(&["", " , "]), Vary::Fields(VaryFields::default()));
    }

    proptest! {
        #[test]
        fn an_asterisk_is_never_lost(names in proptest::collection::vec("[a-z*-]{1,8}", 0..6), at in 0usize..6) {
            let mut names = names;
            names.insert(at.min(names.len()), "*".to_owned());
            prop_assert_eq!(read(&[&names.join(",")]), Vary::Any);
        }
    }
}
