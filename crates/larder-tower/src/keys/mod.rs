//! What a page's key has besides the URL: key functions, and parts that can be put together and used again.

mod headers;
mod language;
mod later;
mod query;

use std::fmt;
use std::sync::Arc;

use axum::extract::OriginalUri;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Uri, header};

pub use headers::KeyedHeaders;
pub(crate) use headers::Notes;
pub(crate) use later::{LaterFn, Told};

use crate::settings::header_name;
use language::Languages;
use query::QueryRule;

/// Adds to a page's key; drf-extensions' `key_func`. `None`: it can't say, so the request passes by.
pub(crate) type KeyFn = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// What a key function may give: text, a number, or an `Option` of one. `None` refuses: the page is made for this request alone, with
/// `Cache-Status: larder; fwd=bypass; detail=key-fn-refused`, instead of being shared by all for whom nothing could be said.
pub trait KeyText {
    /// The text, if there is one.
    fn into_text(self) -> Option<String>;
}

impl<T: KeyText> KeyText for Option<T> {
    fn into_text(self) -> Option<String> {
        self.and_then(T::into_text)
    }
}

macro_rules! texts {
    ($($t:ty)+) => {
        $(impl KeyText for $t {
            fn into_text(self) -> Option<String> {
                Some(self.to_string())
            }
        })+
    };
}

texts!(&str std::borrow::Cow<'_, str> bool char i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

impl KeyText for String {
    fn into_text(self) -> Option<String> {
        Some(self)
    }
}

/// The parts of a page's key, put together once and used by any number of layers: drf-extensions' `KeyConstructor` and its bits.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::KeyParts;
///
/// #[derive(Clone)]
/// struct User { id: u64 }
///
/// // One key for single objects, and one for lists, which adds to it.
/// let object = KeyParts::new().user(|user: &User| Some(user.id)).language(["en", "de"]);
/// let list = object.clone().query(["search", "level"]).pagination();
/// // get(list_courses).layer(cache_page(900).key(&list));
/// # drop(list);
/// ```
///
/// The host and the whole URL, path parameters and query included, are in every key, and so are the credentials that a request carries. What can be
/// said here beyond it:
///
/// | drf-extensions | here |
/// |---|---|
/// | `UniqueMethodIdKeyBit`, `KwargsKeyBit`, `ArgsKeyBit` | always: the URL and `key_prefix` |
/// | `QueryParamsKeyBit`, `QueryParamsKeyBit(["a"])` | always; [`query`](Self::query), [`query_except`](Self::query_except) leave parameters out |
/// | `PaginationKeyBit` | [`pagination`](Self::pagination) |
/// | `HeadersKeyBit`, `FormatKeyBit` | [`header`](Self::header) |
/// | `LanguageKeyBit` | [`language`](Self::language) |
/// | `UserKeyBit` | [`user`](Self::user) |
/// | `RequestMetaKeyBit`, own bits | [`extension`](Self::extension), [`part`](Self::part), [`part_async`](Self::part_async) |
#[derive(Clone, Default)]
#[must_use = "parts of a key do nothing until a layer has them"]
pub struct KeyParts {
    narrowing: Narrowing,
    headers: Vec<HeaderName>,
    functions: Vec<KeyFn>,
    later: Vec<LaterFn>,
}

impl KeyParts {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The only parameters of the query that the page depends on, besides those of other calls. They are keyed, whatever their order; all others
    /// are removed from the request that the handler sees, so that the page can't depend on them. `*` at the end stands for any rest.
    pub fn query<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.narrowing.query.only(names);
        self
    }

    /// Parameters of the query that the page does not depend on: `utm_*`, say. They are removed from the request that the handler sees.
    pub fn query_except<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.narrowing.query.except(names);
        self
    }

    /// The parameters of the usual paginators: `page`, `page_size`, `perpage`, `per_page`, `limit`, `offset`, `cursor`. As
    /// [`query`](Self::query): with it, all that are not named are removed.
    pub fn pagination(self) -> Self {
        self.query(["page", "page_size", "perpage", "per_page", "limit", "offset", "cursor"])
    }

    /// A request header that the page depends on; it is added to the page's `Vary`.
    ///
    /// # Panics
    /// If it is not a header name.
    pub fn header(mut self, name: impl AsRef<str>) -> Self {
        self.headers.push(header_name(name.as_ref()));
        self
    }

    /// The page is in one of these languages, the first if the request asks for none of them. The handler sees the chosen one as the
    /// request's `Accept-Language`, so there are as many pages as languages, not as many as browsers' settings.
    ///
    /// # Panics
    /// If there is none, or one can't stand in a header.
    pub fn language<L: AsRef<str>>(mut self, offered: impl IntoIterator<Item = L>) -> Self {
        self.narrowing.languages = Some(Languages::of(offered));
        self.headers.push(header::ACCEPT_LANGUAGE);
        self
    }

    /// The user whom a middleware outside has put on the request as an extension. Where it gives `None`, the page is that of all anonymous visitors.
    /// Without the extension the request passes by: nobody was asked who it is.
    pub fn user<U, K>(mut self, id: impl Fn(&U) -> Option<K> + Send + Sync + 'static) -> Self
    where
        U: Send + Sync + 'static,
        K: KeyText,
    {
        self.functions.push(Arc::new(move |parts| {
            let id = id(parts.extensions.get::<U>()?);
            // No id is like the word for nobody.
            Some(id.and_then(K::into_text).map_or_else(|| "anonymous".to_owned(), |id| format!("={id}")))
        }));
        self
    }

    /// Something that a middleware outside has put on the request as an extension: the tenant, say. Without it, the request passes by.
    pub fn extension<T, K>(mut self, text: impl Fn(&T) -> K + Send + Sync + 'static) -> Self
    where
        T: Send + Sync + 'static,
        K: KeyText,
    {
        self.functions.push(Arc::new(move |parts| text(parts.extensions.get::<T>()?).into_text()));
        self
    }

    /// Anything else that can be said of a request; see [`KeyText`].
    pub fn part<K: KeyText>(mut self, text: impl Fn(&Parts) -> K + Send + Sync + 'static) -> Self {
        self.functions.push(Arc::new(move |parts| text(parts).into_text()));
        self
    }

    /// The same, where it takes waiting. It is asked for every request, before the page is looked up.
    pub fn part_async<F>(mut self, text: impl Fn(Parts) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output: KeyText> + Send + 'static,
    {
        self.later.push(later::boxed(text));
        self
    }

    pub(crate) fn add_to(&self, settings: &mut crate::Settings) {
        settings.narrowing.add(&self.narrowing);
        settings.vary_on.extend(self.headers.iter().cloned());
        settings.key_fns.extend(self.functions.iter().cloned());
        settings.later.extend(self.later.iter().cloned());
    }
}

impl fmt::Debug for KeyParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyParts")
            .field("narrowing", &self.narrowing)
            .field("headers", &self.headers)
            .field("functions", &(self.functions.len() + self.later.len()))
            .finish()
    }
}

