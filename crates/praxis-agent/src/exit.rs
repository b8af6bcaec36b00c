//! Exit codes, and errors that end the program with one.

use std::process::ExitCode;

use praxis_agent::Problem;
use praxis_exec::{Error, ErrorKind};

/// What the program says to the shell. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The workflow, or the tool that was called, failed.
    Failed = 1,
    /// The program or the command line is wrong.
    Mistake = 2,
    /// Something that it needs is not there.
    Missing = 3,
    /// Interrupted by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program stops before it has done what was asked.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Stop {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: None,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::InvalidContract | ErrorKind::InvalidArguments => Exit::Mistake,
            ErrorKind::NotFound | ErrorKind::Unavailable => Exit::Missing,
            _ => Exit::Failed,
        };
        let mut message = error.to_string();
        for line in error.stderr().lines() {
            message.push_str("\n  | ");
            message.push_str(line);
        }
        Self {
            exit,
            message,
            help: error.help().map(str::to_owned),
        }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Unreadable { path, source } => Self::new(
                Exit::Missing,
                format!("cannot read the program {path}: {source}"),
            ),
            Problem::NotText { text, .. } => {
                let text = text
                    .strip_prefix("error")
                    .unwrap_or(&text)
                    .trim_start_matches(": ");
                Self::new(Exit::Mistake, text.trim_end())
            }
        }
    }
}
