//! What of a URL may be shown to people: no user, no password, no value of an option.

use crate::error::Error;

/// A URL without what stands before an `@`, and without the values of its options.
pub(super) fn redact(url: &str) -> String {
    let (head, query) = url.split_once('?').unwrap_or((url, ""));
    // A ? in a password cuts it in two.
    if !head.contains('@')
        && let Some(at) = query.rfind('@')
    {
        let server = query[at..].split(['?', '&']).next().unwrap_or_default();
        return format!("{}***{server}", front(head));
    }
    let mut shown = match head.rfind('@') {
        Some(at) => format!("{}***{}", front(&head[..at]), &head[at..]),
        None => head.to_owned(),
    };
    if !query.is_empty() {
        let names: Vec<String> = query
            .split('&')
            .map(|pair| pair.split_once('=').map_or("…".into(), |(n, _)| format!("{n}=…")))
            .collect();
        shown.push('?');
        shown.push_str(&names.join("&"));
    }
    shown
}

/// What stands before user and password: the scheme and its slashes, if it has any.
fn front(text: &str) -> &str {
    match text.find("//") {
        Some(slashes) => &text[..slashes + 2],
        None => "",
    }
}

/// Refuses a URL whose password has a `/` or `?` in it, or that lacks its slashes, before anybody takes the pieces for host, port, path or option
/// and shows them.
///
/// # Errors
/// [`Config`](crate::ErrorKind::Config), which says how to write it.
pub(super) fn checked(url: &str) -> Result<(), Error> {
    let Some((_, rest)) = url.split_once(':') else { return Ok(()) };
    let Some(rest) = rest.strip_prefix("//") else {
        let place = rest.split('?').next().unwrap_or_default();
        // user:password@…
        return match place.split_once(':') {
            Some((_, behind)) if behind.contains('@') => Err(Error::config(format!(
                "{:?} has user and password but no // before them; an @ elsewhere is written %40",
                redact(url)
            ))),
            _ => Ok(()),
        };
    };
    let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = behind.split('?').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    // A password that was cut off looks like a port, mostly one that is none.
    let cut = port.contains(|c: char| !c.is_ascii_digit() && !matches!(c, ',' | ';' | ']'));
    // One of digits looks like one that is a port; then a path follows what follows the @.
    let is_cut_off = || {
        !port.is_empty()
            && path.is_empty()
            && behind.rsplit('@').next().is_some_and(|behind| behind.contains('/'))
    };
    let hides = path.contains('@') || behind.contains('@') && (cut || is_cut_off());
    if authority.is_empty() || authority.contains('@') || !hides {
        return Ok(());
    }
    Err(Error::config(format!(
        "{:?} has an @ behind its server; in a password write / as %2F, ? as %3F and @ as %40, and an @ elsewhere as %40",
        redact(url)
    )))
}

#[cfg(test)]
mod tests {
    use crate::{CacheUrl, Schemes};

    #[test]
    fn of_a_password_nothing_is_shown_however_the_url_is_misspelt() {
        for url in [
            "redis://u:hunter2@h/x?y",
            "redis://u:hunter2?3@h/1",
            "redis://u:hunter2?a=b@h/1",
            "redis://u:x?@h/1?password=hunter2",
            "redis://u:x?a=b@h/1&password=hunter2",
            "redis://u:hunter2/3@h/1",
            "redis://u:12/hunter2@h/1",
            "redis://:hunter2#a@h/1?=",
            "u:hunter2@h/1",
            "hunter2@h:6379",
            "redis:u:hunter2@h",
            "redis//u:hunter2@h",
            "redis+unix:/:hunter2@/run/redis.sock",
            "//u:hunter2@h",
            "redis://u:hunter2@h/?a",
            "redis://h/?a=1&hunter2",
            "redis://h/?a=1&a=hunter2",
            "redis://u:hunter2@h?a=%zz",
            "redis://u:12?hunter2=x@h/1",
        ] {
            let e = match CacheUrl::parse(url) {
                Err(e) => e,
                Ok(parsed) => {
                    assert!(!format!("{parsed} {parsed:?}").contains("hunter2"), "{parsed:?}");
                    Schemes::new().open(url).unwrap_err()
                }
            };
            assert!(!format!("{e} {e:?}").contains("hunter2"), "{url}: {e:?}");
        }
    }

    #[test]
    fn an_at_sign_that_is_no_password_s_is_let_through() {
        for url in [
            "file:///srv/user@host/cache",
            "redis://h:6379/1?prefix=a@b",
            "redis://h:6379?prefix=a@b",
            "redis://u@h1:1,h2:2/master/1?prefix=a@b",
            "redis://[::1]:6379/1?prefix=a@b",
            "memcached://a:11211,b:11211?prefix=a@b",
            "memory:?prefix=a@b",
        ] {
            CacheUrl::parse(url).unwrap();
        }
        let e = CacheUrl::parse("redis://u:hunter/2@h/1").unwrap_err().to_string();
        assert!(e.contains("%2F") && !e.contains("hunter"), "{e}");
    }
}
