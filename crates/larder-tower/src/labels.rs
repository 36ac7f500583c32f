//! Under which tags a page stands by its place: those of its layer, with path parameters, those that its response names in fields, and the
//! groups by which pages are purged.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::sync::Arc;

use axum::extract::MatchedPath;
use foldhash::fast::FixedState;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri};
use larder_core::{Cache, Tag};
use larder_http::Reason;
use larder_http::shared::cache_groups;

use crate::engine::Visit;
use crate::identity::Identity;
use crate::settings::Settings;
use crate::shared::SearchRules;
use crate::tag_pattern::PathParameters;
use crate::written::note_fill;

/// So many beginnings of a path are groups; what lies deeper belongs to the last of them.
pub(crate) const LEVELS: usize = 8;
/// A response that names more tags than these is not stored: each would have to be looked at whenever it is read.
const MOST_NAMED: usize = 256;

/// Where a request leads, as far as tags depend on it. Made for every request that is not answered at once, so it copies pointers only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    uri: Uri,
    host: String,
    route: Option<MatchedPath>,
    /// The layer's tags that have path parameters in them; `None`: one could not be made.
    filled: Option<Arc<[Tag]>>,
}

impl Labels {
    pub(crate) fn of(settings: &Settings, parts: &Parts) -> Self {
        let (host, uri) = Identity::location(parts);
        Self {
            uri: uri.clone(),
            host: String::from_utf8_lossy(host).to_ascii_lowercase(),
            route: parts.extensions.get().cloned(),
            filled: filled(settings, parts),
        }
    }

    /// The URL, as it was before nested routers took a part of it away.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Why the page can't be stored, if its tags can't be made.
    pub(crate) fn refusal(&self) -> Option<Reason> {
        self.filled.is_none().then_some(Reason::BadTags)
    }

    /// The tags that are known before the page is made.
    pub(crate) fn known(&self, settings: &Settings, cache: &Cache) -> Vec<Tag> {
        let mut tags = Vec::with_capacity(settings.tags.len() + 16);
        tags.extend(settings.tags.iter().cloned());
        tags.extend(self.filled.iter().flat_map(|filled| filled.iter()).cloned());
        tags.push(all());
        tags.push(host(&self.host));
        tags.extend(self.route.iter().map(|route| self::route(route.as_str())));
        let path_and_query = self.uri.path_and_query().map_or("/", |pq| pq.as_str());
        tags.extend([url(Some(&self.host), path_and_query), url(None, path_and_query)]);
        if settings.narrowing.is_by_query() {
            let path = self.uri.path();
            tags.extend([narrowed(Some(&self.host), path), narrowed(None, path)]);
        }
        if settings.policy.is_shared() {
            let own = canonical(cache, self.host.as_bytes(), &self.uri);
            tags.extend(own.map(|canonical| url(Some(&self.host), &canonical)));
        }
        tags.extend(beginnings(self.uri.path()).map(path));
        tags
    }
}

impl Visit {
    /// The tags that the page will have whatever the handler says.
    pub(crate) fn known_tags(&self) -> Vec<Tag> {
        note_fill(self.labels.uri.path());
        let mut tags = self.labels.known(self.engine.settings(), &self.cache);
        tags.push(self.identity.url_tag());
        tags
    }
}

fn filled(settings: &Settings, parts: &Parts) -> Option<Arc<[Tag]>> {
    if settings.patterns.is_empty() {
        return Some(Arc::default());
    }
    let mut routed = http::Request::new(()).into_parts().0;
    routed.extensions = parts.extensions.clone();
    let parameters = PathParameters::of(&mut routed);
    let tags = settings.patterns.iter().map(|pattern| pattern.fill(&parameters));
    match tags.collect::<Result<Arc<[Tag]>, _>>() {
        Ok(tags) => Some(tags),
        Err(error) => {
            tracing::error!(target: "larder::decision", %error, "a caching layer stores no page, since it can't tag it");
            None
        }
    }
}

/// The path and query under which a page stands where a rule says which parts of the query count.
pub(crate) fn canonical(cache: &Cache, host: &[u8], uri: &Uri) -> Option<String> {
    let rule = cache.attached::<SearchRules>().of(host, uri.path())?;
    Some(format!("{}?{}", uri.path(), rule.canonical(uri.query().unwrap_or(""))))
}

/// How many groups a thread keeps the tags of; a group's place follows from its name.
const PLACES: usize = 256;
/// Longer names are not kept.
const LONGEST: usize = 128;

