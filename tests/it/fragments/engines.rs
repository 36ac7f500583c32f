//! The same page in each template engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use askama::Template;
use larder::Fragments;
use larder::fragment::{minijinja, tera};

/// Renders the page.
pub(super) type Engine = fn(&Fragments, &Bodies) -> String;

pub(super) const ENGINES: [(&str, Engine); 3] = [("minijinja", jinja), ("askama", compiled), ("tera", terra)];

/// Counts the runs of bodies, by name.
#[derive(Clone, Default)]
pub(super) struct Bodies {
    runs: Arc<Mutex<HashMap<String, usize>>>,
    takes: Duration,
}

impl Bodies {
    /// Each takes its time.
    pub(super) fn slow(takes: Duration) -> Self {
        Self { takes, ..Self::default() }
    }

    /// One more.
    pub(super) fn run(&self, name: &str) -> &'static str {
        *self.runs.lock().unwrap().entry(name.to_owned()).or_default() += 1;
        std::thread::sleep(self.takes);
        ""
    }

    pub(super) fn of(&self, name: &str) -> usize {
        self.runs.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

const SOURCE: &str = r#"{% load cache %}<ul>{% cache 500 outer tags=["outer"] -%}
    {{ body(name="outer") }}[{% cache 500 inner tags=["inner"] %}{{ body(name="inner") }}<li>{{ author }}</li>{% endcache %}]
{%- endcache %}</ul>"#;

fn jinja(fragments: &Fragments, bodies: &Bodies) -> String {
    let mut env = ::minijinja::Environment::new();
    minijinja::install(&mut env, fragments);
    let bodies = bodies.clone();
    env.add_function("body", move |options: ::minijinja::value::Kwargs| {
        options.get::<String>("name").map(|name| bodies.run(&name))
    });
    let source = minijinja::rewrite(SOURCE).unwrap();
    env.render_named_str("page.html", &source, ::minijinja::context! { author => "A&B" }).unwrap()
}

fn terra(fragments: &Fragments, bodies: &Bodies) -> String {
    let mut engine = ::tera::Tera::default();
    tera::install(&mut engine, fragments);
    let bodies = bodies.clone();
    engine.register_function("body", move |options: ::tera::Kwargs, _: &::tera::State<'_>| {
        options.must_get::<&str>("name").map(|name| bodies.run(name))
    });
    engine.add_raw_template("page.html", &tera::rewrite(SOURCE).unwrap()).unwrap();
    let mut context = ::tera::Context::new();
    context.insert("author", "A&B");
    engine.render("page.html", &context).unwrap()
}

mod filters {
    pub(super) use larder::fragment::askama::cache;
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<ul>{% filter cache(500, "outer", tags = ["outer"]) -%}
    {{ bodies.run("outer") }}[{% filter cache(500, "inner", tags = ["inner"]) %}{{ bodies.run("inner") }}<li>{{ author }}</li>{% endfilter %}]
{%- endfilter %}</ul>"#
)]
struct Page<'a> {
    author: &'a str,
    bodies: &'a Bodies,
}

fn compiled(fragments: &Fragments, bodies: &Bodies) -> String {
    Page { author: "A&B", bodies }.render_with_values(&fragments.values()).unwrap()
}
