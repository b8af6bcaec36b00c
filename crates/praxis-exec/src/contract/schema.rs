//! The parameters of a contract, in the forms that they are written in.

use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;

use super::bind::coerce;
use super::table::{Table, boolean, text, words};
use super::yaml::{Content, Node, from_json, invalid, to_json, to_text};
use super::{Parameter, ParameterKind};
use crate::Error;
use crate::schema::parameter_says_more;

/// The keywords of JSON Schema that a parameter may have beside its type.
const CONSTRAINTS: [&str; 40] = [
    "$ref",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "else",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "then",
    "title",
    "uniqueItems",
];

/// What the parameters of a contract come to.
#[derive(Default)]
pub(super) struct Declared {
    pub(super) parameters: Vec<Parameter>,
    /// The JSON Schema of all arguments: whole where it was written as one,
    /// else what the parameters say beyond their types.
    pub(super) schema: Option<Value>,
}

/// Reads parameters: a list of maps, a map of name to type or map, or a JSON Schema of an object.
pub(super) fn parameters(node: &Node, warnings: &mut Vec<String>) -> Result<Declared, Error> {
    match &node.value {
        Content::List(items) => {
            let named = items.iter().map(|item| match &item.value {
                Content::Map(_) => parameter(None, item, None, warnings),
                _ => Ok(Parameter::new(
                    text(item, "parameter")?,
                    ParameterKind::Text,
                )),
            });
            let parameters = named.collect::<Result<Vec<_>, _>>()?;
            let schemas = items.iter().map(to_json);
            Ok(loose(parameters, schemas))
        }
        Content::Map(entries) => {
            // A JSON Schema of an object, as function-calling tools have it.
            if find(entries, "properties").is_some()
                && find(entries, "type").and_then(to_text).as_deref() == Some("object")
            {
                return object(node, warnings);
            }
            let named = entries
                .iter()
                .map(|(name, value)| property(name, value, None, warnings));
            let parameters = named.collect::<Result<Vec<_>, _>>()?;
            let schemas = entries.iter().map(|(_, value)| to_json(value));
            Ok(loose(parameters, schemas))
        }
        Content::Scalar(_) => Err(invalid(
            node,
            "parameters must be a list of maps with `name` and `type`, or a map of name to type",
        )),
    }
}

/// Reads a JSON Schema of an object as it comes from elsewhere: the parameters are its properties,
/// those that are required first, in the order in which they are called so.
pub(super) fn foreign(schema: &Value) -> Result<Vec<Parameter>, Error> {
    let node = from_json(schema);
    let mut parameters = object(&node, &mut Vec::new())?.parameters;
    let required = schema.get("required").and_then(Value::as_array);
    let rank = |parameter: &Parameter| {
        let names = required.into_iter().flatten();
        let place = names.into_iter().position(|name| *name == parameter.name);
        place.unwrap_or(usize::MAX)
    };
    parameters.sort_by_key(rank);
    Ok(parameters)
}

fn object(node: &Node, warnings: &mut Vec<String>) -> Result<Declared, Error> {
    let Content::Map(entries) = &node.value else {
        return Err(invalid(node, "a JSON Schema of arguments is a map"));
    };
    let required = find(entries, "required").map(|node| words(node, "required"));
    let required = required.transpose()?.unwrap_or_default();
    let mut whole = to_json(node);
    let mut parameters = Vec::new();
    if let Some(properties) = find(entries, "properties") {
        let Content::Map(properties) = &properties.value else {
            return Err(invalid(properties, "`properties` must be a map"));
        };
        for (name, value) in properties {
            let mut parameter = property(name, value, Some(&whole), warnings)?;
            let schema = cleaned(to_json(value), &parameter);
            whole["properties"][&parameter.name] = schema;
            parameter.required |= required.contains(&parameter.name);
            parameters.push(parameter);
        }
    }
    Ok(Declared {
        parameters,
        schema: Some(whole),
    })
}

/// Parameters outside of a schema, with what they say beyond their types.
fn loose(parameters: Vec<Parameter>, written: impl Iterator<Item = Value>) -> Declared {
    let properties: Map<String, Value> = parameters
        .iter()
        .zip(written)
        .map(|(parameter, written)| (parameter.name.clone(), cleaned(written, parameter)))
        .filter(|(_, schema)| parameter_says_more(schema))
        .collect();
    let schema = (!properties.is_empty())
        .then(|| json!({"type": "object", "properties": Value::Object(properties)}));
    Declared { parameters, schema }
}

