//! What is wrong with a document, and the fixes that are offered.

use praxis_dsl::{Diagnostic, Severity};
use serde_json::{Value, json};

use super::document::Document;
use super::protocol::{Finding, Place, Range, Related, TextEdit};
use crate::toolbox::Toolbox;

/// The parameters of `textDocument/publishDiagnostics`.
pub(super) fn published(document: &Document, tools: &Toolbox) -> Value {
    let findings: Vec<Finding> = document
        .findings(tools)
        .iter()
        .map(|found| finding(document, found))
        .collect();
    json!({ "uri": document.uri, "version": document.version, "diagnostics": findings })
}

fn finding(document: &Document, found: &Diagnostic) -> Finding {
    let related = found.labels.iter().map(|label| Related {
        location: Place {
            uri: document.uri.clone(),
            range: document.range(label.span),
        },
        message: label.message.clone(),
    });
    let message = match &found.help {
        Some(help) => format!("{}\nhelp: {help}", found.message),
        None => found.message.clone(),
    };
    Finding {
        range: document.range(found.span),
        severity: match found.severity {
            Severity::Error => 1,
            Severity::Warning => 2,
        },
        code: found.code.id(),
        source: "praxis",
        message,
        related_information: related.collect(),
    }
}

/// The quick fixes for what is wrong in `range`.
pub(super) fn actions(document: &Document, tools: &Toolbox, range: Range) -> Vec<Value> {
    let wanted = document.span(range);
    let mut actions = Vec::new();
    for found in document.findings(tools) {
        let touches = found.span.start <= wanted.end && wanted.start <= found.span.end;
        let Some(fix) = found.fix.as_ref().filter(|_| touches) else {
            continue;
        };
        let old = fix.span.text(document.source());
        let title = match (old.is_empty(), fix.replacement.is_empty()) {
            (_, true) => format!("Delete `{}`", old.escape_debug()),
            (true, false) => format!("Insert `{}`", fix.replacement.trim()),
            (false, false) => format!("Replace `{old}` with `{}`", fix.replacement),
        };
        let edit = TextEdit {
            range: document.range(fix.span),
            new_text: fix.replacement.clone(),
        };
        actions.push(json!({
            "title": title,
            "kind": "quickfix",
            "isPreferred": true,
            "diagnostics": [finding(document, found)],
            "edit": { "changes": { &document.uri: [edit] } },
        }));
    }
    actions
}
