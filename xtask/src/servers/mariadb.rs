//! MariaDB: a fresh data folder and one database, without waiting for the disk.

use std::fs;

use anyhow::Result;

use super::{
    Server, Site, Started,
    process::{Process, User, ask, command, free_port, prepare},
    programs::Program,
    retried,
};
use crate::names::{self, Name};

pub(super) struct Mariadb;

/// Run before the first connection is taken.
const FIRST: &str = "CREATE DATABASE IF NOT EXISTS larder CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'larder'@'127.0.0.1' IDENTIFIED BY 'larder';
GRANT ALL PRIVILEGES ON *.* TO 'larder'@'127.0.0.1';
";

impl Server for Mariadb {
    fn name(&self) -> Name {
        names::MARIADB
    }

    fn programs(&self) -> &'static [Program] {
        &[Program(&["mariadb-install-db", "mysql_install_db"]), Program(&["mariadbd", "mysqld"])]
    }

    fn start(&self, site: &Site) -> Result<Started> {
        let user = User::instead_of_root(&["mysql", "nobody"])?;
        let data = format!("--datadir={}", site.folder.join("data").display());
        let first = site.folder.join("first.sql");
        fs::write(&first, FIRST)?;
        let mut install = command(&site.programs[0], &site.folder, user)?;
        install.args(["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.env("TMPDIR", &site.folder);
        prepare(&mut install, &site.folder.join("install"))?;
        retried(|| {
            let port = free_port()?;
            let mut server = command(&site.programs[1], &site.folder, user)?;
            server.args(["--no-defaults", &data, "--bind-address=127.0.0.1", "--skip-name-resolve"]);
            server.args(["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--performance-schema=OFF"]);
            server.args([
                format!("--port={port}"),
                // Relative to the data folder: an absolute path may be too long for a socket.
                "--socket=s".to_owned(),
                "--pid-file=pid".to_owned(),
                format!("--init-file={}", first.display()),
            ]);
            // The greeting is protocol 10, after four bytes of length and number.
            let process = Process::start(&mut server, site.folder.join("log"))?
                .until(|| ask(port, b"").get(4) == Some(&10))?;
            let address = format!("mysql://larder:larder@127.0.0.1:{port}/larder");
            Ok(Started { processes: vec![process], address, extra: Vec::new() })
        })
    }
}
