//! On what, and when.

use std::{fs, process::Command, thread};

/// The machine and the hour that figures belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) date: String,
}

impl Machine {
    /// This one, now.
    pub(super) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let system =
            quoted(&read("/etc/os-release"), "PRETTY_NAME").unwrap_or(std::env::consts::OS.to_owned());
        let kernel = read("/proc/sys/kernel/osrelease");
        let name = format!(
            "{cores} cores of {}, {system}, kernel {}",
            model(&read("/proc/cpuinfo")).unwrap_or("an unknown processor".to_owned()),
            kernel.trim().split('-').next().unwrap_or_default()
        );
        Self { name, date: first_line(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"])) }
    }

    /// How many others want the processor, which explains odd figures.
    pub(super) fn load() -> f64 {
        let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
    }
}

/// The compiler and the counter, whose versions move the counts.
pub(super) fn tools() -> String {
    let compiler = first_line(Command::new("rustc").arg("--version"));
    let counter = first_line(Command::new("valgrind").arg("--version"));
    format!("{}, {counter}", compiler.split(" (").next().unwrap_or_default())
}

/// What a command says first; nothing if it can't be run.
pub(super) fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().trim().to_owned()
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn quoted(file: &str, name: &str) -> Option<String> {
    let value = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_and_the_system_are_read_from_their_files() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Fast 9\n").as_deref(), Some("Fast 9"));
        assert_eq!(model("processor: 0\n"), None);
        let release = "PRETTY_NAME=\"Debian 12\"\nNAME=Debian\n";
        assert_eq!(quoted(release, "PRETTY_NAME").as_deref(), Some("Debian 12"));
        assert_eq!(quoted(release, "NAM"), None);
    }

    #[test]
    fn a_program_that_is_not_there_says_nothing() {
        assert_eq!(first_line(&mut Command::new("no-such-program")), "");
    }
}
