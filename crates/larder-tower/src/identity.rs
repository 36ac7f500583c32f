//! Who asks for what: the identity of a request, and the keys that follow from it.
//!
//! The *primary key* is the URL as the application sees it: scheme, host, original path and query (and the current one where a
//! router rewrote it), the layer's prefix and what its `key_fn`s add. Under it stands a [`Record`](crate::record::Record), which
//! knows the field lists of the `Vary`s seen. A *variant* is a set of fields with the request's values for them, and the digest
//! of the request's credentials, if it has any.
//!
//! Variants of one URL share a bounded number of slots, two for each variant to choose from, so nobody can fill a store by sending
//! header values; anonymous and credentialed ones have slots of their own, so users never evict what everybody reads. The whole
//! identity stands in the stored page and is compared when it is read: a slot never decides.

use std::borrow::Cow;
use std::hash::BuildHasher;

use axum::extract::OriginalUri;
use foldhash::fast::FixedState;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use larder_core::{Cache, Key, KeyBuilder};
use larder_http::{VaryFields, joined_cookies, with_canonical_value};
use xxhash_rust::xxh3::xxh3_64;

use crate::admit::{Facts, Hosts, ROUTING_FIELDS};
use crate::keys::Told;
use crate::session::OnRequest;
use crate::settings::{CacheChoice, Level, Settings};
use crate::shared::SearchRules;

/// A digest of everything by which a request names its user.
pub(crate) type Digest = [u8; 32];

/// The identity of one request.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    primary: KeyBuilder,
    /// How much of `primary` is the URL.
    url_len: usize,
    /// The cookies that count, if they are not simply all of them; `Some("")`: none.
    cookies: Option<HeaderValue>,
    digest: Option<Digest>,
    /// The order of languages of equal weight says nothing.
    unordered: bool,
    /// What the application sees where a middleware between the pair changed the request.
    inner: Option<Box<HeaderMap>>,
    /// A part of the key could not be told.
    refused: bool,
}

impl Identity {
    /// The identity of a request that was admitted with these facts. Cookies that do not count are *not yet*
    /// removed; see [`Identity::strip`].
    pub(crate) fn of(settings: &Settings, cache: &Cache, own_id: bool, parts: &Parts, facts: Facts) -> Self {
        Self::of_whence(settings, cache, own_id, parts, facts, &Whence::of(parts))
    }

    /// The same for who knows already where the request goes.
    pub(crate) fn of_whence(
        settings: &Settings,
        cache: &Cache,
        own_id: bool,
        parts: &Parts,
        facts: Facts,
        whence: &Whence<'_>,
    ) -> Self {
        // It is put together where it stays: it is large, and each request has one.
        let mut identity = Self {
            primary: front(settings, cache, own_id),
            url_len: 0,
            cookies: None,
            digest: None,
            unordered: settings.policy.is_shared(),
            inner: None,
            refused: false,
        };
        identity.spell(settings, cache, parts, facts, whence);
        // A shared cache goes by what the response says: Vary, private, and the rule for Authorization.
        if (facts.cookie || facts.credentials) && !settings.policy.is_shared() {
            identity.see_credentials(settings, &parts.headers);
        }
        identity
    }

    /// Adds to how the key begins all that it names a page by.
    fn spell(
        &mut self,
        settings: &Settings,
        cache: &Cache,
        parts: &Parts,
        facts: Facts,
        whence: &Whence<'_>,
    ) {
        let b = &mut self.primary;
        url(b, settings, cache, &parts.uri, whence);
        self.url_len = b.identity().len();
        b.mark(b's').part(parts.uri.scheme_str().unwrap_or("").as_bytes());
        // Where a handler could read another Host than the URL's, all lines count.
        let Whence { authority, host, more, .. } = *whence;
        let alike = authority.is_none() || host.is_none() || authority == host;
        // An empty line is not none: a handler can tell the two.
        let hosts = !alike || host == Some(b"") || more;
        if hosts || facts.routing {
            spell_routing(b, parts, hosts, facts.routing);
        }
        if !settings.key_fns.is_empty() || !settings.later.is_empty() {
            self.refused = !spell_told(b, settings, parts);
        }
    }

