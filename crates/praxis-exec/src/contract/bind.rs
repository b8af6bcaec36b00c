use serde_json::{Map, Number, Value};

use super::{MAX_ARGUMENT_DEPTH, Parameter, ParameterKind, ToolContract};
use crate::{Error, ErrorKind};

impl ToolContract {
    /// Fits arguments to the parameters: checks them, turns what was written into the declared types
    /// where nothing is lost by it, and fills in defaults.
    ///
    /// `"5"` becomes `5` for an integer, a number becomes text for a text parameter, JSON text becomes an
    /// array or an object where one is declared. `null` for a parameter that is not of type `any` is no argument.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArguments`], naming the parameter, the argument and what would be accepted:
    /// for an argument that is unknown, missing, of the wrong type, not among the choices,
    /// nested deeper than [`MAX_ARGUMENT_DEPTH`], or that together with the others takes more than
    /// [`ToolContract::argument_bytes`] bytes as JSON, or that the contract's JSON Schema does not accept.
    pub fn bind(&self, mut arguments: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        self.check_size(&arguments)?;
        if let Some(name) = arguments
            .keys()
            .find(|name| self.find_parameter(name).is_none())
        {
            return Err(self.unknown(name));
        }
        let mut bound = Map::new();
        for parameter in &self.parameters {
            let argument = arguments
                .remove(&parameter.name)
                .filter(|value| !value.is_null() || parameter.kind == ParameterKind::Any);
            let value = match argument {
                Some(value) => coerce(parameter, value).map_err(|reason| {
                    self.refused(format!("argument `{}` {reason}", parameter.name))
                })?,
                None => match &parameter.default {
                    Some(default) => default.clone(),
                    None if parameter.required => return Err(self.missing(parameter)),
                    None => continue,
                },
            };
            bound.insert(parameter.name.clone(), value);
        }
        match &self.schema {
            None => Ok(bound),
            Some(schema) => schema
                .validate(bound)
                .map_err(|error| error.with_tool(&self.name)),
        }
    }

    fn check_size(&self, arguments: &Map<String, Value>) -> Result<(), Error> {
        let mut bytes = 0_u64;
        let mut open: Vec<(usize, &str, &Value)> = arguments
            .iter()
            .map(|(name, value)| (1, name.as_str(), value))
            .collect();
        while let Some((depth, name, value)) = open.pop() {
            if depth > MAX_ARGUMENT_DEPTH {
                return Err(self.refused(format!(
                    "argument `{name}` nests deeper than {MAX_ARGUMENT_DEPTH} levels"
                )));
            }
            bytes += match value {
                Value::String(text) => text.len() as u64 + 2,
                Value::Array(items) => {
                    open.extend(items.iter().map(|item| (depth + 1, name, item)));
                    items.len() as u64 + 2
                }
                Value::Object(entries) => {
                    open.extend(entries.values().map(|item| (depth + 1, name, item)));
                    let keys = entries.keys().map(|key| key.len() as u64 + 4);
                    keys.sum::<u64>() + 2
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => 8,
            };
            if bytes > self.argument_bytes {
                return Err(self
                    .refused(format!(
                        "the arguments take more than {} bytes; `{name}` went past it",
                        self.argument_bytes
                    ))
                    .with_help(
                        "pass a file name instead of the content, or raise `argument_bytes` in the contract",
                    ));
            }
        }
        Ok(())
    }

    fn missing(&self, parameter: &Parameter) -> Error {
        let what = if parameter.description.is_empty() {
            String::new()
        } else {
            format!(": {}", parameter.description)
        };
        self.refused(format!(
            "argument `{}` ({}) is missing{what}",
            parameter.name, parameter.kind
        ))
    }

    fn unknown(&self, name: &str) -> Error {
        let shown: String = name.chars().take(64).collect();
        let closest = self
            .parameters
            .iter()
            .map(|parameter| (strsim::osa_distance(&shown, &parameter.name), parameter))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, parameter)| *distance <= 1 + parameter.name.len() / 4);
        let meant = match closest {
            Some((_, parameter)) => format!("; did you mean `{}`?", parameter.name),
            None => String::new(),
        };
        self.refused(format!(
            "there is no parameter {shown:?}{meant} (the parameters are {})",
            self.parameter_names()
        ))
    }

    fn refused(&self, message: String) -> Error {
        Error::new(ErrorKind::InvalidArguments, message).with_tool(&self.name)
    }
}

/// The value as the parameter's type, or why it is none: a phrase that follows "argument `x`".
pub(super) fn coerce(parameter: &Parameter, value: Value) -> Result<Value, String> {
    let value = convert(parameter.kind, value)
        .map_err(|value| format!("is {}, not {}", show(&value), expected(parameter.kind)))?;
    if parameter.choices.is_empty() || parameter.choices.iter().any(|choice| same(choice, &value)) {
        return Ok(value);
    }
    let choices: Vec<String> = parameter.choices.iter().map(show).collect();
    Err(format!(
        "is {}; it must be one of {}",
        show(&value),
        choices.join(", ")
    ))
}

fn convert(kind: ParameterKind, value: Value) -> Result<Value, Value> {
    match kind {
        ParameterKind::Any => Ok(value),
        ParameterKind::Text => match value {
            Value::String(_) => Ok(value),
            Value::Null => Err(value),
            other => Ok(Value::String(other.to_string())),
        },
        ParameterKind::Integer => number(&value)
            .and_then(whole)
            .map(Value::Number)
            .ok_or(value),
        ParameterKind::Number => number(&value).map(Value::Number).ok_or(value),
        ParameterKind::Boolean => match &value {
            Value::Bool(_) => Ok(value),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            _ => Err(value),
        },
        ParameterKind::Array => structured(value, Value::is_array),
        ParameterKind::Object => structured(value, Value::is_object),
    }
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => match serde_json::from_str(text.trim()) {
            Ok(Value::Number(number)) => Some(number),
            _ => None,
        },
        _ => None,
    }
}

/// The number as an integer, if it is one and no digit is lost.
fn whole(number: Number) -> Option<Number> {
    if number.is_i64() || number.is_u64() {
        return Some(number);
    }
    let float = number.as_f64()?;
    let exact = 9_007_199_254_740_992.0;
    (float.fract() == 0.0 && float.abs() <= exact).then(|| Number::from(float as i64))
}

fn structured(value: Value, fits: impl Fn(&Value) -> bool) -> Result<Value, Value> {
    if fits(&value) {
        return Ok(value);
    }
    if let Value::String(text) = &value
        && let Ok(parsed) = serde_json::from_str(text)
        && fits(&parsed)
    {
        return Ok(parsed);
    }
    Err(value)
}

/// Equality of numbers by value, so that the choice `1` accepts `1.0`.
fn same(choice: &Value, value: &Value) -> bool {
    choice == value
        || (choice.is_number() && value.is_number() && choice.as_f64() == value.as_f64())
}

fn expected(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Text => "text",
        ParameterKind::Integer => "an integer",
        ParameterKind::Number => "a number",
        ParameterKind::Boolean => "true or false",
        ParameterKind::Array => "a JSON array",
        ParameterKind::Object => "a JSON object",
        ParameterKind::Any => "a value",
    }
}

/// A value as JSON, cut where it is long.
pub(crate) fn show(value: &Value) -> String {
    const SHOWN: usize = 60;
    let mut text = value.to_string();
    if text.chars().count() > SHOWN {
        text = text.chars().take(SHOWN).chain(['…']).collect();
    }
    text
}
