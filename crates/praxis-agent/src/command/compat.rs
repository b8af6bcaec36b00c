//! `praxis ast --compat` and `praxis tokens --compat`.

use praxis_agent::read;
use praxis_dsl::{Diagnostic, Tree, compat_ast, compat_tokens, parse};

use crate::arguments::Compat;
use crate::exit::{Exit, Stop};
use crate::output;

pub(crate) fn ast(arguments: &Compat) -> Result<Exit, Stop> {
    print(arguments, compat_ast)
}

pub(crate) fn tokens(arguments: &Compat) -> Result<Exit, Stop> {
    print(arguments, compat_tokens)
}

fn print(
    arguments: &Compat,
    form: fn(&Tree) -> Result<String, &[Diagnostic]>,
) -> Result<Exit, Stop> {
    let (path, source) = read(&arguments.file)?;
    let tree = parse(&source);
    match form(&tree) {
        Ok(document) => {
            output::text(&format!("{document}\n"))?;
            Ok(Exit::Done)
        }
        Err(diagnostics) => {
            for diagnostic in diagnostics {
                output::note(&diagnostic.render(&path, &source, output::colour_errors()));
            }
            Ok(Exit::Mistake)
        }
    }
}