    #[inline(never)]
    fn see_credentials(&mut self, settings: &Settings, headers: &HeaderMap) {
        let counted = counted_cookies(settings, headers);
        self.digest = credentials(settings, headers, counted.as_ref().map(|(value, _)| &**value));
        self.cookies = match counted {
            // A filtered Cookie line is made of bytes of a valid one, so it is one.
            Some((value, true)) => {
                Some(HeaderValue::from_bytes(&value).unwrap_or(HeaderValue::from_static("")))
            }
            _ => None,
        };
    }

    /// The host and path of a request's URL, as its key has them.
    pub(crate) fn place(parts: &Parts) -> (&[u8], &str) {
        let (host, uri) = Self::location(parts);
        (host, uri.path())
    }

    /// The host and the URI of a request, as its key has them.
    pub(crate) fn location(parts: &Parts) -> (&[u8], &Uri) {
        let whence = Whence::of(parts);
        let host = whence.authority.or(whence.host);
        (host.unwrap_or(b""), whence.original.unwrap_or(&parts.uri))
    }

    /// Removes the cookies that do not count from the request that the handler will see.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        match &self.cookies {
            None => {}
            Some(none) if none.is_empty() => {
                headers.remove(header::COOKIE);
            }
            Some(kept) => {
                headers.insert(header::COOKIE, kept.clone());
            }
        }
    }

    /// Adds what the application sees, where a middleware between the pair rewrote URL or headers.
    pub(crate) fn seen_inside(&mut self, settings: &Settings, outside: &HeaderMap, uri: &Uri, parts: &Parts) {
        if *uri != parts.uri {
            let mut b = self.primary.as_key().extend();
            b.mark(b'i').part(path_and_query(&parts.uri));
            self.primary = b;
        }
        if *outside != parts.headers {
            // It may have named the user, by a client's certificate say.
            let counted = counted_cookies(settings, &parts.headers);
            let inside = credentials(settings, &parts.headers, counted.as_ref().map(|(value, _)| &**value));
            self.digest = match (self.digest, inside) {
                (Some(outside), Some(inside)) if outside != inside => {
                    Some(*blake3::hash(&[outside, inside].concat()).as_bytes())
                }
                (outside, inside) => outside.or(inside),
            };
            self.inner = Some(Box::new(parts.headers.clone()));
        }
    }

    /// Adds the session that stands on the request: the page may depend on it whatever cookies count.
    pub(crate) fn see_session(&mut self, session: &OnRequest, facts: &mut Facts) {
        facts.session |= session.is_there;
        let Some(named) = session.named else { return };
        // A shared cache goes by what the response says, which is made to say `Vary: Cookie`.
        if self.unordered {
            return;
        }
        facts.only_session |= self.digest.is_none();
        self.digest = Some(match self.digest {
            None => named,
            Some(credentials) => *blake3::hash(&[credentials, named].concat()).as_bytes(),
        });
    }

    /// The same request, of which only a HEAD was seen.
    pub(crate) fn head_twin(&self) -> Self {
        let mut twin = self.clone();
        let mut b = twin.primary.as_key().extend();
        b.mark(b'H');
        twin.primary = b;
        twin
    }

    /// The same request, of whose answer only parts were seen.
    pub(crate) fn part_twin(&self) -> Self {
        let mut twin = self.clone();
        let mut b = twin.primary.as_key().extend();
        b.mark(b'R');
        twin.primary = b;
        twin
    }

    /// The same request with content that it is keyed on (QUERY).
    pub(crate) fn with_content(&self, described: &[(&str, &[u8])], digest: &[u8]) -> Self {
        let mut with = self.clone();
        let mut b = with.primary.as_key().extend();
        b.mark(b'Q').part(digest);
        for (name, line) in described {
            b.mark(b'q').part(name.as_bytes()).part(line);
        }
        with.primary = b;
        with
    }

    /// Whether a part of the key could not be told: nothing may be stored or found under it.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// The digest of the request's credentials.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Whether the request names a user.
    pub(crate) fn is_credentialed(&self) -> bool {
        self.digest.is_some()
    }

    /// The key of the URL's record.
    pub(crate) fn primary_key(&self) -> &Key {
        self.primary.as_key()
    }

    /// The tag under which every page of this URL stands, with all its variants.
    pub(crate) fn url_tag(&self) -> larder_core::Tag {
        tag(&self.primary.identity()[..self.url_len])
    }

    /// In which of so many groups of URLs it is, whatever the variant.
    pub(crate) fn url_group(&self, groups: usize) -> usize {
        let hash = FixedState::default().hash_one(&self.primary.identity()[..self.url_len]);
        usize::try_from(hash % groups as u64).unwrap_or(0)
    }

    fn with_canonical<R>(
        &self,
        name: &HeaderName,
        headers: &HeaderMap,
        with: impl FnOnce(Option<&[u8]>) -> R,
    ) -> R {
        match &self.cookies {
            // Of the cookies, only those count that the handler sees.
            Some(counted) if *name == header::COOKIE => {
                with(Some(counted.as_bytes()).filter(|counted| !counted.is_empty()))
            }
            _ => with_canonical_value(name, headers, self.unordered, with),
        }
    }

    /// The identity of one variant: the fields' values, and the credentials unless the page is for everybody.
    pub(crate) fn variant(&self, fields: &VaryFields, headers: &HeaderMap, everybody: bool) -> Variant {
        let mut b = self.primary.as_key().extend();
        b.mark(b'v');
        for name in fields.iter() {
            b.mark(b'=').part(name.as_str().as_bytes());
            self.with_canonical(name, headers, |value| {
                said(&mut b, name, value);
                if let Some(inner) = &self.inner {
                    self.with_canonical(name, inner, |inside| {
                        if inside != value {
                            said(b.mark(b'&'), name, inside);
                        }
                    });
                }
            });
        }
        let digest = self.digest.filter(|_| !everybody);
        match &digest {
            Some(digest) => b.mark(b'c').part(digest),
            None => b.mark(b'a'),
        };
        Variant { key: b.build(), credentialed: digest.is_some() }
    }
}

