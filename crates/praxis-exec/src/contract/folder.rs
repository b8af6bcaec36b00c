use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::ToolContract;
use crate::{Error, ErrorKind};

/// How large a contract's file may be.
pub const MAX_CONTRACT_BYTES: u64 = 256 * 1024;

const FILE_NAMES: [&str; 2] = ["contract.yaml", "contract.yml"];

/// The tools of a folder: those that could be loaded, and why the others could not.
#[derive(Debug, Default)]
pub struct ContractFolder {
    /// The contracts, in the order of their folders' names.
    pub contracts: Vec<ToolContract>,
    /// What is wrong with the rest; each error names its file.
    pub errors: Vec<Error>,
}

impl ToolContract {
    /// Loads one contract file; its folder becomes the contract's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where it cannot be read;
    /// [`ErrorKind::InvalidContract`] where it is larger than [`MAX_CONTRACT_BYTES`], no UTF-8, or wrong.
    /// All name the file, and the line and the column where they are known.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let dir = absolute.parent().unwrap_or(&absolute);
        Self::from_yaml(&text, dir).map_err(|error| error.with_file(path))
    }

    /// Loads the `contract.yaml` (or `contract.yml`) of every folder in `dir`.
    ///
    /// One contract that is wrong does not keep the others from being loaded.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where `dir` itself cannot be listed.
    pub fn load_folder(dir: &Path) -> Result<ContractFolder, Error> {
        let entries = fs::read_dir(dir).map_err(|source| unreadable(dir, source))?;
        let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort_unstable();
        let mut loaded = ContractFolder::default();
        for file in folders.iter().filter_map(|folder| {
            let mut files = FILE_NAMES.iter().map(|name| folder.join(name));
            files.find(|file| file.exists())
        }) {
            match Self::load(&file) {
                Err(error) => loaded.errors.push(error),
                Ok(contract) => match loaded
                    .contracts
                    .iter()
                    .find(|earlier| earlier.name == contract.name)
                {
                    None => loaded.contracts.push(contract),
                    Some(earlier) => loaded.errors.push(
                        contract
                            .invalid(format!(
                                "another tool of that name is in {}; rename one",
                                earlier.dir.as_deref().unwrap_or(dir).display()
                            ))
                            .with_file(&file),
                    ),
                },
            }
        }
        Ok(loaded)
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidContract, message).with_file(path);
    // Opening a FIFO would wait for a writer for ever.
    let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if !metadata.is_file() {
        return Err(invalid("a contract is a file, and this is none".to_owned()));
    }
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let mut bytes = Vec::new();
    file.take(MAX_CONTRACT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| unreadable(path, source))?;
    if bytes.len() as u64 > MAX_CONTRACT_BYTES {
        return Err(invalid(format!(
            "the contract is larger than {MAX_CONTRACT_BYTES} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        invalid(format!(
            "not UTF-8 at byte {}",
            error.utf8_error().valid_up_to()
        ))
    })
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    let kind = match source.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("cannot be read: {source}"))
        .with_file(path)
        .with_source(source)
}
