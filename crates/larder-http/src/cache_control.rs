//! What a response's Cache-Control says
//! ([RFC 9111 §5.2.2](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2), stale-* from
//! [RFC 5861](https://www.rfc-editor.org/rfc/rfc5861), `immutable` from
//! [RFC 8246](https://www.rfc-editor.org/rfc/rfc8246)).
//!
//! ```text
//! Cache-Control: max-age=60, private="x-user, set-cookie", no-cache
//! ```
//!
//! All lines of the field are read as one. Where they contradict each other or are malformed, the reading that
//! shares less with others wins:
//!
//! 1. Names are compared whole and without regard to case; unknown ones are ignored.
//! 2. `no-store`, `no-cache`, `private` and the revalidation directives count with any argument or none.
//! 3. Of two values of one directive the smaller counts; an unreadable one makes the lifetime
//!    [`Delta::Invalid`], which is stale, not absent.
//! 4. A field list that can't be read stands for all fields.
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::{CacheControl, Delta, FieldRule};
//!
//! let mut headers = HeaderMap::new();
//! headers.append(header::CACHE_CONTROL, "Public, Max-Age=60".parse()?);
//! headers.append(header::CACHE_CONTROL, "max-age=30, no-cache=\"set-cookie\"".parse()?);
//!
//! let cc = CacheControl::from_headers(&headers);
//! assert!(cc.public);
//! assert_eq!(cc.max_age, Some(Delta::Seconds(30)));
//! assert_eq!(cc.no_cache, FieldRule::Fields(vec![header::SET_COOKIE]));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::{
    delta::Delta,
    directives::{Directive, directives},
};
use http::{HeaderMap, HeaderName, header};

/// The directives of a response, from all its Cache-Control lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheControl {
    /// Not to be stored at all.
    pub no_store: bool,
    /// Not to be reused without asking the origin: the whole response, or some of its fields.
    pub no_cache: FieldRule,
    /// For one user only: the whole response, or some of its fields.
    pub private: FieldRule,
    /// May be shared even where that would be refused otherwise.
    pub public: bool,
    /// Never to be served stale.
    pub must_revalidate: bool,
    /// Never to be served stale by a shared cache.
    pub proxy_revalidate: bool,
    /// Only for caches that know the status code.
    pub must_understand: bool,
    /// Will not change while it is fresh.
    pub immutable: bool,
    /// The content must stay as it is.
    pub no_transform: bool,
    /// Seconds it is fresh.
    pub max_age: Option<Delta>,
    /// Seconds it is fresh in a shared cache; beats `max_age` there.
    pub s_maxage: Option<Delta>,
    /// Seconds it may be served stale while it is being refreshed.
    pub stale_while_revalidate: Option<Delta>,
    /// Seconds it may be served stale when the origin fails.
    pub stale_if_error: Option<Delta>,
}

/// What `no-cache` and `private` apply to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FieldRule {
    /// The directive is not there.
    #[default]
    Absent,
    /// Only these fields (the qualified form).
    Fields(Vec<HeaderName>),
    /// The whole response.
    All,
}

impl FieldRule {
    /// Whether the directive is there in any form.
    #[must_use]
    pub fn is_present(&self) -> bool {
        *self != FieldRule::Absent
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let listed =
            directive.unquoted().filter(|_| !directive.malformed).and_then(|list| field_names(&list));
        match (&mut *self, listed) {
            (FieldRule::All, _) => {}
            (_, None) => *self = FieldRule::All,
            (FieldRule::Absent, Some(names)) => *self = FieldRule::Fields(names),
            (FieldRule::Fields(known), Some(names)) => {
                for name in names {
                    if !known.contains(&name) {
                        known.push(name);
                    }
                }
            }
        }
    }
}

/// `None` when the list is empty or a member isn't a field name.
pub(crate) fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let members = list.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
    let names: Vec<_> = members.map(|name| HeaderName::from_bytes(name).ok()).collect::<Option<_>>()?;
    (!names.is_empty()).then_some(names)
}

impl CacheControl {
    /// Reads all Cache-Control lines of a response.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> CacheControl {
        let mut cc = CacheControl::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            for directive in directives(line.as_bytes()) {
                cc.add(&directive);
            }
        }
        cc
    }

    /// Whether any directive forbids sharing or reuse: `private`, `no-store` or `no-cache` in any form.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.no_store || self.private.is_present() || self.no_cache.is_present()
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let mut name = [0u8; 32];
        let Some(name) = name.get_mut(..directive.name.len()) else { return };
        name.copy_from_slice(directive.name);
        name.make_ascii_lowercase();

        // What only permits must be beyond doubt.
        let permits = !directive.malformed;
        match &*name {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache.add(directive),
            b"private" => self.private.add(directive),
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"no-transform" => self.no_transform = true,
            b"public" => self.public |= permits,
            b"must-understand" => self.must_understand |= permits,
            b"immutable" => self.immutable |= permits,
            b"max-age" => Delta::merge(&mut self.max_age, lifetime(directive)),
            b"s-maxage" => Delta::merge(&mut self.s_maxage, lifetime(directive)),
            b"stale-while-revalidate" => Delta::merge(&mut self.stale_while_revalidate, lifetime(directive)),
            b"stale-if-error" => Delta::merge(&mut self.stale_if_error, lifetime(directive)),
            _ => {}
        }
    }
}

