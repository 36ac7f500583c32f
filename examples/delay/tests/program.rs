//! The program itself: what it says, how it ends, and with which exit code. The pages are tested in `tests/it/delay.rs`.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn delay(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delay"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Exit code and standard error of a program that can't run.
fn refused(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, stdout } = delay(args).output().unwrap();
    assert!(stdout.is_empty(), "nothing is promised before it is sure: {args:?}");
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// The running program, ended with the test however that ends.
struct Running {
    child: Child,
    addr: String,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child =
            delay(&[&["--listen", "127.0.0.1:0"], args].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        let (_, rest) = greeting.split_once("http://").expect("the first line has the address to open");
        let addr = rest.split_once('/').unwrap().0.to_owned();
        // The rest is not read: the program must not mind that nobody listens any more.
        Self { child, addr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_cache_that_can_not_be_opened_is_one_line_and_exit_code_2() {
    let (code, said) = refused(&["--cache", "memry:"]);
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("did you mean \"memory\"?"), "{said}");

    let (code, said) = refused(&["--cache", "memory:?sice=1"]);
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("--cache 'memory:?sice=1'"), "{said}");
}

#[test]
#[cfg(not(feature = "file"))]
fn a_cache_that_is_not_compiled_in_names_the_command_that_brings_it() {
    let (code, said) = refused(&["--cache", "file:///tmp/x"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("cargo run --release -p delay --features file -- --cache file:///tmp/x"), "{said}");
}

#[test]
fn an_argument_that_can_not_work_is_exit_code_2() {
    for args in [["--httpbin", "ftp://x"], ["--listen", "8000"], ["--delay", "11"], ["--lisen", "x"]] {
        let (code, said) = refused(&args);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with("error: ") && said.contains(args[0]), "{said}");
    }
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(&["--listen", &addr]);
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains(&format!("{addr} is in use")), "{said}");
}

#[test]
#[cfg(unix)]
fn a_signal_ends_it_cleanly_and_soon_whatever_is_open() {
    for signal in ["-INT", "-TERM"] {
        let mut program = Running::start(&["--delay", "10"]);
        let mut idle = TcpStream::connect(&program.addr).unwrap();
        idle.write_all(b"GET /calls HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = [0; 15];
        idle.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let mut waiting = TcpStream::connect(&program.addr).unwrap();
        waiting.write_all(b"GET /playground/uncached/ HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();

        let begun = Instant::now();
        let sent = Command::new("kill").args([signal, &program.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(program.child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(begun.elapsed() < Duration::from_secs(9), "it waited for the answer: {:?}", begun.elapsed());
    }
}
