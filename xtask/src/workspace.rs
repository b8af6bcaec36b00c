//! The workspace as `cargo metadata` describes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The members of the workspace, in cargo's order.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target_directory: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One member.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// From the root, with `/` between the parts.
    pub(crate) manifest: String,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    /// The names of its bench targets.
    pub(crate) benches: Vec<String>,
}

/// One line of a `[dependencies]` table, under the package's real name.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
}

/// Which table a dependency stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    /// `[dependencies]` or `[build-dependencies]`: what a user of the crate builds.
    Shipped,
    /// `[dev-dependencies]`.
    Development,
}

/// The folder that holds the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    // The value at run time comes first: a target directory may be shared between two clones.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package
        .parent()
        .map_or_else(|| package.clone(), Path::to_path_buf)
}

impl Workspace {
    /// Asks cargo; needs no network, as it does not look at the dependencies' own manifests.
    ///
    /// # Errors
    /// Cargo refuses a manifest, or its answer lacks a field.
    pub(crate) fn load() -> Result<Self> {
        let root = root();
        let mut command = process::cargo(&root);
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        Self::parse(&process::output(&mut command)?)
    }

    fn parse(metadata: &str) -> Result<Self> {
        let metadata: Value =
            serde_json::from_str(metadata).context("`cargo metadata` did not print JSON")?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let packages = list(&metadata, "packages")?
            .iter()
            .map(|package| Package::parse(package, &root))
            .collect::<Result<_>>()?;
        Ok(Self {
            target_directory: PathBuf::from(text(&metadata, "target_directory")?),
            packages,
            root,
        })
    }
}

impl Package {
    fn parse(package: &Value, root: &Path) -> Result<Self> {
        let manifest = Path::new(text(package, "manifest_path")?);
        let features = package["features"]
            .as_object()
            .context("`cargo metadata` gives a package without `features`")?;
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            manifest: manifest
                .strip_prefix(root)
                .unwrap_or(manifest)
                .to_string_lossy()
                .replace('\\', "/"),
            features: features
                .iter()
                .map(|(name, turns_on)| (name.clone(), strings(turns_on)))
                .collect(),
            dependencies: list(package, "dependencies")?
                .iter()
                .map(Dependency::parse)
                .collect::<Result<_>>()?,
            benches: list(package, "targets")?
                .iter()
                .filter(|target| strings(&target["kind"]) == ["bench"])
                .map(|target| Ok(text(target, "name")?.to_owned()))
                .collect::<Result<_>>()?,
        })
    }
}

impl Dependency {
    fn parse(dependency: &Value) -> Result<Self> {
        Ok(Self {
            name: text(dependency, "name")?.to_owned(),
            kind: if dependency["kind"] == "dev" {
                DependencyKind::Development
            } else {
                DependencyKind::Shipped
            },
        })
    }
}

/// The text under `key`.
///
/// # Errors
/// There is none.
pub(crate) fn text<'value>(value: &'value Value, key: &str) -> Result<&'value str> {
    value[key]
        .as_str()
        .with_context(|| format!("`{key}` is missing or not a text"))
}

/// The list under `key`.
///
/// # Errors
/// There is none.
pub(crate) fn list<'value>(value: &'value Value, key: &str) -> Result<&'value Vec<Value>> {
    value[key]
        .as_array()
        .with_context(|| format!("`{key}` is missing or not a list"))
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_workspace_loads_and_knows_this_package() {
        let workspace = Workspace::load().expect("cargo reads the workspace that it built");
        let xtask = workspace
            .packages
            .iter()
            .find(|package| package.name == "xtask")
            .expect("this package is a member");
        assert_eq!(xtask.manifest, "xtask/Cargo.toml");
        assert!(xtask.dependencies.iter().any(|d| d.name == "anyhow"));
    }

    #[test]
    fn a_renamed_dependency_has_its_real_name() {
        let metadata = r#"{
            "workspace_root": "/w", "target_directory": "/w/target",
            "packages": [{
                "name": "a", "manifest_path": "/w/crates/a/Cargo.toml",
                "features": {"full": ["x"]},
                "dependencies": [
                    {"name": "real", "rename": "alias", "kind": null},
                    {"name": "helper", "kind": "dev"}
                ],
                "targets": [{"name": "speed", "kind": ["bench"]}, {"name": "a", "kind": ["lib"]}]
            }]
        }"#;
        let workspace = Workspace::parse(metadata).expect("a small but whole answer");
        let package = &workspace.packages[0];
        assert_eq!(package.manifest, "crates/a/Cargo.toml");
        assert_eq!(package.benches, ["speed"]);
        assert_eq!(package.dependencies[0].name, "real");
        assert_eq!(package.dependencies[0].kind, DependencyKind::Shipped);
        assert_eq!(package.dependencies[1].kind, DependencyKind::Development);
    }
}
