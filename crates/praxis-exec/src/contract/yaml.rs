use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned, budget, options};

use crate::{Error, ErrorKind};

/// A YAML node that knows where it stands.
pub(super) type Node = Spanned<Content>;

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

/// Parses one YAML document.
///
/// The budget is far above what a contract needs and far below what would be felt:
/// aliases that multiply are refused after some thousands of nodes.
pub(super) fn parse(text: &str) -> Result<Node, Error> {
    let options = options! {
        budget: budget! {
            max_depth: 32,
            max_nodes: 20_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: 100_000,
        },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let bare = error.without_snippet();
        let mut message = format!("not valid YAML: {bare}");
        let place = bare.location().filter(|place| place.line() > 0);
        if let Some(place) = place {
            // The place is told apart from the message, so it need not stand in it twice.
            let suffix = format!(" at line {}, column {}", place.line(), place.column());
            message = message.replace(&suffix, "");
        }
        let error = Error::new(ErrorKind::InvalidContract, message);
        match place {
            Some(place) => error.with_place(place.line(), place.column()),
            None => error,
        }
    })
}

/// An error that points at a node.
pub(super) fn invalid<T>(node: &Spanned<T>, message: impl Into<String>) -> Error {
    placed(Error::new(ErrorKind::InvalidContract, message), node)
}

/// The error, pointing at a node.
pub(super) fn placed<T>(error: Error, node: &Spanned<T>) -> Error {
    match (node.referenced.line(), node.referenced.column()) {
        (0, _) => error,
        (line, column) => error.with_place(line, column),
    }
}

/// The node as JSON.
pub(super) fn to_json(node: &Node) -> Value {
    match &node.value {
        Content::Scalar(value) => value.clone(),
        Content::List(items) => items.iter().map(to_json).collect(),
        Content::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.value.clone(), to_json(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// JSON as a node that stands nowhere; the caller has bounded its depth.
pub(super) fn from_json(value: &Value) -> Node {
    let content = match value {
        Value::Array(items) => Content::List(items.iter().map(from_json).collect()),
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (nowhere(key.clone()), from_json(value)));
            Content::Map(entries.collect())
        }
        scalar => Content::Scalar(scalar.clone()),
    };
    nowhere(content)
}

fn nowhere<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN)
}

/// A scalar as the text that stands for it; lists and maps have none.
pub(super) fn to_text(node: &Node) -> Option<String> {
    match &node.value {
        Content::Scalar(Value::String(text)) => Some(text.clone()),
        Content::Scalar(Value::Null) | Content::List(_) | Content::Map(_) => None,
        Content::Scalar(value) => Some(value.to_string()),
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries: Vec<(Spanned<String>, Node)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Node>()? {
            entries.push((key, value));
        }
        Ok(Content::Map(entries))
    }
}
