//! Nothing that is tracked depends on one machine, one network or one platform's line ends.

use super::{Problem, tree::Tree};

/// Folders that exist on the machine of whoever wrote the path.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
];

/// Where packages come from is the client's setting, never the project's.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npm", "js.org"),
    concat!("npm", "js.com"),
    concat!("deb.debian", ".org"),
    concat!("proxy.golang", ".org"),
];

/// Looks at every text file, one line at a time.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts() {
        // A test of the parser may well be about other line ends.
        if !path.contains("/fixtures/")
            && !path.starts_with("fuzz/seeds/")
            && let Some(at) = text.find("\r\n")
        {
            let line = text[..at].matches('\n').count() + 1;
            problems.push(Problem::error(
                format!("{path}:{line}"),
                "the line ends with CR LF; end lines with LF only",
            ));
        }
        for (index, line) in text.lines().enumerate() {
            for folder in MACHINE_FOLDERS {
                if has_path(line, folder) {
                    problems.push(Problem::error(
                        format!("{path}:{}", index + 1),
                        format!("`{folder}` is a folder of one machine; write a relative path"),
                    ));
                }
            }
            // Cargo itself writes the registry's index into the lock file.
            for host in REGISTRY_HOSTS
                .iter()
                .filter(|_| !path.ends_with("Cargo.lock"))
            {
                if line.contains(host) {
                    problems.push(Problem::error(
                        format!("{path}:{}", index + 1),
                        format!("`{host}` is a package registry; name the package, not its host"),
                    ));
                }
            }
        }
    }
    problems
}

/// Whether `line` has an absolute path that starts with `folder`.
fn has_path(line: &str, folder: &str) -> bool {
    let within = |c: char| c.is_alphanumeric() || "_.-/~$}*".contains(c);
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(within))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn line_ends_are_lf() {
        let tree = Tree::of(&[
            ("a.rs", "one\ntwo\r\nthree\r\n"),
            ("b.rs", "one\ntwo\n"),
            ("crates/x/tests/fixtures/c.txt", "one\r\n"),
        ]);
        assert_eq!(places(&check(&tree)), ["a.rs:2"]);
    }

    #[test]
    fn paths_of_one_machine_are_refused() {
        for folder in MACHINE_FOLDERS {
            for bad in [
                format!("cd {folder}me"),
                format!("\"{folder}me\""),
                format!("{folder}me"),
            ] {
                assert_eq!(
                    places(&check(&Tree::of(&[("a.sh", &bad)]))),
                    ["a.sh:1"],
                    "{bad}"
                );
            }
            for good in [
                format!("src{folder}me"),
                format!("${{HOME}}{folder}me"),
                format!("https://a.org{folder}"),
            ] {
                assert_eq!(check(&Tree::of(&[("a.sh", &good)])), [], "{good}");
            }
        }
    }

    #[test]
    fn registry_hosts_stand_only_in_the_lock_file() {
        for host in REGISTRY_HOSTS {
            let line = format!("one\nregistry = \"https://{host}/x\"\n");
            assert_eq!(
                places(&check(&Tree::of(&[("a.toml", &line)]))),
                ["a.toml:2"]
            );
            assert_eq!(check(&Tree::of(&[("Cargo.lock", &line)])), []);
        }
    }
}
