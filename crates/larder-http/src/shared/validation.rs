//! Asking the origin whether what is stored is still good (RFC 9111 §4.3.1).

use crate::etag::EntityTag;
use http::{HeaderMap, HeaderValue, header};

/// Turns a request into one that validates stored responses: their entity tags in If-None-Match, and Last-Modified, as it
/// was received, in If-Modified-Since if there is only one. The client's own conditions are taken away; they are evaluated on
/// what comes back. False if nothing that is stored can be validated: the request is unconditional then.
///
/// The first is the one that would be served.
pub fn validation<'a>(request: &mut HeaderMap, stored: impl IntoIterator<Item = &'a HeaderMap>) -> bool {
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_RANGE] {
        request.remove(name);
    }
    let stored: Vec<&HeaderMap> = stored.into_iter().collect();
    let mut tags: Vec<&HeaderValue> = Vec::new();
    for headers in &stored {
        let mut lines = headers.get_all(header::ETAG).iter();
        let tag = lines.next().filter(|_| lines.next().is_none());
        if let Some(tag) = tag.filter(|tag| EntityTag::parse(tag.as_bytes()).is_some() && !tags.contains(tag))
        {
            tags.push(tag);
        }
    }
    if !tags.is_empty() {
        let list: Vec<&[u8]> = tags.iter().map(|tag| tag.as_bytes()).collect();
        // Made of bytes of valid values.
        if let Ok(list) = HeaderValue::from_bytes(&list.join(&b", "[..])) {
            request.insert(header::IF_NONE_MATCH, list);
        }
    }
    if let [only] = &stored[..]
        && let Some(modified) = only.get(header::LAST_MODIFIED)
    {
        request.insert(header::IF_MODIFIED_SINCE, modified.clone());
    }
    request.contains_key(header::IF_NONE_MATCH) || request.contains_key(header::IF_MODIFIED_SINCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn stored_validators_replace_the_clients_conditions() {
        let mut request = map(&[("if-none-match", "\"mine\""), ("if-range", "\"mine\""), ("accept", "*/*")]);
        let stored = map(&[("etag", "W/\"a\""), ("last-modified", "any text as it came")]);
        assert!(validation(&mut request, [&stored]));
        assert_eq!(
            request,
            map(&[
                ("accept", "*/*"),
                ("if-none-match", "W/\"a\""),
                ("if-modified-since", "any text as it came")
            ])
        );
    }

    #[test]
    fn of_several_all_tags_are_named_once_and_no_date() {
        let mut request = HeaderMap::new();
        let (a, b) = (map(&[("etag", "\"a\""), ("last-modified", "x")]), map(&[("etag", "\"b\"")]));
        assert!(validation(&mut request, [&a, &b, &a]));
        assert_eq!(request, map(&[("if-none-match", "\"a\", \"b\"")]));
    }

    #[test]
    fn what_has_no_usable_validator_is_asked_for_anew() {
        for useless in [&[][..], &[("etag", "unquoted")], &[("etag", "\"a\""), ("etag", "\"b\"")]] {
            let mut request = map(&[("if-modified-since", "x")]);
            assert!(!validation(&mut request, [&map(useless)]), "{useless:?}");
            assert!(request.is_empty());
        }
    }
}
