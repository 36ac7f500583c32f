//! Fragments in MiniJinja: Django's rules, and what a render may rely on.
#![cfg(feature = "minijinja")]
#![expect(clippy::unwrap_used, reason = "a test that goes wrong is to panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{Cache, Caches, ManualClock};
use larder_fragment::{Fragments, fragment_key, minijinja as fragment};
use larder_memory::Memory;
use minijinja::{Environment, ErrorKind, Value, context};

struct Site {
    env: Environment<'static>,
    cache: Cache,
    clock: ManualClock,
    bodies: Arc<AtomicUsize>,
}

impl Site {
    fn new() -> Self {
        let clock = ManualClock::new(1_000_000);
        let cache = Cache::builder(Memory::new()).clock(clock.clock()).build().unwrap();
        Self::on(cache.clone(), Caches::new(cache), clock)
    }

    fn on(cache: Cache, caches: Caches, clock: ManualClock) -> Self {
        let mut env = Environment::new();
        fragment::install(&mut env, &Fragments::new(caches));
        let bodies = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&bodies);
        env.add_function("count", move || {
            count.fetch_add(1, Ordering::SeqCst);
            ""
        });
        Self { env, cache, clock, bodies }
    }

    fn html(&self, source: &str, context: Value) -> Result<String, minijinja::Error> {
        let source = fragment::rewrite(source)?;
        self.env.render_named_str("page.html", &source, context)
    }

    fn bodies(&self) -> usize {
        self.bodies.load(Ordering::SeqCst)
    }
}

/// FRAG-01.
#[tokio::test]
async fn another_template_with_the_same_name_and_values_shows_the_first_content() {
    let site = Site::new();
    assert_eq!(site.html("{% cache 100 test %}one{% endcache %}", context!()).unwrap(), "one");
    assert_eq!(site.html("{% cache 100 test %}two{% endcache %}", context!()).unwrap(), "one");
    let two = site.html("<p>{% cache 100 other %}two{% endcache %}</p>", context!()).unwrap();
    assert_eq!(two, "<p>two</p>");
}

/// FRAG-02.
#[tokio::test]
async fn different_values_are_different_fragments_and_values_are_compared_as_text() {
    let site = Site::new();
    let source = "{% cache 100 test foo %}{{ foo }}{{ count() }}{% endcache %}";
    for (foo, html) in [("1", "1"), ("2", "2"), ("1", "1")] {
        assert_eq!(site.html(source, context! { foo }).unwrap(), html);
    }
    assert_eq!(site.bodies(), 2);
    assert_eq!(site.html(source, context! { foo => 1 }).unwrap(), "1");
    assert_eq!(site.bodies(), 2, "1 and \"1\" are one");
    let two = "{% cache 100 test a b %}{{ a }}+{{ b }}{% endcache %}";
    assert_eq!(site.html(two, context! { a => "a", b => "b" }).unwrap(), "a+b");
    assert_eq!(site.html(two, context! { a => "a:b", b => "" }).unwrap(), "a:b+");
    assert_eq!(site.html(source, context! { foo => "a:b" }).unwrap(), "a:b");
    assert_eq!(site.html("{% cache 100 test gone %}nobody{% endcache %}", context!()).unwrap(), "nobody");
}

#[tokio::test]
async fn values_may_have_spaces_and_be_very_long() {
    let site = Site::new();
    let foo = format!("a b\n{}", "x".repeat(10_000));
    let source = "{% cache 100 test foo|lower %}{{ count() }}long{% endcache %}";
    for _ in 0..2 {
        assert_eq!(site.html(source, context! { foo => foo.clone() }).unwrap(), "long");
    }
    assert_eq!(site.bodies(), 1);
}

