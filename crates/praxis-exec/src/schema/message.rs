//! What a JSON Schema refuses, in the words of this crate.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use crate::contract::show;

/// Why an argument does not fit: its path, its value, the constraint.
pub(super) fn phrase(error: &ValidationError<'_>) -> String {
    let path = dotted(error.instance_path().as_str());
    let subject = match path.as_str() {
        "" => "the arguments".to_owned(),
        path => format!("argument `{path}`"),
    };
    let value = show(error.instance());
    match error.kind() {
        Kind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            let path = if path.is_empty() {
                property.to_owned()
            } else {
                format!("{path}.{property}")
            };
            format!("argument `{path}` is missing")
        }
        Kind::FalseSchema => format!("{subject} is {value}, and nothing may stand there"),
        kind => format!("{subject} is {value}; {}", constraint(kind, error)),
    }
}

/// Why a schema itself is refused.
pub(super) fn refusal(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().as_str();
    let place = if place.is_empty() {
        String::new()
    } else {
        format!(" at `{place}`")
    };
    let why: String = error
        .masked_with("the value")
        .to_string()
        .chars()
        .take(300)
        .collect();
    format!("its JSON Schema is refused{place}: {why}")
}

fn constraint(kind: &Kind, error: &ValidationError<'_>) -> String {
    match kind {
        Kind::Minimum { limit } => format!("it must be at least {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("it must be above {limit}"),
        Kind::Maximum { limit } => format!("it must be at most {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("it must be below {limit}"),
        Kind::MultipleOf { multiple_of } => format!("it must be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("it must have at least {limit} characters"),
        Kind::MaxLength { limit } => format!("it must have at most {limit} characters"),
        Kind::Pattern { pattern } => {
            format!("it must match {}", show(&Value::from(pattern.as_str())))
        }
        Kind::Format { format } => format!("it must be of the format `{format}`"),
        Kind::MinItems { limit } => format!("it must have at least {limit} items"),
        Kind::MaxItems { limit } => format!("it must have at most {limit} items"),
        Kind::AdditionalItems { limit } => format!("it must have at most {limit} items"),
        Kind::UniqueItems => "its items must differ from each other".to_owned(),
        Kind::Contains => "none of its items is of the kind that it must hold".to_owned(),
        Kind::MinProperties { limit } => format!("it must have at least {limit} entries"),
        Kind::MaxProperties { limit } => format!("it must have at most {limit} entries"),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            format!("it may not have {}", unexpected.join(", "))
        }
        Kind::Constant { expected_value } => format!("it must be {}", show(expected_value)),
        Kind::Enum { options } => format!("it must be one of {}", show(options)),
        Kind::Type { kind } => format!("it must be {}", types(kind)),
        Kind::Not { .. } => "it is of a kind that is excluded (`not`)".to_owned(),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
            format!(
                "it fits none of the forms that are accepted (`{}`)",
                kind.keyword()
            )
        }
        Kind::OneOfMultipleValid { .. } => {
            "it fits more than one form where it must fit one (`oneOf`)".to_owned()
        }
        Kind::PropertyNames { .. } => {
            "one of its names is not accepted (`propertyNames`)".to_owned()
        }
        other => {
            let why: String = error
                .masked_with("it")
                .to_string()
                .chars()
                .take(200)
                .collect();
            format!("{why} (`{}`)", other.keyword())
        }
    }
}

fn types(kind: &TypeKind) -> String {
    let name = |kind: JsonType| match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "an integer",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "text",
    };
    match kind {
        TypeKind::Single(one) => name(*one).to_owned(),
        TypeKind::Multiple(several) => several.iter().map(name).collect::<Vec<_>>().join(" or "),
    }
}

/// A JSON pointer as people write a path: `/a/0/b` as `a[0].b`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !path.is_empty() && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path.chars().take(200).collect()
}
