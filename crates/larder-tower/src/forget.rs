//! What a write made out of date is forgotten, whatever happens meanwhile.

use std::time::Duration;

use larder_core::{Cache, Error, Tag};

use crate::detach::{Detachable, spawn};

/// How long it goes on without its client, and is repeated where it failed.
pub(crate) const BEHIND: Duration = Duration::from_secs(60);
/// How long an invalidation that failed waits for its repetition: first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Invalidates these tags, or only marks what carries them as stale. A failure is logged, and the invalidation is repeated behind: what was written stays written.
///
/// # Errors
/// Of the first time.
pub(crate) async fn forget(cache: &Cache, tags: Vec<Tag>, soft: bool) -> Result<(), Error> {
    let outcome = once(cache, &tags, soft).await;
    if let Err(error) = &outcome {
        tracing::error!(target: "larder::purge", cache = cache.name(), %error, "a write went through, and what it made out of date could not be invalidated");
        repeat(cache.clone(), tags, soft);
    }
    outcome
}

async fn once(cache: &Cache, tags: &[Tag], soft: bool) -> Result<(), Error> {
    match soft {
        true => cache.soft_invalidate(tags.iter().cloned()).await,
        false => cache.invalidate(tags.iter().cloned()).await,
    }
}

/// The same; a client that goes away meanwhile must not keep the old pages alive.
pub(crate) async fn forget_whoever_waits(cache: Cache, tags: Vec<Tag>) -> Result<(), Error> {
    let work = async move { forget(&cache, tags, false).await };
    Detachable::new(Box::pin(work), BEHIND, || true).await
}

/// Tries again, behind, until it succeeds or a minute is over. What is invalidated late costs a miss.
fn repeat(cache: Cache, tags: Vec<Tag>, soft: bool) {
    spawn(BEHIND, async move {
        let [mut pause, longest] = PAUSES;
        loop {
            cache.clock().sleep(pause).await;
            match once(&cache, &tags, soft).await {
                Ok(()) => break,
                Err(error) if error.is_transient() => pause = longest.min(pause * 2),
                Err(_) => return,
            }
        }
        tracing::info!(target: "larder::purge", cache = cache.name(), "what could not be invalidated is so now");
    });
}
