//! Fragments in Tera.
#![cfg(feature = "tera")]
#![expect(clippy::unwrap_used, reason = "a test that goes wrong is to panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{Cache, Caches, ManualClock};
use larder_fragment::{Fragments, fragment_key, tera as fragment};
use larder_memory::Memory;
use tera::{Context, Kwargs, State, Tera};

const NOTHING: [&str; 0] = [];

struct Site {
    fragments: Fragments,
    tera: Tera,
    cache: Cache,
    clock: ManualClock,
    bodies: Arc<AtomicUsize>,
}

impl Site {
    fn new() -> Self {
        let clock = ManualClock::new(1_000_000);
        let cache = Cache::builder(Memory::new()).clock(clock.clock()).build().unwrap();
        let fragments = Fragments::new(Caches::new(cache.clone()).with("other", Cache::new(Memory::new())));
        let mut tera = Tera::default();
        fragment::install(&mut tera, &fragments);
        let bodies = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&bodies);
        tera.register_function("count", move |_: Kwargs, _: &State<'_>| {
            count.fetch_add(1, Ordering::SeqCst);
            ""
        });
        Self { fragments, tera, cache, clock, bodies }
    }

    fn html(&mut self, source: &str, values: &[(&'static str, &str)]) -> Result<String, tera::Error> {
        self.named("page.html", source, values)
    }

    fn named(
        &mut self,
        name: &str,
        source: &str,
        values: &[(&'static str, &str)],
    ) -> Result<String, tera::Error> {
        self.tera.add_raw_template(name, &fragment::rewrite(source)?)?;
        let mut context = Context::new();
        for (name, value) in values {
            context.insert(*name, value);
        }
        self.fragments.render_here(|| self.tera.render(name, &context))
    }

    fn bodies(&self) -> usize {
        self.bodies.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_body_is_rendered_once_for_each_of_its_values_and_escaped_once() {
    let mut site = Site::new();
    let source = "<p>{% cache 100 test foo %}{{ count() }}<b>{{ foo }}</b>{% endcache %}</p>";
    for (foo, html, bodies) in [("A&B", "A&amp;B", 1), ("2", "2", 2), ("A&B", "A&amp;B", 2)] {
        assert_eq!(site.html(source, &[("foo", foo)]).unwrap(), format!("<p><b>{html}</b></p>"));
        assert_eq!(site.bodies(), bodies);
    }
    assert!(site.cache.delete(&fragment_key("test", ["2"])).await.unwrap());
    site.clock.advance(Duration::from_secs(101));
    site.html(source, &[("foo", "A&B")]).unwrap();
    assert_eq!(site.bodies(), 3);
}

#[tokio::test]
async fn a_timeout_is_a_number_or_none_and_nothing_else() {
    let mut site = Site::new();
    for (timeout, bodies) in [("2", 1), ("none", 1), ("\"2\"", 1), ("0", 2)] {
        let before = site.bodies();
        let source = format!("{{% cache {timeout} t{before} %}}{{{{ count() }}}}{{% endcache %}}");
        for _ in 0..2 {
            assert_eq!(site.html(&source, &[]).unwrap(), "");
        }
        assert_eq!(site.bodies() - before, bodies, "{timeout}");
    }
    for timeout in ["\"foo\"", "[1]", "gone"] {
        let source = format!("{{% cache {timeout} t %}}x{{% endcache %}}");
        let error = format!("{:?}", site.html(&source, &[]).unwrap_err());
        assert!(error.contains("give a number of seconds") || error.contains("gone"), "{error}");
    }
}

#[tokio::test]
async fn nested_fragments_in_loops_and_inherited_blocks_keep_apart() {
    let mut site = Site::new();
    let parent =
        fragment::rewrite("{% cache 100 outer %}({% block b %}{% endblock %}){% endcache %}").unwrap();
    site.tera.add_raw_template("base.html", &parent).unwrap();
    let child = "{% extends \"base.html\" %}{% block b %}{% for i in [1, 2] %}{% cache 100 inner i %}{{ count() }}{{ i }}{% endcache %}{% endfor %}{% endblock %}";
    for _ in 0..2 {
        assert_eq!(site.html(child, &[]).unwrap(), "(12)");
    }
    assert_eq!(site.bodies(), 2);
    assert!(site.cache.delete(&fragment_key("outer", NOTHING)).await.unwrap());
    assert_eq!(site.html(child, &[]).unwrap(), "(12)");
    assert_eq!(site.bodies(), 2, "the inner ones are still there");
}

#[tokio::test]
async fn a_body_that_fails_is_not_kept_and_leaves_nothing_behind() {
    let mut site = Site::new();
    let source = "{% cache 100 test %}{{ count() }}{% if bad == \"yes\" %}{{ throw(message=\"asked for\") }}{% endif %}fine{% endcache %}";
    let error = site.html(source, &[("bad", "yes")]).unwrap_err();
    assert!(format!("{error:?}").contains("asked for"), "{error:?}");
    assert_eq!(site.html(source, &[("bad", "no")]).unwrap(), "fine");
    assert_eq!(site.html(source, &[("bad", "yes")]).unwrap(), "fine");
    assert_eq!(site.bodies(), 2);
}

#[tokio::test]
async fn tags_invalidate_and_another_cache_is_used_by_its_alias() {
    let mut site = Site::new();
    let source = "{% cache 100 test tags=[\"authors\", id] %}{{ count() }}{% endcache %}";
    for tag in ["authors", "author:7", "author:8"] {
        site.html(source, &[("id", "author:7")]).unwrap();
        site.cache.invalidate([tag]).await.unwrap();
    }
    site.html(source, &[("id", "author:7")]).unwrap();
    assert_eq!(site.bodies(), 3);
    site.html("{% cache 100 far using=\"other\" %}x{% endcache %}", &[]).unwrap();
    assert!(!site.cache.has_key(&fragment_key("far", NOTHING)).await.unwrap());
    let error = site.html("{% cache 1 a using=\"oter\" %}x{% endcache %}", &[]).unwrap_err();
    assert!(format!("{error:?}").contains("did you mean"), "{error:?}");
}

#[tokio::test]
async fn what_was_made_without_escaping_is_escaped_where_it_has_to_be() {
    let mut site = Site::new();
    let source = "{% cache 100 plain %}{{ x }}{% endcache %}";
    assert_eq!(site.named("mail.txt", source, &[("x", "<script>")]).unwrap(), "<script>");
    assert_eq!(site.html(source, &[("x", "")]).unwrap(), "&lt;script&gt;");
}

#[tokio::test]
async fn outside_of_a_known_rendering_nothing_is_kept_and_nobody_waits() {
    let mut site = Site::new();
    let source = fragment::rewrite("{% cache 100 test %}{{ count() }}x{% endcache %}").unwrap();
    site.tera.add_raw_template("page.html", &source).unwrap();
    for _ in 0..2 {
        assert_eq!(site.tera.render("page.html", &Context::new()).unwrap(), "x");
    }
    assert_eq!(site.bodies(), 2);
}

#[test]
fn a_tag_with_too_little_is_an_error_with_its_line() {
    for source in ["\n{% cache 1 %}{% endcache %}", "\n{% cache 1 a %}", "\n{% endcache %}"] {
        let error = fragment::rewrite(source).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_a_string_of_an_expression_is_no_tag() {
    let mut site = Site::new();
    let mut shown = |source: &str| site.html(source, &[]).unwrap();
    assert_eq!(shown("{{ '{#' }}{% cache 500 a %}x{% endcache %}"), "{#x");
    assert_eq!(
        shown("{{ `{% endcache %}` }}{% cache 500 b %}{{ '}}{%' }}{% endcache %}"),
        "{% endcache %}}}{%"
    );
    assert_eq!(shown("{% raw %}{% it's %}{% endraw %}{% cache 500 d %}x{% endcache %}"), "{% it's %}x");
}
