use super::*;
use proptest::prelude::*;

fn parse(bytes: &[u8], kind: Kind, opaque: u64) -> Result<Result<Reply, usize>, Garbage> {
    take(&mut BytesMut::from(bytes), kind, opaque)
}

fn line(command: &Command) -> Vec<u8> {
    let mut out = BytesMut::new();
    command.write_line(7, &mut out);
    out.to_vec()
}

#[test]
fn commands_are_written_as_the_protocol_wants_them() {
    let (name, data) = (Name::from_static(b":1:k"), Bytes::from_static(b"hello"));
    let set = |mode| line(&Command::Set { name: name.clone(), data: data.clone(), expiry: 30, mode });
    assert_eq!(line(&Command::Get(name.clone())), b"mg :1:k v c O7\r\n");
    assert_eq!(set(Mode::Always), b"ms :1:k 5 T30 O7\r\n");
    assert_eq!(set(Mode::Add), b"ms :1:k 5 T30 ME O7\r\n");
    assert_eq!(set(Mode::Cas(9)), b"ms :1:k 5 T30 C9 O7\r\n");
    assert_eq!(line(&Command::Delete { name: name.clone(), cas: None }), b"md :1:k O7\r\n");
    assert_eq!(line(&Command::Delete { name, cas: Some(9) }), b"md :1:k C9 O7\r\n");
    assert_eq!(line(&Command::Noop), b"mn\r\n");
}

#[test]
fn replies_are_read_one_at_a_time_however_they_are_cut() {
    let all =
        b"VA 7 c12 O1\r\n\0\r\n\r\nEN\r\nEN O2\r\nHD O3\r\nSERVER_ERROR object too large for cache\r\nMN\r\n";
    let value = Reply::Value { data: Bytes::from_static(b"\0\r\n\r\nEN"), cas: 12 };
    let wanted = [
        (Kind::Get, 1, value),
        (Kind::Get, 2, Reply::Miss),
        (Kind::Set, 3, Reply::Done),
        (Kind::Set, 4, Reply::TooLarge),
        (Kind::Noop, 5, Reply::Noop),
    ];
    for cut in 1..all.len() {
        let mut buffer = BytesMut::new();
        let mut rest = all.chunks(cut);
        for (kind, opaque, reply) in &wanted {
            let got = loop {
                match take(&mut buffer, *kind, *opaque).unwrap() {
                    Ok(reply) => break reply,
                    Err(_) => buffer.extend_from_slice(rest.next().unwrap()),
                }
            };
            assert_eq!(got, *reply, "cut into {cut}");
        }
        assert!(buffer.is_empty() && rest.next().is_none());
    }
}

#[test]
fn an_answer_to_another_question_is_garbage() {
    for (bytes, kind) in [
        (&b"VA 1 c1 O2\r\nx\r\n"[..], Kind::Get),
        (b"VA 1 c1\r\nx\r\n", Kind::Get),
        (b"VA 1 O1\r\nx\r\n", Kind::Get),
        (b"VA 1 c1 O1\r\nxyz", Kind::Get),
        (b"VA -1 c1 O1\r\n", Kind::Get),
        (b"VA +1 c1 O1\r\nx\r\n", Kind::Get),
        (b"VA 99999999999 c1 O1\r\n", Kind::Get),
        (b"VA 1 c1 O1\r\nx\r\n", Kind::Set),
        (b"EN O2\r\n", Kind::Get),
        (b"EN\r\n", Kind::Set),
        (b"HD O1\r\n", Kind::Get),
        (b"HD\r\n", Kind::Set),
        (b"HD O1\n", Kind::Set),
        (b"MN\r\n", Kind::Get),
        (b"CLIENT_ERROR bad\r\n", Kind::Set),
        (b"ERROR\r\n", Kind::Noop),
        (b"-ERR unknown command\r\n", Kind::Noop),
        (b"\r\n", Kind::Noop),
        (&[b'x'; LONGEST_LINE], Kind::Get),
    ] {
        assert!(parse(bytes, kind, 1).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_large_value_is_a_slice_and_a_small_one_a_copy() {
    for size in [WORTH_SLICING - 1, WORTH_SLICING] {
        let mut buffer = BytesMut::from(format!("VA {size} c1 O1\r\n").as_bytes());
        buffer.resize(buffer.len() + size, b'x');
        buffer.extend_from_slice(b"\r\n");
        let inside = buffer.as_ptr_range();
        let Ok(Reply::Value { data, .. }) = take(&mut buffer, Kind::Get, 1).unwrap() else { panic!() };
        assert_eq!(data.len(), size);
        assert_eq!(inside.contains(&data.as_ptr()), size == WORTH_SLICING);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, kind in 0usize..4, front in 0usize..6) {
        let kind = [Kind::Get, Kind::Set, Kind::Delete, Kind::Noop][kind];
        let mut whole = [&b""[..], b"VA ", b"VA 5 ", b"EN ", b"HD ", b"SERVER_ERROR "][front].to_vec();
        whole.extend(bytes);
        let _ = parse(&whole, kind, 0);
    }
}
