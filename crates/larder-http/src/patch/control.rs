//! `patch_cache_control`: merging directives into what a response already says.

use crate::directives::members;
use http::{HeaderMap, HeaderValue, header};

/// Directives to merge into a response's Cache-Control, as Django's `patch_cache_control`.
///
/// The rules, in Django's order:
///
/// 1. Directives that are there keep their place, new ones follow in the order they were set here.
/// 2. Names are written in lower case; an unknown directive stays with its argument.
/// 3. Of two `max-age` the smaller one stays. One that is there but isn't a number counts as absent.
/// 4. `public` and `private` replace what is there of the other; set together, both appear.
/// 5. A bare `no-cache` replaces qualified ones; qualified ones add up. The same holds for `private`.
/// 6. Any other directive replaces what is there of its name.
///
/// ```
/// use http::{HeaderMap, header};
/// use larder_http::CacheControlPatch;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(header::CACHE_CONTROL, "MAX-AGE=5, No-Store".parse()?);
/// CacheControlPatch::default().max_age(60).must_revalidate().apply(&mut headers);
/// assert_eq!(headers[header::CACHE_CONTROL], "max-age=5, no-store, must-revalidate");
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a patch does nothing until it is applied"]
pub struct CacheControlPatch {
    directives: Vec<Member>,
}

/// One directive as it will be written: lower-case name, argument with its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    name: Vec<u8>,
    argument: Option<Vec<u8>>,
}

impl CacheControlPatch {
    /// Anybody may store the response.
    pub fn public(self) -> Self {
        self.with("public", None)
    }

    /// Only the user's own cache may store the response.
    pub fn private(self) -> Self {
        self.with("private", None)
    }

    /// The response must be validated before each reuse.
    pub fn no_cache(self) -> Self {
        self.with("no-cache", None)
    }

    /// The response must not be stored.
    pub fn no_store(self) -> Self {
        self.with("no-store", None)
    }

    /// The response must not be reused stale.
    pub fn must_revalidate(self) -> Self {
        self.with("must-revalidate", None)
    }

    /// Shared caches must not reuse the response stale.
    pub fn proxy_revalidate(self) -> Self {
        self.with("proxy-revalidate", None)
    }

    /// Nobody between may change the content.
    pub fn no_transform(self) -> Self {
        self.with("no-transform", None)
    }

    /// The response won't change while it is fresh.
    pub fn immutable(self) -> Self {
        self.with("immutable", None)
    }

    /// Seconds the response is fresh; a smaller number that is already there stays.
    pub fn max_age(self, seconds: u64) -> Self {
        self.with("max-age", Some(seconds.to_string().into_bytes()))
    }

    /// Seconds the response is fresh in shared caches.
    pub fn s_maxage(self, seconds: u64) -> Self {
        self.with("s-maxage", Some(seconds.to_string().into_bytes()))
    }

    /// Seconds the response may be reused stale while it is being refreshed.
    pub fn stale_while_revalidate(self, seconds: u64) -> Self {
        self.with("stale-while-revalidate", Some(seconds.to_string().into_bytes()))
    }

    /// Seconds the response may be reused stale when the origin fails.
    pub fn stale_if_error(self, seconds: u64) -> Self {
        self.with("stale-if-error", Some(seconds.to_string().into_bytes()))
    }

    /// Any other directive. Underscores in the name become hyphens, as Django's keyword arguments do.
    ///
    /// An argument that is neither a token nor a quoted string is quoted. A name that is no token is left out; an
    /// argument with control characters too, which leaves the bare directive: for those that restrict, the
    /// stricter reading.
    pub fn directive(self, name: &str, argument: Option<&str>) -> Self {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return self;
        }
        self.with(&name.to_ascii_lowercase().replace('_', "-"), argument.and_then(written))
    }

    fn with(mut self, name: &str, argument: Option<Vec<u8>>) -> Self {
        let member = Member { name: name.as_bytes().to_vec(), argument };
        put(&mut self.directives, member);
        self
    }

    /// Merges the directives into `headers`, which has one Cache-Control line afterwards. An empty patch changes
    /// nothing.
    pub fn apply(&self, headers: &mut HeaderMap) {
        if self.directives.is_empty() {
            return;
        }
        let mut merged = Vec::new();
        for line in headers.get_all(header::CACHE_CONTROL) {
            for found in members(line.as_bytes()) {
                let member = Member {
                    name: found.name.to_ascii_lowercase(),
                    argument: found.argument.map(<[u8]>::to_vec),
                };
                // A response that contradicts itself goes on doing so, unless the patch replaces it.
                if !merged.contains(&member) {
                    merged.push(member);
                }
            }
        }
        self.let_public_and_private_replace_each_other(&mut merged);
        for member in &self.directives {
            put(&mut merged, member.clone());
        }
        if let Some(value) = join(&merged) {
            headers.insert(header::CACHE_CONTROL, value);
        }
    }

    fn let_public_and_private_replace_each_other(&self, merged: &mut Vec<Member>) {
        let set = |name: &[u8]| self.directives.iter().any(|member| member.name == name);
        let present = |name: &[u8]| merged.iter().any(|member| member.name == name);
        if present(b"private") && set(b"public") {
            merged.retain(|member| member.name != b"private");
        } else if present(b"public") && set(b"private") {
            merged.retain(|member| member.name != b"public");
        }
    }
}

