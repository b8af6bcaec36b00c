//! What the keywords mean, in a line each.

use praxis_dsl::Keyword;

/// A keyword as it is offered: how it is written, how it is used, what it does.
pub(super) struct Entry {
    pub(super) keyword: Keyword,
    pub(super) usage: &'static str,
    pub(super) text: &'static str,
}

macro_rules! entries {
    ($($name:ident $usage:literal $text:literal)*) => {
        &[$(Entry { keyword: Keyword::$name, usage: $usage, text: $text }),*]
    };
}

pub(super) const ENTRIES: &[Entry] = entries! {
    Workflow "WORKFLOW name --key value" "Names the program; at the top, once."
    Input "INPUT name = default" "Declares an input of the program; without a default it must be given."
    Call "CALL tool --parameter value" "Runs a tool; positional arguments fill the parameters in their order."
    Let "LET name = CALL tool …" "Binds a name to the result of a call, or to a value."
    Parallel "PARALLEL --limit 4" "Runs the statements up to END_PARALLEL in no order, at once where it can."
    ParallelFor "PARALLEL FOR item IN $list --limit 4" "Runs the rounds of the loop in no order, at once where it can."
    Sequence "SEQUENCE" "Keeps the statements up to END_SEQUENCE in order, inside PARALLEL."
    If "IF condition" "Runs what follows, up to ELIF, ELSE or ENDIF, if the CEL expression is true."
    Elif "ELIF condition" "Another branch of an IF, if none before it was taken."
    Else "ELSE" "The branch of an IF that is taken if no other is."
    For "FOR item IN $list" "Runs the statements up to END_FOR for each item; names bound inside are lists after it."
    Try "TRY" "Runs the statements up to CATCH; if one fails, those after CATCH run."
    Catch "CATCH error" "What runs if the TRY failed; the name holds the failure."
    Task "TASK \"label\"" "Labels the steps that follow, for people."
    Agent "AGENT name" "Sends the steps that follow, to the end of the block, to that agent."
    Return "RETURN $value" "Ends the run with that output."
    EndParallel "END_PARALLEL" "Ends a PARALLEL."
    EndSequence "END_SEQUENCE" "Ends a SEQUENCE."
    EndIf "ENDIF" "Ends an IF."
    EndFor "END_FOR" "Ends a FOR."
    EndTry "END_TRY" "Ends a TRY."
};

/// The options of a step, each with what it takes and does.
pub(super) const STEP_OPTIONS: &[(&str, &str, &str)] = &[
    ("id", "name", "Names the step, for `@after` and reports."),
    (
        "timeout",
        "5s",
        "How long one attempt may take: `500ms`, `5s`, `2m`, `1h`.",
    ),
    (
        "retries",
        "3",
        "How often a failed attempt is tried again, 0 to 100.",
    ),
    (
        "cache",
        "on, off",
        "Whether the result may come from the cache and go there.",
    ),
    ("engine", "name", "The engine that runs the tool."),
    ("agent", "name", "The agent that runs the step."),
    (
        "after",
        "id,id",
        "Steps that must be done before this one starts.",
    ),
];

pub(super) fn find(keyword: Keyword) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.keyword == keyword)
}

#[cfg(test)]
mod tests {
    use praxis_dsl::{Keyword, parse};

    use super::{ENTRIES, STEP_OPTIONS};

    #[test]
    fn every_usage_starts_with_its_keyword() {
        for entry in ENTRIES {
            let words = entry.usage.split(' ');
            let count = if entry.keyword == Keyword::ParallelFor {
                2
            } else {
                1
            };
            let head: Vec<&str> = words.take(count).collect();
            let spelt = Keyword::parse(head[head.len() - 1]);
            assert!(spelt.is_some(), "{}", entry.usage);
            if count == 1 {
                assert_eq!(spelt, Some(entry.keyword), "{}", entry.usage);
            }
            if let Some(end) = entry.keyword.end() {
                assert!(super::find(end).is_some());
            }
        }
    }

    #[test]
    fn every_step_option_is_one() {
        for (name, example, _) in STEP_OPTIONS {
            let value = example.split(", ").next().unwrap_or_default();
            let source = format!("CALL calculator 1 @{name}={value} @id=id\n");
            let source = if *name == "id" {
                source.replace(" @id=id", "")
            } else {
                source
            };
            let tree = parse(&source);
            let tools = crate::Toolbox::with_builtins(false).expect("the built-in tools are sound");
            let checked = praxis_dsl::check(&tree, &tools);
            assert_eq!(checked.diagnostics, [], "{source}");
        }
    }
}
