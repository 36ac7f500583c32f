//! What a write makes invalid (RFC 9111 §4.4), and cache groups ([RFC 9875](https://www.rfc-editor.org/rfc/rfc9875)).

use crate::structured::{Item, Member, list};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// Of more groups than this on one response the rest is ignored; RFC 9875 §2 asks for at least 32 of at least 32 characters.
const MOST_GROUPS: usize = 128;
const LONGEST_GROUP: usize = 256;

/// What the response to a request makes invalid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalidated {
    /// The request's own URI.
    pub target: bool,
    /// References in Location and Content-Location. They count only where they lead to the same origin, which the caller
    /// knows.
    pub references: Vec<String>,
    /// Groups of the same origin.
    pub groups: Vec<String>,
}

/// Reads a response to `method`. A safe method, an error or an interim response makes nothing invalid.
#[must_use]
pub fn invalidated_by(method: &Method, status: StatusCode, headers: &HeaderMap) -> Invalidated {
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || method.as_str() == "QUERY";
    if safe || !(status.is_success() || status.is_redirection()) {
        return Invalidated::default();
    }
    let references = [header::LOCATION, header::CONTENT_LOCATION]
        .iter()
        .filter_map(|name| headers.get(name)?.to_str().ok().map(str::to_owned))
        .collect();
    Invalidated { target: true, references, groups: groups(headers, &CACHE_GROUP_INVALIDATION) }
}

/// The groups that a response belongs to.
#[must_use]
pub fn cache_groups(headers: &HeaderMap) -> Vec<String> {
    groups(headers, &CACHE_GROUPS)
}

/// The strings of a list; one that holds anything else is ignored as a whole.
fn groups(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let strings = list(headers, name).and_then(|members| {
        let string = |member| match member {
            Member::Item(Item::String(group)) => Some(group),
            _ => None,
        };
        members.into_iter().map(string).collect::<Option<Vec<_>>>()
    });
    let mut groups = strings.unwrap_or_default();
    groups.retain(|group| group.len() <= LONGEST_GROUP);
    groups.truncate(MOST_GROUPS);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn by(method: &str, status: u16) -> Invalidated {
        let headers = map(&[
            ("location", "/a"),
            ("content-location", "b"),
            ("cache-group-invalidation", "\"g\", \"h\";x=1"),
        ]);
        invalidated_by(&method.parse().unwrap(), StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_write_that_succeeds_makes_its_target_and_what_it_names_invalid() {
        let expected = Invalidated {
            target: true,
            references: vec!["/a".into(), "b".into()],
            groups: vec!["g".into(), "h".into()],
        };
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
            for status in [200, 204, 303] {
                assert_eq!(by(method, status), expected, "{method} {status}");
            }
            for status in [400, 404, 500, 101] {
                assert_eq!(by(method, status), Invalidated::default(), "{method} {status}");
            }
        }
        for safe in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
            assert_eq!(by(safe, 200), Invalidated::default(), "{safe}");
        }
    }

    #[test]
    fn groups_are_strings_case_sensitive_and_all_or_none() {
        let read = |value: &str| cache_groups(&map(&[("cache-groups", value)]));
        assert_eq!(read("\"A\", \"a\""), ["A", "a"]);
        for bad in ["token", "\"a\", 1", "(\"a\")", "\"a\",", "\"a"] {
            assert!(read(bad).is_empty(), "{bad}");
        }
        let many: Vec<String> = (0..40).map(|n| format!("\"{n:032}\"")).collect();
        assert_eq!(read(&many.join(", ")).len(), 40);
    }
}