/// Puts a directive in the place of those of its name, or at the end.
fn put(members: &mut Vec<Member>, mut new: Member) {
    let adds_up = matches!(&*new.name, b"no-cache" | b"private");
    let same_name = |member: &Member| member.name == new.name;
    if adds_up && new.argument.is_some() {
        if !members.iter().any(|member| same_name(member) && (member.argument.is_none() || *member == new)) {
            members.push(new);
        }
        return;
    }
    let Some(place) = members.iter().position(same_name) else {
        return members.push(new);
    };
    if new.name == b"max-age" {
        let ages = members.iter().filter(|member| same_name(member)).cloned();
        let readable = ages.chain([new.clone()]).filter_map(|member| Some((age(&member)?, member)));
        if let Some((_, smallest)) = readable.min_by_key(|(age, _)| *age) {
            new = smallest;
        }
    }
    let name = new.name.clone();
    members[place] = new;
    let mut index = 0;
    members.retain(|member| {
        index += 1;
        index - 1 == place || member.name != name
    });
}

/// The argument as the integer Django would read; below zero it is zero.
fn age(member: &Member) -> Option<u64> {
    let argument = member.argument.as_deref()?;
    super::expiry::integer(argument)
}

fn join(members: &[Member]) -> Option<HeaderValue> {
    let mut line = Vec::new();
    for member in members {
        if !line.is_empty() {
            line.extend_from_slice(b", ");
        }
        line.extend_from_slice(&member.name);
        if let Some(argument) = &member.argument {
            line.push(b'=');
            line.extend_from_slice(argument);
        }
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(line)).ok()
}

