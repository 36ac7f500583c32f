//! Pages follow the application's database: whatever changes it, the page is dropped, in each kind of cache.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get as on_get;
use http::Method;
use larder::prelude::*;
use larder::sql::changes::{Listener, Outbox, Relay, Triggers};
use larder::sql::sqlx::{self, AssertSqlSafe, PgPool};

use crate::support::{ask, get, memory, patient, request};

/// A shop with one table, whose pages are made of what is in it.
#[derive(Clone)]
struct Shop {
    pool: PgPool,
    table: String,
    outbox: Outbox,
    relay: Relay,
}

impl Shop {
    async fn open(cache: &Cache) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let own = format!("{}_{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let pool = PgPool::connect_lazy(&larder_tests::env::postgres_url()).expect("a URL");
        let (table, out) = (format!("shop_course_{own}"), format!("shop_out_{own}"));
        let outbox = Outbox::postgres(&pool).table(out).expect("a name");
        outbox.create_table().await.expect("a table");
        let relay = Relay::new(&outbox, cache).every(Duration::from_millis(20));
        let shop = Self { pool, table, outbox, relay };
        shop.run(&format!(
            "CREATE TABLE {} (id bigint, title text); INSERT INTO {0} VALUES (7, 'old'), (8, 'other')",
            shop.table
        ))
        .await;
        shop
    }

    /// As any other program does, on a connection of its own.
    async fn run(&self, sql: &str) {
        let other = PgPool::connect(&larder_tests::env::postgres_url()).await.expect("a connection");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&other).await.expect("it is done");
        other.close().await;
    }

    fn triggers(&self) -> Triggers {
        Triggers::on_table(&self.table).tag("course:{id}").tag("course_list")
    }

    /// The pages of one process.
    fn pages(&self, cache: &Cache) -> Router {
        Router::new()
            .route("/courses/{id}", on_get(show).put(rename).layer(cache_page(600).cache(cache)))
            .with_state(self.clone())
    }
}

async fn show(State(shop): State<Shop>, Path(id): Path<i64>) -> (PageTags, String) {
    let title = AssertSqlSafe(format!("SELECT title FROM {} WHERE id = $1", shop.table));
    let title = sqlx::query_scalar(title).bind(id).fetch_one(&shop.pool).await.expect("a course");
    (PageTags::new([format!("course:{id}")]), title)
}

/// Changes the course and its list's pages in one transaction.
async fn rename(State(shop): State<Shop>, Path(id): Path<i64>, title: String) {
    let mut transaction = shop.pool.begin().await.expect("a transaction");
    let update = AssertSqlSafe(format!("UPDATE {} SET title = $1 WHERE id = $2", shop.table));
    sqlx::query(update).bind(title).bind(id).execute(&mut *transaction).await.expect("it is done");
    let pending =
        shop.outbox.invalidate(&mut transaction, [format!("course:{id}")]).await.expect("it is noted");
    transaction.commit().await.expect("it is committed");
    shop.relay.deliver(pending).await.expect("it is forgotten");
}

async fn shown(app: &Router, uri: &str) -> (bool, String) {
    let page = ask(app, get(uri)).await;
    (page.is_hit(), page.text().to_owned())
}

/// Until the page is another one.
async fn until_new(app: &Router, uri: &str) {
    let changed = async {
        while shown(app, uri).await.1 == "old" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), changed).await.expect("the page follows");
}

fn redis() -> Cache {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let prefix = format!("changes{}_{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    patient(&format!("{}?prefix={prefix}", larder_tests::env::redis_url()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_by_another_program_drops_the_page_in_redis_for_every_process() {
    let cache = redis();
    let shop = Shop::open(&cache).await;
    shop.triggers().install(&shop.outbox).await.expect("triggers");
    let relay = tokio::spawn(shop.relay.clone().run());
    let app = shop.pages(&cache);
    for uri in ["/courses/7", "/courses/8"] {
        shown(&app, uri).await;
        assert!(shown(&app, uri).await.0);
    }
    shop.run(&format!("UPDATE {} SET title = 'new' WHERE id = 7", shop.table)).await;
    until_new(&app, "/courses/7").await;
    assert_eq!(shown(&app, "/courses/7").await, (true, "new".to_owned()));
    assert_eq!(shown(&app, "/courses/8").await, (true, "other".to_owned()), "others stay");
    relay.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_by_another_program_drops_the_page_in_the_memory_of_every_process() {
    let caches = [memory(), memory()];
    let shop = Shop::open(&caches[0]).await;
    shop.triggers().notify_only().install(&shop.outbox).await.expect("triggers");
    let listeners: Vec<_> = caches
        .iter()
        .map(|cache| tokio::spawn(Listener::new(&shop.outbox, cache).expect("PostgreSQL").run()))
        .collect();
    let apps = [shop.pages(&caches[0]), shop.pages(&caches[1])];
    for app in &apps {
        shown(app, "/courses/7").await;
    }
    shop.run(&format!("UPDATE {} SET title = 'new' WHERE id = 7", shop.table)).await;
    for app in &apps {
        until_new(app, "/courses/7").await;
    }
    listeners.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sees_the_answer_to_a_transaction_is_shown_no_page_from_before_it() {
    for cache in [redis(), memory()] {
        let shop = Shop::open(&cache).await;
        let app = shop.pages(&cache);
        for title in ["second", "third"] {
            shown(&app, "/courses/7").await;
            assert!(shown(&app, "/courses/7").await.0);
            // Of another URL, whose pages the write itself would not drop.
            let write =
                Router::new().route("/rename/{id}", axum::routing::put(rename)).with_state(shop.clone());
            let put = request(Method::PUT, "/rename/7", &[]).map(|_| axum::body::Body::from(title));
            assert_eq!(ask(&write, put).await.status, 200);
            assert_eq!(shown(&app, "/courses/7").await, (false, title.to_owned()));
        }
    }
}
