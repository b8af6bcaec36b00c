//! Tokens and tree in the shape that existing Praxis tools record, as JSON text.
//!
//! The text is written directly, so that a number of any size keeps its digits.

use std::collections::HashMap;

use crate::argument::{Argument, Arguments, recorded_parameters, recorded_rest, rest_words};
use crate::diagnostic::Diagnostic;
use crate::keyword::Keyword;
use crate::tree::{Statement, Statements, Tree};
use crate::value::{Typed, type_of};
use crate::word::{Quote, Word};

/// The lines of the program as a JSON array of `{type, value, args}`.
///
/// # Errors
///
/// The diagnostics of a program that is refused.
pub fn compat_tokens(tree: &Tree) -> Result<String, &[Diagnostic]> {
    if tree.has_errors() {
        return Err(tree.diagnostics());
    }
    let rows = tree.lines.iter().map(|line| {
        let words = &tree.words[line.first as usize..line.last as usize];
        let first = words[0].text(&tree.source);
        let kind = match &*first {
            "|" | "&&" | "||" | ";" => "operator",
            _ => "command",
        };
        let args = array(words[1..].iter().map(|word| text(word, tree)));
        let value = string(&first.to_uppercase());
        format!("{{\"type\":\"{kind}\",\"value\":{value},\"args\":{args}}}")
    });
    Ok(array(rows))
}

/// The tree of the program as a JSON object of `nodes` and `metadata`.
///
/// # Errors
///
/// The diagnostics of a program that is refused.
pub fn compat_ast(tree: &Tree) -> Result<String, &[Diagnostic]> {
    if tree.has_errors() {
        return Err(tree.diagnostics());
    }
    Ok(format!(
        "{{\"nodes\":{},\"metadata\":{{}}}}",
        nodes(tree, tree.statements())
    ))
}

/// The nodes of a block; the depth of the recursion is that of the blocks, which is limited.
fn nodes(tree: &Tree, statements: Statements<'_>) -> String {
    array(statements.map(|statement| node(tree, statement)))
}

fn node(tree: &Tree, statement: Statement<'_>) -> String {
    let words = statement.arguments();
    let source = tree.source();
    let Some(keyword) = statement.keyword() else {
        let value = statement.words()[0].text(source).to_uppercase();
        let args = positional_fields(tree, words, "").json();
        return shape(
            "command",
            &value,
            "null",
            &args,
            "[]",
            "{\"simple_command\":true}",
        );
    };
    match keyword {
        Keyword::Call => call(tree, words),
        Keyword::Let => assignment(tree, words),
        Keyword::Workflow => named(tree, words, "workflow", "WORKFLOW"),
        Keyword::Task => named(tree, words, "task", "TASK"),
        Keyword::Agent => {
            let name = first_text(tree, words);
            let args = paired_fields(tree, words, "agent_id").json();
            let metadata = format!("{{\"agent_id\":{name}}}");
            shape("agent", "AGENT", "null", &args, "[]", &metadata)
        }
        Keyword::Parallel | Keyword::Sequence => {
            let value = keyword.as_str();
            let name = value.to_lowercase();
            let args = positional_fields(tree, words, "").json();
            let children = nodes(tree, statement.children());
            let metadata = format!("{{\"execution_mode\":\"{name}\"}}");
            shape(&name, value, "null", &args, &children, &metadata)
        }
        Keyword::If => conditional(tree, statement),
        Keyword::For | Keyword::ParallelFor => {
            let mut fields = positional_fields(tree, words.get(3..).unwrap_or_default(), "");
            fields.set("variable", first_text(tree, words));
            fields.set(
                "items",
                words
                    .get(2)
                    .map_or_else(|| string(""), |word| typed(word, tree)),
            );
            fields.set("parallel", (keyword == Keyword::ParallelFor).to_string());
            let children = nodes(tree, statement.children());
            shape("for", "FOR", "null", &fields.json(), &children, "{}")
        }
        Keyword::Try => {
            let handler = statement.clauses().next();
            let mut fields = Fields::default();
            let error = handler.and_then(|handler| handler.arguments().first());
            fields.set(
                "error",
                error.map_or_else(|| "null".to_owned(), |word| text(word, tree)),
            );
            let children = handler.map_or_else(
                || "[]".to_owned(),
                |handler| nodes(tree, handler.children()),
            );
            fields.set("catch_children", children);
            let metadata = format!("{{\"has_catch\":{}}}", handler.is_some());
            let body = nodes(tree, statement.children());
            shape("try", "TRY", "null", &fields.json(), &body, &metadata)
        }
        Keyword::Input => {
            let mut fields = Fields::default();
            fields.set("name", first_text(tree, words));
            if let Some(value) = words.get(2) {
                fields.set("default", typed(value, tree));
            }
            shape("input", "INPUT", "null", &fields.json(), "[]", "{}")
        }
        Keyword::Return => {
            let mut fields = Fields::default();
            if let Some(value) = words.first() {
                fields.set("value", typed(value, tree));
            }
            shape("return", "RETURN", "null", &fields.json(), "[]", "{}")
        }
        // Clauses and end words are never statements of their own.
        _ => shape("command", keyword.as_str(), "null", "{}", "[]", "{}"),
    }
}

