//! The tests of the crate, in one binary.

mod bad_input;
#[cfg(feature = "cache")]
mod cache;
mod compat;
mod diagnostics;
mod docs;
mod document;
mod expressions;
mod fix;
mod format;
mod json;
mod fuzzing;
mod limits;
mod mutations;
mod names;
mod navigate;
mod program;
mod properties;
mod rendering;
mod typing;
mod writer;

use praxis_dsl::{Catalog, Checked, Parameter, ParameterKind, ToolSignature, check, parse};

/// A catalog with a tool of each kind.
fn catalog() -> Catalog {
    use ParameterKind::{Any, Array, Boolean, Integer, Number, Object, Text};
    let mode = Parameter {
        name: "mode".to_owned(),
        kind: Text,
        choices: Some(vec!["fast".into(), "slow".into()]),
        ..Parameter::default()
    };
    let mut typed = ToolSignature::new("typed")
        .optional("text", Text)
        .optional("count", Integer)
        .optional("ratio", Number)
        .optional("flag", Boolean)
        .optional("items", Array)
        .optional("fields", Object)
        .optional("value", Any);
    typed.parameters.push(mode);
    let mut open = ToolSignature::new("open_tool").required("first", Any);
    open.open = true;
    [
        ToolSignature::new("read_file")
            .required("filename", Text)
            .optional("encoding", Text),
        ToolSignature::new("write_file")
            .required("filename", Text)
            .rest("content"),
        ToolSignature::new("list_files")
            .optional("directory", Text)
            .optional("pattern", Text)
            .optional("recursive", Boolean),
        ToolSignature::new("copy_file")
            .required("source", Text)
            .required("destination", Text),
        ToolSignature::new("word_count").required("text", Text),
        ToolSignature::new("say").rest("text"),
        ToolSignature::new("probe").optional("v", Any),
        ToolSignature::new("ping"),
        typed,
        open,
    ]
    .into_iter()
    .collect()
}

fn checked(source: &str) -> Checked {
    check(&parse(source), &catalog())
}

/// The codes of the diagnostics with the text under their spans, one a line.
fn found(source: &str) -> String {
    let rows = checked(source).diagnostics;
    let lines: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", row.code, row.span.text(source)))
        .collect();
    lines.join("\n")
}