/// The tag of a group, under what it is called.
type Kept = Option<(&'static str, Box<str>, Tag)>;

thread_local! {
    /// Most pages are of the same few groups. A thread's own: sharing would cost threads more than making them.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// The tag of a group that many pages are in.
fn kept(kind: &'static str, name: &str) -> Tag {
    let keep = |kept: &RefCell<Vec<Kept>>| {
        let mut kept = kept.try_borrow_mut().ok()?;
        if kept.is_empty() {
            kept.resize(PLACES, None);
        }
        let place = kept.get_mut(FixedState::default().hash_one((kind, name)) as usize % PLACES)?;
        match place {
            Some((its_kind, its_name, tag)) if *its_kind == kind && **its_name == *name => Some(tag.clone()),
            _ => {
                let tag = Tag::group(kind, name);
                *place = Some((kind, name.into(), tag.clone()));
                Some(tag)
            }
        }
    };
    // A thread that is ending keeps nothing.
    let tag = if name.len() > LONGEST { None } else { KEPT.try_with(keep).ok().flatten() };
    tag.unwrap_or_else(|| Tag::group(kind, name))
}

/// The group of all pages.
pub(crate) fn all() -> Tag {
    kept("pages", "")
}

/// The group of a host's pages; the host is in lower case.
pub(crate) fn host(host: &str) -> Tag {
    kept("host", host)
}

/// The group of a route's pages.
pub(crate) fn route(pattern: &str) -> Tag {
    kept("route", pattern)
}

/// The group of a URL's pages, on one host or on all.
pub(crate) fn url(host: Option<&str>, path_and_query: &str) -> Tag {
    let path_and_query = normal(path_and_query);
    match host {
        Some(host) => Tag::group("url", &[host, " ", &path_and_query].concat()),
        None => Tag::group("anywhere", &path_and_query),
    }
}

/// The group of a path's pages for which only a part of the query counts: which part, only their layer knows.
pub(crate) fn narrowed(host: Option<&str>, path: &str) -> Tag {
    let path = normal(path);
    match host {
        Some(host) => Tag::group("narrowed", &[host, " ", &path].concat()),
        None => Tag::group("narrowed-anywhere", &path),
    }
}

/// The group of the pages of a path and of all below it.
pub(crate) fn path(path: &str) -> Tag {
    kept("path", &normal(path))
}

/// The same of a URL however it is encoded (RFC 3986, section 6.2.2): `%7e` is `~`, and `%c3` is `%C3`.
fn normal(text: &str) -> Cow<'_, str> {
    if !text.as_bytes().contains(&b'%') {
        return text.into();
    }
    let mut pieces = text.split('%');
    let Some(first) = pieces.next() else { return text.into() };
    let mut normal = first.to_owned();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let digits = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits {
            Some(byte @ (b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~')) => {
                normal.push(char::from(byte));
                normal.push_str(&piece[2..]);
            }
            Some(byte) => {
                _ = write!(normal, "%{byte:02X}");
                normal.push_str(&piece[2..]);
            }
            None => {
                normal.push('%');
                normal.push_str(piece);
            }
        }
    }
    normal.into()
}

/// The beginnings of a path, each up to the end of a segment: `/a` and `/a/b` of `/a/b/`.
pub(crate) fn beginnings(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| at);
    let whole = (!path.is_empty() && !path.ends_with('/')).then_some(path.len());
    ends.chain(whole).take(LEVELS).map(|end| &path[..end])
}

/// A response field in which an application names the tags of a page, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagField {
    name: HeaderName,
    form: Form,
}

/// How tags stand in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Spaces,
    Commas,
    /// A list of strings in quotes (RFC 9875, section 2).
    Groups,
}

impl TagField {
    /// The fields that CDNs read, and the one of the standard.
    pub(crate) fn usual() -> Vec<Self> {
        let usual = ["surrogate-key", "cache-tag", "cache-groups"];
        usual.into_iter().map(HeaderName::from_static).map(Self::new).collect()
    }

    /// `Surrogate-Key` and `xkey` have spaces between tags, `Cache-Groups` is a list of strings; all others have commas.
    pub(crate) fn new(name: HeaderName) -> Self {
        let form = match name.as_str() {
            "surrogate-key" | "xkey" => Form::Spaces,
            "cache-groups" => Form::Groups,
            _ => Form::Commas,
        };
        Self { name, form }
    }
}

