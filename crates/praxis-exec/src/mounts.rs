//! The folders of the host that a container sees: which, where, and that they are the workspace's.

use std::path::{Component, Path, PathBuf};

use crate::{Error, ErrorKind, ToolContract};

/// Where a container finds the contract's folder.
pub(crate) const CONTRACT_DIR: &str = "/praxis/tool";

/// Paths of a container that are the kernel's, the engine's or Praxis's own.
const TAKEN: [&str; 4] = ["/proc", "/sys", "/dev", "/praxis"];

/// A folder or file of the host at a path of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Without symlinks.
    pub(crate) source: PathBuf,
    /// Absolute and plain.
    pub(crate) target: String,
    pub(crate) read_only: bool,
}

/// The contract's folder and its mounts.
///
/// # Errors
/// [`ErrorKind::NotFound`] and [`ErrorKind::Denied`] for a source that is not there or outside of the workspace
/// root and the contract's folder; [`ErrorKind::InvalidContract`] for a target that cannot be one.
pub(crate) fn binds(contract: &ToolContract, root: &Path) -> Result<Vec<Bind>, Error> {
    let real_root = real(root, || format!("the workspace root {}", root.display()))?;
    let dir = contract
        .dir
        .as_deref()
        .map(|dir| real(dir, || format!("the contract's folder {}", dir.display())))
        .transpose()?;
    let mut binds = Vec::new();
    if let Some(dir) = &dir {
        binds.push(Bind {
            source: dir.clone(),
            target: CONTRACT_DIR.to_owned(),
            read_only: true,
        });
    }
    for mount in &contract.mounts {
        let target = target(contract, &mount.target)?;
        let source = source(&mount.source, &real_root, dir.as_deref())?;
        if binds.iter().any(|bind: &Bind| bind.target == target) {
            return Err(contract.invalid(format!("two mounts have the same target {target}")));
        }
        let guard = dir
            .as_deref()
            .filter(|_| !mount.read_only)
            .and_then(|dir| guard(&source, &target, dir));
        let covered = guard.as_ref().is_some_and(|guard| guard.target == target);
        binds.push(Bind {
            source,
            target,
            read_only: mount.read_only || covered,
        });
        binds.extend(guard.filter(|_| !covered));
    }
    Ok(binds)
}

/// Where a container sees a path of the host.
#[cfg(any(test, feature = "docker"))]
pub(crate) fn inside(binds: &[Bind], path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    binds
        .iter()
        .filter(|bind| bind.target != CONTRACT_DIR)
        .find_map(|bind| {
            let rest = path.strip_prefix(&bind.source).ok()?;
            Some(joined(&bind.target, rest))
        })
}

/// What keeps a tool from rewriting its own contract and program through a mount that it may write to.
///
/// It is the entry of the mount that leads to the contract's folder and not that folder itself:
/// a folder in between could be renamed, and another put in its place.
fn guard(source: &Path, target: &str, dir: &Path) -> Option<Bind> {
    let rest = dir.strip_prefix(source).ok()?;
    let entry: PathBuf = rest.components().take(1).collect();
    Some(Bind {
        source: source.join(&entry),
        target: joined(target, &entry),
        read_only: true,
    })
}

fn joined(target: &str, rest: &Path) -> String {
    if rest.as_os_str().is_empty() {
        return target.to_owned();
    }
    format!("{}/{}", target.trim_end_matches('/'), rest.display())
}

fn source(written: &str, root: &Path, dir: Option<&Path>) -> Result<PathBuf, Error> {
    let bases = || [Some(root), dir].into_iter().flatten();
    let places: Vec<PathBuf> = bases().map(|base| base.join(written)).collect();
    let Some(found) = places.iter().find_map(|path| path.canonicalize().ok()) else {
        let looked: Vec<String> = places
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "mount source `{written}` is not there; looked for {}",
                looked.join(" and ")
            ),
        )
        .with_help("a source is a path in the workspace root or in the contract's folder"));
    };
    if !bases().any(|base| found.starts_with(base)) {
        return Err(Error::new(
            ErrorKind::Denied,
            format!(
                "mount source `{written}` is {}, which is outside of the workspace root {}",
                found.display(),
                root.display()
            ),
        )
        .with_help("a tool sees folders of the workspace and of its contract only; copy it there, or choose another root"));
    }
    if found.to_str().is_none() {
        return Err(Error::new(
            ErrorKind::InvalidArguments,
            format!(
                "mount source `{written}` is {found:?}, which is no UTF-8; container engines take no other"
            ),
        ));
    }
    Ok(found)
}

