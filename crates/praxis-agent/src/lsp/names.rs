//! Where names are bound and used: definition, references, highlights, renaming.

use praxis_dsl::navigate::Occurrence;
use serde_json::{Value, json};

use super::document::Document;
use super::protocol::{Place, Position, TextEdit};
use crate::toolbox::Toolbox;

fn name_at<'d>(document: &'d Document, tools: &Toolbox, at: Position) -> Option<&'d Occurrence> {
    document.names(tools).at(document.offset(at))
}

pub(super) fn definitions(document: &Document, tools: &Toolbox, at: Position) -> Vec<Place> {
    let Some(name) = name_at(document, tools, at) else {
        return Vec::new();
    };
    let spans = document.names(tools).definitions(name);
    spans
        .into_iter()
        .map(|span| Place {
            uri: document.uri.clone(),
            range: document.range(span),
        })
        .collect()
}

/// Every place of the name at `at`, with those that bind it if `bindings`.
fn same<'d>(
    document: &'d Document,
    tools: &Toolbox,
    at: Position,
    bindings: bool,
) -> Vec<&'d Occurrence> {
    let Some(name) = name_at(document, tools, at) else {
        return Vec::new();
    };
    let mut same = document.names(tools).same(name);
    same.retain(|occurrence| bindings || !occurrence.binds);
    same
}

pub(super) fn references(
    document: &Document,
    tools: &Toolbox,
    at: Position,
    bindings: bool,
) -> Vec<Place> {
    same(document, tools, at, bindings)
        .into_iter()
        .map(|occurrence| Place {
            uri: document.uri.clone(),
            range: document.range(occurrence.span),
        })
        .collect()
}

pub(super) fn highlights(document: &Document, tools: &Toolbox, at: Position) -> Vec<Value> {
    same(document, tools, at, true)
        .into_iter()
        .map(|occurrence| {
            // The protocol's numbers for a place that writes and one that reads.
            let kind = if occurrence.binds { 3 } else { 2 };
            json!({ "range": document.range(occurrence.span), "kind": kind })
        })
        .collect()
}

/// What would be renamed at `at`, if anything.
pub(super) fn renamable(document: &Document, tools: &Toolbox, at: Position) -> Option<Value> {
    let name = name_at(document, tools, at).filter(|name| name.is_bound())?;
    Some(json!({ "range": document.range(name.span), "placeholder": name.name }))
}

/// The edits that give the name at `at` another one.
///
/// # Errors
///
/// Says why it cannot be renamed so.
pub(super) fn rename(
    document: &Document,
    tools: &Toolbox,
    at: Position,
    new_name: &str,
) -> Result<Value, String> {
    let name = name_at(document, tools, at)
        .filter(|name| name.is_bound())
        .ok_or("there is no name here that the program binds")?;
    if let Some(problem) = refused(new_name) {
        return Err(problem);
    }
    let names = document.names(tools);
    let taken = |other: &Occurrence| other.name == new_name && other.name != name.name;
    if names.occurrences().iter().any(taken) {
        return Err(format!(
            "the program has a name `{new_name}` already; choose another"
        ));
    }
    let edits: Vec<TextEdit> = names
        .same(name)
        .into_iter()
        .map(|occurrence| TextEdit {
            range: document.range(occurrence.span),
            new_text: new_name.to_owned(),
        })
        .collect();
    Ok(json!({ "changes": { &document.uri: edits } }))
}

/// Why `name` cannot be a name, as the checker says it.
fn refused(name: &str) -> Option<String> {
    let source = format!("INPUT {name}\n");
    let checked = praxis_dsl::check(&praxis_dsl::parse(&source), &praxis_dsl::NoTools);
    let one = checked
        .program
        .is_some_and(|program| program.inputs.len() == 1 && program.inputs[0].name == name);
    let first = checked.diagnostics.into_iter().next();
    match first {
        Some(found) => Some(found.message),
        None if !one => Some("a name is one word".to_owned()),
        None => None,
    }
}
