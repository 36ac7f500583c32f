//! What a fragment is made of, and what is made of it.
#![cfg(all(feature = "minijinja", feature = "tera"))]
#![expect(clippy::unwrap_used, reason = "a test that goes wrong is to panic")]

use std::convert::Infallible;

use larder_core::{Attachment, Cache};
use larder_fragment::{Fragment, Fragments, Markup, fragment_key, minijinja, tera};
use larder_memory::Memory;

const NOTHING: [&str; 0] = [];

async fn stored(cache: &Cache, name: &str) -> bool {
    cache.has_key(&fragment_key(name, NOTHING)).await.unwrap()
}

fn fragment(name: &str, tag: &str) -> Fragment {
    Fragment::new(name).timeout(60).tags([tag])
}

fn show(fragments: &Fragments, name: &str, tag: &str) {
    let made = fragments.get_or_render(&fragment(name, tag), || Ok::<_, Infallible>(Markup::safe("x")));
    assert_eq!(made.unwrap().text, "x");
}

type Rendering = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a value whose only content is what `render` does, and says whether invalidating each tag takes it away.
async fn fate<const N: usize>(
    cache: &Cache,
    tags: [&str; N],
    render: impl Fn() -> Rendering + Sync,
) -> [bool; N] {
    let mut gone = [false; N];
    for (tag, gone) in tags.into_iter().zip(&mut gone) {
        let made = cache.get_or_set("page", || async { render().await }).timeout(60);
        made.await.unwrap();
        assert!(cache.has_key("page").await.unwrap());
        cache.invalidate([tag]).await.unwrap();
        *gone = !cache.has_key("page").await.unwrap();
    }
    gone
}

#[tokio::test]
async fn a_page_goes_with_the_fragments_that_it_is_made_of_found_or_made() {
    let cache = Cache::new(Memory::new());
    let fragments = Fragments::new(&cache);
    show(&fragments, "found", "found");
    let page = || -> Rendering {
        let fragments = fragments.clone();
        Box::pin(async move {
            show(&fragments, "found", "found");
            show(&fragments, "made", "made");
            let zero = fragment("zero", "zero").timeout(0);
            _ = fragments.get_or_render(&zero, || Ok::<_, Infallible>(Markup::safe("")));
        })
    };
    let gone = fate(&cache, ["found", "made", "zero", "other"], page).await;
    assert_eq!(gone, [true, true, true, false]);
}

#[tokio::test]
async fn a_page_that_is_rendered_on_another_thread_does_too() {
    let cache = Cache::new(Memory::new());
    let fragments = Fragments::new(&cache);
    let page = || -> Rendering {
        let (fragments, inner) = (fragments.clone(), fragments.clone());
        Box::pin(async move { fragments.render(move || show(&inner, "f", "f")).await })
    };
    assert_eq!(fate(&cache, ["f", "other"], page).await, [true, false]);
}

#[tokio::test]
async fn a_fragment_goes_with_the_values_and_fragments_inside_and_not_with_those_beside() {
    let cache = Cache::new(Memory::new());
    let fragments = Fragments::new(&cache);
    cache.set("value", 7).tags(["value"]).await.unwrap();
    for (tag, outer, inner) in
        [("value", false, true), ("inner", false, false), ("beside", true, true), ("outer", false, true)]
    {
        show(&fragments, "beside", "beside");
        let body = || {
            show(&fragments, "inner", "inner");
            // A memory answers at once, so a template's function may read it.
            let mut read = Box::pin(async { cache.get::<u8>("value").await });
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(Future::poll(read.as_mut(), &mut context).is_ready());
            Ok::<_, Infallible>(Markup::safe("x"))
        };
        fragments.get_or_render(&fragment("outer", "outer"), body).unwrap();
        assert!(stored(&cache, "outer").await && stored(&cache, "inner").await, "{tag}");
        cache.invalidate([tag]).await.unwrap();
        assert_eq!((stored(&cache, "outer").await, stored(&cache, "inner").await), (outer, inner), "{tag}");
        cache.set("value", 7).tags(["value"]).await.unwrap();
        cache.delete(&fragment_key("outer", NOTHING)).await.unwrap();
    }
}

#[tokio::test]
async fn a_fragment_that_is_invalidated_while_it_is_rendered_is_not_kept() {
    let cache = Cache::new(Memory::new());
    let fragments = Fragments::new(&cache);
    let body = || {
        let mut invalidation = Box::pin(cache.invalidate(["outer"]));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(Future::poll(invalidation.as_mut(), &mut context).is_ready());
        Ok::<_, Infallible>(Markup::safe("old"))
    };
    assert_eq!(fragments.get_or_render(&fragment("outer", "outer"), body).unwrap().text, "old");
    assert!(!stored(&cache, "outer").await);
}

const NESTED: &str = "{% cache 60 outer tags=[\"outer\"] %}{% cache 60 inner tags=[\"inner\"] %}x{% endcache %}{% endcache %}{% cache 60 beside tags=[\"beside\"] %}y{% endcache %}";

/// Which tag takes away what: the page, the outer, the inner, the one beside.
async fn check_nested(cache: &Cache, render: impl Fn() -> String + Sync) {
    for (tag, left) in [
        ("outer", [false, false, true, true]),
        ("inner", [false, false, false, true]),
        ("beside", [false, true, true, false]),
        ("other", [true, true, true, true]),
    ] {
        let page = cache.get_or_set("page", || async { render() }).timeout(60);
        assert_eq!(page.await.unwrap(), "xy");
        cache.invalidate([tag]).await.unwrap();
        let mut there = [cache.has_key("page").await.unwrap(), false, false, false];
        for (name, there) in ["outer", "inner", "beside"].into_iter().zip(&mut there[1..]) {
            *there = stored(cache, name).await;
        }
        assert_eq!(there, left, "{tag}");
    }
}

#[tokio::test]
async fn nested_fragments_of_minijinja_take_those_around_them_away_and_the_page() {
    let cache = Cache::new(Memory::new());
    let mut env = ::minijinja::Environment::new();
    minijinja::install(&mut env, &Fragments::new(&cache));
    let source = minijinja::rewrite(NESTED).unwrap();
    check_nested(&cache, || env.render_str(&source, ()).unwrap()).await;
}

#[tokio::test]
async fn nested_fragments_of_tera_take_those_around_them_away_and_the_page() {
    let cache = Cache::new(Memory::new());
    let fragments = Fragments::new(&cache);
    let mut engine = ::tera::Tera::default();
    tera::install(&mut engine, &fragments);
    engine.add_raw_template("p", &tera::rewrite(NESTED).unwrap()).unwrap();
    let context = ::tera::Context::new();
    check_nested(&cache, || fragments.render_here(|| engine.render("p", &context)).unwrap()).await;
}

#[tokio::test]
async fn rendering_leaves_nothing_behind_on_its_thread() {
    let cache = Cache::new(Memory::new());
    show(&Fragments::new(&cache), "f", "f");
    assert!(Attachment::current().is_none());
}