fn property(
    name: &Spanned<String>,
    node: &Node,
    whole: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<Parameter, Error> {
    match &node.value {
        Content::Map(_) => parameter(Some(name), node, whole, warnings),
        Content::Scalar(Value::Null) => Ok(Parameter::new(name.value.clone(), ParameterKind::Any)),
        Content::Scalar(Value::Bool(true)) if whole.is_some() => {
            Ok(Parameter::new(name.value.clone(), ParameterKind::Any))
        }
        _ => Ok(Parameter::new(name.value.clone(), kind(node)?)),
    }
}

/// Reads one parameter; `whole` is the JSON Schema that it stands in, if it does.
fn parameter(
    name: Option<&Spanned<String>>,
    node: &Node,
    whole: Option<&Value>,
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
    match table.take(&["type", "kind"])? {
        Some(node) if !matches!(node.value, Content::List(_)) => parameter.kind = kind(node)?,
        named => {
            let schema = to_json(node);
            let says = |keyword: &str| schema.get(keyword).is_some();
            let forms = says("anyOf") || says("oneOf") || says("allOf") || says("$ref");
            if named.is_some() || whole.is_some() || forms {
                let whole = whole.unwrap_or(&Value::Null);
                parameter.kind = kind_of(&schema, whole, MAX_HOPS).unwrap_or(ParameterKind::Any);
            }
        }
    }
    if let Some(node) = table.take(&["description"])? {
        parameter.description = text(node, "description")?;
    }
    if let Some(node) = table.take(&["required"])?
        && !matches!(node.value, Content::List(_))
    {
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
        let nullable = |item: &Node| matches!(item.value, Content::Scalar(Value::Null));
        if !items.iter().any(nullable) {
            let choices = items
                .iter()
                .map(|item| constant(&parameter, item, "choice"));
            parameter.choices = choices.collect::<Result<_, _>>()?;
        }
    }
    if let Some(node) = table.take(&["default"])? {
        parameter.default = Some(constant(&parameter, node, "default")?);
    }
    if whole.is_none() {
        table.take_each(&CONSTRAINTS);
        table.warn_of_rest(warnings);
    }
    Ok(parameter)
}

/// What a parameter says, as a schema: Praxis's names of types become JSON Schema's.
fn cleaned(written: Value, parameter: &Parameter) -> Value {
    let mut schema = match written {
        Value::Object(entries) => named_as_schemas_do(entries, 0),
        Value::Bool(_) => return written,
        _ => match json_type(parameter.kind) {
            Some(name) => Map::from_iter([("type".to_owned(), name.into())]),
            None => Map::new(),
        },
    };
    if !parameter.choices.is_empty() {
        schema.insert("enum".to_owned(), parameter.choices.clone().into());
    }
    Value::Object(schema)
}

fn named_as_schemas_do(mut entries: Map<String, Value>, depth: usize) -> Map<String, Value> {
    if depth == 0 {
        for (praxis, schema) in [("kind", "type"), ("choices", "enum")] {
            if let Some(value) = entries.remove(praxis) {
                entries.insert(schema.to_owned(), value);
            }
        }
        entries.remove("name");
        entries.remove("rest");
    }
    if entries
        .get("required")
        .is_some_and(|value| !value.is_array())
    {
        entries.remove("required");
    }
    if let Some(Value::String(name)) = entries.get("type")
        && let Some(kind) = kind_named(name)
    {
        match json_type(kind) {
            Some(name) => entries.insert("type".to_owned(), name.into()),
            None => entries.remove("type"),
        };
    }
    if let Some(Value::Object(properties)) = entries.get_mut("properties") {
        for inner in properties.values_mut() {
            if let Value::Object(inner) = inner {
                *inner = named_as_schemas_do(std::mem::take(inner), depth + 1);
            }
        }
    }
    if let Some(Value::Object(items)) = entries.get_mut("items") {
        *items = named_as_schemas_do(std::mem::take(items), depth + 1);
    }
    entries
}

/// How many references, and choices of one form, are followed to find a parameter's type.
const MAX_HOPS: usize = 8;

/// The one type that a schema allows beside `null`, if that is plain to see.
fn kind_of(schema: &Value, whole: &Value, hops: usize) -> Option<ParameterKind> {
    let hops = hops.checked_sub(1)?;
    if let Some(name) = schema.get("type") {
        let names = match name {
            Value::Array(names) => names.as_slice(),
            _ => std::slice::from_ref(name),
        };
        let mut names = names
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "null");
        return match (names.next(), names.next()) {
            (Some(name), None) => kind_named(name),
            _ => None,
        };
    }
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        return kind_of(whole.pointer(pointer.strip_prefix('#')?)?, whole, hops);
    }
    let forms = ["anyOf", "oneOf", "allOf"];
    let forms = forms.iter().find_map(|name| schema.get(name)?.as_array())?;
    let is_null = |form: &Value| form.get("type").is_some_and(|name| name == "null");
    let mut forms = forms.iter().filter(|form| !is_null(form));
    match (forms.next(), forms.next()) {
        (Some(form), None) => kind_of(form, whole, hops),
        _ => None,
    }
}

fn find<'a>(entries: &'a [(Spanned<String>, Node)], wanted: &str) -> Option<&'a Node> {
    let found = entries.iter().find(|(key, _)| key.value == wanted);
    found.map(|(_, value)| value)
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
    kind_named(&name).ok_or_else(|| {
        invalid(
            node,
            format!(
                "`{name}` is not a type; the types are text, integer, number, boolean, array, object, any"
            ),
        )
    })
}

fn kind_named(name: &str) -> Option<ParameterKind> {
    Some(match name.to_ascii_lowercase().as_str() {
        "string" | "str" | "text" | "path" | "file" => ParameterKind::Text,
        "int" | "integer" => ParameterKind::Integer,
        "number" | "float" | "double" => ParameterKind::Number,
        "bool" | "boolean" => ParameterKind::Boolean,
        "array" | "list" => ParameterKind::Array,
        "object" | "dict" | "map" => ParameterKind::Object,
        "any" | "json" => ParameterKind::Any,
        _ => return None,
    })
}

/// The name of a type in JSON Schema; any value has none.
fn json_type(kind: ParameterKind) -> Option<&'static str> {
    Some(match kind {
        ParameterKind::Text => "string",
        ParameterKind::Integer => "integer",
        ParameterKind::Number => "number",
        ParameterKind::Boolean => "boolean",
        ParameterKind::Array => "array",
        ParameterKind::Object => "object",
        ParameterKind::Any => return None,
    })
}