fn call(tree: &Tree, words: &[Word]) -> String {
    let tool = words
        .first()
        .map(|word| word.text(tree.source()))
        .unwrap_or_default();
    let arguments = words.get(1..).unwrap_or_default();
    let args = positional_fields(tree, arguments, &tool).json();
    let mut metadata = Fields::default();
    metadata.set(
        "original_args",
        array(words.iter().map(|word| text(word, tree))),
    );
    let mut options = Fields::default();
    for argument in Arguments::new(tree.source(), arguments, recorded_rest(&tool)) {
        if let Argument::Step(option, _, value) = argument {
            options.set(option.name(), typed(&value, tree));
        }
    }
    if !options.order.is_empty() {
        metadata.set("options", options.json());
    }
    shape(
        "call",
        "CALL",
        &string(&tool),
        &args,
        "[]",
        &metadata.json(),
    )
}

/// The arguments of a line by name, with the names of a recorded tool or `arg0`, `arg1`, ….
fn positional_fields(tree: &Tree, words: &[Word], tool: &str) -> Fields {
    let source = tree.source();
    let names = recorded_parameters(tool);
    let name_of = |position: usize| {
        names
            .get(position)
            .map_or_else(|| format!("arg{position}"), |name| (*name).to_owned())
    };
    let mut fields = Fields::default();
    for argument in Arguments::new(source, words, recorded_rest(tool)) {
        match argument {
            Argument::Positional(position, word) => {
                fields.set(&name_of(position), typed(&word, tree));
            }
            Argument::Named { name, value, .. } => {
                let value = value.map_or_else(|| "true".to_owned(), |word| typed(&word, tree));
                fields.set(name.text(source), value);
            }
            Argument::Rest(position, from) => {
                let rest: Vec<_> = rest_words(source, words, from)
                    .map(|word| word.text(source))
                    .collect();
                fields.set(&name_of(position), string(&rest.join(" ")));
            }
            Argument::Step(..) => {}
        }
    }
    fields
}

fn assignment(tree: &Tree, words: &[Word]) -> String {
    let mut fields = Fields::default();
    fields.set("name", first_text(tree, words));
    let value = words.get(2..).unwrap_or_default();
    let calls = value
        .first()
        .is_some_and(|word| Keyword::parse(&word.text(tree.source())) == Some(Keyword::Call));
    if calls {
        let children = array(std::iter::once(call(tree, &value[1..])));
        return shape("let", "LET", "null", &fields.json(), &children, "{}");
    }
    if let [word] = value {
        fields.set("value", typed(word, tree));
    } else {
        fields.set("value", joined(tree, value));
    }
    shape("let", "LET", "null", &fields.json(), "[]", "{}")
}

/// `WORKFLOW` and `TASK`: a name, then pairs.
fn named(tree: &Tree, words: &[Word], kind: &str, value: &str) -> String {
    let name = first_text(tree, words);
    let args = paired_fields(tree, words, "name").json();
    let metadata = format!("{{\"{kind}_name\":{name}}}");
    shape(kind, value, "null", &args, "[]", &metadata)
}

/// The first word under the name `first`, then the pairs.
fn paired_fields(tree: &Tree, words: &[Word], first: &str) -> Fields {
    let mut fields = Fields::default();
    fields.set(first, first_text(tree, words));
    for (key, value) in pairs(tree.source(), words) {
        if let Some(value) = value {
            fields.set(&key, typed(&value, tree));
        }
    }
    fields
}