/// FRAG-03.
#[tokio::test]
async fn a_timeout_may_be_a_variable_that_is_a_number_and_nothing_else() {
    let site = Site::new();
    let source = "{% cache t test n %}{{ count() }}x{% endcache %}";
    for (n, t) in [Value::from(2), Value::from("2"), Value::from(2.9)].into_iter().enumerate() {
        assert_eq!(site.html(source, context! { t, n }).unwrap(), "x");
    }
    for t in [Value::UNDEFINED, Value::from("foo"), Value::from(vec![1]), Value::from(true)] {
        let error = site.html(source, context! { t }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOperation);
        assert!(error.to_string().contains("give a number of seconds"), "{error}");
    }
    assert_eq!(site.bodies(), 3);
}

#[tokio::test]
async fn a_timeout_is_kept_none_is_for_ever_and_zero_is_not_stored() {
    let site = Site::new();
    let sources = [("2", 2), ("none", 1), ("0", 3), ("-1", 3)];
    for (timeout, bodies) in sources {
        let before = site.bodies();
        let source = format!("{{% cache {timeout} t{before} %}}{{{{ count() }}}}{{% endcache %}}");
        site.html(&source, context!()).unwrap();
        site.html(&source, context!()).unwrap();
        site.clock.advance(Duration::from_secs(3));
        site.html(&source, context!()).unwrap();
        assert_eq!(site.bodies() - before, bodies, "{timeout}");
    }
}

#[test]
fn a_tag_with_too_little_is_an_error_when_the_template_is_added() {
    for source in ["{% cache %}{% endcache %}", "{% cache 1 %}{% endcache %}", "{% cache 1 a %}"] {
        assert_eq!(fragment::rewrite(source).unwrap_err().kind(), ErrorKind::SyntaxError);
    }
    let mut env = Environment::new();
    env.set_loader(fragment::loader(|_| Ok(Some("{% cache 1 %}".to_owned()))));
    let error = env.get_template("page.html").unwrap_err();
    assert!(error.to_string().contains("cache needs a timeout and a name"), "{error}");
}

