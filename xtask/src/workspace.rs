//! What cargo knows about the workspace.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// One member crate.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: Vec<String>,
    pub(crate) has_library: bool,
}

/// A line of a crate's `[dependencies]` (or of the other two tables).
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// For tests only.
    pub(crate) dev: bool,
    pub(crate) optional: bool,
    pub(crate) features: Vec<String>,
}

/// The workspace's root folder.
///
/// Known when this program was built; it is run by cargo, which builds it anew where the folder moved.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// A cargo command in the root folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Every member of the workspace, by name.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    parse(&output.stdout)
}

fn parse(metadata: &[u8]) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_slice(metadata).context("cargo metadata is JSON")?;
    let mut packages: Vec<_> = array(&metadata["packages"]).iter().map(package).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn package(package: &Value) -> Package {
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    Package {
        name: text(&package["name"]),
        folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
        dependencies: array(&package["dependencies"]).iter().map(dependency).collect(),
        features: package["features"].as_object().map(|f| f.keys().cloned().collect()).unwrap_or_default(),
        has_library: array(&package["targets"])
            .iter()
            .any(|target| array(&target["kind"]).iter().any(|kind| kind == "lib" || kind == "proc-macro")),
    }
}

fn dependency(dependency: &Value) -> Dependency {
    Dependency {
        name: text(&dependency["name"]),
        dev: dependency["kind"] == "dev",
        optional: dependency["optional"] == true,
        features: array(&dependency["features"]).iter().map(text).collect(),
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_tells_its_folder_its_features_and_the_kinds_of_its_dependencies() {
        let json = br#"{"packages": [{"name": "a", "manifest_path": "/w/crates/a/Cargo.toml",
            "features": {"default": [], "file": ["dep:b"]},
            "targets": [{"kind": ["lib"]}, {"kind": ["test"]}],
            "dependencies": [{"name": "b", "kind": null, "optional": true, "features": ["x"]},
                             {"name": "c", "kind": "dev", "optional": false, "features": []}]}]}"#;
        let [a] = &parse(json).unwrap()[..] else { panic!("one package") };
        assert_eq!((a.folder.to_str(), a.has_library), (Some("/w/crates/a"), true));
        assert_eq!(a.features, ["default", "file"]);
        let [b, c] = &a.dependencies[..] else { panic!("two dependencies") };
        assert!(b.optional && !b.dev && b.features == ["x"]);
        assert!(!c.optional && c.dev);
    }

    #[test]
    fn this_workspace_lists_itself() {
        let packages = packages().unwrap();
        let xtask = packages.iter().find(|package| package.name == "xtask").unwrap();
        assert_eq!((xtask.folder.clone(), xtask.has_library), (root().join("xtask"), false));
    }
}
