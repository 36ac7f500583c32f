//! PostgreSQL: a fresh cluster, trusting everybody on loopback, without waiting for the disk.

use anyhow::Result;

use super::{
    Server, Site, Started,
    process::{Process, User, ask, command, free_port, prepare},
    programs::Program,
    retried,
};
use crate::names::{self, Name};

pub(super) struct Postgres;

impl Server for Postgres {
    fn name(&self) -> Name {
        names::POSTGRES
    }

    fn programs(&self) -> &'static [Program] {
        &[Program(&["initdb"]), Program(&["postgres"])]
    }

    fn start(&self, site: &Site) -> Result<Started> {
        let user = User::instead_of_root(&["postgres", "nobody"])?;
        let data = site.folder.join("data");
        let mut initdb = command(&site.programs[0], &site.folder, user)?;
        initdb.arg("-D").arg(&data);
        initdb.args([
            "-U",
            "larder",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]);
        prepare(&mut initdb, &site.folder.join("initdb"))?;
        retried(|| {
            let port = free_port()?;
            let mut server = command(&site.programs[1], &site.folder, user)?;
            server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
            for setting in [
                "listen_addresses=127.0.0.1",
                // No socket file: its folder may be out of bounds, or its path too long.
                "unix_socket_directories=",
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "max_connections=200",
            ] {
                server.args(["-c", setting]);
            }
            let process = Process::start(&mut server, site.folder.join("log"))?
                .until(|| ask(port, &startup()).starts_with(b"R"))?;
            // Any password will do; one is there as some clients want one.
            let address = format!("postgres://larder:larder@127.0.0.1:{port}/postgres");
            Ok(Started { processes: vec![process], address, extra: Vec::new() })
        })
    }
}

/// A startup packet, protocol 3.0. The answer begins with `R` (authentication) once the server takes connections, and
/// with `E` while it starts.
fn startup() -> Vec<u8> {
    const PARAMETERS: &[u8] = b"user\0larder\0database\0postgres\0\0";
    let length = u32::try_from(PARAMETERS.len() + 8).unwrap_or_default();
    [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), PARAMETERS].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_startup_packet_counts_itself() {
        let packet = startup();
        assert_eq!(
            usize::try_from(u32::from_be_bytes(packet[..4].try_into().unwrap())).unwrap(),
            packet.len()
        );
        assert_eq!(packet[4..8], [0, 3, 0, 0]);
    }
}
