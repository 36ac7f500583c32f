//! Listeners: each process's own cache follows what PostgreSQL tells.

use std::net::SocketAddr;
use std::sync::Arc;

use larder_core::{Cache, Caches, ErrorKind};
use larder_sql::changes::{Listener, Outbox, Triggers};
use larder_testkit::{Fault, Op};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{App, Database, Slow, faulty, fill, has, memory, until};
use crate::PATIENT;

impl App {
    /// Asks for what the server knows of those who listen.
    pub(super) fn listening(&self, what: &str) -> String {
        let listens = "state = 'idle' AND (query LIKE 'LISTEN %' OR query = 'SELECT 1')";
        format!(
            "SELECT {what} FROM pg_stat_activity WHERE application_name = 'larder {}' AND {listens}",
            self.outbox_table()
        )
    }

    /// How many listen to its channel.
    async fn ears(&self) -> usize {
        self.ask(&self.listening("pid::text")).await.len()
    }

    /// A listener that has its ear at the door, and has forgotten what was there before.
    async fn listen(&self, cache: &Cache) -> JoinHandle<()> {
        let before = self.ears().await;
        fill(cache, &["from before"]).await;
        let listener = tokio::spawn(Listener::new(&self.outbox, cache).unwrap().run());
        until(async || self.ears().await > before).await;
        until(async || !has(cache, "from before").await).await;
        listener
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listener_follows_what_any_program_changes() {
    let app = App::postgres().await;
    Triggers::on_table(&app.table).tag("course:{id}").notify_only().install(&app.outbox).await.unwrap();
    let (one, two) = (memory(), memory());
    let listeners = [app.listen(&one).await, app.listen(&two).await];
    for cache in [&one, &two] {
        fill(cache, &["course:1", "course:2"]).await;
    }
    app.run(&format!("INSERT INTO {} (id) VALUES (1)", app.table)).await;
    until(async || !has(&one, "course:1").await && !has(&two, "course:1").await).await;
    assert!(has(&one, "course:2").await && has(&two, "course:2").await);
    assert!(app.waiting().await.is_empty(), "nothing is written that nobody takes away");
    listeners.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_hear_what_the_applications_transactions_write_and_nothing_of_a_rollback() {
    let app = App::postgres().await;
    let cache = memory();
    let listener = app.listen(&cache).await;
    fill(&cache, &["rolled back", "course:7"]).await;
    drop(app.write(&["rolled back"], false).await);
    drop(app.write(&["course:7"], true).await);
    until(async || !has(&cache, "course:7").await).await;
    assert!(has(&cache, "rolled back").await);
    listener.abort();
}

/// What is told after another thing was heard after it: who has forgotten `mark` has heard all that came before.
async fn heard_all(app: &App, cache: &Cache) {
    fill(cache, &["mark"]).await;
    drop(app.write(&["mark"], true).await);
    until(async || !has(cache, "mark").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_to_be_told_makes_it_forget_all() {
    let app = App::postgres().await;
    Triggers::on_table(&app.table)
        .tag("course:{id}")
        .tag("title:{title}{title}")
        .notify_only()
        .install(&app.outbox)
        .await
        .unwrap();
    let cache = memory();
    let listener = app.listen(&cache).await;
    for (sql, gone) in [
        ("SELECT 1", false),
        ("SELECT generate_series(1, 998)", false),
        ("SELECT generate_series(1, 1001)", true),
    ] {
        fill(&cache, &["other"]).await;
        app.run(&format!("INSERT INTO {} (id) {sql}", app.table)).await;
        heard_all(&app, &cache).await;
        assert_eq!(!has(&cache, "other").await, gone, "{sql}");
    }
    let many: Vec<String> = (0..1001).map(|i| format!("t{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "long ".repeat(2000);
    for tags in [&many[..], &[&long[..]]] {
        fill(&cache, &["other"]).await;
        drop(app.write(tags, true).await);
        until(async || !has(&cache, "other").await).await;
    }
    listener.abort();
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    /// Whoever is connected is told so, and nobody else gets through.
    Cut,
    /// Those who are connected hear nothing any more, for good, as behind a firewall that has forgotten them.
    Silent,
}

/// A way to the server.
struct Way {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Way {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (state, sees) = watch::channel(State::Open);
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let (server, mut sees) = (server.clone(), sees.clone());
                if *sees.borrow_and_update() != State::Open {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut there) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => return,
                        _ = sees.changed() => {}
                    }
                    if *sees.borrow() == State::Silent {
                        drop(there);
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { address, state }
    }
}

/// A listener behind such a way.
async fn behind_a_way(app: &App, cache: &Cache) -> (Way, JoinHandle<()>) {
    let Database::Postgres(pool) = &app.database else { unreachable!() };
    let options = (*pool.connect_options()).clone();
    let way = Way::to(format!("{}:{}", options.get_host(), options.get_port())).await;
    let through = options.host("127.0.0.1").port(way.address.port());
    let through = sqlx::postgres::PgPoolOptions::new().acquire_timeout(PATIENT).connect_lazy_with(through);
    let through = Outbox::postgres(&through).table(app.outbox_table()).unwrap();
    Triggers::on_table(&app.table).tag("course:{id}").install(&app.outbox).await.unwrap();
    let listener = tokio::spawn(Listener::new(&through, cache).unwrap().run());
    until(async || app.ears().await == 1).await;
    heard_all(app, cache).await;
    (way, listener)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_changed_while_it_could_not_hear_is_served_once_it_hears_again() {
    let (app, cache) = (App::postgres().await, memory());
    let (way, listener) = behind_a_way(&app, &cache).await;
    fill(&cache, &["course:1"]).await;
    way.state.send(State::Cut).unwrap();
    until(async || app.ears().await == 0).await;
    app.run(&format!("INSERT INTO {} (id) VALUES (1)", app.table)).await;
    let made_of_old_data = Slow::begin(&cache, "slow").await;
    assert!(has(&cache, "course:1").await, "nobody could tell");
    way.state.send(State::Open).unwrap();
    until(async || !has(&cache, "course:1").await).await;
    made_of_old_data.end().await;
    assert!(!has(&cache, "slow").await);

    fill(&cache, &["course:1"]).await;
    heard_all(&app, &cache).await;
    app.run(&format!("INSERT INTO {} (id) VALUES (1)", app.table)).await;
    until(async || !has(&cache, "course:1").await).await;
    listener.abort();
}

/// It takes the ten seconds that such a silence takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_silently_gone_is_found_out_and_counts_as_a_gap() {
    let (app, cache) = (App::postgres().await, memory());
    let (way, listener) = behind_a_way(&app, &cache).await;
    fill(&cache, &["course:1"]).await;
    way.state.send(State::Silent).unwrap();
    until(async || app.ears().await == 0).await;
    app.run(&format!("INSERT INTO {} (id) VALUES (1)", app.table)).await;
    assert!(has(&cache, "course:1").await, "nobody could tell");
    way.state.send(State::Open).unwrap();
    until(async || !has(&cache, "course:1").await).await;
    listener.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_server_ends_is_made_again() {
    let app = App::postgres().await;
    let cache = memory();
    let listener = app.listen(&cache).await;
    for _ in 0..2 {
        fill(&cache, &["t"]).await;
        let ended = app.listening("pg_terminate_backend(pid)::text");
        assert_eq!(app.ask(&ended).await, ["true"]);
        drop(app.write(&["t"], true).await);
        until(async || !has(&cache, "t").await).await;
        until(async || app.ears().await == 1).await;
    }
    listener.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cache_could_not_forget_is_a_gap() {
    let app = App::postgres().await;
    let (good, (bad, faults)) = (memory(), faulty());
    let caches = Caches::new(bad.clone()).with("good", good.clone());
    let listener = tokio::spawn(Listener::new(&app.outbox, caches).unwrap().run());
    until(async || app.ears().await == 1).await;
    heard_all(&app, &good).await;
    fill(&bad, &["t", "other"]).await;
    faults.add(Fault::error(ErrorKind::Unavailable).on([Op::Invalidate]).times(1));
    faults.add(Fault::error(ErrorKind::Unavailable).on([Op::Clear]).times(1));
    drop(app.write(&["t"], true).await);
    until(async || !has(&bad, "t").await && !has(&bad, "other").await).await;
    listener.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_gap_less_may_be_enough() {
    let app = App::postgres().await;
    let cache = memory();
    fill(&cache, &["all courses", "about us"]).await;
    let listener = Listener::new(&app.outbox, &cache).unwrap().after_a_gap(["all courses"]);
    let listener = tokio::spawn(listener.run());
    until(async || !has(&cache, "all courses").await).await;
    assert!(has(&cache, "about us").await);
    listener.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_can_be_heard_there_is_no_listener() {
    let (postgres, mysql, sqlite) = (App::postgres().await, App::mysql().await, App::sqlite().await);
    let cache = Arc::new(memory());
    for outbox in [&mysql.outbox, &sqlite.outbox, &postgres.outbox.clone().broadcast(false)] {
        let error = Listener::new(outbox, &*cache).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}
