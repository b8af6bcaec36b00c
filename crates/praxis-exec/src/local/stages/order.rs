//! The order for a stage: what it starts, and what a sandbox shows.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use praxis_worker::staging::{Bind, Order};

use super::super::Level;
use super::super::program::Launch;
use super::keeper;
use crate::mounts::{self, CONTRACT_DIR};
use crate::{EffectClass, Error, ErrorKind, Request};

pub(super) fn order(
    level: Level,
    launch: &Launch,
    request: &Request<'_>,
    file_bytes: u64,
) -> Result<Order, Error> {
    let root = absolute(request.root)?;
    let mut order = Order {
        program: launch.program.clone().into(),
        words: launch.words.clone(),
        variables: launch
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        folder: root.into(),
        binds: Vec::new(),
        file_bytes,
    };
    if level == Level::Sandbox {
        order.binds = binds(request)?;
        order.program = absolute(&launch.program)?.into();
        let fixed = request
            .contract
            .env
            .iter()
            .any(|(name, _)| name == "TMPDIR");
        // The folder that the machine has for temporary files is not in the sandbox.
        for (name, value) in order.variables.iter_mut().filter(|_| !fixed) {
            if name == "TMPDIR" {
                *value = "/tmp".into();
            }
        }
    }
    Ok(order)
}

/// The order as a file that a stage can read.
pub(super) fn in_memory(order: &[u8]) -> Result<OwnedFd, Error> {
    let file = keeper::in_memory("praxis-order", order, false);
    file.map(File::into).map_err(|source| {
        Error::new(ErrorKind::Io, format!("cannot write its order: {source}")).with_source(source)
    })
}

/// What a sandbox shows of the machine, beside programs: the workspace, the contract's folder and its mounts.
fn binds(request: &Request<'_>) -> Result<Vec<Bind>, Error> {
    let contract = request.contract;
    // The workspace of a tool that says it does not write is not there to be written to.
    let reads = matches!(
        contract.effects.class,
        EffectClass::Pure | EffectClass::Read
    );
    let read_only = reads || request.limits.read_only == Some(true);
    let given = mounts::binds(contract, request.root)?;
    let root = mounts::real(request.root, || {
        format!("the workspace root {}", request.root.display())
    })?;
    let mut binds = Vec::new();
    let mut show = |source: &Path, target: &Path, read_only: bool| {
        binds.push(Bind {
            source: source.into(),
            target: target.into(),
            read_only,
        });
    };
    // A tool is told the path that the caller gave, and may find the one without symlinks by itself.
    let paths = |path: &Path, real: &Path| -> Result<Vec<PathBuf>, Error> {
        let written = absolute(path)?;
        let mut paths = vec![real.to_owned()];
        if written != real {
            paths.push(written);
        }
        Ok(paths)
    };
    let dir = contract.dir.as_deref();
    let real_dir = given
        .iter()
        .find(|bind| bind.target == CONTRACT_DIR)
        .map(|bind| bind.source.clone());
    for path in paths(request.root, &root)? {
        show(&root, &path, read_only);
        // The entry of the workspace that leads to the contract's folder, and not that folder itself:
        // a folder in between could be renamed, and another put in its place.
        if let Some(rest) = real_dir
            .as_deref()
            .and_then(|dir| dir.strip_prefix(&root).ok())
        {
            let entry: PathBuf = rest.components().take(1).collect();
            show(&root.join(&entry), &path.join(&entry), true);
        }
    }
    if let (Some(dir), Some(real)) = (dir, &real_dir) {
        for path in paths(dir, real)? {
            if !path.starts_with(&root) {
                show(real, &path, true);
            }
        }
    }
    for bind in given.iter().filter(|bind| bind.target != CONTRACT_DIR) {
        show(&bind.source, Path::new(&bind.target), bind.read_only);
    }
    Ok(binds)
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| {
        Error::new(
            ErrorKind::NotFound,
            format!("{} cannot be reached: {source}", path.display()),
        )
        .with_source(source)
    })
}
