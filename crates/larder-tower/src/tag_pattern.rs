//! Tags with path parameters: `course:{id}` on the route `/courses/{id}`.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use larder_core::{Error, Tag};

/// A tag whose `{name}` stand for the route's path parameters, percent-decoded.
#[derive(Clone, Debug)]
pub(crate) struct TagPattern(Form);

#[derive(Clone, Debug)]
enum Form {
    Fixed(Tag),
    Pattern(larder_core::TagPattern),
    /// A pattern that can't be right.
    Broken(Box<str>),
}

impl TagPattern {
    /// What can't be right is told when it is filled in: a layer's constructor gives no errors.
    pub(crate) fn new(pattern: &str) -> Self {
        Self(match larder_core::TagPattern::new(pattern) {
            Ok(pattern) => pattern.fixed().map_or(Form::Pattern(pattern), Form::Fixed),
            Err(_) => Form::Broken(pattern.into()),
        })
    }

    /// The tag, where it needs no parameters.
    pub(crate) fn fixed(&self) -> Option<&Tag> {
        match &self.0 {
            Form::Fixed(tag) => Some(tag),
            _ => None,
        }
    }

    /// The tag for a request.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if a brace stands alone, or the route has no such parameter.
    pub(crate) fn fill(&self, parameters: &PathParameters) -> Result<Tag, Error> {
        match &self.0 {
            Form::Fixed(tag) => Ok(tag.clone()),
            Form::Pattern(pattern) => pattern
                .fill(|name| parameters.get(name))
                .map_err(|name| parameters.lacks(pattern.as_str(), name)),
            Form::Broken(pattern) => larder_core::TagPattern::new(pattern).map(|_| Tag::new("")),
        }
    }
}

/// The path parameters of the route that a request came to.
#[derive(Debug, Default)]
pub(crate) struct PathParameters(Option<RawPathParams>);

impl PathParameters {
    /// Those of the request; none where it was not routed by axum, or not yet.
    pub(crate) fn of(parts: &mut Parts) -> Self {
        let extracted = pin!(RawPathParams::from_request_parts(parts, &()));
        // It is asynchronous by its trait only.
        match extracted.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(parameters)) => Self(Some(parameters)),
            Poll::Ready(Err(_)) | Poll::Pending => Self(None),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn lacks(&self, pattern: &str, name: &str) -> Error {
        let known: Vec<&str> = self.0.iter().flat_map(RawPathParams::iter).map(|(known, _)| known).collect();
        let known = match known.as_slice() {
            [] => "none here; mount the layer on the route, with get(…).layer(…) or Router::layer".to_owned(),
            known => format!("only {known:?}"),
        };
        Error::config(format!("the tag {pattern:?} needs the path parameter {name:?}, and there are {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str) -> Result<Tag, Error> {
        TagPattern::new(pattern).fill(&PathParameters::default())
    }

    #[test]
    fn a_tag_without_parameters_is_itself_and_a_broken_one_says_so_when_it_is_needed() {
        assert_eq!(TagPattern::new("{{course}}").fixed().unwrap().as_str(), "{course}");
        assert_eq!(filled("course_list").unwrap().as_str(), "course_list");
        assert_eq!(TagPattern::new("course:{id").fixed(), None);
        assert!(filled("course:{id").unwrap_err().to_string().contains("\"course:{id\""));
    }

    #[test]
    fn a_parameter_that_the_route_does_not_have_is_an_error_that_names_it() {
        let error = filled("course:{id}").unwrap_err().to_string();
        assert!(
            error.contains("\"course:{id}\"") && error.contains("\"id\"") && error.contains("none"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn parameters_are_those_of_the_whole_route_percent_decoded() {
        use axum::Router;
        use axum::extract::Request;
        use axum::routing::get;
        use tower::ServiceExt as _;

        let handler = |request: Request| async move {
            let (mut parts, _) = request.into_parts();
            let parameters = PathParameters::of(&mut parts);
            let fill = |pattern| match TagPattern::new(pattern).fill(&parameters) {
                Ok(tag) => tag.as_str().to_owned(),
                Err(error) => error.to_string(),
            };
            [fill("{school}/{course}!{{{rest}}}"), fill("{*rest}"), fill("{other}")].join("\n")
        };
        let inner = Router::new().route("/{course}/{*rest}", get(handler));
        let app: Router = Router::new().nest("/{school}", inner);
        let request = Request::get("/north/a%20b%C3%A4/x/y").body(axum::body::Body::empty()).unwrap();
        let body = app.oneshot(request).await.unwrap().into_body();
        let text = axum::body::to_bytes(body, 1000).await.unwrap();
        let lines: Vec<&str> = std::str::from_utf8(&text).unwrap().lines().collect();
        assert_eq!(lines[..2], ["north/a bä!{x/y}", "x/y"]);
        assert!(
            lines[2].contains("\"other\"") && lines[2].contains("[\"school\", \"course\", \"rest\"]"),
            "{}",
            lines[2]
        );
    }
}
