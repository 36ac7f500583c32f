//! Installing what is missing, on Debian and its kin.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::geteuid;

/// Says to package scripts that they must not start the services they bring: ours run privately, on free ports.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether to install without having been asked: as root on Debian, where there is nobody to ask and nothing to `sudo`.
pub(crate) fn by_itself() -> bool {
    geteuid().is_root() && Path::new("/etc/debian_version").exists()
}

/// Installs Debian packages, through sudo when not root.
///
/// # Errors
/// When there is no apt-get, or it fails.
pub(crate) fn packages(packages: &[&str]) -> Result<()> {
    ensure!(
        Path::new("/usr/bin/apt-get").exists(),
        "no apt-get here: install {} by other means",
        packages.join(", ")
    );
    eprintln!("installing {}", packages.join(" "));
    // Only root can keep services from starting; where sudo asks, a person is there to see them.
    let policy = geteuid().is_root().then(NoServices::begin).transpose()?;
    // Lists may be young enough, or the network away and the packages in the cache: the second command decides.
    let updated = apt(&["update", "-qq"]).is_ok();
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    let installed = apt(&[&install[..], packages].concat());
    drop(policy);
    installed.with_context(|| if updated { "apt-get install" } else { "apt-get update and apt-get install" })
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = if geteuid().is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    };
    // Another apt may be at work: wait for it. The output matters only when it failed. In a group of its own, Ctrl-C
    // doesn't cut it off half-way.
    let output = command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"])
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "apt-get {}: {}", arguments.join(" "), errors.trim());
    Ok(())
}

/// Keeps packages from starting services until it is dropped.
struct NoServices {
    /// What stood there before.
    before: Option<(String, fs::Permissions)>,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let before = match fs::read_to_string(POLICY) {
            Ok(text) => Some((text, fs::metadata(POLICY)?.permissions())),
            Err(_) => None,
        };
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").context(POLICY)?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Self { before })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        let restored = match &self.before {
            Some((text, permissions)) => {
                fs::write(POLICY, text).and_then(|()| fs::set_permissions(POLICY, permissions.clone()))
            }
            None => fs::remove_file(POLICY),
        };
        if let Err(error) = restored {
            eprintln!("warning: {POLICY} could not be put back as it was: {error}");
        }
    }
}
