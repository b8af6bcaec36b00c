//! `praxis explain-error`.

use praxis_dsl::Code;

use crate::arguments::ExplainError;
use crate::exit::{Exit, Stop};
use crate::output;

pub(crate) fn explain_error(arguments: &ExplainError) -> Result<Exit, Stop> {
    let Some(id) = &arguments.code else {
        let rows = Code::ALL.iter();
        let rows: String = rows
            .map(|code| format!("{}  {}\n", code.id(), code.title()))
            .collect();
        output::text(&rows)?;
        return Ok(Exit::Done);
    };
    let Some(code) = Code::find(id) else {
        let mut stop = Stop::new(Exit::Mistake, format!("there is no code {id:?}"));
        stop.help = Some(match Code::nearest(id) {
            Some(meant) => format!("did you mean {meant}? Without a code, all are listed"),
            None => "without a code, all are listed".to_owned(),
        });
        return Err(stop);
    };
    output::text(&explanation(code))?;
    Ok(Exit::Done)
}

fn explanation(code: Code) -> String {
    let mut text = format!(
        "{}: {}\n\n{}\n",
        code.id(),
        code.title(),
        code.explanation()
    );
    if let Some((wrong, right)) = code.examples() {
        for (what, example) in [("wrong", wrong), ("right", right)] {
            text.push_str(&format!("\n{what}:\n\n"));
            for line in example.replace('\u{200b}', "<U+200B>").lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    text
}
