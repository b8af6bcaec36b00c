//! What may be depended on: `deny.toml`, held without cargo-deny.
//!
//! cargo-deny takes minutes to build, and a fresh machine has none.
//! So the part of its configuration that this project uses is read here as well, against the same
//! `cargo metadata`; a key that only cargo-deny understands is reported, never passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};
use toml::Table;

use super::{Problem, tree::Tree};
use crate::process;
use crate::workspace::{list, text};

const DENY: &str = "deny.toml";

/// How cargo names its default registry, whichever index a machine really asks.
const DEFAULT_REGISTRY: &str = "registry+https://github.com/rust-lang/";

/// Keys that are held here, and keys that only change how cargo-deny reports.
const UNDERSTOOD: &[(&str, &[&str])] = &[
    (
        "licenses",
        &[
            "allow",
            "exceptions",
            "confidence-threshold",
            "unused-allowed-license",
        ],
    ),
    (
        "bans",
        &[
            "multiple-versions",
            "wildcards",
            "allow-wildcard-paths",
            "deny",
            "highlight",
        ],
    ),
    ("sources", &["unknown-registry", "unknown-git", "allow-git"]),
];

/// Compares every package that the workspace can pull in with `deny.toml`.
///
/// # Errors
/// `deny.toml` is missing or not TOML, or cargo cannot tell the dependencies.
pub(super) fn check(tree: &Tree, root: &Path) -> Result<Vec<Problem>> {
    let deny = tree.text(DENY).context("deny.toml is missing")?;
    let policy = Policy::parse(deny)?;
    let mut command = process::cargo(root);
    command.args(["metadata", "--all-features", "--format-version", "1"]);
    for target in &policy.targets {
        command.args(["--filter-platform", target]);
    }
    let metadata = process::output(&mut command)
        .context("cargo could not list the dependencies; it may need to download some manifests")?;
    let packages = packages(&metadata)?;
    Ok(policy.judge(&packages))
}

/// The part of `deny.toml` that is held here.
#[derive(Debug)]
struct Policy {
    targets: Vec<String>,
    licences: Vec<Licensee>,
    /// Licences that one package may have besides.
    exceptions: BTreeMap<String, Vec<Licensee>>,
    banned: BTreeMap<String, String>,
    multiple_versions: Level,
    wildcards: Level,
    wildcard_paths: bool,
    unknown_registry: Level,
    unknown_git: Level,
    allowed_git: Vec<String>,
    /// What was wrong with the file itself.
    problems: Vec<Problem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Allow,
    Warn,
    Deny,
}

impl Level {
    fn problem(self, place: &str, message: String) -> Option<Problem> {
        match self {
            Self::Allow => None,
            Self::Warn => Some(Problem::warning(place, message)),
            Self::Deny => Some(Problem::error(place, message)),
        }
    }
}

impl Policy {
    fn parse(deny: &str) -> Result<Self> {
        let deny: Table = deny.parse().context("deny.toml is not TOML")?;
        let empty = Table::new();
        let section = |name: &str| {
            deny.get(name)
                .and_then(toml::Value::as_table)
                .unwrap_or(&empty)
        };
        let (licences, bans, sources) = (section("licenses"), section("bans"), section("sources"));

        let mut problems = Vec::new();
        for (name, keys) in UNDERSTOOD {
            for key in section(name)
                .keys()
                .filter(|key| !keys.contains(&key.as_str()))
            {
                problems.push(Problem::warning(
                    DENY,
                    format!(
                        "only cargo-deny holds `{name}.{key}`; `cargo xtask tidy` does not know it"
                    ),
                ));
            }
        }
        let mut exceptions = BTreeMap::new();
        for entry in entries(licences, "exceptions") {
            let allow = entry.as_table().map(|table| licensees(table, "allow"));
            exceptions.insert(package_name(entry)?, allow.transpose()?.unwrap_or_default());
        }
        let mut banned = BTreeMap::new();
        for entry in entries(bans, "deny") {
            let reason = entry.get("reason").and_then(toml::Value::as_str);
            banned.insert(
                package_name(entry)?,
                reason.unwrap_or("it is banned").to_owned(),
            );
        }
        Ok(Self {
            targets: strings(section("graph"), "targets"),
            licences: licensees(licences, "allow")?,
            exceptions,
            banned,
            multiple_versions: level(bans, "multiple-versions", Level::Warn)?,
            wildcards: level(bans, "wildcards", Level::Allow)?,
            wildcard_paths: bans
                .get("allow-wildcard-paths")
                .and_then(toml::Value::as_bool)
                == Some(true),
            unknown_registry: level(sources, "unknown-registry", Level::Warn)?,
            unknown_git: level(sources, "unknown-git", Level::Warn)?,
            allowed_git: strings(sources, "allow-git"),
            problems,
        })
    }