/// Adds what a request says in a field. Credentials stand in keys and entries as digests only.
fn said(b: &mut KeyBuilder, name: &HeaderName, value: Option<&[u8]>) {
    match value {
        None => _ = b.mark(b'-'),
        Some(value) if is_sensitive(name) => _ = b.mark(b'+').part(blake3::hash(value).as_bytes()),
        Some(value) => _ = b.mark(b'+').part(value),
    }
}

/// One variant of a URL.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    key: Key,
    credentialed: bool,
}

impl Variant {
    /// The full identity, as it stands in the stored page.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The same for who needs nothing else.
    pub(crate) fn into_key(self) -> Key {
        self.key
    }

    /// Whether it is for one user.
    pub(crate) fn is_credentialed(&self) -> bool {
        self.credentialed
    }

    /// The two slots it may stand in.
    pub(crate) fn slots(&self, primary: &Identity, limit: u32) -> [Key; 2] {
        self.places(limit).map(|place| self.slot(primary, place))
    }

    /// The numbers of these slots.
    pub(crate) fn places(&self, limit: u32) -> [u32; 2] {
        places(self.key.identity(), limit)
    }

    /// The slot of this number.
    pub(crate) fn slot(&self, primary: &Identity, place: u32) -> Key {
        let mut b = primary.primary.as_key().extend();
        b.mark(if self.credentialed { b'C' } else { b'A' }).part(&place.to_le_bytes());
        b.build()
    }
}

/// The numbers of the two slots in which a variant of this identity may stand. The hash is the same in all processes; it is no secret, and decides
/// nothing.
pub(crate) fn places(identity: &[u8], limit: u32) -> [u32; 2] {
    let hash = xxh3_64(identity);
    let half = (limit / 2).max(1);
    // Two halves, so that the two slots of a variant are never the same one.
    [(hash as u32) % half, half + ((hash >> 32) as u32) % half]
}

/// The tag of a request's URL, whatever the request's method.
pub(crate) fn url_tag(
    settings: &Settings,
    cache: &Cache,
    own_id: bool,
    uri: &Uri,
    whence: &Whence<'_>,
) -> larder_core::Tag {
    let mut b = front(settings, cache, own_id);
    url(&mut b, settings, cache, uri, whence);
    tag(b.identity())
}

