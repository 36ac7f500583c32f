//! Found, or made and stored: the two ends of a fill around a body that is rendered without await.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use larder_core::{Attachment, Cache, FillError};
use tokio::sync::oneshot;

use crate::drive::{Patience, drive};
use crate::markup::Markup;
use crate::scope::{Body, Scope, within_body};
use crate::spec::Fragment;

/// How long the body of one fragment waits for another that somebody else is making: who makes it may be waiting for ours.
const NESTED: Duration = Duration::from_secs(1);

/// The body failed. What it said goes to who asked; whoever waited tries for themselves.
#[derive(Debug)]
struct Failed;

type Running = Pin<Box<dyn Future<Output = Result<String, FillError<Failed>>> + Send>>;

/// What became of the look for a fragment.
#[derive(Debug)]
pub(crate) enum Look {
    Found(Markup),
    /// Render the body, and hand it over.
    Make(Making),
}

enum Step {
    Make(Option<Attachment>),
    Done(Result<String, FillError<Failed>>),
}

/// Looks for a fragment in a cache, and becomes the one who makes it if nobody has it.
pub(crate) fn look(cache: &Cache, fragment: &Fragment, scope: Scope, max_wait: Duration) -> Look {
    let key = fragment.key();
    let identity = crate::key::identity(&fragment.name, &fragment.vary_on);
    if fragment.timeout.or(cache.default_timeout()).is_zero() || scope.is_open(cache, &key) {
        return alone(cache, fragment, scope);
    }
    let (call, mut called) = oneshot::channel();
    let (hand, handed) = oneshot::channel::<Result<String, Failed>>();
    let make = async move || {
        // Who renders may have gone on without us.
        _ = call.send(Attachment::current());
        handed.await.unwrap_or(Err(Failed))
    };
    let (handle, timeout, tags) = (scope.handle(cache), fragment.timeout, fragment.tags.clone());
    let name = key.clone();
    let mut running: Running = Box::pin(async move {
        handle.try_get_or_set(&name, make).timeout(timeout).tags(tags).max_wait(max_wait).await
    });
    let limit = if scope.is_nested() { max_wait.min(NESTED) } else { max_wait };
    let step = std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = running.as_mut().poll(cx) {
            return Poll::Ready(Step::Done(done));
        }
        Pin::new(&mut called).poll(cx).map(|reads| Step::Make(reads.ok().flatten()))
    });
    let patience = scope.patience();
    let step = within_body(|| drive(step, patience, Instant::now() + limit));
    match step {
        Some(Step::Done(Ok(stored))) => match Markup::read(stored, &identity) {
            Some(markup) => Look::Found(markup),
            // Somebody else's, under the same name.
            None => alone(cache, fragment, scope),
        },
        Some(Step::Make(reads)) => {
            let body = scope.enter(cache, &key, reads.clone());
            let fill = Fill { running, hand, identity, patience, max_wait, reads, body };
            Look::Make(Making { fill: Some(fill), scope })
        }
        Some(Step::Done(Err(_))) | None => alone(cache, fragment, scope),
    }
}

/// Rendered for the caller alone. Its tags are those of the page around it all the same.
pub(crate) fn alone(cache: &Cache, fragment: &Fragment, scope: Scope) -> Look {
    within_body(|| {
        if let Some(around) = Attachment::current() {
            around.made(cache, &fragment.tags);
        }
    });
    Look::Make(Making::alone(scope))
}

/// The body is being rendered.
#[derive(Debug)]
pub(crate) struct Making {
    fill: Option<Fill>,
    #[cfg_attr(not(feature = "tera"), expect(dead_code, reason = "it ends with this"))]
    scope: Scope,
}

impl Making {
    /// Whether it is a part of a rendering whose end is known.
    #[cfg(feature = "tera")]
    pub(crate) fn is_within(&self) -> bool {
        self.scope.is_joined()
    }

    /// Without a cache.
    pub(crate) fn alone(scope: Scope) -> Self {
        Self { fill: None, scope }
    }

    /// Renders the body, and stores it if it can be rendered.
    pub(crate) fn run<E>(self, body: impl FnOnce() -> Result<Markup, E>) -> Result<Markup, E> {
        let reads = self.fill.as_ref().and_then(|fill| fill.reads.clone());
        let made = match reads {
            Some(reads) => reads.sync_scope(body),
            None => body(),
        };
        match made {
            Ok(markup) => {
                self.land(&markup);
                Ok(markup)
            }
            Err(error) => {
                self.fail();
                Err(error)
            }
        }
    }

    /// Stores what was rendered. If that fails, it is rendered again the next time.
    pub(crate) fn land(self, markup: &Markup) {
        if let Some(fill) = self.fill {
            let stored = markup.store(&fill.identity);
            fill.finish(Ok(stored));
        }
    }

    /// Lets those go on who wait. (So does dropping it, and one of them takes over.)
    pub(crate) fn fail(self) {
        if let Some(fill) = self.fill {
            fill.finish(Err(Failed));
        }
    }
}

struct Fill {
    running: Running,
    hand: oneshot::Sender<Result<String, Failed>>,
    identity: String,
    patience: Patience,
    max_wait: Duration,
    /// Notes what the body is made of.
    reads: Option<Attachment>,
    body: Body,
}

impl Fill {
    fn finish(self, made: Result<String, Failed>) {
        // What becomes of it is for the body around it to note.
        drop(self.body);
        if self.hand.send(made).is_ok() {
            // What it comes to, the cache tells.
            _ = within_body(|| drive(self.running, self.patience, Instant::now() + self.max_wait));
        }
    }
}

impl std::fmt::Debug for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill").finish_non_exhaustive()
    }
}