    fn judge(mut self, packages: &[Package]) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.problems);
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for package in packages {
            versions
                .entry(&package.name)
                .or_default()
                .insert(&package.version);
            problems.extend(self.licence(package));
            problems.extend(self.source(package));
            if let Some(reason) = self.banned.get(&package.name) {
                problems.push(Problem::error(
                    package.place(),
                    format!("is banned: {reason}"),
                ));
            }
            for wildcard in package
                .wildcards
                .iter()
                .filter(|w| !(w.path && self.wildcard_paths))
            {
                problems.extend(self.wildcards.problem(
                    &package.place(),
                    format!("takes any version of `{}`; name one", wildcard.name),
                ));
            }
        }
        for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
            let listed = versions.iter().copied().collect::<Vec<_>>().join(", ");
            problems.extend(self.multiple_versions.problem(
                name,
                format!("is built in {} versions: {listed}", versions.len()),
            ));
        }
        problems
    }

    fn licence(&self, package: &Package) -> Option<Problem> {
        let Some(written) = &package.licence else {
            return Some(Problem::error(package.place(), "states no licence"));
        };
        let expression = match Expression::parse_mode(written, ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => {
                let message = format!("its licence `{written}` cannot be read: {}", error.reason);
                return Some(Problem::error(package.place(), message));
            }
        };
        let besides = self
            .exceptions
            .get(&package.name)
            .map_or(&[][..], Vec::as_slice);
        let allowed = expression.evaluate(|requirement| {
            self.licences
                .iter()
                .chain(besides)
                .any(|licensee| licensee.satisfies(requirement))
        });
        (!allowed).then(|| {
            Problem::error(
                package.place(),
                format!("its licence `{written}` is not among those that deny.toml allows"),
            )
        })
    }

    fn source(&self, package: &Package) -> Option<Problem> {
        let source = package.source.as_deref()?;
        if source.starts_with(DEFAULT_REGISTRY) {
            return None;
        }
        match source.strip_prefix("git+") {
            Some(url) => {
                let url = url.split(['?', '#']).next().unwrap_or(url);
                if self.allowed_git.iter().any(|allowed| allowed == url) {
                    return None;
                }
                self.unknown_git
                    .problem(&package.place(), format!("comes from the repository {url}"))
            }
            None => self.unknown_registry.problem(
                &package.place(),
                format!("comes from another registry: {source}"),
            ),
        }
    }
}

/// A package that the workspace can pull in.
#[derive(Debug, Clone)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// Nothing for a member of the workspace.
    source: Option<String>,
    /// Dependencies of a member that state no version.
    wildcards: Vec<Wildcard>,
}

#[derive(Debug, Clone)]
struct Wildcard {
    name: String,
    path: bool,
}

