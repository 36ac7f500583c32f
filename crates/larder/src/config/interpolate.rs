//! `${NAME}` in a text.

use larder_core::Error;

use super::variables::Variables;

/// A text with its variables put in.
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) for a variable that is not set or empty, and for a `${` that nothing closes.
pub(super) fn interpolate(text: &str, variables: &Variables) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, behind) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &behind[2..];
            continue;
        }
        out.push_str(before);
        let name = behind[2..].split('}').next().unwrap_or_default();
        let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(ok) || behind.len() == name.len() + 2 {
            // What follows is not shown: it may be a part of a password.
            return Err(Error::config(
                "a ${ is not the beginning of a ${NAME}, with letters, digits and '_'; a plain ${ is written $${",
            ));
        }
        out.push_str(variables.get(name)?);
        rest = &behind[name.len() + 3..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str) -> Result<String, Error> {
        let variables = [("HOST", "h:1"), ("EMPTY", ""), ("DB_1", "2"), ("NESTED", "${HOST}")];
        interpolate(text, &Variables::given(variables.map(|(n, v)| (n.to_owned(), v.to_owned()))))
    }

    #[test]
    fn variables_are_put_in_as_they_are_and_once() {
        for (text, wanted) in [
            ("redis://${HOST}/${DB_1}", "redis://h:1/2"),
            ("${HOST}", "h:1"),
            ("${NESTED}", "${HOST}"),
            ("$HOST $ {HOST} $", "$HOST $ {HOST} $"),
            ("a$${HOST}b${HOST}", "a${HOST}bh:1"),
            ("", ""),
        ] {
            assert_eq!(put(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_named_and_what_follows_a_wrong_one_is_not_shown() {
        assert!(put("redis://${HOTS}").unwrap_err().to_string().contains("HOTS is not set"));
        assert!(put("${EMPTY}").unwrap_err().to_string().contains("EMPTY is empty"));
        for wrong in ["${", "${}", "${hunter2", "${hunter2-x}", "a${ hunter2}"] {
            let e = put(wrong).unwrap_err().to_string();
            assert!(e.contains("$${") && !e.contains("hunter2"), "{wrong}: {e}");
        }
    }
}
