//! The ratios that the benches answer for name benches that exist.

use anyhow::Result;

use super::{Problem, tree::Tree};
use crate::bench::ratio::{self, BENCH_PACKAGE, RATIOS};
use crate::workspace::Workspace;

/// Checks `benches/ratios.json`, if there is one.
///
/// # Errors
/// None so far: a file that cannot be read is a problem of its own.
pub(super) fn check(tree: &Tree, workspace: &Workspace) -> Result<Vec<Problem>> {
    let Some(text) = tree.text(RATIOS) else {
        return Ok(Vec::new());
    };
    let ratios = match ratio::parse(text) {
        Ok(ratios) => ratios,
        Err(error) => return Ok(vec![Problem::error(RATIOS, format!("{error:#}"))]),
    };
    let benches: Vec<&str> = workspace
        .packages
        .iter()
        .filter(|package| package.name == BENCH_PACKAGE)
        .flat_map(|package| package.benches.iter().map(String::as_str))
        .collect();
    Ok(ratios
        .iter()
        .filter(|ratio| !benches.contains(&ratio.bench.as_str()))
        .map(|ratio| {
            Problem::error(
                RATIOS,
                format!(
                    "ratio `{}` is of the bench `{}`, which {BENCH_PACKAGE} does not have; it has: {}",
                    ratio.name,
                    ratio.bench,
                    benches.join(", ")
                ),
            )
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::workspace::Package;

    #[test]
    fn a_ratio_names_a_bench_that_exists() {
        let workspace = Workspace {
            root: PathBuf::new(),
            target_directory: PathBuf::new(),
            packages: vec![Package {
                name: BENCH_PACKAGE.to_owned(),
                benches: vec!["cache".to_owned()],
                ..Package::default()
            }],
        };
        let check = |text: &str, expected: usize| {
            let found = check(&Tree::of(&[(RATIOS, text)]), &workspace).expect("no error so far");
            assert_eq!(found.len(), expected, "{text}: {found:?}");
        };
        let row = |bench: &str| {
            format!(
                r#"[{{"name": "a", "bench": "{bench}", "numerator": "x", "denominator": "y"}}]"#
            )
        };
        check(&row("cache"), 0);
        check(&row("cash"), 1);
        check("not JSON", 1);
        check(r#"[{"name": "a"}]"#, 1);
    }
}
