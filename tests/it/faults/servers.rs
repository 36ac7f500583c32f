//! Faults of servers, the same for each kind.

use super::load::Load;
use super::own::{Kind, Own};
use super::rogue::{Manner, Rogue};

/// The deadline is the default. A shorter cool-down, so that a test need not wait for long.
const OPTIONS: &str = "cooldown=200ms";

macro_rules! each_kind {
    ($($fault:ident)+) => {
        each_kind!(@ redis Redis, $($fault)+);
        each_kind!(@ memcached Memcached, $($fault)+);
        each_kind!(@ postgres Postgres, $($fault)+);
        each_kind!(@ mariadb Mariadb, $($fault)+);
    };
    (@ $kind:ident $variant:ident, $($fault:ident)+) => {
        mod $kind {
            use crate::faults::own::Kind;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fault() {
                super::$fault(Kind::$variant).await;
            })+
        }
    };
}

each_kind! {
    a_server_that_never_listened_costs_few_attempts_and_is_found_when_it_comes
    a_server_that_dies_costs_few_attempts_and_is_found_again
    a_server_that_accepts_and_stays_silent_costs_few_attempts_and_is_found_when_it_speaks
    a_server_that_is_stopped_costs_few_attempts_and_serves_on
    a_server_that_is_emptied_is_filled_again
    a_server_that_talks_nonsense_is_never_believed
}

async fn a_server_that_never_listened_costs_few_attempts_and_is_found_when_it_comes(kind: Kind) {
    let mut server = Own::prepared(kind, &[]);
    let load = Load::on(&server.url(OPTIONS));
    load.go_on(600).await;
    load.cost().is_bounded("never listened");
    server.again();
    load.hits().await;
    load.end().await;
}

async fn a_server_that_dies_costs_few_attempts_and_is_found_again(kind: Kind) {
    let mut server = Own::start(kind);
    let load = Load::on(&server.url(OPTIONS));
    for _ in 0..2 {
        load.hits().await;
        load.cost();
        server.kill();
        load.go_on(600).await;
        load.cost().is_bounded("died");
        server.again();
    }
    load.hits().await;
    load.end().await;
}

async fn a_server_that_accepts_and_stays_silent_costs_few_attempts_and_is_found_when_it_speaks(kind: Kind) {
    let server = Own::start(kind);
    let rogue = Rogue::before(server.port(), Manner::Silent).await;
    let load = Load::on(&kind.url(rogue.address.port(), OPTIONS));
    load.go_on(600).await;
    let cost = load.cost();
    let connections = rogue.connections();
    assert!(connections <= cost.outages + cost.failed, "{connections} connections: {cost:?}");
    cost.is_bounded("silent");
    rogue.turns(Manner::Honest);
    load.hits().await;
    load.end().await;
}

async fn a_server_that_is_stopped_costs_few_attempts_and_serves_on(kind: Kind) {
    let server = Own::start(kind);
    let load = Load::on(&server.url(OPTIONS));
    for _ in 0..2 {
        load.hits().await;
        load.cost();
        server.stop();
        load.go_on(600).await;
        load.cost().is_bounded("stopped");
        server.go_on();
    }
    load.hits().await;
    load.end().await;
}

async fn a_server_that_is_emptied_is_filled_again(kind: Kind) {
    let server = Own::start(kind);
    let load = Load::on(&server.url(OPTIONS));
    for _ in 0..3 {
        load.hits().await;
        server.empty().await;
        load.go_on(100).await;
    }
    load.hits().await;
    load.end().await;
}

async fn a_server_that_talks_nonsense_is_never_believed(kind: Kind) {
    let server = Own::start(kind);
    let rogue = Rogue::before(server.port(), Manner::Honest).await;
    let load = Load::on(&kind.url(rogue.address.port(), OPTIONS));
    for manner in [Manner::Noise, Manner::Flips, Manner::Halves, Manner::HangsUp] {
        load.hits().await;
        load.cost();
        rogue.turns(manner);
        load.go_on(300).await;
        load.cost().report(&format!("{manner:?}"));
        rogue.turns(Manner::Honest);
    }
    load.hits().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_full_is_read_from_and_written_to_again_when_there_is_room() {
    let server = Own::with(Kind::Redis, &["--maxmemory-policy", "noeviction"]);
    let load = Load::on(&server.url(OPTIONS));
    for _ in 0..2 {
        load.hits().await;
        load.cost();
        server.full(true);
        load.go_on(300).await;
        let cost = load.cost();
        // It answers: there is nothing for the breaker to do.
        assert!(cost.failed > 0, "{cost:?}");
        server.full(false);
    }
    load.hits().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memcached_without_room_evicts_what_it_likes_and_no_answer_is_wrong() {
    // Room for few pages, and for few records beside them.
    let server = Own::with(Kind::Memcached, &["-m", "1", "-I", "512k"]);
    let load = Load::on(&server.url(OPTIONS));
    let cache = load.cache.clone();
    let filler = tokio::spawn(async move {
        for n in 0_u32.. {
            // What becomes of it is nobody's concern.
            _ = cache.set(&format!("filler{n}"), "x".repeat(20_000)).await;
            tokio::task::yield_now().await;
        }
    });
    load.go_on(600).await;
    filler.abort();
    load.hits().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_memcached_servers_each_may_die_and_come_back() {
    let mut servers = [(); 3].map(|()| Own::start(Kind::Memcached));
    let places: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    let load = Load::on(&format!("memcached://{}?{OPTIONS}", places.join(",")));
    for server in &mut servers {
        load.hits().await;
        server.kill();
        load.go_on(300).await;
        server.again();
    }
    load.hits().await;
    load.end().await;
}
