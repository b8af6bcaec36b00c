//! Finding and starting a program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::{MARK_VARIABLE, process_tree};
use crate::{ArgumentVariables, CallId, Error, ErrorKind, Request, SecretVariables, ToolContract};

/// Host variables that every program gets: what finds programs, and what decides language and temporary files.
const BASE_VARIABLES: [&str; 3] = ["PATH", "LANG", "TMPDIR"];

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program with all that it is started with.
pub(super) struct Launch {
    /// Its path.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) words: Vec<OsString>,
    /// All of its environment.
    pub(super) variables: BTreeMap<OsString, OsString>,
    /// What its processes are found by.
    pub(super) mark: CallId,
}

impl Launch {
    /// `seen` says of a folder whether the tool can see it; a program is looked for in those.
    pub(super) fn new(
        request: &Request<'_>,
        secrets: &SecretVariables,
        seen: &dyn Fn(&Path) -> bool,
    ) -> Result<Self, Error> {
        let contract = request.contract;
        let arguments = contract.argument_variables(request.arguments)?;
        let host = host_environment(contract);
        let dir = contract.dir.as_deref().unwrap_or(request.root);
        let words = contract.expand_command(request.arguments, request.root, dir)?;
        let (program, words) = resolve(contract, words, request.root, &arguments, &host, seen)?;
        let mark = CallId::unique();
        let chain = process_tree::chained(request.call_id.as_str(), mark.as_str());
        let mut variables: BTreeMap<OsString, OsString> = host
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect();
        let mut set = |name: String, value: OsString| variables.insert(name.into(), value);
        for (name, value) in arguments.set {
            set(name, value.into());
        }
        for (name, value) in secrets.expose() {
            set(name.to_owned(), value.into());
        }
        set("PRAXIS_ROOT".to_owned(), request.root.into());
        set("PRAXIS_CALL_ID".to_owned(), request.call_id.as_str().into());
        set(MARK_VARIABLE.to_owned(), chain.into());
        if let Some(dir) = &contract.dir {
            set("PRAXIS_CONTRACT_DIR".to_owned(), dir.into());
        }
        if !arguments.omitted.is_empty() {
            set(
                "PRAXIS_STDIN_ONLY".to_owned(),
                arguments.omitted.join(",").into(),
            );
        }
        Ok(Self {
            program,
            words,
            variables,
            mark,
        })
    }
}

/// The host's variables that the tool gets.
pub(super) fn host_environment(contract: &ToolContract) -> Vec<(String, OsString)> {
    let passed: Vec<&str> = contract.host_variables().collect();
    let mut found: Vec<(String, OsString)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| {
            let name = name.as_str();
            BASE_VARIABLES.contains(&name) || name.starts_with("LC_") || passed.contains(&name)
        })
        .collect();
    if !found.iter().any(|(name, _)| name == "PATH") {
        found.push(("PATH".to_owned(), DEFAULT_PATH.into()));
    }
    found.sort_unstable();
    found
}

/// The program to start and its arguments.
fn resolve(
    contract: &ToolContract,
    mut words: Vec<OsString>,
    root: &Path,
    variables: &ArgumentVariables,
    host: &[(String, OsString)],
    seen: &dyn Fn(&Path) -> bool,
) -> Result<(PathBuf, Vec<OsString>), Error> {
    if words.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidContract,
            "the contract has no `command`, so there is no program to start",
        ));
    }
    if contract.shell {
        words.insert(0, "-c".into());
        return Ok((PathBuf::from("/bin/sh"), words));
    }
    let program = words.remove(0);
    if program.as_encoded_bytes().contains(&b'/') {
        let path = contract.dir.as_deref().unwrap_or(root).join(program);
        check_executable(&path)?;
        return Ok((path, words));
    }
    let path = match variables.set.get("PATH") {
        Some(path) => OsStr::new(path),
        None => host
            .iter()
            .find(|(name, _)| name == "PATH")
            .map_or(OsStr::new(DEFAULT_PATH), |(_, path)| path),
    };
    Ok((search(&program, path, seen)?, words))
}

/// Looks for a program in the absolute folders of a `PATH`; a relative one would depend on where Praxis runs.
fn search(program: &OsStr, path: &OsStr, seen: &dyn Fn(&Path) -> bool) -> Result<PathBuf, Error> {
    let mut closest = None;
    let mut unseen = None;
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        let candidate = folder.join(program);
        match check_executable(&candidate) {
            Ok(()) if !seen(&folder) => unseen = unseen.or(Some(candidate)),
            Ok(()) => return Ok(candidate),
            Err(error) if error.kind() == ErrorKind::Denied => closest = Some(error),
            Err(_) => {}
        }
    }
    if let Some(unseen) = unseen {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("the sandbox does not show {}", unseen.display()),
        )
        .with_help(format!(
            "install `{}` below /usr, or list the folder that it needs in the engine's `visible`",
            program.display()
        )));
    }
    Err(closest.unwrap_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no program `{}` in PATH ({})",
                program.display(),
                path.display()
            ),
        )
        .with_help(
            "install it, or name it by its path; a relative path starts at the contract's folder",
        )
    }))
}

fn check_executable(path: &Path) -> Result<(), Error> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(Error::new(
            ErrorKind::NotFound,
            format!("{} is no file, so no program", path.display()),
        )),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => Err(Error::new(
            ErrorKind::Denied,
            format!("{} may not be executed", path.display()),
        )
        .with_help("make it executable, or name its interpreter first in `command`")),
        Ok(_) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => Err(Error::new(
            ErrorKind::Denied,
            format!("{} may not be reached", path.display()),
        )
        .with_source(source)),
        Err(source) => Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no program {}", path.display()),
        )
        .with_source(source)),
    }
}

/// Starts a process.
pub(super) async fn spawn(
    command: &mut Command,
    program: &Path,
    root: &Path,
) -> Result<Child, Error> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Ok(child) => return Ok(child),
            // Another thread that forks while a program is being written holds it open for a moment.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(source) => return Err(not_started(source, program, root)),
        }
    }
}

/// Why a program could not be started.
pub(super) fn not_started(source: io::Error, program: &Path, root: &Path) -> Error {
    let shown = program.display();
    let error = match source.kind() {
        io::ErrorKind::ArgumentListTooLong => Error::new(
            ErrorKind::InvalidArguments,
            format!("its arguments are too long to start {shown} with"),
        )
        .with_help("let the program read its arguments from standard input, where they are JSON"),
        _ if !root.is_dir() => Error::new(
            ErrorKind::NotFound,
            format!("the workspace root {} is no folder", root.display()),
        ),
        io::ErrorKind::NotFound => Error::new(
            ErrorKind::NotFound,
            format!("cannot start {shown}: the interpreter that its first line names is not there"),
        ),
        io::ErrorKind::PermissionDenied => Error::new(
            ErrorKind::Denied,
            format!("may not start {shown}: {source}"),
        ),
        _ if source.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => Error::new(
            ErrorKind::NotFound,
            format!("{shown} is no program of this machine"),
        )
        .with_help(crate::ending::NO_PROGRAM_HELP),
        _ => Error::new(ErrorKind::Io, format!("cannot start {shown}: {source}")),
    };
    error.with_source(source)
}
