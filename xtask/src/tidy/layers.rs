//! Edges between the workspace's packages point down only, and each is on purpose.
//!
//! The picture that these tables hold is in `docs/architecture.md`.
//! A dependency that has no row fails, and so does a row that no dependency uses: a third kind of
//! change, a wider edge, is then always seen in review.

use crate::workspace::{DependencyKind, Workspace};

use super::Problem;

/// From, to. Real package names, whatever a manifest calls them.
type Edge = (&'static str, &'static str);

/// What a user of the upper package builds with it.
const SHIPPED: &[Edge] = &[
    ("praxis-dsl", "praxis-cache"),
    ("praxis-exec", "praxis-worker"),
    ("praxis-workflow", "praxis-dsl"),
    ("praxis-agent", "praxis-cache"),
    ("praxis-agent", "praxis-dsl"),
    ("praxis-agent", "praxis-exec"),
    ("praxis-agent", "praxis-workflow"),
    ("praxis-exec", "praxis-worker"),
    ("praxis-benches", "praxis-cache"),
    ("praxis-benches", "praxis-dsl"),
    ("praxis-benches", "praxis-exec"),
    ("praxis-benches", "praxis-workflow"),
];

/// What only the upper package's own tests, examples and benches see.
const DEVELOPMENT: &[Edge] = &[];

/// Compares the dependencies between members with the tables.
pub(super) fn check(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = compare(workspace, DependencyKind::Shipped, "SHIPPED", SHIPPED);
    problems.extend(compare(
        workspace,
        DependencyKind::Development,
        "DEVELOPMENT",
        DEVELOPMENT,
    ));
    problems
}

fn compare(
    workspace: &Workspace,
    kind: DependencyKind,
    table: &str,
    allowed: &[Edge],
) -> Vec<Problem> {
    let member = |name: &str| {
        workspace
            .packages
            .iter()
            .any(|package| package.name == name)
    };
    let mut used = Vec::new();
    let mut problems = Vec::new();
    for package in &workspace.packages {
        for dependency in &package.dependencies {
            if dependency.kind != kind || !member(&dependency.name) {
                continue;
            }
            let edge = (package.name.as_str(), dependency.name.as_str());
            if allowed.contains(&edge) {
                used.push(edge);
            } else {
                problems.push(Problem::error(
                    &package.manifest,
                    format!(
                        "{} depends on {}, which no row of {table} in xtask/src/tidy/layers.rs \
                         allows; reach it through a trait that {} owns, or add the row and say why",
                        edge.0, edge.1, edge.0
                    ),
                ));
            }
        }
    }
    for (from, to) in allowed.iter().filter(|edge| !used.contains(edge)) {
        problems.push(Problem::error(
            "xtask/src/tidy/layers.rs",
            format!("{table} allows {from} to depend on {to}, which it does not; remove the row"),
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::workspace::{Dependency, Package};

    #[test]
    fn the_workspace_keeps_its_layers() {
        let workspace = Workspace::load().expect("cargo reads the workspace that it built");
        let problems: Vec<String> = check(&workspace).iter().map(Problem::to_string).collect();
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    /// Writes `upper -> lower` as a dependency and `upper ~> lower` as a dev-dependency.
    fn workspace(edges: &[&str]) -> Workspace {
        let package = |name: &str| Package {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            ..Package::default()
        };
        let mut packages = vec![package("upper"), package("lower")];
        for edge in edges {
            let words: Vec<&str> = edge.split(' ').collect();
            let kind = match words[1] {
                "->" => DependencyKind::Shipped,
                _ => DependencyKind::Development,
            };
            packages
                .iter_mut()
                .find(|package| package.name == words[0])
                .expect("the edge starts at a member")
                .dependencies
                .push(Dependency {
                    name: words[2].to_owned(),
                    kind,
                });
        }
        Workspace {
            root: PathBuf::new(),
            target_directory: PathBuf::new(),
            packages,
        }
    }

    #[test]
    fn a_missing_row_an_unused_row_and_the_wrong_table_fail() {
        let row: &[Edge] = &[("upper", "lower")];
        let check = |edges: &[&str], shipped: &[Edge], development: &[Edge], expected: usize| {
            let workspace = workspace(edges);
            let mut problems = compare(&workspace, DependencyKind::Shipped, "S", shipped);
            problems.extend(compare(
                &workspace,
                DependencyKind::Development,
                "D",
                development,
            ));
            assert_eq!(problems.len(), expected, "{edges:?}: {problems:?}");
        };
        check(&["upper -> lower"], row, &[], 0);
        check(&["upper ~> lower"], &[], row, 0);
        check(&["upper -> lower", "upper ~> lower"], row, row, 0);
        check(&["upper -> elsewhere"], &[], &[], 0);

        check(&["upper -> lower"], &[], &[], 1);
        check(&["lower -> upper"], &[], &[], 1);
        check(&[], row, &[], 1);
        check(&["upper ~> lower"], row, &[], 2);
    }

    #[test]
    fn the_message_names_both_packages_and_the_way_out() {
        let problems = compare(
            &workspace(&["lower -> upper"]),
            DependencyKind::Shipped,
            "SHIPPED",
            &[],
        );
        let message = problems[0].to_string();
        assert!(message.contains("crates/lower/Cargo.toml"), "{message}");
        assert!(message.contains("lower depends on upper"), "{message}");
        assert!(message.contains("add the row"), "{message}");
    }
}
