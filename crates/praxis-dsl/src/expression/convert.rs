//! Between JSON and the values of CEL.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use serde_json::{Number, Value};

pub(crate) fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Number(number) => {
            if let Some(value) = number.as_i64() {
                cel::Value::Int(value)
            } else if let Some(value) = number.as_u64() {
                cel::Value::UInt(value)
            } else {
                cel::Value::Float(number.as_f64().unwrap_or(f64::NAN))
            }
        }
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let map: HashMap<Key, cel::Value> = fields
                .iter()
                .map(|(key, value)| (Key::String(Arc::new(key.clone())), to_cel(value)))
                .collect();
            cel::Value::Map(Map { map: Arc::new(map) })
        }
    }
}

/// The JSON of `value`; on failure says what JSON cannot hold.
pub(crate) fn to_json(value: &cel::Value) -> Result<Value, String> {
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(value) => Value::Bool(*value),
        cel::Value::Int(value) => Value::Number((*value).into()),
        cel::Value::UInt(value) => Value::Number((*value).into()),
        cel::Value::Float(value) => Value::Number(
            Number::from_f64(*value).ok_or_else(|| format!("the number {value} is not JSON"))?,
        ),
        cel::Value::String(text) => Value::String(text.as_str().to_owned()),
        cel::Value::List(items) => {
            Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?)
        }
        cel::Value::Map(map) => {
            let mut fields: Vec<_> = map
                .map
                .iter()
                .map(|(key, value)| Ok((key_text(key), to_json(value)?)))
                .collect::<Result<_, String>>()?;
            // The map of CEL has no order; the text of a result must not change from run to run.
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().collect())
        }
        other => {
            return Err(format!(
                "a value of the type {} is not JSON",
                other.type_of()
            ));
        }
    })
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Int(value) => value.to_string(),
        Key::Uint(value) => value.to_string(),
        Key::Bool(value) => value.to_string(),
        Key::String(text) => text.as_str().to_owned(),
    }
}