fn target(contract: &ToolContract, written: &str) -> Result<String, Error> {
    let refused =
        |reason: &str| Err(contract.invalid(format!("mount target `{written}` {reason}")));
    let path = Path::new(written);
    if !path.is_absolute() {
        return refused("is not absolute; it is a path in the container, such as /data");
    }
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.components().all(plain) || written.contains('\0') {
        return refused("has a `..` or a NUL in it");
    }
    let clean: PathBuf = path.components().collect();
    if clean == Path::new("/") {
        return refused("is the whole root file system; name a folder in it, such as /data");
    }
    if let Some(taken) = TAKEN.iter().find(|taken| clean.starts_with(taken)) {
        return refused(&format!("is in {taken}, which is not for mounts"));
    }
    Ok(clean.display().to_string())
}

pub(crate) fn real(path: &Path, what: impl Fn() -> String) -> Result<PathBuf, Error> {
    let found = path.canonicalize().map_err(|source| {
        Error::new(
            ErrorKind::NotFound,
            format!("{} cannot be reached: {source}", what()),
        )
        .with_source(source)
    })?;
    if !found.is_dir() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{} is no folder", what()),
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Mount;

    fn mount(source: &str, target: &str) -> Mount {
        Mount {
            source: source.to_owned(),
            target: target.to_owned(),
            read_only: false,
        }
    }

    #[test]
    fn a_mount_is_confined_and_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (root, outside) = (base.join("root"), base.join("outside"));
        let tool = root.join("tools/x");
        fs::create_dir_all(&tool).unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        symlink(&outside, root.join("link")).unwrap();
        symlink(root.join("data"), root.join("near")).unwrap();
        let mut contract = ToolContract::new("t");
        contract.dir = Some(tool);
        let check = |source: &str,
                     target: &str,
                     expect: Result<&[(&str, &str, bool)], ErrorKind>| {
            let mut contract = contract.clone();
            contract.mounts = vec![mount(source, target)];
            let found = binds(&contract, &root).map(|binds| {
                let shown = binds.into_iter().skip(1).map(|bind| {
                    let source = bind
                        .source
                        .strip_prefix(&root)
                        .unwrap()
                        .display()
                        .to_string();
                    (source, bind.target, bind.read_only)
                });
                shown.collect::<Vec<_>>()
            });
            let found = found.map_err(|error| error.kind());
            let expect = expect.map(|list| {
                let owned = |(a, b, c): &(&str, &str, bool)| ((*a).to_owned(), (*b).to_owned(), *c);
                list.iter().map(owned).collect::<Vec<_>>()
            });
            assert_eq!(found, expect, "{source}:{target}");
        };
        check("data", "/data/", Ok(&[("data", "/data", false)]));
        check("./near", "/data", Ok(&[("data", "/data", false)]));
        check(
            ".",
            "/w",
            Ok(&[("", "/w", false), ("tools", "/w/tools", true)]),
        );
        check(
            "./tools",
            "/s/t",
            Ok(&[("tools", "/s/t", false), ("tools/x", "/s/t/x", true)]),
        );
        check("tools/x", "/x", Ok(&[("tools/x", "/x", true)]));
        check("none", "/x", Err(ErrorKind::NotFound));
        check("..", "/x", Err(ErrorKind::Denied));
        check("../outside", "/x", Err(ErrorKind::Denied));
        check("link", "/x", Err(ErrorKind::Denied));
        check("/etc", "/x", Err(ErrorKind::Denied));
        check("/proc/self/root", "/x", Err(ErrorKind::Denied));
        for target in [
            "x",
            "/",
            "/a/../b",
            "/proc",
            "/dev/shm",
            "/praxis/tool",
            "/sys/fs",
            "",
        ] {
            check("data", target, Err(ErrorKind::InvalidContract));
        }
        let binds = vec![Bind {
            source: root.clone(),
            target: "/w".to_owned(),
            read_only: false,
        }];
        assert_eq!(
            inside(&binds, &root.join("near")),
            Some("/w/data".to_owned())
        );
        assert_eq!(inside(&binds, &outside), None);
    }
}
