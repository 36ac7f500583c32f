//! Fragments in Askama.
#![cfg(feature = "askama")]
#![expect(clippy::unwrap_used, reason = "a test that goes wrong is to panic")]

use std::cell::Cell;
use std::time::Duration;

use askama::Template;
use larder_core::{Cache, Caches, ManualClock, Timeout};
use larder_fragment::{Fragments, fragment_key};
use larder_memory::Memory;

mod filters {
    pub(crate) use larder_fragment::askama::cache;
}

#[derive(Template)]
#[template(
    source = r#"{% filter cache(timeout, "outer", (user, page), using = alias, tags = ("all", format!("user:{}", self.user))) -%}
[{{ self.count() }}{{ user }}{% for i in 0..2 %}{% filter cache(100, "inner", [i]) %}{{ self.count() }}<i>{{ i }}</i>{% endfilter %}{% endfor %}{{ self.check()? }}]
{%- endfilter %}"#,
    ext = "html"
)]
struct Page<'a> {
    user: &'a str,
    page: u32,
    timeout: Timeout,
    alias: &'a str,
    fails: bool,
    bodies: &'a Cell<usize>,
}

impl Page<'_> {
    fn count(&self) -> &'static str {
        self.bodies.set(self.bodies.get() + 1);
        ""
    }

    fn check(&self) -> Result<&'static str, askama::Error> {
        if self.fails { Err(askama::Error::custom("asked for by a test")) } else { Ok("") }
    }
}

fn page<'a>(user: &'a str, bodies: &'a Cell<usize>) -> Page<'a> {
    Page { user, page: 1, timeout: Timeout::from(60), alias: "", fails: false, bodies }
}

fn cache() -> (Cache, ManualClock) {
    let clock = ManualClock::new(1_000_000);
    (Cache::builder(Memory::new()).clock(clock.clock()).build().unwrap(), clock)
}

#[tokio::test]
async fn a_block_is_rendered_once_for_each_of_its_values_and_escaped_once() {
    let (cache, clock) = cache();
    let (values, bodies) = (Fragments::new(&cache).values(), Cell::new(0));
    let html = "[A&#38;B<i>0</i><i>1</i>]";
    for _ in 0..2 {
        assert_eq!(page("A&B", &bodies).render_with_values(&values).unwrap(), html);
    }
    assert_eq!(bodies.get(), 3);
    assert_eq!(page("C", &bodies).render_with_values(&values).unwrap(), "[C<i>0</i><i>1</i>]");
    let two = Page { page: 2, ..page("C", &bodies) };
    two.render_with_values(&values).unwrap();
    assert_eq!(bodies.get(), 5, "the inner ones are shared");
    clock.advance(Duration::from_secs(61));
    page("A&B", &bodies).render_with_values(&values).unwrap();
    assert_eq!(bodies.get(), 6);
}

#[tokio::test]
async fn it_is_deleted_by_its_key_and_invalidated_by_its_tags() {
    let (cache, _) = cache();
    let (values, bodies) = (Fragments::new(&cache).values(), Cell::new(0));
    let render = |user| page(user, &bodies).render_with_values(&values).unwrap();
    render("ada");
    assert!(cache.delete(&fragment_key("outer", ["ada", "1"])).await.unwrap());
    render("ada");
    assert_eq!(bodies.get(), 4);
    for (tag, bodies_then) in [("user:ada", 5), ("user:bob", 5), ("all", 6)] {
        cache.invalidate([tag]).await.unwrap();
        render("ada");
        assert_eq!(bodies.get(), bodies_then, "{tag}");
    }
}

#[tokio::test]
async fn a_block_that_fails_is_not_kept_and_says_itself_what_is_wrong() {
    let (cache, _) = cache();
    let (values, bodies) = (Fragments::new(&cache).values(), Cell::new(0));
    let bad = Page { fails: true, ..page("ada", &bodies) };
    let error = bad.render_with_values(&values).unwrap_err();
    assert_eq!(error.to_string(), "asked for by a test");
    assert!(!cache.has_key(&fragment_key("outer", ["ada", "1"])).await.unwrap());
    assert!(page("ada", &bodies).render_with_values(&values).is_ok());
    assert!(bad.render_with_values(&values).is_ok());
}

#[tokio::test]
async fn a_timeout_of_zero_is_not_kept_and_another_cache_is_used_by_its_alias() {
    let ((main, _), (other, _)) = (cache(), cache());
    let values = Fragments::new(Caches::new(main.clone()).with("other", other.clone())).values();
    let bodies = Cell::new(0);
    let key = fragment_key("outer", ["ada", "1"]);
    Page { timeout: Timeout::ZERO, ..page("ada", &bodies) }.render_with_values(&values).unwrap();
    assert!(!main.has_key(&key).await.unwrap());
    Page { alias: "other", ..page("ada", &bodies) }.render_with_values(&values).unwrap();
    assert!(!main.has_key(&key).await.unwrap() && other.has_key(&key).await.unwrap());
    let unknown = Page { alias: "oter", ..page("ada", &bodies) };
    let error = unknown.render_with_values(&values).unwrap_err().to_string();
    assert!(error.contains("did you mean \"other\"?"), "{error}");
}

#[tokio::test]
async fn without_values_the_installed_caches_serve() {
    let bodies = Cell::new(0);
    page("ada", &bodies).render().unwrap();
    let (cache, _) = cache();
    Caches::new(cache.clone()).install();
    page("ada", &bodies).render().unwrap();
    page("ada", &bodies).render().unwrap();
    Caches::uninstall();
    assert_eq!(bodies.get(), 6);
    assert!(cache.has_key(&fragment_key("outer", ["ada", "1"])).await.unwrap());
}

#[derive(Template)]
#[template(
    source = r#"{% filter cache(t, "a", names) %}x{% endfilter %}{% filter cache(-1, "b", page, tags = name) %}y{% endfilter %}{% filter cache(9, "c", name) %}z{% endfilter %}"#,
    ext = "txt"
)]
struct Kinds<'a> {
    t: Duration,
    names: &'a Vec<String>,
    name: String,
    page: u32,
}

#[tokio::test]
async fn values_may_be_a_vector_and_a_timeout_a_duration() {
    let (cache, _) = cache();
    let names = vec!["n".to_owned()];
    let kinds = Kinds { t: Duration::from_secs(5), names: &names, name: "n".to_owned(), page: 2 };
    assert_eq!(kinds.render_with_values(&Fragments::new(&cache).values()).unwrap(), "xyz");
    assert!(cache.has_key(&fragment_key("a", ["n"])).await.unwrap());
    assert!(cache.has_key(&fragment_key("c", ["n"])).await.unwrap());
    assert!(!cache.has_key(&fragment_key("b", [2])).await.unwrap(), "negative is not stored");
}
