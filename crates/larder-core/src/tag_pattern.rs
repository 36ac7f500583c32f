//! Tags with parameters: `course:{id}`.

use std::fmt;

use crate::error::Error;
use crate::tag::Tag;

/// A tag whose `{name}` stand for something that is known later: a route's path parameter, a table's column. `{{` and `}}` are braces.
///
/// ```
/// use larder_core::TagPattern;
///
/// let pattern = TagPattern::new("course:{id}")?;
/// let tag = pattern.fill(|name| (name == "id").then_some("7"));
/// assert_eq!(tag.unwrap().as_str(), "course:7");
/// assert_eq!(pattern.fill(|_| None), Err("id"));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPattern {
    text: Box<str>,
    pieces: Box<[TagPiece]>,
}

/// What a [`TagPattern`] is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagPiece {
    /// Text that stays as it is.
    Text(Box<str>),
    /// The name of a parameter.
    Parameter(Box<str>),
}

impl TagPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a brace stands alone, or a name is empty.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let broken = || {
            Error::config(format!(
                "the tag {pattern:?} has a brace without its other half, or nothing within; write {{name}} for a parameter, and {{{{ and }}}} for braces"
            ))
        };
        let pieces = pieces(pattern).ok_or_else(broken)?;
        Ok(Self { text: pattern.into(), pieces: pieces.into() })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it is made of; no two texts in a row.
    pub fn pieces(&self) -> &[TagPiece] {
        &self.pieces
    }

    /// The tag, where it needs no parameters.
    pub fn fixed(&self) -> Option<Tag> {
        match &*self.pieces {
            [] => Some(Tag::new("")),
            [TagPiece::Text(text)] => Some(Tag::new(text)),
            _ => None,
        }
    }

    /// The tag.
    ///
    /// # Errors
    /// The name of the first parameter that there is not.
    pub fn fill<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> Result<Tag, &str> {
        let mut tag = String::with_capacity(self.text.len() + 16);
        for piece in &self.pieces {
            match piece {
                TagPiece::Text(text) => tag.push_str(text),
                TagPiece::Parameter(name) => tag.push_str(get(name).ok_or(&**name)?),
            }
        }
        Ok(tag.into())
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn pieces(pattern: &str) -> Option<Vec<TagPiece>> {
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
            pieces.push(TagPiece::Text(std::mem::take(&mut text).into()));
        }
        pieces.push(TagPiece::Parameter(name.into()));
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(TagPiece::Text(text.into()));
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_without_parameters_is_itself() {
        for (pattern, tag) in
            [("course_list", "course_list"), ("", ""), ("{{a}}:}}{{", "{a}:}{"), ("{{}}", "{}")]
        {
            assert_eq!(TagPattern::new(pattern).unwrap().fixed().unwrap().as_str(), tag);
        }
        assert_eq!(TagPattern::new("a{b}").unwrap().fixed(), None);
    }

    #[test]
    fn a_brace_alone_is_an_error_that_names_the_tag() {
        for broken in ["course:{id", "course:id}", "{}", "{*}", "{a{b}", "{{a}", "{a}}"] {
            let error = TagPattern::new(broken).unwrap_err();
            assert!(error.to_string().contains(&format!("{broken:?}")), "{error}");
        }
    }

    #[test]
    fn parameters_are_filled_in_where_they_stand() {
        let pattern = TagPattern::new("{a}ä{*b}{{{a}}}").unwrap();
        let get = |name: &str| ["a", "b"].contains(&name).then_some(if name == "a" { "1" } else { "" });
        assert_eq!(pattern.fill(get).unwrap().as_str(), "1ä{1}");
        assert_eq!(pattern.fill(|name| (name == "a").then_some("{b}")), Err("b"));
        assert_eq!((pattern.to_string().as_str(), pattern.pieces().len()), ("{a}ä{*b}{{{a}}}", 6));
    }
}
