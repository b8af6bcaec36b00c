//! `praxis lsp`.

use std::io::{BufReader, stdin, stdout};

use praxis_agent::lsp::{Ended, Options, serve};

use crate::arguments::Lsp;
use crate::exit::{Exit, Stop};

pub(crate) fn lsp(arguments: &Lsp) -> Result<Exit, Stop> {
    let options = Options {
        tools: arguments.tools.clone(),
        root: arguments.root.clone(),
    };
    match serve(options, BufReader::new(stdin()), stdout().lock()) {
        Ok(Ended::Properly) => Ok(Exit::Done),
        Ok(Ended::Abruptly) => Ok(Exit::Failed),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Failed),
        Err(error) => Err(Stop::new(
            Exit::Mistake,
            format!("the language client cannot be understood: {error}"),
        )),
    }
}
