//! Writing to the terminal or the pipe.

use std::borrow::Cow;
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

/// Prints text on standard output: as it is on a pipe, on a terminal with control characters escaped,
/// since what a tool gave must not steer it.
pub(crate) fn text(text: &str) -> Result<(), Stop> {
    if stdout().is_terminal() {
        coloured(&escaped(text))
    } else {
        coloured(text)
    }
}

/// Prints text on standard output as it is, with the colours that it has.
pub(crate) fn coloured(text: &str) -> Result<(), Stop> {
    let mut out = stdout().lock();
    finish(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// So many of a thing: `1 step`, `2 steps`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The text with control characters escaped, but for tabs and the ends of lines.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(|letter: char| letter.is_control() && !matches!(letter, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            '\r' if letters.peek() == Some(&'\n') => shown.push(letter),
            control if control.is_control() => shown.extend(control.escape_unicode()),
            other => shown.push(other),
        }
    }
    Cow::Owned(shown)
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
    let mut text = format!("{red}error{plain}{colon}{}\n", escaped(message));
    if let Some(help) = help {
        text.push_str(&format!("  = help: {}\n", escaped(help)));
    }
    note(&text);
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_would_steer_a_terminal_is_escaped() {
        let check = |text: &str, expect: &str| assert_eq!(escaped(text), expect);
        check(
            "plain\ttext\r\nof two lines\n",
            "plain\ttext\r\nof two lines\n",
        );
        check("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m");
        check("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}");
        check("over\rwritten", "over\\u{d}written");
        check("\u{9b}2J \0 ü", "\\u{9b}2J \\u{0} ü");
    }
}
