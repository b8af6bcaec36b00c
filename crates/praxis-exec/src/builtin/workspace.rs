use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};

use crate::{Error, ErrorKind};

/// The workspace root as a capability: every path is resolved below it, links included.
pub(super) struct Workspace {
    dir: Dir,
    root: PathBuf,
}

impl Workspace {
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let dir = Dir::open_ambient_dir(root, ambient_authority()).map_err(|source| {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "the workspace root {} cannot be opened: {source}",
                    root.display()
                ),
            )
            .with_source(source)
        })?;
        Ok(Self {
            dir,
            root: root.to_owned(),
        })
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// A path as written, with `.` taken out; the root itself is the empty path.
    pub(super) fn path(&self, written: &str) -> Result<PathBuf, Error> {
        if written.is_empty() {
            return Err(super::invalid("a path is empty; the root itself is `.`"));
        }
        if written.contains('\0') {
            return Err(super::invalid(format!("path {written:?} holds a NUL")));
        }
        let mut path = PathBuf::new();
        for component in Path::new(written).components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::CurDir => {}
                Component::ParentDir => return Err(self.outside(written, "it holds `..`")),
                Component::RootDir | Component::Prefix(_) => {
                    return Err(self.outside(written, "it is absolute"));
                }
            }
        }
        Ok(path)
    }

    /// A path that names something below the root, not the root.
    pub(super) fn entry(&self, written: &str) -> Result<PathBuf, Error> {
        let path = self.path(written)?;
        if path.as_os_str().is_empty() {
            return Err(super::invalid(format!(
                "path `{written}` is the workspace root itself; name a file below it"
            )));
        }
        Ok(path)
    }

    /// Opens a regular file for reading.
    pub(super) fn open_file(&self, path: &Path) -> Result<File, Error> {
        // Opening a FIFO would wait for a writer for ever.
        let metadata = self
            .dir
            .metadata(path)
            .map_err(|error| self.error(path, error))?;
        if metadata.is_dir() {
            return Err(Error::failed(format!(
                "`{}` is a directory, not a file",
                path.display()
            )));
        }
        if !metadata.is_file() {
            return Err(Error::failed(format!(
                "`{}` is a device, a socket or a pipe, not a file",
                path.display()
            )));
        }
        self.dir.open(path).map_err(|error| self.error(path, error))
    }

    /// Reads a whole regular file of at most `limit` bytes.
    pub(super) fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.open_file(path)?
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.error(path, error))?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(
                ErrorKind::OutputTooLarge,
                format!("`{}` is larger than {limit} bytes", path.display()),
            ));
        }
        Ok(bytes)
    }

    /// Creates the folders above an entry.
    pub(super) fn create_parents(&self, path: &Path) -> Result<(), Error> {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.create_folders(parent),
            _ => Ok(()),
        }
    }

    /// Creates a folder and those above it; one that is there already is fine.
    pub(super) fn create_folders(&self, path: &Path) -> Result<(), Error> {
        // Asked first, because creating says of a link out of the root only that something is there.
        match self.dir.metadata(path) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(no_folder(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self
                .dir
                .create_dir_all(path)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => no_folder(path).with_source(error),
                    _ => self.error(path, error),
                }),
            Err(error) => Err(self.error(path, error)),
        }
    }

    /// What a fault of the operating system means for this path.
    pub(super) fn error(&self, path: &Path, source: io::Error) -> Error {
        let shown = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let shown = shown.display();
        match source.kind() {
            // The kernel's own refusals carry its number; without one, it is the confinement that refused.
            io::ErrorKind::PermissionDenied if source.raw_os_error().is_none() => {
                self.outside(&shown.to_string(), "a symlink on its way leads there")
            }
            io::ErrorKind::PermissionDenied => Error::new(
                ErrorKind::Denied,
                format!("`{shown}` may not be used: {source}"),
            )
            .with_source(source),
            io::ErrorKind::NotFound => {
                Error::failed(format!("there is no `{shown}` in {}", self.root.display()))
                    .with_source(source)
            }
            io::ErrorKind::NotADirectory => Error::failed(format!(
                "`{shown}` is not a directory, or goes through a file"
            ))
            .with_source(source),
            io::ErrorKind::IsADirectory => {
                Error::failed(format!("`{shown}` is a directory, not a file")).with_source(source)
            }
            _ => Error::new(ErrorKind::Io, format!("`{shown}`: {source}")).with_source(source),
        }
    }

    fn outside(&self, written: &str, why: &str) -> Error {
        Error::new(
            ErrorKind::Denied,
            format!(
                "path `{written}` is not below the root {}: {why}",
                self.root.display()
            ),
        )
        .with_help("use a path relative to the root, without `..`; or choose another root (--root)")
    }
}

fn no_folder(path: &Path) -> Error {
    Error::failed(format!("`{}` is there and is no directory", path.display()))
}

/// A path as results show it, with `/` on every system.
pub(super) fn shown(path: &Path) -> String {
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    if names.is_empty() {
        ".".to_owned()
    } else {
        names.join("/")
    }
}
