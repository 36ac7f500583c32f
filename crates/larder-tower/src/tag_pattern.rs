//! Tags with path parameters: `course:{id}` on the route `/courses/{id}`.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use larder_core::{Error, Tag};

/// A tag whose `{name}` stand for the route's path parameters, percent-decoded. `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagPattern(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Fixed(Tag),
    /// The pattern as it was written, and what it is made of.
    Pieces(Box<str>, Box<[Piece]>),
    /// A pattern that can't be right.
    Broken(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Parameter(Box<str>),
}

impl TagPattern {
    /// What can't be right is told when it is filled in: a layer's constructor gives no errors.
    pub(crate) fn new(pattern: &str) -> Self {
        let Some(mut pieces) = pieces(pattern) else { return Self(Form::Broken(pattern.into())) };
        match pieces.as_mut_slice() {
            [] => Self(Form::Fixed(Tag::new(""))),
            [Piece::Text(text)] => Self(Form::Fixed(Tag::new(text))),
            _ => Self(Form::Pieces(pattern.into(), pieces.into())),
        }
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
        let (pattern, pieces) = match &self.0 {
            Form::Fixed(tag) => return Ok(tag.clone()),
            Form::Broken(pattern) => {
                return Err(Error::config(format!(
                    "the tag {pattern:?} has a brace without its other half; write {{name}} for a path parameter, and {{{{ and }}}} for braces"
                )));
            }
            Form::Pieces(pattern, pieces) => (pattern, pieces),
        };
        let mut tag = String::with_capacity(pattern.len() + 16);
        for piece in pieces {
            match piece {
                Piece::Text(text) => tag.push_str(text),
                Piece::Parameter(name) => {
                    tag.push_str(parameters.get(name).ok_or_else(|| parameters.lacks(pattern, name))?);
                }
            }
        }
        Ok(tag.into())
    }
}

fn pieces(pattern: &str) -> Option<Vec<Piece>> {
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), pattern);
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some(behind) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
            text.push_str(&tail[..1]);
            rest = behind;
            continue;
        }
        let (name, behind) = tail.strip_prefix('{')?.split_once('}')?;
        // As axum writes a parameter for the rest of the path.
        let name = name.strip_prefix('*').unwrap_or(name);
        if name.is_empty() || name.contains('{') {
            return None;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text).into()));
        }
        pieces.push(Piece::Parameter(name.into()));
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    Some(pieces)
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
    fn a_tag_without_parameters_is_itself() {
        for tag in ["course_list", "", "a b", "ä"] {
            assert_eq!(TagPattern::new(tag).fixed().unwrap().as_str(), tag);
        }
        assert_eq!(filled("{{course}}:}}{{").unwrap().as_str(), "{course}:}{");
        assert_eq!(TagPattern::new("{{}}").fixed().unwrap().as_str(), "{}");
    }

    #[test]
    fn a_brace_alone_is_an_error_that_names_the_tag() {
        for broken in ["course:{id", "course:id}", "{}", "{*}", "{a{b}", "{{a}"] {
            let error = filled(broken).unwrap_err();
            assert_eq!(error.kind(), larder_core::ErrorKind::Config);
            assert!(error.to_string().contains(&format!("{broken:?}")), "{error}");
        }
    }

    #[test]
    fn a_parameter_that_the_route_does_not_have_is_an_error_that_names_it() {
        assert_eq!(TagPattern::new("course:{id}").fixed(), None);
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
