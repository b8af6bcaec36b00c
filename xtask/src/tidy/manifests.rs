//! Members share versions, lints and metadata, and each has a page in `docs/`.

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::{Problem, tree::Tree};

const TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks every manifest of a member and the root's.
///
/// # Errors
/// A manifest is not TOML.
pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let root = parse(tree, "Cargo.toml")?;
    let mut problems = Vec::new();
    let mut inherited = Vec::new();
    for (path, _) in tree.texts_ending("/Cargo.toml") {
        let manifest = parse(tree, path)?;
        // A package inside a crate, such as a fuzz target, is a workspace of its own.
        if manifest.contains_key("workspace") {
            continue;
        }
        problems.extend(member(tree, path, &manifest, &root));
        inherited.extend(dependencies(&manifest).map(|(name, _)| name.to_owned()));
    }
    let shared = root.get("workspace").and_then(|w| w.get("dependencies"));
    for name in shared
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::keys)
    {
        if !inherited.contains(name) {
            problems.push(Problem::warning(
                "Cargo.toml",
                format!("no member uses `{name}` of [workspace.dependencies]"),
            ));
        }
    }
    Ok(problems)
}

fn parse(tree: &Tree, path: &str) -> Result<Table> {
    tree.text(path)
        .with_context(|| format!("{path} is missing"))?
        .parse()
        .with_context(|| format!("{path} is not a manifest"))
}

fn member(tree: &Tree, path: &str, manifest: &Table, root: &Table) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |message: String| problems.push(Problem::error(path, message));
    let package = manifest.get("package");
    let name = package.and_then(|p| p.get("name")).and_then(Value::as_str);
    let name = name.unwrap_or_default();

    if let Some(inner) = path.strip_prefix("crates/") {
        let folder = inner.trim_end_matches("/Cargo.toml");
        if folder != name {
            wrong(format!(
                "package `{name}` stands in crates/{folder}; name the folder crates/{name}"
            ));
        }
        let page = format!("docs/{}.md", name.trim_start_matches("praxis-"));
        if !tree.has(&page) {
            wrong(format!("`{name}` has no page {page}"));
        }
    }
    let lints = manifest.get("lints");
    if lints.is_none_or(|lints| lints.get("workspace") != Some(&Value::Boolean(true))) {
        wrong("write `[lints] workspace = true`, so that the shared lints hold here".to_owned());
    }
    let published = package.and_then(|package| package.get("publish"));
    let shared = root
        .get("workspace")
        .and_then(|workspace| workspace.get("package"))
        .and_then(|package| package.get("publish"));
    let unpublished = match published {
        Some(Value::Table(table)) if table.contains_key("workspace") => {
            shared == Some(&Value::Boolean(false))
        }
        own => own == Some(&Value::Boolean(false)),
    };
    if !unpublished {
        wrong(
            "write `publish.workspace = true`, which is false for as long as names are open"
                .to_owned(),
        );
    }
    for (dependency, entry) in dependencies(manifest) {
        let inherits = entry.get("workspace") == Some(&Value::Boolean(true));
        if !inherits {
            wrong(format!(
                "`{dependency}` has a version or a path of its own; move that to \
                 [workspace.dependencies] and write `{dependency}.workspace = true`"
            ));
        }
    }
    problems
}

/// Every dependency of the manifest, those for one platform among them.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&str, &Value)> {
    let platforms = manifest.get("target").and_then(Value::as_table);
    platforms
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table)
        .chain([manifest])
        .flat_map(|place| TABLES.iter().filter_map(|table| place.get(*table)))
        .filter_map(Value::as_table)
        .flatten()
        .map(|(name, entry)| (name.as_str(), entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Severity;

    const ROOT: &str =
        "[workspace.package]\npublish = false\n[workspace.dependencies]\nserde = \"1\"\n";
    const GOOD: &str = "[package]\nname = \"praxis-a\"\npublish.workspace = true\n\
                        [lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n";

    fn messages(manifest: &str, path: &str, page: &str) -> Vec<String> {
        let tree = Tree::of(&[("Cargo.toml", ROOT), (path, manifest), (page, "")]);
        check(&tree)
            .expect("the samples are TOML")
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| problem.message.clone())
            .collect()
    }

    #[test]
    fn a_good_manifest_passes_and_each_slip_is_one_error() {
        let path = "crates/praxis-a/Cargo.toml";
        assert_eq!(messages(GOOD, path, "docs/a.md"), [""; 0]);
        let check = |from: &str, to: &str, expected: &str| {
            assert!(GOOD.contains(from), "the sample has no {from:?}");
            let found = messages(&GOOD.replace(from, to), path, "docs/a.md");
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(expected), "{found:?}");
        };
        check(
            "[lints]\nworkspace = true",
            "[lints.rust]\ndead_code = \"warn\"",
            "[lints]",
        );
        check("[lints]\nworkspace = true\n", "", "[lints]");
        check("publish.workspace = true", "publish = true", "publish");
        check("publish.workspace = true\n", "", "publish");
        check("serde.workspace = true", "serde = \"1.0\"", "`serde`");
        check(
            "serde.workspace = true",
            "serde = { path = \"../x\" }",
            "`serde`",
        );
        check(
            "[dependencies]\nserde.workspace",
            "[target.'cfg(unix)'.dev-dependencies]\nx = \"1\"\n[dependencies]\nserde.workspace",
            "`x`",
        );
    }

    #[test]
    fn the_folder_is_named_as_the_package_and_the_page_is_there() {
        let found = messages(GOOD, "crates/other/Cargo.toml", "docs/a.md");
        assert!(found[0].contains("crates/praxis-a"), "{found:?}");
        let found = messages(GOOD, "crates/praxis-a/Cargo.toml", "docs/b.md");
        assert_eq!(found, ["`praxis-a` has no page docs/a.md"]);
        let nested = messages(GOOD, "crates/group/praxis-a/Cargo.toml", "docs/a.md");
        assert_eq!(nested.len(), 1, "crates stand one level deep: {nested:?}");
    }

    #[test]
    fn a_shared_version_that_nobody_uses_is_a_warning() {
        let tree = Tree::of(&[("Cargo.toml", ROOT)]);
        let problems = check(&tree).expect("the sample is TOML");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].severity, Severity::Warning);
    }
}
