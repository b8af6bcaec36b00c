//! Taking values out of a YAML map, each with its key's name in the error.

use std::time::Duration;

use serde_json::Value;
use serde_saphyr::Spanned;

use super::units::{parse_bool, parse_bytes, parse_duration};
use super::yaml::{Content, Node, invalid, to_text};
use crate::Error;

/// Keys that describe a tool to people and change nothing that Praxis does.
const REMARKS: [&str; 9] = [
    "version", "author", "authors", "license", "tags", "category", "metadata", "title", "homepage",
];

/// A map whose keys are taken one by one, so that the rest can be reported.
pub(super) struct Table<'a> {
    prefix: &'static str,
    entries: Vec<(&'a Spanned<String>, &'a Node)>,
}

impl<'a> Table<'a> {
    pub(super) fn new(node: &'a Node, prefix: &'static str) -> Result<Self, Error> {
        let entries = match &node.value {
            Content::Map(entries) => entries.iter().map(|(key, value)| (key, value)).collect(),
            Content::Scalar(Value::Null) => Vec::new(),
            _ => return Err(invalid(node, format!("`{prefix}` must be a map"))),
        };
        Ok(Self { prefix, entries })
    }

    /// Takes the key under any of its spellings; two spellings at once are a contradiction.
    pub(super) fn take(&mut self, spellings: &[&str]) -> Result<Option<&'a Node>, Error> {
        let mut found: Option<(&str, &'a Node)> = None;
        let mut clash = None;
        self.entries.retain(|(key, value)| {
            if !spellings.contains(&key.value.as_str()) {
                return true;
            }
            match found {
                Some((earlier, _)) => clash = Some((earlier, *key)),
                None => found = Some((key.value.as_str(), value)),
            }
            false
        });
        if let Some((earlier, key)) = clash {
            return Err(invalid(
                key,
                format!("`{}` and `{earlier}` mean the same; keep one", key.value),
            ));
        }
        let found = found.map(|(_, node)| node);
        Ok(found.filter(|node| !matches!(node.value, Content::Scalar(Value::Null))))
    }

    /// Takes keys that are read elsewhere.
    pub(super) fn take_each(&mut self, keys: &[&str]) {
        self.entries
            .retain(|(key, _)| !keys.contains(&key.value.as_str()));
    }

    pub(super) fn warn_of_rest(self, warnings: &mut Vec<String>) {
        for (key, _) in self.entries {
            let name = key.value.as_str();
            if REMARKS.contains(&name) || name.starts_with("x-") {
                continue;
            }
            let dot = if self.prefix.is_empty() { "" } else { "." };
            warnings.push(format!(
                "line {}: unknown key `{}{dot}{name}` is ignored",
                key.referenced.line(),
                self.prefix
            ));
        }
    }
}

pub(super) fn text(node: &Node, key: &str) -> Result<String, Error> {
    match &node.value {
        Content::Scalar(Value::Null) => Ok(String::new()),
        _ => to_text(node).ok_or_else(|| invalid(node, format!("`{key}` must be text"))),
    }
}

pub(super) fn words(node: &Node, key: &str) -> Result<Vec<String>, Error> {
    match &node.value {
        Content::List(items) => items.iter().map(|item| text(item, key)).collect(),
        Content::Scalar(_) => Ok(vec![text(node, key)?]),
        Content::Map(_) => Err(invalid(node, format!("`{key}` must be a list of words"))),
    }
}

pub(super) fn boolean(node: &Node, key: &str) -> Result<bool, Error> {
    scalar(node, key, "true or false", parse_bool)
}

pub(super) fn duration(node: &Node, key: &str) -> Result<Duration, Error> {
    scalar(
        node,
        key,
        "a duration such as 200ms, 5s or 2m",
        parse_duration,
    )
}

pub(super) fn size(node: &Node, key: &str) -> Result<u64, Error> {
    scalar(node, key, "a size such as 1024, 512m or 1Gi", parse_bytes)
}

/// `1` and `0` are durations here, not answers.
pub(super) fn yes_or_no(text: &str) -> Option<bool> {
    match text {
        "0" | "1" => None,
        _ => parse_bool(text),
    }
}

pub(super) fn scalar<T>(
    node: &Node,
    key: &str,
    expected: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, Error> {
    let text = text(node, key)?;
    parse(&text).ok_or_else(|| invalid(node, format!("`{key}` is `{text}`; it must be {expected}")))
}
