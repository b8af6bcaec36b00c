//! What is said of the word under the cursor, and of what is offered there.

use praxis_dsl::navigate::{Target, target_at};
use praxis_dsl::{Keyword, Span, parse};
use praxis_exec::{Parameter, ToolContract};
use serde_json::{Value, json};

use super::document::Document;
use super::keywords;
use super::protocol::{Markup, Position};
use crate::toolbox::Toolbox;

pub(super) fn hover(document: &Document, tools: &Toolbox, at: Position) -> Option<Value> {
    let offset = document.offset(at);
    let named = document.names(tools).at(offset);
    let (mut text, mut span) = match named {
        Some(found) => {
            let definitions = document.names(tools).definitions(found);
            let bound = definitions.iter().map(|at| binding(document, tools, *at));
            let value = found.value();
            let value = value.map_or_else(String::new, |value| format!(": {value}"));
            let mut parts = vec![format!("`${}`{value}", found.name)];
            parts.extend(bound);
            (parts.join("\n\n"), Some(found.span))
        }
        None => match target_at(document.source(), offset) {
            Some((target, span)) => (about(tools, &target).unwrap_or_default(), Some(span)),
            None => (String::new(), None),
        },
    };
    for found in document.findings(tools) {
        if found.span.start <= offset && offset <= found.span.end {
            let code = found.code;
            let part = format!("**{code}** {}\n\n{}", code.title(), code.explanation());
            text = if text.is_empty() {
                part
            } else {
                format!("{text}\n\n---\n\n{part}")
            };
            span.get_or_insert(found.span);
        }
    }
    let span = span.filter(|_| !text.is_empty())?;
    Some(json!({ "contents": Markup::markdown(text), "range": document.range(span) }))
}

fn about(tools: &Toolbox, target: &Target) -> Option<String> {
    match target {
        Target::Keyword(keyword) => {
            let entry = keywords::find(*keyword)?;
            Some(format!("```praxis\n{}\n```\n{}", entry.usage, entry.text))
        }
        Target::Tool(name) => Some(tool(tools.find(name)?.contract())),
        Target::Parameter { tool, parameter } => {
            let contract = tools.find(tool)?.contract();
            contract.find_parameter(parameter).map(self::parameter)
        }
        Target::StepOption(name) => {
            let (_, usage, text) = keywords::STEP_OPTIONS
                .iter()
                .find(|entry| entry.0 == *name)?;
            Some(format!("`@{name}={usage}`\n\n{text}"))
        }
        _ => None,
    }
}

/// The contract of a tool, as Markdown.
pub(super) fn tool(contract: &ToolContract) -> String {
    let mut text = format!("**{}** {}\n", contract.name, contract.description);
    for described in &contract.parameters {
        text.push_str(&format!("\n- {}", parameter(described)));
    }
    let effects = &contract.effects;
    text.push_str(&format!("\n\nEffects: {}", effects.class));
    for (what, names) in [("reads", &effects.reads), ("writes", &effects.writes)] {
        if !names.is_empty() {
            text.push_str(&format!(", {what} what `{}` names", names.join("`, `")));
        }
    }
    text.push_str(&format!("; engine: {}", contract.engine));
    text
}

/// A parameter of a contract, as one line of Markdown.
pub(super) fn parameter(parameter: &Parameter) -> String {
    let mut facts = vec![parameter.kind.to_string()];
    if parameter.required {
        facts.push("required".to_owned());
    }
    facts.extend(
        parameter
            .default
            .as_ref()
            .map(|value| format!("default `{value}`")),
    );
    if parameter.rest {
        facts.push("takes the remaining words".to_owned());
    }
    if !parameter.choices.is_empty() {
        let choices: Vec<String> = parameter.choices.iter().map(Value::to_string).collect();
        facts.push(format!("one of `{}`", choices.join("`, `")));
    }
    let text = format!(
        "`--{}` ({}) {}",
        parameter.name,
        facts.join(", "),
        parameter.description
    );
    text.trim_end().to_owned()
}

/// The line that binds a name, and by which tool.
pub(super) fn binding(document: &Document, tools: &Toolbox, at: Span) -> String {
    let source = document.source();
    let index = document.tree().line_index();
    let number = index.location(source, at.start).line;
    let line = index.line_span(source, number).text(source).trim();
    let shown: String = line.chars().take(200).collect();
    let mut text = format!("line {number}\n```praxis\n{shown}\n```\n");
    if let Some(more) = bound_to(tools, line) {
        text.push_str(&more);
    }
    text
}

fn bound_to(tools: &Toolbox, line: &str) -> Option<String> {
    let tree = parse(line);
    let statement = tree.statements().next()?;
    let arguments = statement.arguments();
    let value = arguments.get(2);
    match statement.keyword()? {
        Keyword::Let
            if value.is_some_and(|word| Keyword::parse(word.raw(line)) == Some(Keyword::Call)) =>
        {
            let name = arguments.get(3)?.text(line);
            let contract = tools.find(&name)?.contract();
            Some(format!(
                "the result of **{name}**: {}",
                contract.description
            ))
        }
        Keyword::For | Keyword::ParallelFor => {
            Some("an item of the list; the name ends with the loop".to_owned())
        }
        Keyword::Catch => Some("the failure of the TRY".to_owned()),
        _ => None,
    }
}
