use std::fmt;

/// What went wrong while building a key.
///
/// The cache itself has no errors: whatever fails inside it is a miss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    tool: Box<str>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The arguments nest deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep,
    /// The key would be longer than [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    TooLong,
    /// A number is NaN or infinite, which JSON cannot hold.
    NotFinite,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, tool: &str) -> Self {
        Self {
            kind,
            tool: tool.into(),
        }
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The tool whose arguments made no key.
    pub fn tool(&self) -> &str {
        &self.tool
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tool = &self.tool;
        match self.kind {
            ErrorKind::TooDeep => write!(
                f,
                "arguments of tool `{tool}` cannot be a cache key: nested deeper than {} levels",
                crate::MAX_DEPTH
            ),
            ErrorKind::TooLong => write!(
                f,
                "arguments of tool `{tool}` cannot be a cache key: longer than {} bytes",
                crate::MAX_KEY_BYTES
            ),
            ErrorKind::NotFinite => write!(
                f,
                "an argument of tool `{tool}` is no finite number, and JSON holds no other; leave it out or give it as text"
            ),
        }
    }
}

impl std::error::Error for Error {}