/// The tags that a response names, and takes the fields away if they are not to go further.
///
/// # Errors
/// If they are too many, or not text: leaving some out would keep the page when it is to be forgotten.
pub(crate) fn named(settings: &Settings, headers: &mut HeaderMap) -> Result<Vec<Tag>, Reason> {
    // Most responses name none.
    if !headers.keys().any(|there| settings.tag_fields.iter().any(|field| field.name == *there)) {
        return Ok(Vec::new());
    }
    let mut tags = Vec::new();
    let mut read = Ok(());
    for TagField { name, form } in &settings.tag_fields {
        if *form == Form::Groups {
            // Every cache on the way goes by it, so it goes further; what is no list of strings counts for none of them.
            tags.extend(cache_groups(headers).into_iter().map(Tag::from));
            continue;
        }
        for line in headers.get_all(name) {
            let Ok(line) = std::str::from_utf8(line.as_bytes()) else {
                read = Err(Reason::BadTags);
                continue;
            };
            let between = |c: char| match form {
                Form::Spaces => c.is_ascii_whitespace(),
                Form::Commas | Form::Groups => c == ',',
            };
            tags.extend(line.split(between).map(str::trim).filter(|tag| !tag.is_empty()).map(Tag::from));
        }
        if settings.strips_tag_fields() {
            headers.remove(name);
        }
    }
    if tags.len() > MOST_NAMED {
        return Err(Reason::TooManyTags);
    }
    read.map(|()| tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_each_of_its_segments() {
        let of = |path| beginnings(path).collect::<Vec<_>>();
        assert_eq!(of("/a/b/c"), ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(of("/a/b/"), ["/a", "/a/b"]);
        assert_eq!(of("/ä"), ["/ä"]);
        assert!(of("/").is_empty() && of("").is_empty());
        assert_eq!(of("//a"), ["/", "//a"]);
        assert_eq!(of(&"/x".repeat(20)).len(), LEVELS);
    }

    #[test]
    fn a_url_has_one_group_however_it_is_encoded() {
        for (written, is) in [
            ("/%c3%A4%7e%41?q=%2f%2F", "/%C3%A4~A?q=%2F%2F"),
            ("/plain?a=b+c", "/plain?a=b+c"),
            ("/100%", "/100%"),
            ("/%+1/%é/%4", "/%+1/%é/%4"),
        ] {
            assert_eq!(normal(written), is);
        }
        assert_eq!(url(None, "/%7Ea"), url(None, "/~a"));
        assert_eq!(path("/%7Ea"), path("/~a"));
        assert_ne!(path("/a%2Fb"), path("/a/b"));
    }

    #[test]
    fn a_group_that_is_kept_is_the_same_as_one_that_is_made() {
        let names: Vec<String> =
            (0..4 * PLACES).map(|n| format!("/{n}")).chain(["/x".repeat(LONGEST)]).collect();
        for _ in 0..2 {
            for name in &names {
                assert_eq!(path(name), Tag::group("path", name));
                assert_eq!(route(name), Tag::group("route", name));
            }
        }
    }

    #[test]
    fn tags_are_read_from_fields_by_the_rules_of_each() {
        let mut settings = Settings::new(crate::Level::Page, larder_core::Timeout::secs(1));
        let fields = [
            ("surrogate-key", " a  b,c "),
            ("surrogate-key", "d"),
            ("cache-tag", "e f, g ,,"),
            ("x-tags", "h,i"),
            ("cache-groups", "\"j, k\", \"l\";x"),
        ];
        let lines =
            || fields.iter().map(|(name, line)| (HeaderName::from_static(name), line.parse().unwrap()));
        let read = |settings: &Settings| {
            let mut headers: HeaderMap = lines().collect();
            let tags = named(settings, &mut headers).unwrap();
            (tags.iter().map(|tag| tag.as_str().to_owned()).collect::<Vec<_>>(), headers.len())
        };
        assert_eq!(read(&settings), (["a", "b,c", "d", "e f", "g", "j, k", "l"].map(String::from).into(), 5));
        settings.set_strip_tag_fields(true);
        assert_eq!(read(&settings).1, 2, "groups are for other caches too");
        settings.set_tag_fields(["X-Tags"]);
        assert_eq!(read(&settings), (["h", "i"].map(String::from).into(), 4));
        settings.set_tag_fields([] as [&str; 0]);
        assert_eq!(read(&settings), (vec![], 5));
    }

    #[test]
    fn too_many_tags_and_what_is_no_text_are_refused() {
        let settings = Settings::new(crate::Level::Page, larder_core::Timeout::secs(1));
        let mut headers = HeaderMap::new();
        headers.insert("surrogate-key", "a ".repeat(300).parse().unwrap());
        assert_eq!(named(&settings, &mut headers), Err(Reason::TooManyTags));
        headers.insert("surrogate-key", http::HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(named(&settings, &mut headers), Err(Reason::BadTags));
    }
}
