//! Which parameters of a query count.

use http::Uri;
use http::uri::PathAndQuery;
use url::form_urlencoded;

/// Names; `*` at the end stands for any rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueryRule {
    only: Option<Vec<String>>,
    except: Vec<String>,
}

impl QueryRule {
    pub(crate) fn only<N: Into<String>>(&mut self, names: impl IntoIterator<Item = N>) {
        self.only.get_or_insert_default().extend(names.into_iter().map(Into::into));
    }

    pub(crate) fn except<N: Into<String>>(&mut self, names: impl IntoIterator<Item = N>) {
        self.except.extend(names.into_iter().map(Into::into));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if let Some(only) = &other.only {
            self.only(only.iter().cloned());
        }
        self.except(other.except.iter().cloned());
    }

    pub(crate) fn is_all(&self) -> bool {
        self.only.is_none() && self.except.is_empty()
    }

    fn keeps(&self, name: &str) -> bool {
        let among = |names: &[String]| names.iter().any(|pattern| matches(pattern, name));
        self.only.as_deref().is_none_or(among) && !among(&self.except)
    }

    /// The parameters that count, by name; those of one name in their order.
    fn canonical(&self, query: &str) -> String {
        let mut kept: Vec<_> = query
            .split('&')
            .filter_map(|pair| {
                // As a handler reads it: `p%61ge` is `page`.
                let (name, _) = form_urlencoded::parse(pair.as_bytes()).next()?;
                self.keeps(&name).then_some((name, pair))
            })
            .collect();
        kept.sort_by(|(a, _), (b, _)| a.cmp(b));
        kept.into_iter().map(|(_, pair)| pair).collect::<Vec<_>>().join("&")
    }

    pub(crate) fn narrowed(&self, uri: &Uri) -> Option<Uri> {
        if self.is_all() {
            return None;
        }
        let query = uri.query()?;
        let canonical = self.canonical(query);
        if canonical == query {
            return None;
        }
        let text = match canonical.is_empty() {
            true => uri.path().to_owned(),
            false => format!("{}?{canonical}", uri.path()),
        };
        let mut parts = uri.clone().into_parts();
        // Made of pieces of a URL, so it is one.
        parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
        Uri::from_parts(parts).ok()
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(front) => name.starts_with(front),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(rule: &QueryRule, uri: &str) -> String {
        let uri: Uri = uri.parse().unwrap();
        rule.narrowed(&uri).unwrap_or(uri).to_string()
    }

    #[test]
    fn only_named_parameters_stay_whatever_their_order_and_writing() {
        let mut rule = QueryRule::default();
        rule.only(["page", "q"]);
        for same in ["/a?q=x&page=2", "/a?page=2&q=x", "/a?utm_source=z&page=2&&q=x&", "/a?&page=2&q=x"] {
            assert_eq!(narrowed(&rule, same), "/a?page=2&q=x", "{same}");
        }
        assert_eq!(narrowed(&rule, "/a?p%61ge=2&other=1"), "/a?p%61ge=2");
        assert_eq!(narrowed(&rule, "/a?q=2&q=1"), "/a?q=2&q=1", "of one name the order says something");
        assert_eq!(narrowed(&rule, "/a?other=1"), "/a");
        assert_eq!(narrowed(&rule, "http://h.example/a?other=1&q=1"), "http://h.example/a?q=1");
    }

    #[test]
    fn parameters_left_out_by_name_and_by_front() {
        let mut rule = QueryRule::default();
        rule.except(["utm_*", "fbclid"]);
        assert_eq!(narrowed(&rule, "/?fbclid=1&b=1&utm_campaign=2&a=1"), "/?a=1&b=1");
        assert_eq!(narrowed(&QueryRule::default(), "/?b=1&a=1"), "/?b=1&a=1");
    }

    #[test]
    fn narrowing_twice_is_narrowing_once() {
        let mut rule = QueryRule::default();
        rule.only(["b", "a"]);
        let once = narrowed(&rule, "/?b=%26&a=1&b=0&c=2&a");
        assert_eq!(narrowed(&rule, &once), once);
    }
}
