//! `?search=…&level=…&subject=…&page=2&perpage=5`: what it means, and one spelling for all that mean the same.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, OriginalUri, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use crate::error::ApiError;

const LEVELS: [&str; 3] = ["beginner", "intermediate", "advanced"];
const PAGE_SIZE: i64 = 5;
const MAX_PAGE_SIZE: i64 = 10;

/// What of the list is wanted; empty is everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) search: String,
    pub(crate) level: String,
    pub(crate) subject: String,
    pub(crate) page: i64,
    pub(crate) perpage: i64,
}

/// [`Wanted`] as an extractor.
pub(crate) struct ListQuery(pub(crate) Wanted);

impl<S: Sync> FromRequestParts<S> for ListQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse(query: &str) -> Result<Wanted, ApiError> {
    let fields = fields(query);
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let number = |name: &str, usual| match fields.get(name) {
        None => Ok(usual),
        // Far enough for anybody, and no overflow further on.
        Some(text) => text.parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(|| {
            ApiError::Wrong(format!("{name}={text} is no number of a page; take one from 1 on"))
        }),
    };
    let level = text("level");
    if !level.is_empty() && !LEVELS.contains(&level.as_str()) {
        return Err(ApiError::Wrong(format!("level={level} is none of {}", LEVELS.join(", "))));
    }
    let perpage = number("perpage", PAGE_SIZE)?.min(MAX_PAGE_SIZE);
    Ok(Wanted { search: text("search"), level, subject: text("subject"), page: number("page", 1)?, perpage })
}

/// What counts of a query, by name: of several the last, trimmed, and in lower case since the search does not care.
fn fields(query: &str) -> BTreeMap<String, String> {
    let known = ["search", "level", "subject", "page", "perpage"];
    form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| known.contains(&&**name))
        .map(|(name, value)| (name.into_owned(), value.trim().to_lowercase()))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// Gives a request the one spelling of its query, outside of the layer that caches: `?level=beginner&search=rust` and
/// `?search=Rust&level=beginner&utm_source=x` are one page, made once.
pub(crate) async fn canonical(mut request: Request, next: Next) -> Response {
    if let Some(uri) = respelled(request.uri()) {
        // The page's key has the URL as the client sent it, too.
        request.extensions_mut().insert(OriginalUri(uri.clone()));
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

fn respelled(uri: &Uri) -> Option<Uri> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let fields = fields(uri.query()?);
    let unusual = |(name, value): &(&String, &String)| !(*name == "page" && *value == "1");
    query.extend_pairs(fields.iter().filter(unusual));
    let query = query.finish();
    let path = uri.path();
    let spelled = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(spelled.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_that_mean_the_same_are_spelled_the_same() {
        let spell =
            |query: &str| respelled(&format!("/api/courses?{query}").parse().unwrap()).unwrap().to_string();
        for query in [
            "search=Rust&level=beginner",
            "level=beginner&search=rust",
            "level=BEGINNER&search=%52ust+&page=1&utm=x",
        ] {
            assert_eq!(spell(query), "/api/courses?level=beginner&search=rust");
        }
        assert_eq!(spell("page=1&perpage="), "/api/courses");
        assert_ne!(spell("page=2"), spell("page=3"));
        assert_eq!(spell("search=a%26b%3D%20"), "/api/courses?search=a%26b%3D");
    }

    #[test]
    fn a_query_that_means_nothing_is_refused_with_what_it_says() {
        for (query, word) in [
            ("level=expert", "level=expert"),
            ("page=0", "page=0"),
            ("page=x", "page=x"),
            ("perpage=-1", "perpage=-1"),
            ("page=99999999999999999999", "page=9"),
        ] {
            let Err(ApiError::Wrong(said)) = parse(query) else { panic!("{query} is refused") };
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(parse("perpage=500").ok().unwrap().perpage, MAX_PAGE_SIZE);
    }
}
