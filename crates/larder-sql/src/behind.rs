//! Work that nobody waits for.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};

use tokio::runtime::Handle;

/// Lets one at a time do what all would.
#[derive(Debug, Default)]
pub(crate) struct Once(AtomicBool);

/// Until dropped, also with a runtime that ends.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Once>);

impl Once {
    /// Nothing, if somebody is at it.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Turn> {
        (!self.0.swap(true, AcqRel)).then(|| Turn(Arc::clone(self)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.store(false, Release);
    }
}

/// Runs as a task, or at once where there is no runtime.
pub(crate) async fn run(turn: Turn, work: impl Future<Output = ()> + Send + 'static) {
    let work = async move {
        work.await;
        drop(turn);
    };
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(work)),
        Err(_) => work.await,
    }
}
