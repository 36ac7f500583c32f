//! `patch_vary_headers` and `has_vary_header`.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Adds field names to Vary, as Django's `patch_vary_headers`.
///
/// Names that are there keep their spelling, place and order; new ones follow; comparison is without regard to
/// case. One `*`, new or old, makes the whole value `*`. So does a name that can't be one: a response that was
/// meant to vary on something never loses that.
///
/// ```
/// use http::{HeaderMap, header};
/// let mut headers = HeaderMap::new();
/// larder_http::patch_vary(&mut headers, ["Accept-Encoding", "COOKIE"]);
/// larder_http::patch_vary(&mut headers, ["cookie"]);
/// assert_eq!(headers[header::VARY], "Accept-Encoding, COOKIE");
/// ```
pub fn patch_vary(headers: &mut HeaderMap, names: impl IntoIterator<Item = impl AsRef<str>>) {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut add = |name: &[u8]| {
        if !name.is_empty() && !merged.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            merged.push(name.to_vec());
        }
    };
    for line in headers.get_all(header::VARY) {
        line.as_bytes().split(|&b| b == b',').for_each(|member| add(member.trim_ascii()));
    }
    for name in names {
        let name = name.as_ref().trim_ascii().as_bytes();
        let usable = name.is_empty() || HeaderName::from_bytes(name).is_ok();
        add(if usable { name } else { b"*" });
    }
    if merged.is_empty() {
        return;
    }
    let value = if merged.iter().any(|name| name == b"*") { b"*".to_vec() } else { merged.join(&b", "[..]) };
    // The members come from field values and token names, so they join to a field value.
    let value =
        HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).unwrap_or(HeaderValue::from_static("*"));
    headers.insert(header::VARY, value);
}

/// Whether Vary names this field (or `*`, if that is asked for), as Django's `has_vary_header`.
#[must_use]
pub fn has_vary(headers: &HeaderMap, name: &str) -> bool {
    let mut lines = headers.get_all(header::VARY).iter();
    lines.any(|line| {
        line.as_bytes()
            .split(|&b| b == b',')
            .any(|member| member.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(before: Option<&str>, names: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(before) = before {
            headers.insert(header::VARY, before.parse().unwrap());
        }
        patch_vary(&mut headers, names);
        headers.get(header::VARY).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn django_rows_come_out_as_in_django() {
        type Row = (&'static str, Option<&'static str>, &'static [&'static str], &'static str);
        let rows: &[Row] = &[
            ("none", None, &["Accept-Encoding"], "Accept-Encoding"),
            ("VAR-02", Some("Accept-Encoding"), &["accept-encoding"], "Accept-Encoding"),
            ("VAR-02", Some("Accept-Encoding"), &["ACCEPT-ENCODING"], "Accept-Encoding"),
            ("VAR-02", None, &["Accept-Encoding", "COOKIE"], "Accept-Encoding, COOKIE"),
            ("order", Some("Cookie"), &["Accept-Encoding"], "Cookie, Accept-Encoding"),
            ("order", Some("Cookie, Accept-Encoding"), &["Accept-Encoding"], "Cookie, Accept-Encoding"),
            (
                "order",
                Some("Cookie, Accept-Encoding"),
                &["Accept-Encoding", "cookie"],
                "Cookie, Accept-Encoding",
            ),
            ("spaces", Some("Cookie    ,     Accept-Encoding"), &["cookie"], "Cookie, Accept-Encoding"),
            ("VAR-04", Some("*"), &["Accept-Language", "Cookie"], "*"),
            ("VAR-04", Some("Accept-Language, Cookie"), &["*"], "*"),
            ("VAR-04", Some("Cookie, *"), &["Accept"], "*"),
            ("VAR-04", None, &["*"], "*"),
            ("VAR-05", Some(" * "), &["Cookie"], "*"),
            ("VAR-05", Some("Cookie"), &[" * "], "*"),
            ("VAR-05", Some("Cookie"), &["\tCookie\t"], "Cookie"),
            ("VAR-05", Some("\tCookie\t,Accept"), &["cookie", " accept "], "Cookie, Accept"),
            ("VAR-07", Some(""), &["Cookie"], "Cookie"),
            ("unusable", Some("Cookie"), &["a\r\nb"], "*"),
            ("unusable", Some("Cookie"), &["a b"], "*"),
        ];
        for &(id, before, names, after) in rows {
            assert_eq!(patched(before, names).as_deref(), Some(after), "{id}: {before:?} + {names:?}");
        }
    }

    #[test]
    fn nothing_to_say_leaves_no_field() {
        assert_eq!(patched(None, &[]), None);
        assert_eq!(patched(None, &["", " "]), None);
    }

    #[test]
    fn all_lines_become_one() {
        let mut headers = HeaderMap::new();
        headers.append(header::VARY, "Cookie".parse().unwrap());
        headers.append(header::VARY, "Accept".parse().unwrap());
        patch_vary(&mut headers, ["Origin"]);
        assert_eq!(headers.get_all(header::VARY).iter().collect::<Vec<_>>(), ["Cookie, Accept, Origin"]);
    }

    #[test]
    fn var_06_has_vary() {
        let has = |vary: &str, name| {
            has_vary(&HeaderMap::from_iter([(header::VARY, HeaderValue::from_str(vary).unwrap())]), name)
        };
        for vary in ["*", "Cookie, *", "Cookie,*", "Cookie , *", "* ", " *"] {
            assert!(has(vary, "*"), "{vary}");
        }
        assert!(!has("Cookie", "*"));
        assert!(has("cookie", "Cookie"));
        assert!(has("Accept, COOKIE", "cookie"));
        assert!(!has("x-cookie", "cookie"));
        assert!(!has_vary(&HeaderMap::new(), "Cookie"));
    }
}
