//! Processes that are killed at the worst moment.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_sql::changes::{Outbox, Relay};
use larder_testkit::{Fault, Op};

use super::{App, Database, faulty, fill, has, memory, until};

/// What the other process is to do, and on which tables.
const ROLE: &str = "LARDER_TEST_CRASH_ROLE";
const TABLES: &str = "LARDER_TEST_CRASH_TABLES";

/// Another process: this program, with one test to run.
struct Other(Child);

impl Other {
    /// Returns once it has said that it is where it is to be killed.
    fn start(role: &str, app: &App) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "changes::crash::the_other_process", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .env(TABLES, format!("{} {}", app.table, app.outbox_table()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("here it dies")), "it ended too early");
        Self(child)
    }

    /// As `kill -9` does.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other process of the tests below"]
async fn the_other_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let tables = std::env::var(TABLES).unwrap();
    let (table, out) = tables.split_once(' ').unwrap();
    let (database, role) = role.split_once(' ').unwrap();
    let mut app = if database == "postgres" { App::postgres().await } else { App::mysql().await };
    app.table = table.to_owned();
    app.outbox = app.outbox.table(out).unwrap();
    match role {
        "writes" => {
            let pending = app.write(&["course:7"], true).await;
            println!("here it dies, before {pending:?} is delivered");
        }
        "is about to commit" => {
            let tag = ["course:7"];
            let Database::Postgres(pool) = &app.database else { unreachable!() };
            let mut tx = pool.begin().await.unwrap();
            let _pending = app.outbox.invalidate(&mut tx, tag).await.unwrap();
            println!("here it dies, within its transaction");
            std::future::pending::<()>().await;
        }
        _ => {
            let (cache, faults) = faulty();
            faults.add(Fault::hang().on([Op::Invalidate]));
            let outbox: Outbox = app.outbox.clone();
            let _relay = tokio::spawn(Relay::new(&outbox, &cache).run());
            until(async || faults.under_way() == 1).await;
            println!("here it dies, while it invalidates");
            std::future::pending::<()>().await;
        }
    }
    std::future::pending::<()>().await;
}

async fn between_commit_and_invalidation(kind: &str, app: App) {
    let cache = memory();
    fill(&cache, &["course:7"]).await;
    Other::start(&format!("{kind} writes"), &app).kill();
    assert!(has(&cache, "course:7").await);
    let relay = tokio::spawn(Relay::new(&app.outbox, &cache).every(Duration::from_millis(10)).run());
    until(async || !has(&cache, "course:7").await).await;
    until(async || app.waiting().await.is_empty()).await;
    relay.abort();
}

async fn within_a_relay(kind: &str, app: App) {
    let cache = memory();
    fill(&cache, &["course:7"]).await;
    app.by_hand("course:7").await;
    Other::start(&format!("{kind} relays"), &app).kill();
    let relay = tokio::spawn(Relay::new(&app.outbox, &cache).every(Duration::from_millis(10)).run());
    until(async || !has(&cache, "course:7").await).await;
    until(async || app.waiting().await.is_empty()).await;
    relay.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_between_its_commit_and_the_invalidation_is_made_up_for_in_postgres() {
    between_commit_and_invalidation("postgres", App::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_between_its_commit_and_the_invalidation_is_made_up_for_in_mysql() {
    between_commit_and_invalidation("mysql", App::mysql().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_relay_had_taken_is_invalidated_by_another_in_postgres() {
    within_a_relay("postgres", App::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_relay_had_taken_is_invalidated_by_another_in_mysql() {
    within_a_relay("mysql", App::mysql().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_before_its_commit_has_invalidated_nothing() {
    let app = App::postgres().await;
    let cache = memory();
    fill(&cache, &["course:7"]).await;
    Other::start("postgres is about to commit", &app).kill();
    assert_eq!(Relay::new(&app.outbox, &cache).flush().await.unwrap(), 0);
    assert!(has(&cache, "course:7").await);
}
