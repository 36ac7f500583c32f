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
mod tests;
