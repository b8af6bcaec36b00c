//! Where there are no stages, `none` is the only level.

use std::process::ExitStatus;
use std::time::Duration;

use super::program::Launch;
use super::running::Theirs;
use super::{Level, LocalConfig};
use crate::{Error, ErrorKind, Limit, Request};

/// There is no sandbox for them to be in.
pub(super) const PROGRAMS: [&str; 0] = [];

/// Nothing is tried where nothing is made of it.
pub(crate) fn probe() -> Vec<crate::doctor::Finding> {
    Vec::new()
}

#[derive(Clone, Debug, Default)]
pub(super) struct Stages;

impl Stages {
    pub(super) fn new(_config: &LocalConfig) -> Self {
        Self
    }

    pub(super) fn available(&self, level: Level) -> Result<(), Error> {
        Err(missing(level))
    }

    pub(super) fn metered(&self) -> Vec<Limit> {
        Vec::new()
    }

    pub(super) async fn start(
        &self,
        level: Level,
        _launch: Launch,
        _request: &Request<'_>,
        _theirs: Theirs,
    ) -> Result<Staged, Error> {
        Err(missing(level))
    }
}

fn missing(level: Level) -> Error {
    let (lacks, help) = match cfg!(target_os = "linux") {
        true => (
            "this build of Praxis is without the feature `sandbox`",
            "build praxis-exec with the feature `sandbox`",
        ),
        false => (
            "it needs Linux",
            "take the level `none`, or an engine of containers",
        ),
    };
    Error::new(
        ErrorKind::UnsupportedLimit,
        format!("the level `{level}` is not available: {lacks}"),
    )
    .with_help(help)
}

/// There is none.
pub(super) enum Staged {}

impl Staged {
    pub(super) async fn wait(&mut self) -> Result<ExitStatus, Error> {
        match *self {}
    }

    pub(super) async fn kill(&mut self) {
        match *self {}
    }

    pub(super) async fn stop(&mut self, _grace: Duration) {
        match *self {}
    }

    pub(super) fn out_of_memory(&self) -> Option<Error> {
        match *self {}
    }
}
