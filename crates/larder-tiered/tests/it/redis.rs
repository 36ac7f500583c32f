//! Tiers over a Redis server, and its pub/sub as the backplane.

use std::sync::Arc;

use larder_core::backplane::InProcess;
use larder_redis::Redis;
use larder_testkit::Stage;

use crate::server::Server;
use crate::{COPIED, following, tiers};

const PATIENT: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) async fn stage() -> Stage {
    let server = Arc::new(Server::start());
    let redis = Redis::unix_socket(server.socket()).connect_timeout(PATIENT).max_silence(PATIENT);
    let tiers = following(tiers(redis.build().unwrap(), InProcess::new())).await;
    let aged = Arc::clone(&server);
    Stage::new(tiers).opaque(COPIED).aging(move |by| aged.age(by)).keeping(server)
}
