//! How large a step's result may be.

use serde_json::Value;

use crate::executor::{StepError, StepOutput};

/// The result, or a failure if it takes more than `most` bytes.
pub(super) fn bounded(
    result: Result<StepOutput, StepError>,
    tool: &str,
    most: usize,
) -> Result<StepOutput, StepError> {
    match result {
        Ok(output) if is_larger(&output.value, most) => {
            let message = format!(
                "tool `{tool}`: the result takes more than {most} bytes; have it write a file, or allow more: `result_bytes` of the run, or `output_bytes` of its contract where that decides"
            );
            let error = StepError::new("output_too_large", message);
            Err(match output.engine {
                Some(engine) => error.on_engine(engine),
                None => error,
            })
        }
        other => other,
    }
}

/// Whether a value takes more memory than `most`; ends as soon as it is known.
fn is_larger(value: &Value, most: usize) -> bool {
    let own = |value: &Value| std::mem::size_of::<Value>() + value.as_str().map_or(0, str::len);
    let nested = |value: &Value| value.is_array() || value.is_object();
    let mut bytes = own(value);
    if !nested(value) {
        return bytes > most;
    }
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => {
                bytes += items.iter().map(own).sum::<usize>();
                open.extend(items.iter().filter(|item| nested(item)));
            }
            Value::Object(entries) => {
                let sizes = entries.iter().map(|(name, item)| name.len() + own(item));
                bytes += sizes.sum::<usize>();
                open.extend(entries.values().filter(|item| nested(item)));
            }
            _ => {}
        }
        if bytes > most {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_lists_and_objects_are_counted() {
        let check = |value: Value, bytes: usize| {
            assert!(!is_larger(&value, bytes + 200), "{value}");
            assert!(is_larger(&value, bytes / 2), "{value}");
        };
        check(json!("x".repeat(1000)), 1000);
        check(json!(["x".repeat(500), "x".repeat(500)]), 1064);
        check(json!({"key": {"x": "y".repeat(1000)}}), 1068);
        check(json!(vec![0; 1000]), 32_000);
    }
}
