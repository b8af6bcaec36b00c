//! The parameters of a contract, in the forms that they are written in.

use serde_json::Value;
use serde_saphyr::Spanned;

use super::bind::coerce;
use super::table::{Table, boolean, text, words};
use super::yaml::{Content, Node, invalid, to_json, to_text};
use super::{Parameter, ParameterKind};
use crate::Error;

/// Reads parameters: a list of maps, a map of name to type or map, or a JSON Schema of an object.
pub(super) fn parameters(node: &Node, warnings: &mut Vec<String>) -> Result<Vec<Parameter>, Error> {
    match &node.value {
        Content::List(items) => items
            .iter()
            .map(|item| match &item.value {
                Content::Map(_) => parameter(None, item, warnings),
                _ => Ok(Parameter::new(
                    text(item, "parameter")?,
                    ParameterKind::Text,
                )),
            })
            .collect(),
        Content::Map(entries) => {
            let find = |wanted: &str| {
                let found = entries.iter().find(|(key, _)| key.value == wanted);
                found.map(|(_, value)| value)
            };
            // A JSON Schema of an object, as function-calling tools have it.
            if let Some(properties) = find("properties")
                && find("type").and_then(to_text).as_deref() == Some("object")
            {
                let required = find("required").map(|node| words(node, "required"));
                let required = required.transpose()?.unwrap_or_default();
                let mut parameters = parameters(properties, warnings)?;
                for parameter in &mut parameters {
                    parameter.required |= required.contains(&parameter.name);
                }
                return Ok(parameters);
            }
            entries
                .iter()
                .map(|(name, value)| match &value.value {
                    Content::Map(_) => parameter(Some(name), value, warnings),
                    Content::Scalar(Value::Null) => {
                        Ok(Parameter::new(name.value.clone(), ParameterKind::Any))
                    }
                    _ => Ok(Parameter::new(name.value.clone(), kind(value)?)),
                })
                .collect()
        }
        Content::Scalar(_) => Err(invalid(
            node,
            "parameters must be a list of maps with `name` and `type`, or a map of name to type",
        )),
    }
}

fn parameter(
    name: Option<&Spanned<String>>,
    node: &Node,
    warnings: &mut Vec<String>,
) -> Result<Parameter, Error> {
    let mut table = Table::new(node, "parameter")?;
    let inner = table.take(&["name"])?;
    let name = match (name, inner) {
        (Some(name), _) => name.value.clone(),
        (None, Some(inner)) => text(inner, "name")?,
        (None, None) => return Err(invalid(node, "a parameter has no `name`")),
    };
    super::check_name("parameter", &name)
        .map_err(|error| invalid(inner.unwrap_or(node), error.message().to_owned()))?;
    let mut parameter = Parameter::new(name, ParameterKind::Text);
    if let Some(node) = table.take(&["type", "kind"])? {
        parameter.kind = kind(node)?;
    }
    if let Some(node) = table.take(&["description"])? {
        parameter.description = text(node, "description")?;
    }
    if let Some(node) = table.take(&["required"])? {
        parameter.required = boolean(node, "required")?;
    }
    if let Some(node) = table.take(&["rest"])? {
        parameter.rest = boolean(node, "rest")?;
    }
    if let Some(node) = table.take(&["enum", "choices"])? {
        let Content::List(items) = &node.value else {
            return Err(invalid(
                node,
                "`enum` must be a list of the accepted arguments",
            ));
        };
        let choices = items
            .iter()
            .map(|item| constant(&parameter, item, "choice"));
        parameter.choices = choices.collect::<Result<_, _>>()?;
    }
    if let Some(node) = table.take(&["default"])? {
        parameter.default = Some(constant(&parameter, node, "default")?);
    }
    table.warn_of_rest(warnings);
    Ok(parameter)
}

/// A value that the contract itself gives for a parameter.
fn constant(parameter: &Parameter, node: &Node, what: &str) -> Result<Value, Error> {
    let value = to_json(node);
    coerce(parameter, value).map_err(|reason| {
        invalid(
            node,
            format!("the {what} of parameter `{}` {reason}", parameter.name),
        )
    })
}

fn kind(node: &Node) -> Result<ParameterKind, Error> {
    let name = text(node, "type")?;
    Ok(match name.to_ascii_lowercase().as_str() {
        "string" | "str" | "text" | "path" | "file" => ParameterKind::Text,
        "int" | "integer" => ParameterKind::Integer,
        "number" | "float" | "double" => ParameterKind::Number,
        "bool" | "boolean" => ParameterKind::Boolean,
        "array" | "list" => ParameterKind::Array,
        "object" | "dict" | "map" => ParameterKind::Object,
        "any" | "json" => ParameterKind::Any,
        _ => {
            return Err(invalid(
                node,
                format!(
                    "`{name}` is not a type; the types are text, integer, number, boolean, array, object, any"
                ),
            ));
        }
    })
}