/// The pairs after the name in a `WORKFLOW`, `TASK` or `AGENT` line; a last word alone has no value.
pub(crate) fn pairs(source: &str, words: &[Word]) -> Vec<(String, Option<Word>)> {
    let mut pairs = Vec::new();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        if word.is_bare()
            && word.span().text(source).starts_with("--")
            && let Some((name, value)) = word.split_assignment(source)
        {
            pairs.push((
                name.text(source).trim_start_matches('-').to_owned(),
                Some(value),
            ));
            continue;
        }
        let key = word.text(source).trim_start_matches('-').to_owned();
        pairs.push((key, rest.next().copied()));
    }
    pairs
}

/// An `IF` with its clauses: an `ELIF` is a conditional in the else branch of the one before.
fn conditional(tree: &Tree, statement: Statement<'_>) -> String {
    // Written from the outside in, with the closing parts kept aside, so that a long chain
    // takes linear time and no recursion.
    let mut out = String::new();
    let mut closing = Vec::new();
    let mut clauses = std::iter::once(statement)
        .chain(statement.clauses())
        .peekable();
    while let Some(clause) = clauses.next() {
        if clause.keyword() == Some(Keyword::Else) {
            let children = nodes(tree, clause.children());
            out.push_str(&children[1..children.len() - 1]);
            break;
        }
        let condition = match clause.arguments() {
            [] => string("true"),
            words => joined(tree, words),
        };
        let value = clause.keyword().map_or("IF", Keyword::as_str);
        out.push_str(&format!(
            "{{\"type\":\"conditional\",\"value\":\"{value}\",\"tool_name\":null,\
             \"args\":{{\"condition\":{condition},\"else_children\":["
        ));
        let has_else = clauses.peek().is_some_and(|next| {
            next.keyword() == Some(Keyword::Elif) || next.children().next().is_some()
        });
        let children = nodes(tree, clause.children());
        closing.push(format!(
            "]}},\"children\":{children},\"metadata\":{{\"has_else\":{has_else}}}}}"
        ));
    }
    out.extend(closing.into_iter().rev());
    out
}

fn shape(
    kind: &str,
    value: &str,
    tool: &str,
    args: &str,
    children: &str,
    metadata: &str,
) -> String {
    let value = string(value);
    format!(
        "{{\"type\":\"{kind}\",\"value\":{value},\"tool_name\":{tool},\"args\":{args},\
         \"children\":{children},\"metadata\":{metadata}}}"
    )
}

/// The fields of a JSON object; a name that is set again keeps its place.
#[derive(Default)]
struct Fields {
    order: Vec<(String, String)>,
    index: HashMap<String, usize>,
}

impl Fields {
    fn set(&mut self, name: &str, json: String) {
        if let Some(&at) = self.index.get(name) {
            self.order[at].1 = json;
        } else {
            self.index.insert(name.to_owned(), self.order.len());
            self.order.push((name.to_owned(), json));
        }
    }

    fn json(&self) -> String {
        let mut out = String::from("{");
        for (name, json) in &self.order {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&string(name));
            out.push(':');
            out.push_str(json);
        }
        out.push('}');
        out
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    let mut out = String::from("[");
    for item in items {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&item);
    }
    out.push(']');
    out
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn text(word: &Word, tree: &Tree) -> String {
    string(&word.text(tree.source()))
}

fn first_text(tree: &Tree, words: &[Word]) -> String {
    words
        .first()
        .map_or_else(|| string(""), |word| text(word, tree))
}

fn joined(tree: &Tree, words: &[Word]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.text(tree.source())).collect();
    string(&words.join(" "))
}

/// The JSON of a word by its own look; what is JSON already stays as it is written.
fn typed(word: &Word, tree: &Tree) -> String {
    let text = word.text(tree.source());
    match type_of(&text, word.quote()) {
        Typed::Text => string(&text),
        Typed::OutOfRange => text.into_owned(),
        Typed::Value(serde_json::Value::Bool(value)) => value.to_string(),
        // A reader may take `-0` for a float, and it is the integer zero.
        Typed::Value(_) if text == "-0" && word.quote() == Quote::Bare => "0".to_owned(),
        Typed::Value(_) => text.into_owned(),
    }
}
