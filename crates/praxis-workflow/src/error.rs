//! Why a program cannot be run, before anything has run.

use std::fmt;

use praxis_dsl::checked::Location;

/// The crate's error: one or more [`Issue`]s. A step's failure is not one; it is in the report.
#[derive(Debug)]
pub struct Error {
    issues: Vec<Issue>,
}

/// One reason, with its place and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// What kind of reason.
    pub kind: ErrorKind,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The place in the program, where it has one.
    pub location: Option<Location>,
}

/// What kind of reason an [`Issue`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Steps wait for each other in a circle, by `@after`.
    Cycle,
    /// `@after` names a step that this one cannot wait for.
    After,
    /// Two steps without an order write the same resource.
    Race,
    /// An input is missing or not declared.
    Input,
    /// An option of the run is out of range.
    Options,
    /// What a journal tells of the run is not what this program does.
    Journal,
    /// The scheduler found no step to start and none that runs: a defect of Praxis.
    Stalled,
}

impl ErrorKind {
    /// A short stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::After => "after",
            Self::Race => "race",
            Self::Input => "input",
            Self::Options => "options",
            Self::Journal => "journal",
            Self::Stalled => "stalled",
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::from_issues(vec![Issue {
            kind,
            message: message.into(),
            help: None,
            location: None,
        }])
    }

    pub(crate) fn from_issues(issues: Vec<Issue>) -> Self {
        Self { issues }
    }

    /// All the reasons, in program order; at least one.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// The kind of the first reason.
    pub fn kind(&self) -> ErrorKind {
        self.issues
            .first()
            .map_or(ErrorKind::Stalled, |issue| issue.kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.issues.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            if let Some(location) = issue.location {
                write!(f, "line {}: ", location.line)?;
            }
            f.write_str(&issue.message)?;
            if let Some(help) = &issue.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
