//! Which parts of a query a response does not depend on (No-Vary-Search,
//! [draft-ietf-httpbis-no-vary-search](https://datatracker.ietf.org/doc/draft-ietf-httpbis-no-vary-search/)).
//!
//! ```text
//! No-Vary-Search: params=("utm_source" "utm_medium"), key-order
//! No-Vary-Search: params, except=("page")
//! ```
//!
//! ```
//! use http::HeaderMap;
//! use larder_http::NoVarySearch;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("no-vary-search", "params=(\"utm\"), key-order".parse()?);
//! let rule = NoVarySearch::from_headers(&headers);
//! assert_eq!(rule.canonical("b=2&utm=x&a=%31"), rule.canonical("a=1&b=2"));
//! assert_ne!(rule.canonical("a=1&b=2"), rule.canonical("a=1&b=3"));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::structured::{Item, Member, dictionary};
use http::{HeaderMap, HeaderName};

const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// A response's rule for the query of its URL. The default one, where the field is not there or odd in any way, is that the query counts
/// as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct NoVarySearch {
    any_order: bool,
    params: Params,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
enum Params {
    #[default]
    All,
    /// All but these count.
    AllBut(Vec<String>),
    /// Only these count.
    Only(Vec<String>),
}

impl NoVarySearch {
    /// The rule of a response.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> NoVarySearch {
        if !headers.contains_key(NO_VARY_SEARCH) {
            return NoVarySearch::default();
        }
        dictionary(headers, &NO_VARY_SEARCH).and_then(|members| read(&members)).unwrap_or_default()
    }

    /// Whether the query counts as it is.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == NoVarySearch::default()
    }

    /// A query in the form in which two are equal if the response does not tell them apart. Not for the default rule, under
    /// which a query is compared byte by byte.
    #[must_use]
    pub fn canonical(&self, query: &str) -> String {
        let counts = |name: &str| match &self.params {
            Params::All => true,
            Params::AllBut(names) => !names.iter().any(|other| other == name),
            Params::Only(names) => names.iter().any(|other| other == name),
        };
        let mut pairs: Vec<_> =
            form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| counts(name)).collect();
        if self.any_order {
            // Stable: of one name, the order of values always counts.
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

fn read(members: &[(String, Member)]) -> Option<NoVarySearch> {
    let find = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, member)| member);
    let any_order = match find("key-order") {
        None => false,
        Some(Member::Item(Item::Boolean(any))) => *any,
        Some(_) => return None,
    };
    let except = find("except").map(strings);
    let params = match (find("params"), except) {
        (None | Some(Member::Item(Item::Boolean(false))), None) => Params::All,
        (Some(Member::Item(Item::Boolean(true))), None) => Params::Only(Vec::new()),
        (Some(Member::Item(Item::Boolean(true))), Some(names)) => Params::Only(names?),
        (Some(list @ Member::Inner(_)), None) => match strings(list)? {
            none if none.is_empty() => Params::All,
            names => Params::AllBut(names),
        },
        _ => return None,
    };
    Some(NoVarySearch { any_order, params })
}

/// The names in an inner list, decoded as those of a query are.
fn strings(member: &Member) -> Option<Vec<String>> {
    let Member::Inner(items) = member else { return None };
    let name = |item: &Item| match item {
        Item::String(text) => {
            let decoded = form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned());
            Some(decoded.unwrap_or_default())
        }
        _ => None,
    };
    let mut names: Vec<String> = items.iter().map(name).collect::<Option<_>>()?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(value: &str) -> NoVarySearch {
        NoVarySearch::from_headers(&HeaderMap::from_iter([(NO_VARY_SEARCH, value.parse().unwrap())]))
    }

    fn same(value: &str, a: &str, b: &str) -> bool {
        rule(value).canonical(a) == rule(value).canonical(b)
    }

    #[test]
    fn what_is_listed_does_not_count() {
        assert!(same("params=(\"a\")", "a=1&b=2", "a=2&b=2&a=7"));
        assert!(!same("params=(\"a\")", "a=1&b=2", "a=1&b=3"));
        assert!(same("params", "a=1&b=2", ""));
        assert!(same("params, except=(\"b\")", "a=1&b=2", "b=2&c"));
        assert!(!same("params, except=(\"b\")", "b=2", "b=3"));
        assert!(same("params=(\"%C3%A9\")", "%c3%a9=1", ""), "names are compared decoded");
    }

    #[test]
    fn the_order_of_names_counts_unless_it_is_said_not_to() {
        assert!(!same("params=(\"x\")", "a=1&b=2", "b=2&a=1"));
        assert!(same("key-order", "a=1&b=2", "b=2&a=1"));
        assert!(!same("key-order", "a=1&a=2", "a=2&a=1"), "that of values of one name always does");
        assert!(same("key-order", "a=1+2", "a=1%202"));
    }

    #[test]
    fn anything_odd_is_the_default() {
        for odd in [
            "params=1",
            "params=(1)",
            "params=(a)",
            "except=(\"a\")",
            "params=?0, except=(\"a\")",
            "params=(\"a\"), except=(\"b\")",
            "key-order=1",
            "params=(\"a\"",
            "except=\"a\", params",
        ] {
            assert!(rule(odd).is_default(), "{odd}");
        }
        for plain in ["params=?0", "key-order=?0", "params=()", "other", ""] {
            assert!(rule(plain).is_default(), "{plain}");
        }
        assert!(NoVarySearch::from_headers(&HeaderMap::new()).is_default());
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own(query in "[a-c%=&+0-9]{0,30}", value in "(params=\\(\"a\"\\)|params|key-order|params, except=\\(\"a\" \"b\"\\), key-order)") {
            let rule = rule(&value);
            let once = rule.canonical(&query);
            prop_assert_eq!(rule.canonical(&once), once.clone());
        }
    }
}
