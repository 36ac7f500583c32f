//! MiniJinja: `{% call cache(500, "sidebar", user) %}…{% endcall %}`, and Django's spelling by a rewriting loader.
//!
//! ```
//! use larder_core::Cache;
//! use larder_fragment::{Fragments, minijinja as fragment};
//! use minijinja::{Environment, context};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cache = Cache::new(larder_memory::Memory::new());
//! let fragments = Fragments::new(&cache);
//! let mut env = Environment::new();
//! fragment::install(&mut env, &fragments);
//! env.set_loader(fragment::loader(|name| {
//!     // or minijinja::path_loader("templates")
//!     Ok((name == "page.html").then(|| {
//!         "{% cache 500 top_author user %}<b>{{ user }}</b>{% endcache %}".to_owned()
//!     }))
//! }));
//!
//! let html = fragments.render(move || env.get_template("page.html")?.render(context! { user => "A&B" })).await?;
//! assert_eq!(html, "<b>A&amp;B</b>");
//! # Ok(()) }
//! ```
//!
//! | Django | here |
//! |---|---|
//! | `{% cache 500 sidebar %}` | the same with [`loader`] or [`rewrite`], else `{% call cache(500, "sidebar") %}` |
//! | `{% cache 500 sidebar request.user.username %}` | the same; `{% call cache(500, "sidebar", request.user.username) %}` |
//! | `{% cache 300 x using="localcache" %}` | the same; `{% call cache(300, "x", using="localcache") %}` |
//! | – | `{% cache 300 x tags=["authors"] %}`; `{% call cache(300, "x", tags=["authors"]) %}` |
//! | `{% endcache %}` | the same; `{% endcall %}` |
//!
//! The name is a literal, with or without quotes; in the call it is an expression. Everything else is an expression. The syntax for the tag has to
//! be MiniJinja's own; with other delimiters, write the call. A value to vary on that is undefined is an error in a strict environment, and like an empty text in others, as
//! in Django.
//!
//! What is in a fragment is the body of a call, where MiniJinja has neither blocks nor `super()`. Write the fragment inside the block,
//! `{% block b %}{% cache 500 b %}…{% endcache %}{% endblock %}`, and take what the parent has before it: `{% set parent = super() %}`.

use std::borrow::Cow;

use larder_core::Tag;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use crate::fragments::{Fragments, RenderError};
use crate::markup::Markup;
use crate::spec::{Fragment, Said};
use crate::tag;

/// Adds the function `cache` to an environment.
pub fn install(env: &mut Environment<'_>, fragments: &Fragments) {
    let fragments = fragments.clone();
    env.add_function("cache", move |state: &mut State<'_, '_>, args: Rest<Value>, options: Kwargs| {
        cached(&fragments, state, &args, &options)
    });
}

/// A template's source with `{% cache %}` rewritten to calls. Lines stay where they are.
///
/// ```
/// let source = larder_fragment::minijinja::rewrite("{% cache 500 sidebar %}…{% endcache %}")?;
/// assert_eq!(source, r#"{% call cache(500, "sidebar") %}…{% endcall %}"#);
/// # Ok::<(), minijinja::Error>(())
/// ```
///
/// # Errors
/// A syntax error with its line, if a tag has fewer than two arguments, no end, or no beginning.
pub fn rewrite(source: &str) -> Result<Cow<'_, str>, Error> {
    let open = |tag: &tag::CacheTag<'_>, _: usize, trim: tag::Trim<'_>| {
        let mut call = format!("{{%{} call cache({}, {}", trim.before, tag.timeout, tag.quoted_name());
        for value in &tag.vary_on {
            call.push_str(", ");
            call.push_str(value);
        }
        for (name, value) in [("using", tag.using), ("tags", tag.tags)] {
            if let Some(value) = value {
                call.push_str(&format!(", {name}={value}"));
            }
        }
        call.push_str(&format!(") {}%}}", trim.after));
        call
    };
    let close = |trim: tag::Trim<'_>| format!("{{%{} endcall {}%}}", trim.before, trim.after);
    tag::rewrite(source, open, close).map_err(|wrong| Error::new(ErrorKind::SyntaxError, wrong.to_string()))
}

