use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Resource, Stamp, Version, Versions};

/// Versions of files and folders below a root, from what the file system says of them without reading them.
///
/// - A file: kind, size, modification and change time, inode and device.
/// - A folder: the same of it and of everything below it, links to folders not followed.
/// - A link: its own state and that of the file that it leads to. One that leads to a folder or nowhere has no version.
/// - What is not there: that, and the state of the nearest folder above it.
/// - What cannot be looked at, a folder of more entries than the limit, and [`Resource::everything`]: no version.
///
/// The change time is what catches an edit that keeps the size and restores the modification time.
/// File systems count it in steps, so a second edit within one step would not show.
/// A file that changed less than one such step ago is therefore [unsettled](Version::Unsettled).
/// The step is taken to be 20 ms, and 2 s where times have no fraction of a second; [`granularity`](Self::granularity) sets another.
///
/// It trusts the clock that stamps the files to be this machine's: on a network share whose server's clock lags, set the granularity to more than the lag.
/// Where the platform has no change time (outside Unix) the modification time stands in, and a program that restores it can hide an edit of equal size.
/// A write through a memory map shows when the kernel notes it, which may be after the write.
///
/// Paths are followed by their normalised text, so `link/../file` is `file`: tools must open the path that the resource was made from in that form.
#[derive(Clone, Debug)]
pub struct FileVersions {
    root: PathBuf,
    granularity: Option<Duration>,
    max_entries: usize,
}

impl FileVersions {
    /// Versions of what lies below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            granularity: None,
            max_entries: 10_000,
        }
    }

    /// How long the file system may take to show a change.
    #[must_use]
    pub fn granularity(mut self, granularity: Duration) -> Self {
        self.granularity = Some(granularity);
        self
    }

    /// How many entries a folder may hold, all levels together, to have a version; 10,000 unless told.
    #[must_use]
    pub fn max_entries(mut self, max_entries: usize) -> Self {
        self.max_entries = max_entries;
        self
    }
}

impl Versions for FileVersions {
    fn version(&self, resource: &Resource) -> Version {
        let Some(path) = resource.as_path() else {
            return Version::Unversioned;
        };
        let mut look = Look {
            settings: self,
            // Before any file is looked at: a change after the look is then at least as late.
            now: SystemTime::now(),
            record: Vec::new(),
            entries: 0,
            settled: true,
        };
        match look.at(&self.root.join(path)) {
            Ok(()) if look.settled => Version::At(Stamp::of(&look.record)),
            Ok(()) => Version::Unsettled,
            Err(_) => Version::Unversioned,
        }
    }
}

struct Look<'a> {
    settings: &'a FileVersions,
    now: SystemTime,
    record: Vec<u8>,
    entries: usize,
    settled: bool,
}

impl Look<'_> {
    fn at(&mut self, path: &Path) -> io::Result<()> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if is_absent(&error) => return self.absence(path),
            found => found?,
        };
        self.note(&found);
        if found.is_symlink() {
            return self.link(path);
        }
        if found.is_dir() {
            return self.folder(path);
        }
        Ok(())
    }

    /// Notes the nearest folder that is there: it shows whether the path came and went in between.
    fn absence(&mut self, path: &Path) -> io::Result<()> {
        self.record.push(b'-');
        for above in path.ancestors().skip(1) {
            match fs::metadata(above) {
                Err(error) if is_absent(&error) => self.record.push(b'-'),
                found => {
                    self.note(&found?);
                    break;
                }
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &Path) -> io::Result<()> {
        match fs::metadata(path) {
            // The missing target may come from anywhere, even to a folder that the link's text does not show.
            Err(error) if is_absent(&error) => return Err(error),
            found => {
                let found = found?;
                if found.is_dir() {
                    return Err(ErrorKind::Unsupported.into());
                }
                self.note(&found);
            }
        }
        Ok(())
    }

    /// Walks with a list instead of recursion; each folder's entries in the order of their names.
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let mut open = vec![path.to_path_buf()];
        while let Some(folder) = open.pop() {
            let mut names = Vec::new();
            for entry in fs::read_dir(&folder)? {
                self.entries += 1;
                if self.entries > self.settings.max_entries {
                    return Err(ErrorKind::Unsupported.into());
                }
                names.push(entry?.file_name());
            }
            names.sort_unstable();
            self.record.extend((names.len() as u64).to_le_bytes());
            for name in names {
                let bytes = name.as_encoded_bytes();
                self.record.extend((bytes.len() as u64).to_le_bytes());
                self.record.extend(bytes);
                let path = folder.join(&name);
                // What vanished since the listing fails the look, and so gives no version.
                let found = fs::symlink_metadata(&path)?;
                self.note(&found);
                if found.is_symlink() {
                    self.link(&path)?;
                } else if found.is_dir() {
                    open.push(path);
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, found: &Metadata) {
        let kind = match found.file_type() {
            kind if kind.is_dir() => b'd',
            kind if kind.is_file() => b'f',
            kind if kind.is_symlink() => b'l',
            _ => b'o',
        };
        self.record.push(kind);
        self.record.extend(found.len().to_le_bytes());
        let changed = platform::note(found, &mut self.record);
        let step = self.settings.granularity.unwrap_or({
            if changed.subsec_nanos() == 0 {
                Duration::from_secs(2)
            } else {
                Duration::from_millis(20)
            }
        });
        let now = self.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.settled &= changed.saturating_add(step) < now;
    }
}

/// A path through a file is as absent as one through nothing.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(unix)]
mod platform {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    /// Appends all that changes with the content; returns the time of the last change.
    pub(super) fn note(found: &Metadata, record: &mut Vec<u8>) -> Duration {
        for number in [found.ino(), found.dev(), u64::from(found.mode())] {
            record.extend(number.to_le_bytes());
        }
        let times = [
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ];
        for number in times {
            record.extend(number.to_le_bytes());
        }
        let seconds = u64::try_from(found.ctime()).unwrap_or_default();
        Duration::new(
            seconds,
            u32::try_from(found.ctime_nsec()).unwrap_or_default(),
        )
    }
}

#[cfg(not(unix))]
mod platform {
    use std::fs::Metadata;
    use std::time::{Duration, UNIX_EPOCH};

    /// Appends all that changes with the content; returns the time of the last change.
    pub(super) fn note(found: &Metadata, record: &mut Vec<u8>) -> Duration {
        let since = |time: std::io::Result<std::time::SystemTime>| {
            time.ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .unwrap_or(Duration::MAX)
        };
        let (modified, created) = (since(found.modified()), since(found.created()));
        for time in [modified, created] {
            record.extend(time.as_nanos().to_le_bytes());
        }
        modified
    }
}