fn tag(url: &[u8]) -> larder_core::Tag {
    let mut tag = String::with_capacity(64);
    tag.push_str("larder.url:");
    for byte in &blake3::hash(url).as_bytes()[..20] {
        for digit in [byte >> 4, byte & 15] {
            tag.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    larder_core::Tag::from(tag)
}

/// The URL, as a write names it too: without the scheme, which only HTTP/2 tells, and without what a page's key has besides.
fn url(b: &mut KeyBuilder, settings: &Settings, cache: &Cache, inner: &Uri, whence: &Whence<'_>) {
    let outer = whence.original;
    // A write is not narrowed itself, and drops the pages of what its URL is narrowed to.
    let narrowed;
    let (original, current) = if settings.narrowing.is_by_query() {
        narrowed = (outer.and_then(|uri| settings.narrowing.uri(uri)), settings.narrowing.uri(inner));
        (narrowed.0.as_ref().or(outer), narrowed.1.as_ref().unwrap_or(inner))
    } else {
        (outer, inner)
    };
    let host = whence.authority.or(whence.host).unwrap_or(b"");
    // What may be left out is told from what follows by a mark of its own, or one could be written like the other.
    b.part(host);
    let uri = original.unwrap_or(current);
    if !settings.policy.is_shared() || !searched(b, cache, host, uri) {
        b.mark(b'/').part(path_and_query(uri));
    }
    if original.is_some_and(|original| path_and_query(original) != path_and_query(current)) {
        b.mark(b'n').part(path_and_query(current));
    }
    if !settings.key_prefix.is_empty() {
        b.mark(b'p').part(settings.key_prefix.as_bytes());
    }
}

/// Adds path and query where a rule says which of the query counts (`No-Vary-Search`).
fn searched(b: &mut KeyBuilder, cache: &Cache, host: &[u8], uri: &Uri) -> bool {
    let Some(rule) = cache.attached::<SearchRules>().of(host, uri.path()) else { return false };
    let query = rule.canonical(uri.query().unwrap_or(""));
    b.mark(b'?').part(uri.path().as_bytes()).part(query.as_bytes());
    true
}

/// How a layer's keys begin. Where the layer has one cache for all requests, that is put together once.
#[inline]
fn front(settings: &Settings, cache: &Cache, own_id: bool) -> KeyBuilder {
    let has_one = match &settings.cache {
        // The default that nobody configured is one in the process.
        None => own_id,
        Some(choice) => matches!(choice, CacheChoice::Given(_)),
    };
    if has_one {
        return settings.front.get_or_init(|| begin(settings, cache, own_id)).clone();
    }
    begin(settings, cache, own_id)
}

#[inline(never)]
fn begin(settings: &Settings, cache: &Cache, own_id: bool) -> KeyBuilder {
    let mut b = cache.key_builder("page");
    b.mark(match settings.level {
        _ if settings.policy.is_shared() => b'G',
        Level::Page => b'P',
        Level::Site => b'S',
    });
    if own_id {
        b.mark(b'#').part(&settings.id.to_le_bytes());
    }
    b
}

/// Where a request goes, looked up once. The authority (HTTP/2, absolute form) beats Host.
pub(crate) struct Whence<'a> {
    original: Option<&'a Uri>,
    authority: Option<&'a [u8]>,
    /// The first line of Host.
    host: Option<&'a [u8]>,
    /// It is not the only one.
    more: bool,
}

impl<'a> Whence<'a> {
    pub(crate) fn of(parts: &'a Parts) -> Self {
        let mut hosts = Hosts::default();
        parts.headers.get_all(header::HOST).iter().for_each(|line| hosts.see(line));
        Self::seen(&parts.uri, original(parts), hosts)
    }

    /// With what was seen already.
    pub(crate) fn seen(uri: &'a Uri, original: Option<&'a Uri>, hosts: Hosts<'a>) -> Self {
        Self { more: hosts.more, ..Self::new(uri, original, hosts.first) }
    }

    pub(crate) fn new(uri: &'a Uri, original: Option<&'a Uri>, host: Option<&'a HeaderValue>) -> Self {
        let authority = uri.authority().or_else(|| original.and_then(Uri::authority));
        let authority = authority.map(|authority| authority.as_str().as_bytes());
        Self { original, authority, host: host.map(HeaderValue::as_bytes), more: false }
    }
}

/// The URL as it was before nested routers took a part of it away.
pub(crate) fn original(parts: &Parts) -> Option<&Uri> {
    parts.extensions.get::<OriginalUri>().map(|original| &original.0)
}

/// Adds the lines of Host if they count, and the fields by which frameworks reroute a request.
#[inline(never)]
fn spell_routing(b: &mut KeyBuilder, parts: &Parts, hosts: bool, routing: bool) {
    if hosts {
        for host in parts.headers.get_all(header::HOST) {
            b.mark(b'h').part(host.as_bytes());
        }
    }
    if routing {
        for name in ROUTING_FIELDS {
            for value in parts.headers.get_all(name) {
                let value =
                    if name == "forwarded" { forwarded(value.as_bytes()) } else { value.as_bytes().into() };
                b.mark(b'r').part(name.as_bytes()).part(&value);
            }
        }
    }
}

/// Adds what the layer's key functions tell; false: one could not.
#[inline(never)]
fn spell_told(b: &mut KeyBuilder, settings: &Settings, parts: &Parts) -> bool {
    let mut all = true;
    let mut add = |mark, text: Option<&str>| match text {
        Some(text) => _ = b.mark(mark).part(text.as_bytes()),
        None => all = false,
    };
    for part in &settings.key_fns {
        add(b'f', part(parts).as_deref());
    }
    if !settings.later.is_empty() {
        for text in Told::of(parts, settings).unwrap_or(&[None]) {
            add(b'F', text.as_deref());
        }
    }
    all
}

/// `Forwarded` without the members that differ with each client: only what may change the page counts.
fn forwarded(value: &[u8]) -> Cow<'static, [u8]> {
    let names_client = |pair: &&[u8]| {
        let name = pair.split(|b| *b == b'=').next().unwrap_or(pair).trim_ascii();
        name.eq_ignore_ascii_case(b"for") || name.eq_ignore_ascii_case(b"by")
    };
    // Which hop said it matters: some read the first, some the last.
    let hops = value.split(|b| *b == b',').map(|hop| {
        let pairs = hop.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        pairs.filter(|pair| !names_client(pair)).collect::<Vec<_>>().join(&b";"[..])
    });
    hops.collect::<Vec<_>>().join(&b","[..]).into()
}