/// What is taken away from a request before it is keyed, so that the page can't depend on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Narrowing {
    query: QueryRule,
    languages: Option<Languages>,
}

impl Narrowing {
    fn add(&mut self, other: &Self) {
        self.query.add(&other.query);
        if let Some(languages) = &other.languages {
            self.languages = Some(languages.clone());
        }
    }

    /// Whether only a part of the query counts.
    pub(crate) fn is_by_query(&self) -> bool {
        !self.query.is_all()
    }

    /// A URL without the parameters that do not count; `None`: it is as it was.
    pub(crate) fn uri(&self, uri: &Uri) -> Option<Uri> {
        self.query.narrowed(uri)
    }

    /// Does so to a request that may be answered with a page.
    pub(crate) fn apply(&self, parts: &mut Parts) {
        if (self.query.is_all() && self.languages.is_none()) || !may_be_a_page(&parts.method) {
            return;
        }
        if let Some(uri) = self.uri(&parts.uri) {
            parts.uri = uri;
        }
        let original = parts.extensions.get::<OriginalUri>().and_then(|original| self.uri(&original.0));
        if let Some(original) = original {
            parts.extensions.insert(OriginalUri(original));
        }
        if let Some(languages) = &self.languages {
            let chosen: HeaderValue = languages.choose(&parts.headers);
            parts.headers.insert(header::ACCEPT_LANGUAGE, chosen);
        }
    }
}

pub(crate) fn may_be_a_page(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || method.as_str() == "QUERY"
}
