//! Chromium, by way of chromedriver, which starts one browser for each session that a test opens.

use anyhow::Result;

use super::{
    Server, Site, Started,
    process::{Process, ask, command, free_port},
    programs::Program,
    retried,
};
use crate::names::{self, Name};

pub(super) struct Browser;

impl Server for Browser {
    fn name(&self) -> Name {
        names::BROWSER
    }

    fn programs(&self) -> &'static [Program] {
        &[
            Program(&["chromedriver", "chromium.chromedriver"]),
            Program(&["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]),
        ]
    }

    fn start(&self, site: &Site) -> Result<Started> {
        retried(|| {
            let port = free_port()?;
            let mut driver = command(&site.programs[0], &site.folder, None)?;
            // Profiles, crash reports and settings go where everything else of ours goes.
            driver.env("TMPDIR", &site.folder).env("HOME", &site.folder).arg(format!("--port={port}"));
            let process = Process::start(&mut driver, site.folder.join("log"))?
                // A signal would end the driver and leave its browsers.
                .ended_by(move || drop(get(port, "/shutdown")))
                .until(|| get(port, "/status").starts_with("HTTP/1.1 200"))?;
            let chromium = site.programs[1].display().to_string();
            Ok(Started {
                processes: vec![process],
                address: format!("http://127.0.0.1:{port}"),
                extra: vec![(names::CHROMIUM, chromium)],
            })
        })
    }
}

fn get(port: u16, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    String::from_utf8_lossy(&ask(port, request.as_bytes())).into_owned()
}
