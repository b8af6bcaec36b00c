//! Writing to the terminal or the pipe.

use std::io::{self, IsTerminal, Write, stderr, stdout};

use serde::Serialize;

use crate::exit::{Exit, Stop};

/// Whether to colour, where the stream is a terminal: `NO_COLOR` says no.
pub(crate) fn colour(terminal: &bool) -> bool {
    *terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

pub(crate) fn colour_errors() -> bool {
    colour(&stderr().is_terminal())
}

/// Prints one JSON document on standard output.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Stop> {
    let mut out = stdout().lock();
    let written = serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from);
    finish(
        written
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush()),
    )
}

/// Prints text on standard output as it is.
pub(crate) fn text(text: &str) -> Result<(), Stop> {
    let mut out = stdout().lock();
    finish(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn finish(written: io::Result<()>) -> Result<(), Stop> {
    match written {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::new(
            Exit::Missing,
            format!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
}

/// An error of an engine with its way out, for a cell or a line of a report.
pub(crate) fn one_line(error: &praxis_exec::Error) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

/// Prints text on standard error.
pub(crate) fn note(text: &str) {
    let _ = stderr().lock().write_all(text.as_bytes());
}

/// Prints an error on standard error.
pub(crate) fn complain(message: &str, help: Option<&str>) {
    let (red, plain) = if colour_errors() {
        ("\x1b[1;31m", "\x1b[0m")
    } else {
        ("", "")
    };
    // A diagnostic's text brings its code in brackets.
    let colon = if message.starts_with('[') { "" } else { ": " };
    let mut text = format!("{red}error{plain}{colon}{message}\n");
    if let Some(help) = help {
        text.push_str(&format!("  = help: {help}\n"));
    }
    note(&text);
}
