//! Writing a program in place: the old text or the new one, never a part of it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::exit::{Exit, Stop};

/// Replaces the text of the file at `path`, which keeps its permissions; a link stays one.
pub(crate) fn replace(path: &str, text: &str) -> Result<(), Stop> {
    write(path.as_ref(), text)
        .map_err(|error| Stop::new(Exit::Missing, format!("cannot write {path}: {error}")))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(path)?;
    let permissions = fs::metadata(&target)?.permissions();
    if permissions.readonly() {
        // A new file in its place would need no permission of the old one.
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(&target)?;
    Ok(())
}
