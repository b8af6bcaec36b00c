use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, for a caller that decides by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A contract cannot be read, contradicts itself or asks for what no engine does.
    InvalidContract,
    /// The arguments do not fit the contract.
    InvalidArguments,
    /// The tool, or the program that it consists of, is not there.
    NotFound,
    /// The tool ran and reported a failure.
    Failed,
    /// The tool ran longer than its limit.
    Timeout,
    /// The tool, or a process of it, was killed because it used more memory than its limit.
    OutOfMemory,
    /// The tool produced more than its limit.
    OutputTooLarge,
    /// The engine cannot enforce a limit that the contract asks for.
    UnsupportedLimit,
    /// The tool reached for something that it may not have: a path outside the root, the network.
    Denied,
    /// The engine itself is not there: its daemon does not answer, or went away in the middle.
    Unavailable,
    /// The operating system failed.
    Io,
    /// The tool is a Rust function, and it panicked.
    Panicked,
    /// The call was given up before it ended.
    Cancelled,
}

impl ErrorKind {
    /// The kind as one `snake_case` word, for reports that programs read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidContract => "invalid_contract",
            Self::InvalidArguments => "invalid_arguments",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::OutputTooLarge => "output_too_large",
            Self::UnsupportedLimit => "unsupported_limit",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Io => "io",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why a contract could not be loaded or a tool could not be run.
///
/// Displayed, it is one line that names the place, the tool and the value at fault;
/// [`Error::help`] is the way out and [`Error::stderr`] what the program said.
pub struct Error(Box<Details>);

struct Details {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
    tool: Option<String>,
    engine: Option<String>,
    file: Option<PathBuf>,
    place: Option<(u64, u64)>,
    exit_code: Option<i32>,
    stderr: String,
    retryable: Option<bool>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of a kind; the message is a lowercase fragment that names the offending value.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            help: None,
            tool: None,
            engine: None,
            file: None,
            place: None,
            exit_code: None,
            stderr: String::new(),
            retryable: None,
            source: None,
        }))
    }

    /// A failure that the tool itself reports and that another try would only repeat.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message).with_retryable(false)
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Names the tool; the first name given stays.
    #[must_use]
    pub fn with_tool(mut self, tool: &str) -> Self {
        self.0.tool.get_or_insert_with(|| tool.to_owned());
        self
    }

    /// Names the engine; the first name given stays.
    #[must_use]
    pub fn with_engine(mut self, engine: &str) -> Self {
        self.0.engine.get_or_insert_with(|| engine.to_owned());
        self
    }

    /// Names the file at fault.
    #[must_use]
    pub fn with_file(mut self, file: &Path) -> Self {
        self.0.file = Some(file.to_owned());
        self
    }

    /// Names the line and the column at fault, both counted from 1.
    #[must_use]
    pub fn with_place(mut self, line: u64, column: u64) -> Self {
        self.0.place = Some((line, column));
        self
    }

    /// Adds the program's exit code.
    #[must_use]
    pub fn with_exit_code(mut self, code: Option<i32>) -> Self {
        self.0.exit_code = code;
        self
    }

    /// Adds the end of what the program wrote to standard error.
    #[must_use]
    pub fn with_stderr(mut self, stderr: impl Into<String>) -> Self {
        self.0.stderr = stderr.into();
        self
    }

    /// Says whether another try could end differently, against what the kind implies.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = Some(retryable);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Rewrites every text in it; a cause that says something which is rewritten is left out.
    pub(crate) fn map_texts(mut self, rewrite: impl Fn(&str) -> String) -> Self {
        let details = &mut self.0;
        details.message = rewrite(&details.message);
        details.help = details.help.as_deref().map(&rewrite);
        details.stderr = rewrite(&details.stderr);
        let told = details.source.as_ref().is_some_and(|source| {
            let said = source.to_string();
            rewrite(&said) != said
        });
        if told {
            details.source = None;
        }
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The bare message, without the place, the tool and the cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The way out, where one is known.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The tool that was called.
    pub fn tool(&self) -> Option<&str> {
        self.0.tool.as_deref()
    }

    /// The engine that ran it.
    pub fn engine(&self) -> Option<&str> {
        self.0.engine.as_deref()
    }

    /// The file at fault.
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// The line in [`Error::file`], from 1.
    pub fn line(&self) -> Option<u64> {
        self.0.place.map(|(line, _)| line)
    }

    /// The column in [`Error::line`], in characters from 1.
    pub fn column(&self) -> Option<u64> {
        self.0.place.map(|(_, column)| column)
    }

    /// The exit code of a program that ended by itself.
    pub fn exit_code(&self) -> Option<i32> {
        self.0.exit_code
    }

    /// The end of what the program wrote to standard error, control characters escaped.
    pub fn stderr(&self) -> &str {
        &self.0.stderr
    }

    /// Whether the same call could succeed if it were made again.
    ///
    /// A failure, a timeout, an engine that is away and a passing fault of the operating system could;
    /// bad arguments, a missing program and a denial could not.
    /// Whether a repetition is *safe* is for the contract's effects to say.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable.unwrap_or(match self.0.kind {
            ErrorKind::Failed | ErrorKind::Timeout | ErrorKind::Unavailable => true,
            ErrorKind::Io => self
                .0
                .source
                .as_deref()
                .and_then(|source| source.downcast_ref::<io::Error>())
                .is_some_and(is_passing),
            _ => false,
        })
    }

    /// Whether the tool ran out of time.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }
}

/// The faults that go by themselves: the machine was short of something for a moment.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::ExecutableFileBusy
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
    )
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &self.0;
        if let Some(file) = &details.file {
            write!(formatter, "{}:", file.display())?;
        }
        if let Some((line, column)) = details.place {
            write!(formatter, "{line}:{column}:")?;
        }
        if details.file.is_some() || details.place.is_some() {
            formatter.write_str(" ")?;
        }
        if let Some(tool) = &details.tool {
            write!(formatter, "tool `{tool}`: ")?;
        }
        formatter.write_str(&details.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &self.0;
        formatter
            .debug_struct("Error")
            .field("kind", &details.kind)
            .field("message", &self.to_string())
            .field("help", &details.help)
            .field("engine", &details.engine)
            .field("exit_code", &details.exit_code)
            .field("stderr", &details.stderr)
            .field("source", &details.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
