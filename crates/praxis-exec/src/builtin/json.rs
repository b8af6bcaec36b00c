//! Tools over JSON, and templates.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::{BuiltinConfig, Tools, count, invalid};
use crate::{Effects, Error, ErrorKind, Invocation, Parameter, ParameterKind, ToolContract};

/// The largest text that a template may grow to.
const TEMPLATE_BYTES: usize = 64 * 1024 * 1024;

pub(super) fn register(tools: &mut Tools<'_>) -> Result<(), Error> {
    let json = || Parameter::text("text").describe("the JSON");
    tools.blocking(
        ToolContract::new("json_format")
            .describe("JSON as text, indented.")
            .parameter(json().rest())
            .parameter(
                Parameter::new("indent", ParameterKind::Integer)
                    .or(2)
                    .describe("blanks per level; 0 puts it on one line"),
            )
            .effects(Effects::pure()),
        json_format,
    )?;
    tools.blocking(
        ToolContract::new("json_query")
            .describe("The part of a JSON document that a path leads to.")
            .parameter(json())
            .parameter(
                Parameter::text("query")
                    .describe("a path such as `a.b[0].c`, or a JSON Pointer such as `/a/b/0/c`"),
            )
            .effects(Effects::pure()),
        json_query,
    )?;
    tools.blocking(
        ToolContract::new("template")
            .describe("A text with values in place of its {{names}}.")
            .parameter(Parameter::text("text").describe("the text; {{a.b}} looks into values"))
            .parameter(
                Parameter::new("values", ParameterKind::Object)
                    .required()
                    .describe("a JSON object"),
            )
            .effects(Effects::pure()),
        template,
    )
}

fn json_format(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let value = parse(call.text("text")?)?;
    let indent = count(&call, "indent", 0..=16)?;
    if indent == 0 {
        return Ok(value.to_string().into());
    }
    let blanks = " ".repeat(indent);
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(blanks.as_bytes());
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .and_then(|()| String::from_utf8(bytes).map_err(serde::ser::Error::custom))
        .map(Value::from)
        .map_err(|source| {
            Error::failed(format!("cannot be formatted: {source}")).with_source(source)
        })
}

fn json_query(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let value = parse(call.text("text")?)?;
    query(&value, call.text("query")?).cloned()
}

fn template(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let text = call.text("text")?;
    let values = call.argument("values").unwrap_or(&Value::Null);
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let (before, after) = rest.split_at(open);
        filled.push_str(before);
        let Some(close) = after.find("}}") else {
            let place = text.len() - after.len();
            return Err(invalid(format!(
                "the `{{{{` at byte {place} of `text` is not closed by `}}}}`"
            )));
        };
        match query(values, after[2..close].trim())? {
            Value::String(value) => filled.push_str(value),
            value => {
                let _ = write!(filled, "{value}");
            }
        }
        if filled.len() > TEMPLATE_BYTES {
            let message = format!("the filled template is larger than {TEMPLATE_BYTES} bytes");
            return Err(Error::new(ErrorKind::OutputTooLarge, message));
        }
        rest = &after[close + 2..];
    }
    filled.push_str(rest);
    Ok(filled.into())
}

fn parse(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|source| {
        invalid(format!("argument `text` is not JSON: {source}")).with_source(source)
    })
}

/// Follows a path: names after dots, numbers or quoted names in brackets; or a JSON Pointer (RFC 6901).
fn query<'v>(value: &'v Value, path: &str) -> Result<&'v Value, Error> {
    if let Some(pointer) = path.strip_prefix('/') {
        let steps = pointer.split('/');
        return steps.map(unescape).try_fold(value, |at, step| {
            follow(at, &step).ok_or_else(|| nothing(path, at, &step))
        });
    }
    let mut at = value;
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    rest = rest.strip_prefix('.').unwrap_or(rest);
    while !rest.is_empty() {
        let (step, after) = next_step(rest).ok_or_else(|| {
            let column = path[..path.len() - rest.len()].chars().count() + 1;
            invalid(format!(
                "query `{path}` cannot be read at column {column}; a path looks like `a.b[0].c` or `a[\"b c\"]`"
            ))
        })?;
        at = follow(at, &step).ok_or_else(|| nothing(path, at, &step))?;
        rest = after;
    }
    Ok(at)
}

/// The first step of a path and what follows it.
fn next_step(path: &str) -> Option<(Cow<'_, str>, &str)> {
    let (step, rest) = if let Some(inside) = path.strip_prefix('[') {
        match inside.chars().next()? {
            quote @ ('"' | '\'') => {
                let (name, rest) = inside[1..].split_once(quote)?;
                (name, rest.strip_prefix(']')?)
            }
            _ => inside.split_once(']')?,
        }
    } else {
        path.split_at(path.find(['.', '[']).unwrap_or(path.len()))
    };
    if step.is_empty() && !path.starts_with('[') {
        return None;
    }
    match rest.strip_prefix('.') {
        Some("") => None,
        Some(rest) => Some((step.into(), rest)),
        None if rest.is_empty() || rest.starts_with('[') => Some((step.into(), rest)),
        None => None,
    }
}

fn unescape(step: &str) -> Cow<'_, str> {
    match step.contains('~') {
        true => step.replace("~1", "/").replace("~0", "~").into(),
        false => step.into(),
    }
}

fn follow<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    match value {
        Value::Object(entries) => entries.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn nothing(path: &str, at: &Value, step: &str) -> Error {
    let there = match at {
        Value::Object(entries) => {
            let names: Vec<&str> = entries.keys().take(10).map(String::as_str).collect();
            let more = if entries.len() > 10 { ", …" } else { "" };
            format!("there are {}{more}", names.join(", "))
        }
        Value::Array(items) => format!("there are {} items, counted from 0", items.len()),
        _ => format!("{at} has no parts"),
    };
    Error::failed(format!("`{path}`: there is no `{step}`; {there}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        let value = json!({"a": {"b": [{"c": 1}, 2], "x y": 3, "": 4}, "m/n": 5});
        let check = |path: &str, expect: Option<Value>| {
            assert_eq!(query(&value, path).ok().cloned(), expect, "{path}");
        };
        check("a.b[0].c", Some(json!(1)));
        check("$.a.b[1]", Some(json!(2)));
        check("a[\"x y\"]", Some(json!(3)));
        check("a['x y']", Some(json!(3)));
        check("a['']", Some(json!(4)));
        check("/a/b/0/c", Some(json!(1)));
        check("/m~1n", Some(json!(5)));
        check("", Some(value.clone()));
        check("a.b[2]", None);
        check("a..b", None);
        check("a.", None);
        check("a[", None);
        check("a[0", None);
        check("a.b[0]c", None);
        check("a.b.c", None);
    }

    proptest! {
        #[test]
        fn no_path_panics(path in ".{0,40}", other in "[a-c./\\[\\]\"'$~0-9]{0,20}") {
            let value = json!({"a": [{"b": "c"}]});
            let _ = query(&value, &path);
            let _ = query(&value, &other);
        }
    }
}
