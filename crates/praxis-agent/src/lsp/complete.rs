//! What is offered at the cursor.

use praxis_dsl::navigate::{CallAt, Expected, ValueOf, expected_at};
use praxis_dsl::{Keyword, Span};
use praxis_exec::{Parameter, ParameterKind};
use serde_json::Value;

use super::document::Document;
use super::hover;
use super::keywords::{ENTRIES, STEP_OPTIONS};
use super::protocol::{Item, ItemKind, Markup, Position, Range, TextEdit};
use crate::toolbox::Toolbox;

pub(super) fn items(document: &Document, tools: &Toolbox, at: Position) -> Vec<Item> {
    let offset = document.offset(at);
    let cursor = expected_at(document.source(), offset);
    let mut offer = Offer {
        document,
        tools,
        offset,
        range: document.range(cursor.span),
        items: Vec::new(),
    };
    match cursor.expected {
        Expected::Command => offer.keywords(),
        Expected::In => offer.keyword("IN", "the list follows"),
        Expected::Tool => offer.tools(),
        Expected::Argument(call) => offer.argument(&call),
        Expected::StepValue("cache") => offer.values(["on", "off"].map(Value::from).iter()),
        Expected::BlockOption(keyword) => offer.block_options(keyword),
        Expected::Value { call } => {
            if call {
                offer.keyword("CALL", "binds the result of a tool");
            }
            offer.names("$");
        }
        Expected::Name | Expected::Expression => offer.names(""),
        _ => {}
    }
    offer.items
}

struct Offer<'d> {
    document: &'d Document,
    tools: &'d Toolbox,
    offset: u32,
    range: Range,
    items: Vec<Item>,
}

impl Offer<'_> {
    /// Adds an item; the order in which they are added is that in which they are shown.
    fn add(&mut self, label: String, kind: ItemKind, detail: Option<String>, text: Option<String>) {
        let text_edit = TextEdit {
            range: self.range,
            new_text: label.clone(),
        };
        self.items.push(Item {
            label,
            kind: kind as u8,
            detail,
            documentation: text.map(Markup::markdown),
            sort_text: format!("{:05}", self.items.len()),
            text_edit,
        });
    }

    fn keyword(&mut self, label: &str, detail: &str) {
        self.add(
            label.to_owned(),
            ItemKind::Keyword,
            Some(detail.to_owned()),
            None,
        );
    }

    /// The keywords that may start a line here: of clauses and end words those of the innermost
    /// block that is open, and they come first.
    fn keywords(&mut self) {
        let before = &self.document.source()[..self.offset as usize];
        let lines = before.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let open = open_block(lines);
        let fits = |keyword: Keyword| match keyword {
            Keyword::Elif | Keyword::Else => open == Some(Keyword::If),
            Keyword::Catch => open == Some(Keyword::Try),
            _ => open.and_then(Keyword::end) == Some(keyword),
        };
        let closing = |keyword: Keyword| keyword.is_end() || keyword.is_clause();
        let first = ENTRIES
            .iter()
            .filter(|entry| closing(entry.keyword) && fits(entry.keyword));
        let others = ENTRIES.iter().filter(|entry| !closing(entry.keyword));
        for entry in first.chain(others) {
            let label = if entry.keyword == Keyword::EndIf {
                "ENDIF"
            } else {
                entry.keyword.as_str()
            };
            let (usage, text) = (entry.usage.to_owned(), entry.text.to_owned());
            self.add(label.to_owned(), ItemKind::Keyword, Some(usage), Some(text));
        }
    }

    fn tools(&mut self) {
        for tool in self.tools.tools() {
            let contract = tool.contract();
            let parameters = contract.parameters.iter().map(|parameter| {
                if parameter.required {
                    format!("--{}", parameter.name)
                } else {
                    format!("[--{}]", parameter.name)
                }
            });
            let detail = parameters.collect::<Vec<_>>().join(" ");
            let text = hover::tool(contract);
            self.add(
                contract.name.clone(),
                ItemKind::Function,
                Some(detail),
                Some(text),
            );
        }
    }

    fn argument(&mut self, call: &CallAt) {
        let tools = self.tools;
        let contract = tools.find(&call.tool).map(|tool| tool.contract());
        let parameters = contract.map_or(&[][..], |contract| &contract.parameters[..]);
        match &call.value {
            ValueOf::Named(name) => {
                let parameter = parameters.iter().find(|parameter| parameter.name == *name);
                self.parameter_values(parameter);
                self.names("$");
                return;
            }
            ValueOf::Positional(index) => {
                self.parameter_values(parameters.get(*index));
                self.names("$");
            }
            ValueOf::Option => {}
        }
        for parameter in parameters.iter().skip(call.positional) {
            if !call.named.contains(&parameter.name) {
                let label = format!("--{}", parameter.name);
                let detail = parameter.kind.to_string();
                let text = hover::parameter(parameter);
                self.add(label, ItemKind::Property, Some(detail), Some(text));
            }
        }
        for (name, usage, text) in STEP_OPTIONS {
            if !call.options.contains(name) {
                let label = format!("@{name}=");
                let (usage, text) = ((*usage).to_owned(), (*text).to_owned());
                self.add(label, ItemKind::Property, Some(usage), Some(text));
            }
        }
    }

    fn parameter_values(&mut self, parameter: Option<&Parameter>) {
        let Some(parameter) = parameter else {
            return;
        };
        if !parameter.choices.is_empty() {
            self.values(parameter.choices.iter());
        } else if parameter.kind == ParameterKind::Boolean {
            self.values([true, false].map(Value::from).iter());
        }
    }

    fn values<'v>(&mut self, values: impl Iterator<Item = &'v Value>) {
        for value in values {
            let label = match value {
                Value::String(text) if text.contains(char::is_whitespace) => format!("{value}"),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            self.add(label, ItemKind::EnumMember, None, None);
        }
    }

    fn block_options(&mut self, keyword: Keyword) {
        let of_parallel = [
            ("--limit", "how many children may run at once"),
            ("--fail_fast", "a failure cancels the other children"),
            ("--any", "the first child that succeeds is enough"),
        ];
        if keyword == Keyword::Parallel {
            self.keyword("FOR", "rounds of a loop in no order");
            for (label, detail) in of_parallel {
                self.add(
                    label.to_owned(),
                    ItemKind::Property,
                    Some(detail.to_owned()),
                    None,
                );
            }
        } else {
            let detail = "how many rounds may run at once".to_owned();
            self.add("--limit".to_owned(), ItemKind::Property, Some(detail), None);
        }
    }

    /// The names that can be used here, the latest first.
    fn names(&mut self, sign: &str) {
        let visible: Vec<(String, Span)> = self.document.visible(self.offset, self.tools);
        for (name, span) in visible.into_iter().rev() {
            let text = hover::binding(self.document, self.tools, span);
            self.add(
                format!("{sign}{name}"),
                ItemKind::Variable,
                None,
                Some(text),
            );
        }
    }
}

/// The innermost block that `lines` leave open.
fn open_block(lines: &str) -> Option<Keyword> {
    let mut open: Vec<Keyword> = Vec::new();
    for line in lines.lines() {
        let mut words = line.split_whitespace().map(Keyword::parse);
        let Some(Some(keyword)) = words.next() else {
            continue;
        };
        let inner = words.next().flatten();
        if keyword == Keyword::Parallel && inner == Some(Keyword::For) {
            open.push(Keyword::ParallelFor);
        } else if keyword.end().is_some() {
            open.push(keyword);
        } else if open.last().and_then(|last| last.end()) == Some(keyword) {
            open.pop();
        }
    }
    open.pop()
}