/// A loader whose templates may have `{% cache %}`; `inner` is any other, as `minijinja::path_loader("templates")`.
pub fn loader<F>(inner: F) -> impl Fn(&str) -> Result<Option<String>, Error> + Send + Sync + 'static
where
    F: Fn(&str) -> Result<Option<String>, Error> + Send + Sync + 'static,
{
    move |name| match inner(name)? {
        Some(source) => rewrite(&source).map(|source| Some(source.into_owned())),
        None => Ok(None),
    }
}

fn cached(
    fragments: &Fragments,
    state: &mut State<'_, '_>,
    args: &[Value],
    options: &Kwargs,
) -> Result<Value, Error> {
    let [timeout, name, vary_on @ ..] = args else {
        return Err(Error::new(
            ErrorKind::MissingArgument,
            "cache needs a timeout and a name: cache(500, \"sidebar\", request.user.username)",
        ));
    };
    let name = name.as_str().ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, "the name of a cached fragment is no text; put it in quotes")
    })?;
    let strict =
        matches!(state.env().undefined_behavior(), UndefinedBehavior::Strict | UndefinedBehavior::SemiStrict);
    if strict && let Some(place) = vary_on.iter().position(Value::is_undefined) {
        // All for whom it is not there would share one fragment.
        let what = format!("value {} that the cached fragment {name:?} varies on is undefined", place + 1);
        return Err(Error::new(ErrorKind::UndefinedError, what));
    }
    let caller: Value = options.get("caller").map_err(|_| {
        Error::new(
            ErrorKind::InvalidOperation,
            "cache has nothing to keep: write {% call cache(…) %}…{% endcall %}",
        )
    })?;
    let using: Option<String> = options.get("using")?;
    let tags: Option<Value> = options.get("tags")?;
    options.assert_all_used()?;
    let mut fragment = Fragment::new(name)
        .timeout(said(timeout).timeout().map_err(wrong)?)
        .vary_on(vary_on)
        .tags(tags.as_ref().map(tags_of).transpose()?.unwrap_or_default());
    fragment.using = using;
    let body = || {
        let made = caller.call(state, &[])?;
        let safe = made.is_safe();
        Ok(Markup { text: made.to_string(), safe })
    };
    match fragments.get_or_render(&fragment, body) {
        Ok(Markup { text, safe: true }) => Ok(Value::from_safe_string(text)),
        Ok(Markup { text, safe: false }) => Ok(Value::from(text)),
        Err(RenderError::Body(error)) => Err(error),
        Err(RenderError::Cache(error)) => Err(wrong(error)),
    }
}

fn said(value: &Value) -> Said<'_> {
    if let Some(text) = value.as_str() {
        return Said::Text(text);
    }
    match value.kind() {
        ValueKind::None => Said::Nothing,
        ValueKind::Undefined => Said::Other("undefined"),
        ValueKind::Bool => Said::Other("true or false"),
        ValueKind::Number => match (i128::try_from(value.clone()), f64::try_from(value.clone())) {
            (Ok(number), _) if value.is_integer() => Said::Integer(number),
            (_, Ok(number)) => Said::Float(number),
            _ => Said::Other("no number of seconds"),
        },
        ValueKind::Seq => Said::Other("a list"),
        ValueKind::Map => Said::Other("a map"),
        _ => Said::Other("no number"),
    }
}

/// One, or a list.
fn tags_of(value: &Value) -> Result<Vec<Tag>, Error> {
    match value.as_str() {
        Some(one) => Ok(vec![Tag::from(one)]),
        None => Ok(value.try_iter()?.map(|tag| Tag::from(tag.to_string())).collect()),
    }
}

fn wrong(error: larder_core::Error) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.to_string()).with_source(error)
}
