//! `praxis fmt`.

use std::time::Duration;

use praxis_agent::read;
use praxis_dsl::json::{Program, schema};
use praxis_dsl::{Diagnostic, Limits, format, parse};
use similar::TextDiff;

use crate::arguments::Fmt;
use crate::exit::{Exit, Stop};
use crate::output;
use crate::replace::replace;

/// How many lines of a difference are shown.
const SHOWN_LINES: usize = 20;
/// How long the smallest difference is looked for; then a larger one will do.
const DIFF_TIME: Duration = Duration::from_millis(200);

pub(crate) fn fmt(arguments: &Fmt) -> Result<Exit, Stop> {
    if arguments.schema {
        output::json(&schema())?;
        return Ok(Exit::Done);
    }
    let mut exit = Exit::Done;
    for file in &arguments.files {
        let done = if arguments.to_json {
            to_json(file)
        } else if arguments.from_json {
            from_json(file)
        } else {
            lay_out(file, arguments.check)
        };
        let done = done.unwrap_or_else(|stop| {
            output::complain(&stop.message, stop.help.as_deref());
            stop.exit
        });
        // A mistake outweighs a layout that differs.
        if exit == Exit::Done || done as u8 > exit as u8 {
            exit = done;
        }
    }
    Ok(exit)
}

fn lay_out(file: &str, check: bool) -> Result<Exit, Stop> {
    let (path, source) = read(file)?;
    let formatted = match format(&parse(&source)) {
        Ok(formatted) => formatted,
        Err(found) => return Ok(refuse(&path, &source, &found)),
    };
    let differs = formatted != source;
    if check {
        if differs {
            output::note(&difference(&path, &source, &formatted));
            return Ok(Exit::Failed);
        }
    } else if file == "-" {
        output::text(&formatted)?;
    } else if differs {
        replace(file, &formatted)?;
    }
    Ok(Exit::Done)
}

/// Shows why a program has no layout or no JSON form.
fn refuse(path: &str, source: &str, found: &[Diagnostic]) -> Exit {
    for diagnostic in found {
        output::note(&diagnostic.render(path, source, output::colour_errors()));
    }
    Exit::Mistake
}

/// The first lines that differ.
fn difference(path: &str, source: &str, formatted: &str) -> String {
    let mut out = format!("{path}: not formatted\n");
    let diff = TextDiff::configure()
        .timeout(DIFF_TIME)
        .diff_lines(source, formatted);
    let unified = diff.unified_diff().context_radius(1).to_string();
    let mut lines = unified.lines();
    for line in lines.by_ref().take(SHOWN_LINES) {
        // Carriage returns are a difference that a terminal would not show.
        out.push_str(&line.replace('\r', "<CR>"));
        out.push('\n');
    }
    let more = lines.count();
    if more > 0 {
        out.push_str(&format!("… and {more} more lines\n"));
    }
    out
}

fn to_json(file: &str) -> Result<Exit, Stop> {
    let (path, source) = read(file)?;
    match Program::of(&parse(&source)) {
        Ok(program) => {
            output::json(&program)?;
            Ok(Exit::Done)
        }
        Err(found) => Ok(refuse(&path, &source, &found)),
    }
}

fn from_json(file: &str) -> Result<Exit, Stop> {
    let (path, text) = read(file)?;
    let most = Limits::DEFAULT.max_source_bytes;
    if text.len() > most {
        let message = format!("{path} has more than {most} bytes");
        return Err(Stop::new(Exit::Mistake, message));
    }
    let source = Program::from_json(&text)
        .and_then(|program| program.to_source())
        .map_err(|error| Stop::new(Exit::Mistake, format!("{path}: {error}")))?;
    output::text(&source)?;
    Ok(Exit::Done)
}