/// The argument in a form that a field can carry; `None` if there is none.
fn written(argument: &str) -> Option<Vec<u8>> {
    let bytes = argument.as_bytes();
    if bytes.iter().any(u8::is_ascii_control) {
        return None;
    }
    let token = !bytes.is_empty() && bytes.iter().copied().all(is_token_byte);
    let quoted = bytes.first() == Some(&b'"')
        && crate::directives::closing_quote(bytes, 0) == bytes.len().checked_sub(1);
    if token || quoted {
        return Some(bytes.to_vec());
    }
    let mut escaped = vec![b'"'];
    for &byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped.push(b'"');
    Some(escaped)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn patched(before: Option<&str>, patch: &CacheControlPatch) -> String {
        let mut headers = HeaderMap::new();
        if let Some(before) = before {
            headers.insert(header::CACHE_CONTROL, before.parse().unwrap());
        }
        patch.apply(&mut headers);
        assert_eq!(headers.get_all(header::CACHE_CONTROL).iter().count(), 1);
        headers[header::CACHE_CONTROL].to_str().unwrap().to_owned()
    }

    fn patch() -> CacheControlPatch {
        CacheControlPatch::default()
    }

    #[test]
    fn django_rows_come_out_as_in_django() {
        let both = "must-revalidate, max-age=60, public";
        let rows = [
            ("none", None, patch().private(), "private"),
            ("empty", Some(""), patch().private(), "private"),
            ("CC-02", Some("private"), patch().private(), "private"),
            ("CC-02", Some("private"), patch().public(), "public"),
            ("CC-02", Some("public"), patch().public(), "public"),
            ("CC-02", Some("public"), patch().private(), "private"),
            ("CC-02", Some("must-revalidate,max-age=60,private"), patch().public(), both),
            ("CC-02", Some("must-revalidate,max-age=60"), patch().public(), both),
            ("CC-02", Some("public, max-age=60"), patch().private(), "max-age=60, private"),
            ("CC-02", Some("private=\"x\", a"), patch().public(), "a, public"),
            ("qualified", Some(""), patch().directive("no_cache", Some("Set-Cookie")), "no-cache=Set-Cookie"),
            ("qualified", Some("no-cache=Set-Cookie"), patch().no_cache(), "no-cache"),
            ("qualified", Some("no-cache=Set-Cookie,no-cache=Link"), patch().no_cache(), "no-cache"),
            (
                "qualified",
                Some("no-cache=Set-Cookie"),
                patch().directive("no-cache", Some("Link")),
                "no-cache=Set-Cookie, no-cache=Link",
            ),
            ("qualified", Some("no-cache"), patch().directive("no-cache", Some("Link")), "no-cache"),
            ("CC-04", Some("no-cache =\"Set-Cookie\""), patch().no_cache(), "no-cache"),
            ("CC-04", Some("no-cache = \"Set-Cookie\""), patch().no_cache(), "no-cache"),
            ("CC-05", Some("max-age=100"), patch().max_age(50), "max-age=50"),
            ("CC-05", Some("max-age=50"), patch().max_age(100), "max-age=50"),
            ("CC-05", Some("a, max-age=50, b"), patch().max_age(10), "a, max-age=10, b"),
            (
                "CC-06",
                None,
                patch().max_age(0).s_maxage(3).stale_while_revalidate(30).immutable(),
                "max-age=0, s-maxage=3, stale-while-revalidate=30, immutable",
            ),
            ("CC-07", None, patch().private().public(), "private, public"),
            ("CC-09", Some("MAX-AGE=5, No-Store"), patch().max_age(60), "max-age=5, no-store"),
            ("MW max-age=-5", Some("max-age=-5"), patch().max_age(60), "max-age=-5"),
            ("MW-21", Some("max-age=0"), patch().max_age(60), "max-age=0"),
            ("MW-41", Some("max-age=abc"), patch().max_age(60), "max-age=60"),
            ("MW-41", Some("max-age=\"60\""), patch().max_age(600), "max-age=600"),
        ];
        for (id, before, patch, after) in rows {
            assert_eq!(patched(before, &patch), after, "{id}: {before:?}");
        }
    }

    #[test]
    fn all_lines_are_merged_into_one() {
        let mut headers = HeaderMap::new();
        headers.append(header::CACHE_CONTROL, "no-store".parse().unwrap());
        headers.append(header::CACHE_CONTROL, "x=\"a, b\", max-age=5".parse().unwrap());
        patch().max_age(60).apply(&mut headers);
        let lines: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
        assert_eq!(lines, ["no-store, x=\"a, b\", max-age=5"]);
    }

    #[test]
    fn of_several_max_age_the_smallest_readable_one_stays() {
        assert_eq!(patched(Some("max-age=9, a, max-age=x, max-age=7"), &patch().max_age(60)), "max-age=7, a");
    }

    #[test]
    fn the_patch_merges_with_itself_too() {
        assert_eq!(patched(None, &patch().max_age(60).no_store().max_age(30)), "max-age=30, no-store");
    }

    #[test]
    fn an_empty_patch_touches_nothing() {
        let mut headers = HeaderMap::new();
        patch().apply(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn odd_arguments_are_quoted_and_impossible_ones_dropped() {
        assert_eq!(patched(None, &patch().directive("x", Some("a, \"b\""))), r#"x="a, \"b\"""#);
        assert_eq!(patched(None, &patch().directive("x", Some("\"a, b\""))), r#"x="a, b""#);
        assert_eq!(patched(None, &patch().directive("private", Some("a\r\nb"))), "private");
        assert_eq!(patch().directive("a b", None).directive("", None), patch());
    }

    #[test]
    fn what_was_malformed_stays_malformed() {
        let after = patched(Some("public; max-age=60"), &patch().immutable());
        assert_eq!(after, "public; max-age=60, immutable");
    }

    proptest! {
        #[test]
        fn a_restriction_survives_every_patch_that_does_not_lift_it(
            before in "(no-store|private|no-cache|no-cache=\"a,b\")(, ?(max-age=[0-9]{1,3}|x=\"[a-z,]*\"|Public))*",
            age: u64,
        ) {
            let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_str(&before).unwrap())]);
            let mut after = headers;
            patch().max_age(age).immutable().apply(&mut after);
            prop_assert!(crate::CacheControl::from_headers(&after).is_restricted());
        }
    }
}