impl Package {
    fn place(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

fn packages(metadata: &str) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_str(metadata).context("cargo did not print JSON")?;
    let mut packages = Vec::new();
    for package in list(&metadata, "packages")? {
        let source = package["source"].as_str().map(str::to_owned);
        let dependencies = list(package, "dependencies")?;
        packages.push(Package {
            name: text(package, "name")?.to_owned(),
            version: text(package, "version")?.to_owned(),
            licence: package["license"].as_str().map(str::to_owned),
            wildcards: dependencies
                .iter()
                .filter(|dependency| source.is_none() && dependency["req"] == "*")
                .map(|dependency| {
                    Ok(Wildcard {
                        name: text(dependency, "name")?.to_owned(),
                        path: dependency["path"].is_string(),
                    })
                })
                .collect::<Result<_>>()?,
            source,
        });
    }
    Ok(packages)
}

fn entries<'table>(table: &'table Table, key: &str) -> &'table [toml::Value] {
    table
        .get(key)
        .and_then(toml::Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn strings(table: &Table, key: &str) -> Vec<String> {
    entries(table, key)
        .iter()
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn licensees(table: &Table, key: &str) -> Result<Vec<Licensee>> {
    strings(table, key)
        .iter()
        .map(|written| {
            Licensee::parse(written)
                .with_context(|| format!("deny.toml allows `{written}`, which is no SPDX licence"))
        })
        .collect()
}

/// The package that an entry is about, written `"name"`, `{ crate = "name" }` or `{ name = "name" }`.
fn package_name(entry: &toml::Value) -> Result<String> {
    let named = entry
        .get("crate")
        .or_else(|| entry.get("name"))
        .unwrap_or(entry);
    let name = named
        .as_str()
        .with_context(|| format!("deny.toml has an entry that names no crate: {entry:?}"))?;
    anyhow::ensure!(
        !name.contains(['@', ':']),
        "deny.toml names a version in `{name}`, which only cargo-deny understands; name the crate"
    );
    Ok(name.to_owned())
}

fn level(table: &Table, key: &str, default: Level) -> Result<Level> {
    match table
        .get(key)
        .map(|value| value.as_str().unwrap_or_default())
    {
        None => Ok(default),
        Some("allow") => Ok(Level::Allow),
        Some("warn") => Ok(Level::Warn),
        Some("deny") => Ok(Level::Deny),
        Some(other) => {
            anyhow::bail!("deny.toml sets `{key}` to `{other}`, not to allow, warn or deny")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Severity;

    const SAMPLE: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
        exceptions = [{ crate = "odd", allow = ["MPL-2.0"] }]
        [bans]
        multiple-versions = "warn"
        wildcards = "deny"
        allow-wildcard-paths = true
        deny = [{ crate = "openssl", reason = "use rustls" }]
        [sources]
        unknown-registry = "deny"
        unknown-git = "deny"
        allow-git = ["https://example.org/known"]
    "#;

    fn package(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            source: Some(format!("{DEFAULT_REGISTRY}index")),
            wildcards: Vec::new(),
        }
    }

    fn judged(packages: &[Package]) -> Vec<Problem> {
        Policy::parse(SAMPLE)
            .expect("a valid sample")
            .judge(packages)
    }

    #[test]
    fn licences_are_read_as_expressions() {
        let check = |name: &str, licence: Option<&str>, allowed: bool| {
            let licence = licence.map(str::to_owned);
            let found = judged(&[Package {
                licence,
                ..package(name)
            }]);
            assert_eq!(found.is_empty(), allowed, "{name}: {found:?}");
        };
        check("a", Some("MIT"), true);
        check("a", Some("MIT OR GPL-3.0-only"), true);
        check("a", Some("GPL-3.0-only OR (MIT AND Apache-2.0)"), true);
        check("a", Some("Apache-2.0 WITH LLVM-exception"), true);
        check("a", Some("MIT/Apache-2.0"), true);
        check("odd", Some("MPL-2.0"), true);

        check("a", Some("GPL-3.0-only"), false);
        check("a", Some("MIT AND GPL-3.0-only"), false);
        check("a", Some("MPL-2.0"), false);
        check("a", Some("MIT WITH LLVM-exception"), false);
        check("a", Some("free as in beer"), false);
        check("a", None, false);
    }

    #[test]
    fn banned_crates_are_refused_with_their_reason() {
        let found = judged(&[package("openssl")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.contains("use rustls"), "{found:?}");
        assert_eq!(judged(&[package("openssl-probe")]), []);
    }

    #[test]
    fn a_dependency_states_its_version_unless_it_is_a_path() {
        let check = |path: bool, expected: usize| {
            let wildcards = vec![Wildcard {
                name: "b".to_owned(),
                path,
            }];
            let found = judged(&[Package {
                wildcards,
                ..package("a")
            }]);
            assert_eq!(found.len(), expected, "{found:?}");
        };
        check(true, 0);
        check(false, 1);
    }

    #[test]
    fn two_versions_of_a_crate_are_a_warning() {
        let newer = Package {
            version: "2.0.0".to_owned(),
            ..package("a")
        };
        let found = judged(&[package("a"), newer]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Warning);
        assert_eq!(judged(&[package("a"), package("b")]), []);
    }

    #[test]
    fn sources_are_the_default_registry_members_and_known_repositories() {
        let check = |source: Option<&str>, allowed: bool| {
            let source = source.map(str::to_owned);
            let found = judged(&[Package {
                source: source.clone(),
                ..package("a")
            }]);
            assert_eq!(found.is_empty(), allowed, "{source:?}: {found:?}");
        };
        check(None, true);
        check(Some("git+https://example.org/known?rev=1#1"), true);
        check(Some("git+https://example.org/unknown#1"), false);
        check(Some("registry+https://example.org/index"), false);
        check(Some("sparse+https://example.org/index/"), false);
    }

    #[test]
    fn what_only_cargo_deny_understands_is_said() {
        let deny = format!("{SAMPLE}\n[licenses.private]\nignore = true");
        let policy = Policy::parse(&deny).expect("a valid sample");
        assert_eq!(policy.problems.len(), 1, "{:?}", policy.problems);
        let refused = |deny: &str| Policy::parse(deny).expect_err(deny).to_string();
        assert!(refused("[bans]\ndeny = [\"a@1\"]").contains("a@1"));
        assert!(refused("[bans]\nwildcards = \"maybe\"").contains("maybe"));
        assert!(refused("[licenses]\nallow = [\"beer\"]").contains("beer"));
    }

    #[test]
    fn the_project_s_own_file_is_understood_in_full() {
        let path = crate::workspace::root().join(DENY);
        let deny = std::fs::read_to_string(path).expect("deny.toml stands at the root");
        let policy = Policy::parse(&deny).expect("deny.toml is valid");
        assert_eq!(policy.problems, []);
        assert_eq!(policy.unknown_git, Level::Deny);
        assert!(policy.banned.contains_key("openssl"));
        assert!(
            !policy.targets.is_empty(),
            "so that cargo lists only platforms that are supported"
        );
    }
}
