use super::*;

struct Silent;

impl HttpBody for Silent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Poll::Pending
    }
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

fn text(frame: Option<Result<Frame<Bytes>, Box<dyn StdError + Send + Sync>>>) -> Option<Bytes> {
    frame.map(|frame| frame.unwrap().into_data().unwrap())
}

fn polled(reader: &mut Reader) -> Option<Result<Frame<Bytes>, Box<dyn StdError + Send + Sync>>> {
    match Pin::new(reader).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(frame) => frame,
        Poll::Pending => panic!("it is all there"),
    }
}

type Ended = Arc<Mutex<Option<Result<Bytes, Reason>>>>;

fn of_pieces(pieces: &[&'static str], limit: usize) -> (SharedBody, Ended) {
    let begun = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
    let source = Body::new(Resumed { begun, trailer: None, error: None, rest: None });
    let ended = Ended::default();
    let note = Arc::clone(&ended);
    let on_end = Box::new(move |outcome| *note.lock() = Some(outcome));
    (SharedBody::new(source, Vec::new(), limit, None, on_end, Box::new(drop)), ended)
}

#[test]
fn a_body_whose_last_piece_passes_the_limit_is_not_stored_and_read_to_its_end() {
    let (shared, ended) = of_pieces(&["12345", "67890x"], 10);
    let mut reader = shared.reader().unwrap();
    assert_eq!(text(polled(&mut reader)).unwrap(), "12345");
    assert_eq!(text(polled(&mut reader)).unwrap(), "67890x");
    assert!(polled(&mut reader).is_none());
    assert_eq!(*ended.lock(), Some(Err(Reason::TooLarge)));
    drop(shared);
}

#[tokio::test]
async fn who_reads_what_a_task_drives_goes_on_reading_past_the_limit() {
    let (shared, ended) = of_pieces(&["12345", "67890", "abc", "def"], 10);
    let mut reader = shared.reader().unwrap();
    shared.clone().finish().await;
    assert_eq!(*ended.lock(), Some(Err(Reason::TooLarge)));
    for piece in ["12345", "67890", "abc", "def"] {
        assert_eq!(text(polled(&mut reader)).unwrap(), piece);
    }
    assert!(polled(&mut reader).is_none());
}

#[test]
fn readers_that_come_and_go_while_nothing_happens_leave_nothing_behind() {
    let ends = Box::new(|_| {});
    let shared = SharedBody::new(Body::new(Silent), Vec::new(), 10, None, ends, Box::new(drop));
    let _stays = shared.reader().unwrap();
    let nobody = Arc::new(Nobody);
    let waker = Waker::from(Arc::clone(&nobody));
    for _ in 0..100 {
        let mut readers = [shared.reader().unwrap(), shared.reader().unwrap()];
        for reader in &mut readers {
            let poll = Pin::new(reader).poll_frame(&mut Context::from_waker(&waker));
            assert!(poll.is_pending());
        }
    }
    assert_eq!(Arc::strong_count(&nobody), 2, "ours and our waker's");
    assert!(shared.shared.state.lock().readers.len() <= 3);
}

/// A body that gives one piece, and then nothing more.
fn of_one_piece() -> (SharedBody, Ended) {
    let begun = [Bytes::from_static(b"12345")].into();
    let source = Body::new(Resumed { begun, trailer: None, error: None, rest: Some(Body::new(Silent)) });
    let ended = Ended::default();
    let note = Arc::clone(&ended);
    let on_end = Box::new(move |outcome| *note.lock() = Some(outcome));
    (SharedBody::new(source, Vec::new(), 10, None, on_end, Box::new(drop)), ended)
}

#[tokio::test]
async fn what_is_driven_beside_its_readers_ends_though_nobody_reads() {
    let (shared, ended) = of_pieces(&["12345", "678"], 10);
    let mut reader = shared.reader().unwrap();
    shared.drive_beside().unwrap().await;
    assert_eq!(*ended.lock(), Some(Ok(Bytes::from_static(b"12345678"))));
    assert_eq!(text(polled(&mut reader)).unwrap(), "12345");
}

#[test]
fn who_still_reads_sets_the_pace_again_when_nobody_drives_any_more() {
    let (shared, ended) = of_one_piece();
    let mut reader = shared.reader().unwrap();
    let driving = shared.clone().drive_beside().unwrap();
    assert!(shared.clone().drive_beside().is_none(), "one is enough");
    drop(driving);
    assert_eq!(text(polled(&mut reader)).unwrap(), "12345");
    assert!(ended.lock().is_none(), "it goes on");
    assert!(shared.drive_beside().is_some());
}

#[test]
fn what_nobody_drives_or_reads_any_more_is_given_up() {
    let (shared, ended) = of_one_piece();
    let reader = shared.reader().unwrap();
    let driving = shared.drive_beside().unwrap();
    drop(reader);
    assert!(ended.lock().is_none(), "it is driven");
    drop(driving);
    assert_eq!(*ended.lock(), Some(Err(Reason::ClientGone)));
}
