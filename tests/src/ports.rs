//! Ports for servers of a test's own.

use std::fs::{File, create_dir_all};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below those that the system gives out to whoever names none.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port of 127.0.0.1 that is this process's for as long as it lives: a server may end and listen there again, and nobody else has taken
/// it meanwhile, neither another test, in whatever process, nor the system for a connection.
///
/// # Panics
/// If there is none, or no place for the files that keep them apart.
#[must_use]
pub fn own_port() -> u16 {
    static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

    let folder = std::env::temp_dir().join("larder-test-ports");
    create_dir_all(&folder).expect("a place in the temporary directory");
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes that follow each other look at different ones first.
    let first = std::process::id().wrapping_mul(131) % u32::from(COUNT);
    let ports = (0..COUNT).map(|i| FIRST + (u16::try_from(first).unwrap_or(0) + i) % COUNT);
    for port in ports {
        let lock = File::options().create(true).append(true).open(folder.join(port.to_string()));
        let Ok(lock) = lock else { continue };
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            taken.push(lock);
            return port;
        }
    }
    panic!("all of {COUNT} ports are taken");
}
