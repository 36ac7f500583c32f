//! Sending a row's requests.

use std::convert::Infallible;
use std::hint::black_box;
use std::io;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::runtime::{Builder, Runtime};
use tower::{Service, ServiceExt as _};

use crate::Row;
use crate::rows::App;

/// A row whose application runs and is warm.
#[derive(Debug)]
pub struct Ready {
    row: Row,
    app: App,
    runtime: Runtime,
}

impl Ready {
    /// Starts its application and warms it up.
    ///
    /// # Errors
    /// When there is no runtime to be had.
    pub fn new(row: Row) -> io::Result<Self> {
        let ready = Self::cold(row)?;
        ready.send(0, row.warm_up());
        Ok(ready)
    }

    /// Starts its application and sends it nothing.
    ///
    /// # Errors
    /// When there is no runtime to be had.
    pub fn cold(row: Row) -> io::Result<Self> {
        Ok(Self { row, app: row.app(), runtime: runtime()? })
    }

    /// Sends so many requests one after the other, from the `first`th on, and reads each answer to its end.
    pub fn send(&self, first: usize, requests: usize) {
        self.runtime.block_on(send(&self.app, &self.row, first, requests));
    }

    /// The head and the length of one answer more.
    ///
    /// # Panics
    /// When the body can't be read, which none of ours fails to be.
    pub fn look(&self) -> (http::response::Parts, usize) {
        let request = self.row.request(self.row.warm_up());
        self.runtime.block_on(async {
            let answer = match &self.app {
                App::Router(router) => router.clone().oneshot(request).await,
                App::Site(site) => site.clone().oneshot(request).await,
            };
            let (head, body) = into_ok(answer).into_parts();
            let bytes = body.collect().await.expect("a body from memory is whole").to_bytes();
            (head, bytes.len())
        })
    }
}

/// What so many threads reach in all, in requests a second, each with what `router` makes for it: with `same`, all ask for one page,
/// otherwise each for its own, if the row's requests have URLs by their number.
///
/// # Errors
/// When there is no runtime to be had.
pub fn aggregate(
    row: Row,
    router: &(impl Fn(usize) -> Router + Sync),
    threads: usize,
    same: bool,
    requests: usize,
) -> io::Result<f64> {
    let barrier = Barrier::new(threads);
    let took: io::Result<Vec<Duration>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let (app, barrier) = (router(thread), &barrier);
                let page = if same { 0 } else { thread };
                scope.spawn(move || {
                    let runtime = runtime()?;
                    runtime.block_on(repeat(&app, &row, page, 2000));
                    barrier.wait();
                    let began = Instant::now();
                    runtime.block_on(repeat(&app, &row, page, requests));
                    Ok(began.elapsed())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(Duration::MAX))).collect()
    });
    Ok(took?.iter().map(|took| requests as f64 / took.as_secs_f64()).sum())
}

/// The middle one.
///
/// # Panics
/// When there are none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn send(app: &App, row: &Row, first: usize, requests: usize) {
    for n in first..first + requests {
        match app {
            App::Router(router) => one(router, row, n).await,
            App::Site(site) => one(site, row, n).await,
        }
    }
}

async fn repeat(app: &Router, row: &Row, page: usize, requests: usize) {
    for _ in 0..requests {
        one(app, row, page).await;
    }
}

async fn one<S>(app: &S, row: &Row, n: usize)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let request = row.request(n);
    if row.name == "harness" {
        black_box(request);
        return;
    }
    let body = into_ok(app.clone().oneshot(request).await).into_body().collect().await;
    black_box(body.map_or(0, |whole| whole.to_bytes().len()));
}

fn into_ok<T>(never_fails: Result<T, Infallible>) -> T {
    match never_fails {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
