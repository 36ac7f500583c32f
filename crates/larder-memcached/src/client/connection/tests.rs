use larder_core::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::address::Address;
use crate::client::codec::Mode;

/// A connection to a server that the test plays.
fn begin(room: usize) -> (mpsc::Sender<Job>, tokio::io::DuplexStream, Arc<Health>) {
    patient(room, Duration::from_millis(300))
}

fn patient(room: usize, silence: Duration) -> (mpsc::Sender<Job>, tokio::io::DuplexStream, Arc<Health>) {
    let (here, there) = tokio::io::duplex(room);
    let (jobs, mut queue) = mpsc::channel(100);
    let health = Arc::new(Health::new(Address::parse("h").unwrap()));
    let known = Arc::clone(&health);
    tokio::spawn(async move {
        let (from, to) = tokio::io::split(here);
        serve(from, to, &mut queue, silence, &known).await
    });
    (jobs, there, health)
}

async fn ask(jobs: &mpsc::Sender<Job>, command: Command) -> oneshot::Receiver<Vec<Reply>> {
    let (reply, ticket) = oneshot::channel();
    let weight = Weight::take(&Arc::default(), 0, 0).unwrap();
    jobs.send(Job { commands: vec![command], reply, weight }).await.unwrap();
    ticket
}

fn set(size: usize) -> Command {
    let mode = Mode::Always;
    Command::Set { name: "k".into(), data: vec![b'x'; size].into(), expiry: 0, mode }
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_no_silence() {
    let (jobs, mut there, _) = begin(1024);
    let ticket = ask(&jobs, set(64 << 10)).await;
    let mut taken = vec![0; 1024];
    let mut left = b"ms k 65536 T0 O0\r\n\r\n".len() + (64 << 10);
    while left > 0 {
        // What still stands in the pipe counts as taken.
        tokio::time::sleep(Duration::from_millis(if left > 2048 { 250 } else { 0 })).await;
        left -= there.read(&mut taken).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(250)).await;
    there.write_all(b"HD O0\r\n").await.unwrap();
    assert_eq!(ticket.await.unwrap(), [Reply::Done]);
}

#[tokio::test(start_paused = true)]
async fn that_others_keep_asking_is_no_sign_of_life() {
    let (jobs, _there, health) = begin(1 << 20);
    let first = ask(&jobs, Command::Noop).await;
    let began = Instant::now();
    let others = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(ask(&jobs, set(20_000)).await);
        }
    };
    tokio::select! {
        _ = first => {}
        () = others => {}
    }
    assert_eq!(began.elapsed(), Duration::from_millis(300));
    assert_eq!(health.error().kind(), ErrorKind::Deadline);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_not_silent_and_what_was_given_up_is_not_sent() {
    let (jobs, mut there, health) = begin(1 << 20);
    drop(ask(&jobs, set(5)).await);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let ticket = ask(&jobs, Command::Noop).await;
    let mut line = [0; 4];
    there.read_exact(&mut line).await.unwrap();
    assert_eq!(line, *b"mn\r\n", "the first thing that is sent");
    there.write_all(b"MN\r\n").await.unwrap();
    assert_eq!(ticket.await.unwrap(), [Reply::Noop]);
    assert!(!health.is_ailing());
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_is_answered_after_the_last_handle_is_gone() {
    let (jobs, mut there, _) = begin(1 << 20);
    let ticket = ask(&jobs, Command::Noop).await;
    drop(jobs);
    tokio::time::sleep(Duration::from_millis(100)).await;
    there.write_all(b"MN\r\n").await.unwrap();
    assert_eq!(ticket.await.unwrap(), [Reply::Noop]);
}

#[tokio::test(start_paused = true)]
async fn each_question_has_the_whole_time_and_none_has_more() {
    let (jobs, mut there, health) = begin(1 << 20);
    // What was set for the beginning and for the first rings while the second waits.
    for pause in [200, 299, 299, 1000] {
        let ticket = ask(&jobs, Command::Noop).await;
        tokio::time::sleep(Duration::from_millis(pause.min(299))).await;
        there.write_all(b"MN\r\n").await.unwrap();
        assert_eq!(ticket.await.unwrap(), [Reply::Noop]);
        tokio::time::sleep(Duration::from_millis(pause - pause.min(299))).await;
    }
    let (ticket, began) = (ask(&jobs, Command::Noop).await, Instant::now());
    assert!(ticket.await.is_err(), "it is not answered");
    // A timer has a millisecond's grain.
    assert!(
        began.elapsed() - Duration::from_millis(300) <= Duration::from_millis(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(health.error().kind(), ErrorKind::Deadline);
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_is_longer_than_any_clock_is_no_panic() {
    let (jobs, mut there, _) = patient(1 << 20, Duration::MAX);
    let ticket = ask(&jobs, Command::Noop).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    there.write_all(b"MN\r\n").await.unwrap();
    assert_eq!(ticket.await.unwrap(), [Reply::Noop]);
}
