//! The handle: which caches, and how long a render waits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_core::{Attachment, Cache, Caches, Error, ErrorKind};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::drive::Patience;
use crate::fill::{Look, Making, alone, look};
use crate::markup::Markup;
use crate::scope::Scope;
use crate::spec::Fragment;

/// How long a render waits for a fragment that another one makes.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How many renders run at once, far below the 512 threads that Tokio has for them.
const MAX_RENDERS: usize = 64;

/// The caches of fragments, and what renders templates that have them. Clones share everything.
///
/// Without a template engine:
///
/// ```
/// use std::convert::Infallible;
/// use larder_core::{Cache, Caches};
/// use larder_fragment::{Fragment, Fragments, Markup};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let cache = Cache::new(larder_memory::Memory::new());
/// let fragments = Fragments::new(&cache);
/// let mut renders = 0;
/// for _ in 0..2 {
///     let authors = fragments.get_or_render(&Fragment::new("top_author").timeout(500), || {
///         renders += 1;
///         Ok::<_, Infallible>(Markup::safe("<li>Ada</li>"))
///     });
///     assert_eq!(authors.unwrap().text, "<li>Ada</li>");
/// }
/// assert_eq!(renders, 1);
/// # }
/// ```
#[derive(Clone)]
pub struct Fragments {
    caches: Option<Caches>,
    max_wait: Duration,
    renders: Arc<Semaphore>,
    warned: Arc<AtomicBool>,
}

impl Fragments {
    /// Fragments in these caches: those that name no alias in `template_fragments` if there is one, as in Django, else in `default`. A single
    /// [`Cache`] will do.
    pub fn new(caches: impl Into<Caches>) -> Self {
        Self { caches: Some(caches.into()), ..Self::installed() }
    }

    /// Fragments in the caches that are [installed](Caches::install) for the process when a template is rendered. While there are none, nothing is
    /// kept.
    pub fn installed() -> Self {
        Self {
            caches: None,
            max_wait: MAX_WAIT,
            renders: Arc::new(Semaphore::new(MAX_RENDERS)),
            warned: Arc::default(),
        }
    }

    /// How long a render waits at most for a fragment that another one is making, before it makes its own; 10 s unless said otherwise. Inside the
    /// body of another fragment it is never more than a second.
    #[must_use]
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// How many [`render`](Self::render)s run at once, 64 unless said otherwise: each takes one of the runtime's threads for blocking work. The
    /// others wait without one.
    #[must_use]
    pub fn max_renders(mut self, renders: usize) -> Self {
        self.renders = Arc::new(Semaphore::new(renders.clamp(1, Semaphore::MAX_PERMITS)));
        self
    }

    /// Renders on a thread that may wait: there is no await in a template, and a cache may have to be waited for. With this, fragments are cached
    /// on every runtime and backend, and all fragments of a page together wait no longer for a store than its deadline.
    ///
    /// Without it, templates may be rendered where the handler runs: on a runtime of several threads a worker waits (and hands over
    /// its other tasks meanwhile); on one of a single thread, fragments of caches outside the process are rendered each time.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let fragments = larder_fragment::Fragments::installed();
    /// let html = fragments.render(|| "what a template engine gives".to_owned()).await;
    /// # assert!(html.ends_with("gives"));
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the closure does.
    ///
    /// # Cancel safety
    /// May be dropped at any point; a render that has begun goes on to its end, and its fragments are stored.
    pub async fn render<T, F>(&self, render: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if Handle::try_current().is_err() {
            return self.render_here(render);
        }
        // It is never closed.
        let permit = Arc::clone(&self.renders).acquire_owned().await.ok();
        let span = tracing::Span::current();
        let around = Attachment::current();
        let rendered = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let _span = span.entered();
            let _scope = Scope::begin(Patience::Blocking);
            match around {
                Some(around) => around.sync_scope(render),
                None => render(),
            }
        });
        match rendered.await {
            Ok(rendered) => rendered,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Renders where the handler runs, as one rendering: all its fragments together wait no longer for a store than its deadline.
    ///
    /// # Panics
    /// If the closure does.
    pub fn render_here<T>(&self, render: impl FnOnce() -> T) -> T {
        let _scope = Scope::begin(Patience::here());
        render()
    }

    /// The fragment from its cache, or from its body; what all template engines stand on. Those who miss at the same time share one run of the body. A
    /// cache that can't be reached is as good as none. A body that fails is not stored.
    ///
    /// # Errors
    /// [`RenderError::Body`] with the body's error; [`RenderError::Cache`] if there is no cache of the alias.
    pub fn get_or_render<E>(
        &self,
        fragment: &Fragment,
        body: impl FnOnce() -> Result<Markup, E>,
    ) -> Result<Markup, RenderError<E>> {
        match self.look(fragment)? {
            Look::Found(markup) => Ok(markup),
            Look::Make(making) => making.run(body).map_err(RenderError::Body),
        }
    }

    pub(crate) fn look(&self, fragment: &Fragment) -> Result<Look, Error> {
        let scope = Scope::join();
        let Some(cache) = self.cache(fragment.using.as_deref())? else {
            self.warn("no caches are installed: give some to Fragments::new, or call Caches::install");
            return Ok(Look::Make(Making::alone(scope)));
        };
        match scope.patience() {
            Patience::Nowhere => {
                self.warn("there is no Tokio runtime here");
                return Ok(alone(&cache, fragment, scope));
            }
            Patience::Now if cache.capabilities().shared => {
                self.warn("the runtime has one thread, which can't wait for its own store: render with Fragments::render");
                return Ok(alone(&cache, fragment, scope));
            }
            _ => {}
        }
        Ok(look(&cache, fragment, scope, self.max_wait))
    }

    fn cache(&self, using: Option<&str>) -> Result<Option<Cache>, Error> {
        let caches = self.caches.clone().or_else(Caches::installed);
        match (caches, using) {
            (Some(caches), Some(alias)) => caches.get(alias).map(Some),
            (Some(caches), None) => {
                Ok(caches.get("template_fragments").ok().or_else(|| caches.default_cache().cloned()))
            }
            (None, Some(alias)) => Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no cache {alias:?}: no caches are installed; give some to Fragments::new"),
            )),
            (None, None) => Ok(None),
        }
    }

    /// Once, since it is the same for every fragment of every page.
    fn warn(&self, why: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(target: "larder::fragment", "fragments are rendered each time: {why}");
        }
    }
}

impl fmt::Debug for Fragments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragments")
            .field("caches", &self.caches)
            .field("max_wait", &self.max_wait)
            .finish_non_exhaustive()
    }
}

/// Why there is no fragment.
#[derive(Debug)]
pub enum RenderError<E> {
    /// There is no such cache.
    Cache(Error),
    /// What the body gave. Nothing was stored.
    Body(E),
}

impl<E> From<Error> for RenderError<E> {
    fn from(error: Error) -> Self {
        Self::Cache(error)
    }
}

impl<E: fmt::Display> fmt::Display for RenderError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache(error) => error.fmt(f),
            Self::Body(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for RenderError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cache(error) => std::error::Error::source(error),
            Self::Body(error) => error.source(),
        }
    }
}