#[tokio::test]
async fn a_call_with_too_little_is_an_error_that_says_what_it_wants() {
    let site = Site::new();
    for (source, wanted) in [
        ("{% call cache(500) %}x{% endcall %}", "cache needs a timeout and a name"),
        ("{% call cache(500, 3) %}x{% endcall %}", "put it in quotes"),
        ("{{ cache(500, \"a\") }}", "{% call cache"),
        ("{% call cache(500, \"a\", usng=\"x\") %}x{% endcall %}", "usng"),
    ] {
        let error = site.html(source, context!()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{source}: {error}");
    }
}

/// FRAG-11.
#[tokio::test]
async fn a_fragment_is_deleted_from_code_by_its_name_and_values() {
    let site = Site::new();
    let source = "{% cache 100 top_author user %}{{ count() }}{% endcache %}";
    for user in ["ada", "bob"] {
        site.html(source, context! { user }).unwrap();
    }
    assert!(site.cache.delete(&fragment_key("top_author", ["ada"])).await.unwrap());
    for user in ["ada", "bob"] {
        site.html(source, context! { user }).unwrap();
    }
    assert_eq!(site.bodies(), 3);
}

/// FRAG-12.
#[tokio::test]
async fn an_empty_fragment_is_kept_as_such() {
    let site = Site::new();
    for _ in 0..2 {
        assert_eq!(site.html("{% cache 100 test %}{{ count() }}{% endcache %}", context!()).unwrap(), "");
    }
    assert_eq!(site.bodies(), 1);
}

#[tokio::test]
async fn what_is_under_the_name_of_a_fragment_and_is_none_is_not_shown() {
    let site = Site::new();
    let nothing: [&str; 0] = [];
    site.cache.set(&fragment_key("test", nothing), "<script>").await.unwrap();
    let html = site.html("{% cache 100 test %}mine{% endcache %}", context!()).unwrap();
    assert_eq!(html, "mine");
}

#[tokio::test]
async fn another_cache_is_used_by_its_alias_and_an_unknown_one_is_an_error() {
    let cache = || Cache::new(Memory::new());
    let (main, other) = (cache(), cache());
    let caches = Caches::new(main.clone()).with("other", other.clone());
    let site = Site::on(main, caches, ManualClock::new(0));
    let source = "{% cache 100 test using=\"other\" %}{{ count() }}x{% endcache %}";
    site.html(source, context!()).unwrap();
    let nothing: [&str; 0] = [];
    let key = fragment_key("test", nothing);
    assert!(!site.cache.has_key(&key).await.unwrap() && other.has_key(&key).await.unwrap());
    let error = site.html("{% cache 1 a using=\"oter\" %}x{% endcache %}", context!()).unwrap_err();
    assert!(error.to_string().contains("did you mean \"other\"?"), "{error}");
}

#[tokio::test]
async fn fragments_have_a_cache_of_their_own_if_there_is_one_of_that_alias() {
    let cache = || Cache::new(Memory::new());
    let (main, own) = (cache(), cache());
    let caches = Caches::new(main.clone()).with("template_fragments", own.clone());
    let site = Site::on(main, caches, ManualClock::new(0));
    site.html("{% cache 100 test %}x{% endcache %}", context!()).unwrap();
    let nothing: [&str; 0] = [];
    assert!(own.has_key(&fragment_key("test", nothing)).await.unwrap());
}

#[tokio::test]
async fn what_is_escaped_once_stays_so_and_what_was_not_is_escaped_where_it_has_to_be() {
    let site = Site::new();
    let source = "{% cache 100 test %}<b>{{ x }}</b>{% endcache %}";
    for _ in 0..2 {
        let html = site.html(source, context! { x => "A&B" }).unwrap();
        assert_eq!(html, "<b>A&amp;B</b>");
    }
    let text = fragment::rewrite("{% cache 100 plain %}{{ x }}{% endcache %}").unwrap();
    let made = site.env.render_named_str("mail.txt", &text, context! { x => "<script>" }).unwrap();
    assert_eq!(made, "<script>");
    assert_eq!(site.html(&text, context! { x => "" }).unwrap(), "&lt;script&gt;");
}

#[tokio::test]
async fn nested_fragments_are_each_kept_for_themselves() {
    let site = Site::new();
    let source = "{% cache 100 outer %}[{{ count() }}{% for i in range(3) %}{% cache 100 inner i %}{{ count() }}{{ i }}{% endcache %}{% endfor %}]{% endcache %}";
    assert_eq!(site.html(source, context!()).unwrap(), "[012]");
    assert_eq!(site.html(source, context!()).unwrap(), "[012]");
    assert_eq!(site.bodies(), 4);
    let nothing: [&str; 0] = [];
    site.cache.delete(&fragment_key("outer", nothing)).await.unwrap();
    site.html(source, context!()).unwrap();
    assert_eq!(site.bodies(), 5);
}

#[tokio::test]
async fn a_fragment_inside_itself_does_not_wait_for_itself() {
    let site = Site::new();
    let source = "{% cache 100 a %}1{% cache 100 a %}2{% endcache %}{% endcache %}";
    assert_eq!(site.html(source, context!()).unwrap(), "12");
}

#[tokio::test]
async fn fragments_in_blocks_loops_macros_and_included_templates_are_kept() {
    let site = Site::new();
    let mut env = site.env.clone();
    env.set_loader(fragment::loader(|name| {
        let source = match name {
            "base.html" => "<{% block b %}base{% endblock %}>",
            "one.html" => "{% cache 100 one x %}{{ count() }}{{ x }}{% endcache %}",
            "macros.html" => {
                "{% macro m(x) %}{% cache 100 m x %}{{ count() }}[{{ x }}]{% endcache %}{% endmacro %}"
            }
            _ => {
                "{% extends 'base.html' %}{% from 'macros.html' import m %}{% block b %}{% set parent = super() %}\
                 {% cache None child %}{{ count() }}{{ parent }}{% for x in xs %}{% include 'one.html' %}{{ m(x) }}{% endfor %}\
                 {% endcache %}{% endblock %}"
            }
        };
        Ok(Some(source.to_owned()))
    }));
    for xs in [[1, 2], [3, 4]] {
        let html = env.get_template("page.html").unwrap().render(context! { xs }).unwrap();
        assert_eq!(html, "<base1[1]2[2]>");
    }
    assert_eq!(site.bodies(), 5);
    let one = env.get_template("one.html").unwrap();
    assert_eq!(one.render(context! { x => 2 }).unwrap(), "2");
    assert_eq!(site.bodies(), 5, "what is included is kept for itself");
}

#[tokio::test]
async fn what_is_undefined_is_no_value_to_vary_on_where_undefined_is_an_error() {
    let mut site = Site::new();
    let source = "{% cache 100 test 1 user.nmae %}x{% endcache %}";
    assert_eq!(site.html(source, context! { user => "ada" }).unwrap(), "x");
    site.env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let error = site.html(source, context! { user => context! { name => "ada" } }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UndefinedError);
    assert!(error.to_string().contains("value 2 that the cached fragment \"test\" varies on"), "{error}");
}

#[tokio::test]
async fn a_body_that_fails_is_not_kept_and_its_error_reaches_who_asked() {
    let site = Site::new();
    let source = "{% cache 100 test %}{{ count() }}{% if bad %}{{ 1 // 0 }}{% endif %}fine{% endcache %}";
    let error = site.html(source, context! { bad => true }).unwrap_err();
    assert_eq!(error.line(), Some(1), "{error}");
    assert_eq!(site.html(source, context! { bad => false }).unwrap(), "fine");
    assert_eq!(site.html(source, context! { bad => true }).unwrap(), "fine");
    assert_eq!(site.bodies(), 2);
}

#[tokio::test]
async fn tags_invalidate_a_fragment() {
    let site = Site::new();
    let source = "{% cache 100 test tags=[\"authors\", 'author:' ~ id] %}{{ count() }}{% endcache %}";
    for tag in ["authors", "author:7", "author:8"] {
        site.html(source, context! { id => 7 }).unwrap();
        site.cache.invalidate([tag]).await.unwrap();
    }
    site.html(source, context! { id => 7 }).unwrap();
    assert_eq!(site.bodies(), 3);
    site.html("{% cache 100 one tags='solo' %}{{ count() }}{% endcache %}", context!()).unwrap();
    site.cache.invalidate(["solo"]).await.unwrap();
    site.html("{% cache 100 one tags='solo' %}{{ count() }}{% endcache %}", context!()).unwrap();
    assert_eq!(site.bodies(), 5);
}

#[test]
fn without_a_runtime_fragments_are_rendered_each_time() {
    let site = Site::new();
    for _ in 0..2 {
        assert_eq!(site.html("{% cache 100 test %}{{ count() }}x{% endcache %}", context!()).unwrap(), "x");
    }
    assert_eq!(site.bodies(), 2);
}

#[test]
fn nothing_secret_is_shown() {
    let fragment = larder_fragment::Fragment::new("f").vary_on(["hunter2"]).tags(["t"]);
    assert!(!format!("{fragment:?}").contains("hunter2"));
}

#[tokio::test]
async fn what_stands_in_a_string_of_an_expression_is_no_tag() {
    let site = Site::new();
    let shown = |source: &str| site.html(source, context!()).unwrap();
    assert_eq!(shown("{{ '{#' }}{% cache 500 a %}x{% endcache %}"), "{#x");
    assert_eq!(
        shown(r#"{{ "{% endcache %}" }}{% cache 500 b %}{{ '}}\'{%' }}{% endcache %}"#),
        "{% endcache %}}}&#x27;{%"
    );
    assert_eq!(shown("{{ {'a': {'b': '{%'}}['a']['b'] }}{% cache 500 c %}x{% endcache %}"), "{%x");
    assert_eq!(shown("{% raw %}{% it's %}{% endraw %}{% cache 500 d %}x{% endcache %}"), "{% it's %}x");
}
