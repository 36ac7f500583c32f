//! Certificates for servers of a test's own.

use std::path::Path;
use std::process::Command;

/// Puts an authority into a directory, `ca.pem`, and a certificate of it with its key, `cert.pem` and `key.pem`; for these names, such as
/// `DNS:localhost`.
///
/// # Panics
/// If there is no `openssl`.
pub fn certificates(directory: &Path, names: &str) {
    std::fs::write(directory.join("names"), format!("subjectAltName={names}")).expect("a directory of ours");
    for arguments in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
    ] {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
        let made = made.unwrap_or_else(|error| panic!("no openssl ({error}): apt-get install -y openssl"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}
