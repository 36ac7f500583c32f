//! Functions that run once for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::{RequestScope, once_per_request};

type Runs = Arc<AtomicUsize>;

/// It need not be serialised.
#[derive(Clone, Debug, PartialEq)]
struct User {
    id: u64,
    run: usize,
}

#[once_per_request(skip(runs))]
async fn current_user(runs: &Runs, id: u64) -> Result<User, String> {
    tokio::task::yield_now().await;
    let run = runs.fetch_add(1, Ordering::SeqCst);
    if id == 0 { Err("nobody".to_owned()) } else { Ok(User { id, run }) }
}

#[once_per_request(key = "user")]
async fn keyed(runs: &Runs) -> usize {
    runs.fetch_add(1, Ordering::SeqCst)
}

#[once_per_request(key = "user")]
async fn keyed_too(runs: &Runs) -> usize {
    runs.fetch_add(1, Ordering::SeqCst)
}

struct Session {
    runs: Runs,
}

impl Session {
    #[once_per_request(skip(self))]
    async fn cart(&self, page: u8) -> (u8, usize) {
        (page, self.runs.fetch_add(1, Ordering::SeqCst))
    }
}

struct Shop {
    runs: Runs,
}

impl Session {
    #[once_per_request(key = "count")]
    async fn items(&self) -> usize {
        self.runs.fetch_add(1, Ordering::SeqCst)
    }
}

impl Shop {
    #[once_per_request(key = "count")]
    async fn items(&self) -> usize {
        self.runs.fetch_add(1, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn methods_of_one_name_and_key_are_told_apart_by_their_types() {
    let runs = Runs::default();
    let (session, shop) = (Session { runs: Arc::clone(&runs) }, Shop { runs });
    let work = async {
        assert_eq!((session.items().await, shop.items().await), (0, 1));
        assert_eq!((session.items().await, shop.items().await), (0, 1));
    };
    RequestScope::new().enter(work).await;
}

#[tokio::test]
async fn a_function_runs_once_a_request_and_its_arguments() {
    let runs = Runs::default();
    for request in 0..2 {
        let work = async {
            let (a, b) = tokio::join!(current_user(&runs, 7), current_user(&runs, 7));
            assert_eq!(
                (a.unwrap(), b.unwrap()),
                (User { id: 7, run: request * 2 }, User { id: 7, run: request * 2 })
            );
            assert_eq!(current_user(&runs, 8).await.unwrap().run, request * 2 + 1);
        };
        RequestScope::new().enter(work).await;
    }
}

#[tokio::test]
async fn an_error_is_not_kept_and_outside_of_a_request_nothing_is() {
    let runs = Runs::default();
    let work = async {
        assert!(current_user(&runs, 0).await.is_err());
        assert!(current_user(&runs, 0).await.is_err());
    };
    RequestScope::new().enter(work).await;
    assert_eq!(current_user(&runs, 7).await.unwrap().run, 2);
    assert_eq!(current_user(&runs, 7).await.unwrap().run, 3);
}

#[tokio::test]
async fn functions_are_told_apart_though_their_keys_are_the_same() {
    let session = Session { runs: Runs::default() };
    let work = async {
        assert_eq!((keyed(&session.runs).await, keyed_too(&session.runs).await), (0, 1));
        assert_eq!((keyed(&session.runs).await, keyed_too(&session.runs).await), (0, 1));
        assert_eq!(
            (session.cart(1).await, session.cart(2).await, session.cart(1).await),
            ((1, 2), (2, 3), (1, 2))
        );
    };
    RequestScope::new().enter(work).await;
}