fn path_and_query(uri: &Uri) -> &[u8] {
    uri.path_and_query().map_or(b"/", |pq| pq.as_str().as_bytes())
}

/// The cookies that count, and whether that is other than what the request carries.
fn counted_cookies<'a>(settings: &Settings, headers: &'a HeaderMap) -> Option<(Cow<'a, [u8]>, bool)> {
    let all = joined_cookies(headers)?;
    let kept = settings.cookies.filter(all.clone());
    let changed = *kept != *all;
    Some((kept, changed))
}

fn credentials(settings: &Settings, headers: &HeaderMap, cookies: Option<&[u8]>) -> Option<Digest> {
    let mut hasher = blake3::Hasher::new();
    let mut any = false;
    let mut add = |name: &str, value: &[u8]| {
        any = true;
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        hasher.update(&(value.len() as u64).to_le_bytes()).update(value);
    };
    if let Some(cookies) = cookies.filter(|c| !c.is_empty()) {
        add("cookie", cookies);
    }
    for name in std::iter::once(&header::AUTHORIZATION).chain(&settings.identity_headers) {
        for value in headers.get_all(name) {
            add(name.as_str(), value.as_bytes());
        }
    }
    any.then(|| *hasher.finalize().as_bytes())
}

/// Whether a field's values could be somebody's secret: all but those that are known to be none.
fn is_sensitive(name: &HeaderName) -> bool {
    let name = name.as_str();
    let harmless =
        name.starts_with("accept") || name.starts_with("sec-") || matches!(name, "origin" | "user-agent");
    !harmless
}