/// The number of seconds; both the token and the quoted form are accepted.
pub(crate) fn lifetime(directive: &Directive<'_>) -> Delta {
    match directive.unquoted() {
        Some(digits) if !directive.malformed => Delta::parse(&digits),
        _ => Delta::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::CACHE_CONTROL, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        CacheControl::from_headers(&headers)
    }

    #[test]
    fn every_directive_is_read_in_any_case() {
        let cc = read(&[
            "NO-STORE, No-Cache, private, PUBLIC, must-revalidate, proxy-revalidate, must-understand",
            "Immutable, no-transform, max-age=1, S-MaxAge=2, stale-while-revalidate=3, stale-if-error=\"4\"",
        ]);
        let expected = CacheControl {
            no_store: true,
            no_cache: FieldRule::All,
            private: FieldRule::All,
            public: true,
            must_revalidate: true,
            proxy_revalidate: true,
            must_understand: true,
            immutable: true,
            no_transform: true,
            max_age: Some(Delta::Seconds(1)),
            s_maxage: Some(Delta::Seconds(2)),
            stale_while_revalidate: Some(Delta::Seconds(3)),
            stale_if_error: Some(Delta::Seconds(4)),
        };
        assert_eq!(cc, expected);
    }

    #[test]
    fn mw_08_restrictions_count_with_any_argument_and_spaces_around_the_equals_sign() {
        for line in [
            "private=\"Set-Cookie\"",
            "no-cache=\"Set-Cookie\"",
            "no-store=\"x\"",
            "private = \"Set-Cookie\"",
            "no-cache =Set-Cookie",
            "no-store= x",
            "private=",
        ] {
            assert!(read(&[line]).is_restricted(), "{line}");
        }
    }

    #[test]
    fn mw_09_a_name_that_only_contains_private_is_another_name() {
        let cc = read(&["myprivate, x-private-ish=1, no-storey, a=\"no-store, private\""]);
        assert_eq!(cc, CacheControl::default());
    }

    #[test]
    fn mw_15_public_counts_with_an_argument_but_no_public_does_not() {
        assert!(read(&["public=\"abc\""]).public);
        assert!(!read(&["no_public"]).public);
    }

    #[test]
    fn mw_41_a_lifetime_that_cannot_be_read_is_invalid_not_absent() {
        for line in ["max-age=abc", "max-age", "max-age=", "max-age=-5", "max-age=1.5", "max-age='60'"] {
            assert_eq!(read(&[line]).max_age, Some(Delta::Invalid), "{line}");
        }
        assert_eq!(read(&["max-age=\"60\""]).max_age, Some(Delta::Seconds(60)));
        assert_eq!(read(&["s-maxage=5"]).max_age, None);
    }

    #[test]
    fn of_contradicting_lifetimes_the_stricter_one_counts() {
        assert_eq!(read(&["max-age=60", "max-age=5, max-age=30"]).max_age, Some(Delta::Seconds(5)));
        assert_eq!(read(&["max-age=60, max-age=x"]).max_age, Some(Delta::Invalid));
    }

    #[test]
    fn qualified_forms_add_up_and_an_unreadable_list_means_all() {
        let fields = |line: &[&str]| read(line).private;
        let two = FieldRule::Fields(vec![header::SET_COOKIE, HeaderName::from_static("x-user")]);
        assert_eq!(fields(&["private=\"Set-Cookie, X-User\""]), two);
        assert_eq!(fields(&["private=set-cookie", "private=\"x-user,set-cookie\""]), two);
        for all in ["private", "private=\"\"", "private=\"a b\"", "private=\"ü\"", "private=x, private"] {
            assert_eq!(fields(&[all]), FieldRule::All, "{all}");
        }
    }

    #[test]
    fn semicolons_restrict_but_never_permit() {
        let cc = read(&["private; max-age=60; public"]);
        assert_eq!(cc.private, FieldRule::All);
        assert_eq!(cc.max_age, Some(Delta::Invalid));
        assert!(!cc.public);
        assert_eq!(read(&["private=x; a"]).private, FieldRule::All, "nor does a field list narrow");
    }

    proptest! {
        #[test]
        fn no_store_is_seen_among_any_other_tokens(
            before in "[a-z=0-9 ,]{0,30}", after in "[a-z=0-9\", ]{0,30}",
        ) {
            let line = format!("{before},No-Store,{after}");
            prop_assert!(read(&[&line]).no_store);
        }

        #[test]
        fn no_field_value_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, value)]);
                let _ = CacheControl::from_headers(&headers);
            }
        }
    }
}
