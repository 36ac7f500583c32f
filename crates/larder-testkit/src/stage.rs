//! What a test of the suite is given.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Backend, Cache, CacheBuilder, DynBackend, Key, ManualClock};

/// A busy machine must not make a test fail.
const PATIENT: Duration = Duration::from_secs(60);

/// One empty store, and the hand of the clock of all caches on it. Clones share both.
///
/// ```
/// use std::sync::Arc;
/// use larder_testkit::{Plain, Stage};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder_core::Error> {
/// let stage = Stage::new(Plain::default());
/// stage.cache().set("key", "value").timeout(60).await?;
/// stage.wait(60);
/// assert!(!stage.cache().has_key("key").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Stage {
    backend: DynBackend,
    hand: ManualClock,
    again: Option<Arc<dyn Fn() -> DynBackend + Send + Sync>>,
    aging: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
    damage: Damage,
}

/// Makes other bytes of those that are stored.
type Change<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

type Rewrite = dyn Fn(&Key, Change<'_>) + Send + Sync;

/// How a test comes to the bytes in the store.
#[derive(Clone)]
enum Damage {
    /// Nobody has said.
    Unknown,
    Opaque(&'static str),
    By(Arc<Rewrite>),
}

impl Stage {
    /// A stage over a backend whose store is empty and used by nobody else.
    pub fn new(backend: impl Backend) -> Self {
        Self {
            backend: DynBackend::new(backend),
            hand: ManualClock::new(1_700_000_000_000),
            again: None,
            aging: None,
            kept: Vec::new(),
            damage: Damage::Unknown,
        }
    }

    /// A stage over what `open` gives; each further call opens another handle on the same store, which shares nothing with
    /// the first but the store, as if it were in another process.
    pub fn opening<B: Backend>(open: impl Fn() -> B + Send + Sync + 'static) -> Self {
        let mut stage = Self::new(open());
        stage.again = Some(Arc::new(move || DynBackend::new(open())));
        stage
    }

    /// Told whenever the clock moves: for a store that has a clock of its own, which has to follow.
    #[must_use]
    pub fn aging(mut self, follow: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.aging = Some(Arc::new(follow));
        self
    }

    /// Keeps something alive as long as the stage: a server, a temporary directory.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send + Sync) -> Self {
        self.kept.push(Arc::new(what));
        self
    }

    /// How to come to the bytes that are stored under a key, past the backend: `rewrite` replaces them by what the function makes of
    /// them. The suite damages entries so, and makes them look like those of another version.
    ///
    /// A store outside this process needs it, or [`opaque`](Self::opaque).
    #[must_use]
    pub fn rewriting(
        mut self,
        rewrite: impl Fn(&Key, &dyn Fn(&[u8]) -> Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        self.damage = Damage::By(Arc::new(rewrite));
        self
    }

    /// No test can come to the stored bytes, and why: the tests of damage are left out.
    #[must_use]
    pub fn opaque(mut self, why: &'static str) -> Self {
        self.damage = Damage::Opaque(why);
        self
    }

    /// Whether it was told how to come to the stored bytes.
    pub fn can_rewrite(&self) -> bool {
        matches!(self.damage, Damage::By(_))
    }

    /// Why nobody can come to the stored bytes, if so.
    pub fn why_opaque(&self) -> Option<&'static str> {
        if let Damage::Opaque(why) = self.damage { Some(why) } else { None }
    }

    /// Replaces what is stored under a key, past the backend.
    ///
    /// # Panics
    /// If the stage was not told how: see [`rewriting`](Self::rewriting).
    pub fn rewrite(&self, key: &Key, change: impl Fn(&[u8]) -> Vec<u8>) {
        let Damage::By(rewrite) = &self.damage else {
            panic!("this stage can't come to the stored bytes: tell it with Stage::rewriting")
        };
        rewrite(key, &change);
    }

    /// The backend.
    pub fn backend(&self) -> &DynBackend {
        &self.backend
    }

    /// Another handle on the same store; for one that only this process sees, the same handle.
    pub fn again(&self) -> DynBackend {
        self.again.as_ref().map_or_else(|| self.backend.clone(), |open| open())
    }

    /// The hand of the clock.
    pub fn hand(&self) -> &ManualClock {
        &self.hand
    }

    /// The settings of a cache on this store: another alias.
    pub fn builder(&self) -> CacheBuilder {
        self.over(self.backend.clone())
    }

    /// A cache with default settings.
    ///
    /// # Panics
    /// Never: the settings are valid.
    pub fn cache(&self) -> Cache {
        built(self.builder())
    }

    /// A cache with default settings over another handle on the same store, as in another process.
    ///
    /// # Panics
    /// If the handle can't be opened.
    pub fn other(&self) -> Cache {
        built(self.over(self.again()))
    }

    /// Moves the clock forward by seconds.
    pub fn wait(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.hand.advance(by);
        if let Some(follow) = &self.aging {
            follow(by);
        }
    }

    pub(crate) fn over(&self, backend: DynBackend) -> CacheBuilder {
        Cache::builder(backend).clock(self.hand.clock()).deadline(PATIENT)
    }
}

#[expect(clippy::expect_used, reason = "the settings of a stage are valid")]
fn built(builder: CacheBuilder) -> Cache {
    builder.build().expect("the settings of a stage are valid")
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("backend", &self.backend).field("now", &self.hand.now()).finish()
    }
}
