//! The users: goose brings them in, lets them think and sends their requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{Scenario, Transaction, TransactionFunction};
use goose::{GooseAttack, trigger_killswitch};

use crate::cli::Load;
use crate::progress::Progress;
use crate::record::{Recorder, Sample};

/// Lets the users load one path until there are enough requests.
pub(crate) async fn run(load: &Load, name: &'static str, host: &str, path: &str) -> Result<Vec<Sample>> {
    let recorder = Recorder::new(load.requests);
    let progress = Progress::start(name, load, recorder.clone());
    let (least, most) = load.think;
    let scenario = Scenario::new(name)
        .set_wait_time(Duration::from_secs_f64(least), Duration::from_secs_f64(most))?
        .register_transaction(Transaction::new(get(path, recorder.clone())));
    GooseAttack::initialize_with_config(configuration(load, host))?
        .set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies())?
        .register_scenario(scenario)
        .execute()
        .await?;
    progress.end().await;
    ensure!(recorder.is_full(), "stopped after {} of {} requests", recorder.len(), load.requests);
    Ok(recorder.since(0))
}

/// What a user does: one request, whose body is read to its end.
///
/// It is timed here, as goose rounds to milliseconds and stops its watch at the head.
fn get(path: &str, recorder: Recorder) -> TransactionFunction {
    let path: Arc<str> = path.into();
    Arc::new(move |user| {
        let (path, recorder) = (path.clone(), recorder.clone());
        Box::pin(async move {
            if recorder.is_full() {
                // The run is ending; this user has not been told yet.
                return Ok(());
            }
            let begun = Instant::now();
            let ok = match user.get(&path).await?.response {
                Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
                Err(_) => false,
            };
            if recorder.add(begun, ok) {
                trigger_killswitch("enough requests");
            }
            Ok(())
        })
    })
}

fn configuration(load: &Load, host: &str) -> GooseConfiguration {
    let mut configuration = GooseConfiguration::default();
    configuration.host = Some(host.to_owned());
    configuration.users = usize::try_from(load.users).ok();
    configuration.increase_rate = Some(load.rate.to_string());
    // Progress, table and plots are ours: goose's know one run only, and milliseconds.
    configuration.quiet = 2;
    configuration.no_metrics = true;
    configuration.no_telnet = true;
    configuration
}
