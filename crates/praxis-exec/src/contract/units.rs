use std::time::Duration;

/// Reads a size in bytes: `1024`, `512m`, `1Gi`, `64 MB`. Units are powers of 1024 however they are written.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        _ => return None,
    };
    let bytes = number * (1_u64 << shift) as f64;
    (bytes < 9e18).then_some(bytes as u64)
}

/// Reads a duration: `5s`, `200ms`, `2m`, `1h`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * factor).ok()
}

/// Reads a number of cores: `2`, `0.5`, `500m`.
pub(super) fn parse_cpu(text: &str) -> Option<f64> {
    match split_unit(text)? {
        (number, "") => Some(number),
        (number, "m") => Some(number / 1000.0),
        _ => None,
    }
}

/// The words for yes and no that the recorded dialects use.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number
        .is_finite()
        .then_some((number, text[end..].trim_start()))
}

/// Durations in configuration files: a number of seconds, or text such as `200ms`.
#[cfg(any(feature = "local", feature = "docker"))]
pub(crate) mod duration_text {
    use std::time::Duration;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let value = Value::deserialize(from)?;
        let text = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        super::parse_duration(&text).ok_or_else(|| {
            D::Error::custom(format!("{value} is not a duration such as 200ms, 5s or 2m"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check =
            |text: &str, expect: Option<u64>| assert_eq!(parse_bytes(text), expect, "{text}");
        check("0", Some(0));
        check("512m", Some(512 << 20));
        check("1Gi", Some(1 << 30));
        check("1.5 kb", Some(1536));
        check("", None);
        check("m", None);
        check("-1", None);
        check("5 parsecs", None);
        check("99999999999999999999t", None);
        check("1..2", None);
    }

    #[test]
    fn durations() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(
                parse_duration(text),
                millis.map(Duration::from_millis),
                "{text}"
            );
        };
        check("5s", Some(5000));
        check("200ms", Some(200));
        check("2m", Some(120_000));
        check("1.5", Some(1500));
        check("1e400", None);
        check("-5s", None);
        check("5 weeks", None);
        check("99999999999999999999999d", None);
    }

    #[test]
    fn cores() {
        assert_eq!(parse_cpu("500m"), Some(0.5));
        assert_eq!(parse_cpu("2"), Some(2.0));
        assert_eq!(parse_cpu("2x"), None);
    }
}
