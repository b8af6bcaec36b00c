//! What a contract and its program are, as a few bytes: for cache keys and for noticing an edit.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ToolContract;
use crate::{Error, ErrorKind};

/// How many bytes a program's folder may hold for its digest to be taken.
const MAX_PROGRAM_BYTES: u64 = 64 * 1024 * 1024;

/// How many files a program's folder may hold for its digest to be taken.
const MAX_PROGRAM_FILES: usize = 10_000;

/// Names that running a program makes, or that version control keeps; they are no part of it.
const BY_PRODUCTS: [&str; 3] = ["__pycache__", ".git", ".DS_Store"];

/// A digest over a contract and the bytes of its program.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContractDigest([u8; 32]);

impl ContractDigest {
    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ContractDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for ContractDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The state of a program's files, from their metadata alone.
///
/// Two equal versions of one contract mean that its digest is still the same,
/// as far as size, modification and change time and inode number can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramVersion([u8; 32]);

impl ToolContract {
    /// A digest over everything that the contract says and the bytes of the files in its folder.
    ///
    /// Interpreters and libraries outside of the folder are not part of it.
    /// A tool without a folder is a Rust function of this build: the crate's version stands for it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where a file cannot be read;
    /// [`ErrorKind::InvalidContract`] where the folder holds more than 64 MiB or 10,000 files.
    pub fn digest(&self) -> Result<ContractDigest, Error> {
        let mut hasher = blake3::Hasher::new();
        let said = serde_json::to_vec(self).expect("a contract has only text keys");
        field(&mut hasher, &said);
        match &self.dir {
            None => field(&mut hasher, env!("CARGO_PKG_VERSION").as_bytes()),
            Some(dir) => self.walk(dir, |name, path, metadata| {
                field(&mut hasher, name.as_os_str().as_encoded_bytes());
                if metadata.is_symlink() {
                    field(
                        &mut hasher,
                        fs::read_link(path)?.as_os_str().as_encoded_bytes(),
                    );
                    if !fs::metadata(path).is_ok_and(|target| target.is_file()) {
                        return Ok(0);
                    }
                }
                let mut file = File::open(path)?.take(MAX_PROGRAM_BYTES + 1);
                let mut content = blake3::Hasher::new();
                let bytes = copy(&mut file, &mut content)?;
                field(&mut hasher, content.finalize().as_bytes());
                Ok(bytes)
            })?,
        }
        Ok(ContractDigest(*hasher.finalize().as_bytes()))
    }

    /// The state of the program's files, cheap enough to ask at every call:
    /// while it stays the same, so does [`ToolContract::digest`].
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the folder cannot be listed;
    /// [`ErrorKind::InvalidContract`] where it holds more than 10,000 files.
    pub fn program_version(&self) -> Result<ProgramVersion, Error> {
        let mut hasher = blake3::Hasher::new();
        if let Some(dir) = &self.dir {
            self.walk(dir, |name, path, metadata| {
                field(&mut hasher, name.as_os_str().as_encoded_bytes());
                stamp(&mut hasher, metadata);
                if metadata.is_symlink()
                    && let Ok(target) = fs::metadata(path)
                {
                    stamp(&mut hasher, &target);
                }
                Ok(0)
            })?;
        }
        Ok(ProgramVersion(*hasher.finalize().as_bytes()))
    }

    /// Visits the files and links of a folder in the order of their names; the visitor says how many bytes it read.
    fn walk(
        &self,
        dir: &Path,
        mut visit: impl FnMut(&Path, &Path, &Metadata) -> io::Result<u64>,
    ) -> Result<(), Error> {
        let failed = |path: &Path, source: io::Error| {
            Error::new(
                ErrorKind::Io,
                format!(
                    "cannot read {} of the tool's program: {source}",
                    path.display()
                ),
            )
            .with_tool(&self.name)
            .with_source(source)
        };
        let mut folders = vec![PathBuf::new()];
        let (mut bytes, mut files) = (0, 0);
        while let Some(folder) = folders.pop() {
            let absolute = dir.join(&folder);
            let entries = fs::read_dir(&absolute).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let mut entries = entries.map_err(|source| failed(&absolute, source))?;
            entries.sort_unstable_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let name = entry.file_name();
                if BY_PRODUCTS.iter().any(|by_product| name == *by_product) {
                    continue;
                }
                let (path, name) = (entry.path(), folder.join(name));
                let metadata =
                    fs::symlink_metadata(&path).map_err(|source| failed(&path, source))?;
                if metadata.is_dir() {
                    folders.push(name);
                    continue;
                }
                if !metadata.is_file() && !metadata.is_symlink() {
                    continue;
                }
                bytes += visit(&name, &path, &metadata).map_err(|source| failed(&path, source))?;
                files += 1;
                if bytes > MAX_PROGRAM_BYTES || files > MAX_PROGRAM_FILES {
                    return Err(self.invalid(format!(
                        "its folder {} holds more than 64 MiB or {MAX_PROGRAM_FILES} files, \
                         too much to notice a change by; keep data out of it",
                        dir.display()
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Adds a field with its length before it, so that no two lists of fields look alike.
fn field(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn copy(from: &mut impl Read, to: &mut blake3::Hasher) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                to.update(&buffer[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(unix)]
fn stamp(hasher: &mut blake3::Hasher, metadata: &Metadata) {
    use std::os::unix::fs::MetadataExt;
    for number in [
        metadata.size() as i64,
        metadata.ino() as i64,
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ] {
        hasher.update(&number.to_le_bytes());
    }
}

#[cfg(not(unix))]
fn stamp(hasher: &mut blake3::Hasher, metadata: &Metadata) {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos());
    hasher.update(&metadata.len().to_le_bytes());
    hasher.update(&modified.to_le_bytes());
}
