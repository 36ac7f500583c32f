//! Tera 2: Django's `{% cache %}`, rewritten to what Tera has.
//!
//! Tera has no tags of one's own, and a function has no body that it could leave alone. What it does have is a condition: [`rewrite`] turns
//! a tag into a look into the cache, and a filter section that is entered on a miss only.
//!
//! ```
//! use larder_core::Cache;
//! use larder_fragment::{Fragments, tera as fragment};
//! use tera::{Context, Tera};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cache = Cache::new(larder_memory::Memory::new());
//! let fragments = Fragments::new(&cache);
//! let mut tera = Tera::default();
//! fragment::install(&mut tera, &fragments); // before the templates
//! let source = "{% cache 500 top_author user %}<b>{{ user }}</b>{% endcache %}";
//! tera.add_raw_template("page.html", &fragment::rewrite(source)?)?;
//!
//! let mut context = Context::new();
//! context.insert("user", "A&B");
//! let html = fragments.render(move || tera.render("page.html", &context)).await?;
//! assert_eq!(html, "<b>A&amp;B</b>");
//! # Ok(()) }
//! ```
//!
//! | Django | here |
//! |---|---|
//! | `{% cache 500 sidebar request.user.username %}` | the same |
//! | `{% cache None sidebar %}` | the same |
//! | `{% cache 300 x using="localcache" %}` | the same |
//! | – | `{% cache 300 x tags=["authors"] %}` |
//!
//! Everything but the name is an expression of Tera; a variable that is not there is an error, as everywhere in Tera. A template has to be rendered within
//! [`Fragments::render`] or [`Fragments::render_here`]: Tera tells nobody that a body failed, so the end of the rendering has to be known. Rendered elsewhere,
//! its fragments are rendered each time.

use std::borrow::Cow;

use larder_core::Tag;
use tera::{Kwargs, State, Tera, TeraResult, Value};

use crate::fill::Look;
use crate::fragments::Fragments;
use crate::markup::Markup;
use crate::scope;
use crate::spec::{Fragment, Said};
use crate::tag;

/// Adds what [`rewrite`] makes use of: the function `larder_fragment` and the filter `larder_fragment_made`.
pub fn install(tera: &mut Tera, fragments: &Fragments) {
    let fragments = fragments.clone();
    tera.register_function("larder_fragment", move |args: Kwargs, _: &State<'_>| look(&fragments, &args));
    tera.register_filter("larder_fragment_made", |body: Value, args: Kwargs, _: &State<'_>| {
        made(body, &args)
    });
}

/// A template's source with `{% cache %}` rewritten. Lines stay where they are.
///
/// # Errors
/// What is wrong and in which line, if a tag has fewer than two arguments, no end, or no beginning.
pub fn rewrite(source: &str) -> TeraResult<Cow<'_, str>> {
    // A child and its parent share their variables.
    let own = blake3::hash(source.as_bytes()).to_hex();
    let open = |tag: &tag::CacheTag<'_>, count: usize, trim: tag::Trim<'_>| {
        let found = format!("larder_{}_{count}", &own[..12]);
        let mut args = format!("timeout={}, name={}", tag.timeout, tag.quoted_name());
        args.push_str(&format!(", vary_on=[{}]", tag.vary_on.join(", ")));
        for (name, value) in [("using", tag.using), ("tags", tag.tags)] {
            if let Some(value) = value {
                args.push_str(&format!(", {name}={value}"));
            }
        }
        let (before, after) = (trim.before, trim.after);
        format!(
            "{{%{before} set {found} = larder_fragment({args}) %}}{{% if {found} is string %}}{{{{ {found} }}}}{{% else %}}{{% filter larder_fragment_made(found={found}) {after}%}}"
        )
    };
    let close = |trim: tag::Trim<'_>| format!("{{%{} endfilter %}}{{% endif {}%}}", trim.before, trim.after);
    tag::rewrite(source, open, close).map_err(tera::Error::message)
}

/// The fragment, or the number under which its body is awaited.
fn look(fragments: &Fragments, args: &Kwargs) -> TeraResult<Value> {
    let timeout: Value = args.must_get("timeout")?;
    let name: &str = args.must_get("name")?;
    let vary_on: Option<Value> = args.get("vary_on")?;
    let using: Option<&str> = args.get("using")?;
    let tags: Option<Value> = args.get("tags")?;
    let mut fragment = Fragment::new(name)
        .timeout(said(&timeout).timeout().map_err(|error| wrong(&error))?)
        .vary_on(texts(vary_on.as_ref()))
        .tags(texts(tags.as_ref()).into_iter().map(Tag::from));
    fragment.using = using.map(str::to_owned);
    match fragments.look(&fragment).map_err(|error| wrong(&error))? {
        Look::Found(markup) => Ok(shown(&markup)),
        Look::Make(making) => Ok(Value::from(scope::put_aside(making))),
    }
}

fn made(body: Value, args: &Kwargs) -> TeraResult<Value> {
    let number: u64 = args.must_get("found")?;
    if let (Some(making), Some(text)) = (scope::take_back(number), body.as_str()) {
        making.land(&Markup { text: text.to_owned(), safe: body.is_safe() });
    }
    Ok(body)
}

fn shown(markup: &Markup) -> Value {
    match markup.safe {
        true => Value::safe_string(&markup.text),
        false => Value::normal_string(&markup.text),
    }
}

fn said(value: &Value) -> Said<'_> {
    if value.is_none() {
        return Said::Nothing;
    }
    match (value.as_str(), value.as_i128(), value.as_f64()) {
        (Some(text), _, _) => Said::Text(text),
        (_, Some(number), _) => Said::Integer(number),
        (_, _, Some(number)) => Said::Float(number),
        _ => Said::Other(value.name()),
    }
}

/// One, or a list.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value.map(|value| (value.as_array(), value)) {
        None => Vec::new(),
        Some((Some(list), _)) => list.iter().map(ToString::to_string).collect(),
        Some((None, one)) => vec![one.to_string()],
    }
}

fn wrong(error: &larder_core::Error) -> tera::Error {
    tera::Error::message(error.to_string())
}
