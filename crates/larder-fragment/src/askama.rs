//! Askama: `{% filter cache(500, "sidebar", user) %}…{% endfilter %}`.
//!
//! ```
//! use askama::Template;
//! use larder_core::Cache;
//! use larder_fragment::Fragments;
//!
//! // Askama looks for filters in a module of this name, beside the templates.
//! mod filters {
//!     pub use larder_fragment::askama::cache;
//! }
//!
//! #[derive(Template)]
//! #[template(
//!     source = r#"{% filter cache(500, "top_author", user) %}<b>{{ user }}</b>{% endfilter %}"#,
//!     ext = "html"
//! )]
//! struct Page<'a> {
//!     user: &'a str,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), askama::Error> {
//! # let cache = Cache::new(larder_memory::Memory::new());
//! let fragments = Fragments::new(&cache);
//! let values = fragments.values();
//! let html = fragments.render(move || Page { user: "A&B" }.render_with_values(&values)).await?;
//! assert_eq!(html, "<b>A&#38;B</b>");
//! # Ok(()) }
//! ```
//!
//! | Django | here |
//! |---|---|
//! | `{% cache 500 sidebar %}` | `{% filter cache(500, "sidebar") %}` |
//! | `{% cache 500 sidebar request.user.username %}` | `{% filter cache(500, "sidebar", user.name) %}` |
//! | `{% cache None sidebar %}` | `{% filter cache(Timeout::FOREVER, "sidebar") %}` |
//! | `{% cache 300 x using="localcache" %}` | `{% filter cache(300, "x", using = "localcache") %}` |
//! | – | `{% filter cache(300, "x", tags = ["authors"]) %}` |
//! | `{% endcache %}` | `{% endfilter %}` |
//!
//! What it varies on and its tags are one text or number, or several as a tuple, an array or a vector: `(&user.name, page)`. Without
//! [`values`](Fragments::values), the caches are those that are [installed](larder_core::Caches::install) for the process, and the template is rendered as any
//! other. The filter has to be the only one of its block.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

use askama::Values;
use askama::filters::MaybeSafe;
use larder_core::Timeout;

use crate::fragments::{Fragments, RenderError};
use crate::markup::Markup;
use crate::spec::{Fragment, Said};

/// Under which name the handle stands among a template's values.
const VALUE: &str = "larder.fragments";

impl Fragments {
    /// These fragments as values for `render_with_values`. To hand over others as well, put a clone of the handle among them under
    /// `larder.fragments`.
    pub fn values(&self) -> impl Values + Send + Sync + 'static {
        Handed(self.clone())
    }
}

struct Handed(Fragments);

impl Values for Handed {
    fn get_value<'a>(&'a self, key: &str) -> Option<&'a dyn Any> {
        (key == VALUE).then_some(&self.0 as &dyn Any)
    }
}

/// How long a fragment lives, in a template: a number of seconds, a [`Duration`](std::time::Duration), or a [`Timeout`]. Negative is not
/// stored, as in Django.
pub trait Seconds {
    /// As a timeout.
    fn timeout(&self) -> Timeout;
}

macro_rules! seconds {
    ($($integer:ty),*) => { $(
        impl Seconds for $integer {
            fn timeout(&self) -> Timeout {
                // A number is always a timeout.
                Said::Integer(i128::from(*self)).timeout().unwrap_or(Timeout::ZERO)
            }
        }
    )* };
}

seconds!(i32, i64, u32, u64);

impl Seconds for Timeout {
    fn timeout(&self) -> Timeout {
        *self
    }
}

impl Seconds for std::time::Duration {
    fn timeout(&self) -> Timeout {
        Timeout::from(*self)
    }
}

impl<S: Seconds + ?Sized> Seconds for &S {
    fn timeout(&self) -> Timeout {
        (**self).timeout()
    }
}

/// Texts in a template: a text or a number, or a tuple, an array or a vector of what can be displayed.
pub trait Texts {
    /// Each as text.
    fn texts(&self) -> Vec<String>;
}

macro_rules! texts {
    ($($name:ident)*) => {
        impl<$($name: fmt::Display),*> Texts for ($($name,)*) {
            fn texts(&self) -> Vec<String> {
                #[expect(non_snake_case, reason = "a value is called as its type")]
                let ($($name,)*) = self;
                vec![$($name.to_string()),*]
            }
        }
    };
}

impl Texts for () {
    fn texts(&self) -> Vec<String> {
        Vec::new()
    }
}

texts!(A);
texts!(A B);
texts!(A B C);
texts!(A B C D);
texts!(A B C D E);
texts!(A B C D E F);

macro_rules! one_text {
    ($($one:ty),*) => { $(
        impl Texts for $one {
            fn texts(&self) -> Vec<String> {
                vec![self.to_string()]
            }
        }
    )* };
}

one_text!(str, String, char, bool, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

impl<T: fmt::Display> Texts for [T] {
    fn texts(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

impl<T: fmt::Display, const N: usize> Texts for [T; N] {
    fn texts(&self) -> Vec<String> {
        self[..].texts()
    }
}

impl<T: fmt::Display> Texts for Vec<T> {
    fn texts(&self) -> Vec<String> {
        self[..].texts()
    }
}

impl<T: Texts + ?Sized> Texts for &T {
    fn texts(&self) -> Vec<String> {
        (**self).texts()
    }
}

/// The filter: keeps the block that it is put on. Takes a timeout ([`Seconds`]) and a name, and may take what it varies on ([`Texts`]),
/// `using`, the alias of another cache, and `tags` ([`Texts`]).
pub use filter::cache;

/// What the filter gives.
#[derive(Debug)]
pub struct Shown(Option<String>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => f.write_str(text),
            None => Err(fmt::Error),
        }
    }
}

mod filter {
    #![expect(missing_docs, reason = "what the attribute makes of a filter has none")]

    use super::*;

    #[askama::filter_fn]
    pub fn cache<S: Seconds, N: AsRef<str>>(
        block: impl fmt::Display,
        values: &dyn Values,
        timeout: S,
        name: N,
        #[optional(&())] vary_on: &dyn Texts,
        #[optional("")] using: &str,
        #[optional(&())] tags: &dyn Texts,
    ) -> askama::Result<MaybeSafe<Shown>> {
        static INSTALLED: OnceLock<Fragments> = OnceLock::new();
        let fragments = askama::get_value::<Fragments>(values, VALUE)
            .unwrap_or_else(|_| INSTALLED.get_or_init(Fragments::installed));
        let mut fragment = Fragment::new(name.as_ref()).timeout(timeout.timeout()).tags(tags.texts());
        fragment.vary_on = vary_on.texts();
        fragment.using = (!using.is_empty()).then(|| using.to_owned());
        let body = || {
            use fmt::Write;
            let mut text = String::new();
            write!(text, "{block}").map(|()| Markup::safe(text))
        };
        match fragments.get_or_render(&fragment, body) {
            Ok(Markup { text, safe: true }) => Ok(MaybeSafe::Safe(Shown(Some(text)))),
            Ok(Markup { text, safe: false }) => Ok(MaybeSafe::NeedsEscaping(Shown(Some(text)))),
            // What went wrong inside is told by the block itself, once what it gave can't be shown.
            Err(RenderError::Body(fmt::Error)) => Ok(MaybeSafe::Safe(Shown(None))),
            Err(RenderError::Cache(error)) => Err(askama::Error::custom(error)),
        }
    }
}
