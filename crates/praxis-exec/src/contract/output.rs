use serde_json::Value;

use super::OutputFormat;
use crate::{Error, ErrorKind};

impl OutputFormat {
    /// Reads what a program printed.
    ///
    /// Text loses one line end at its end; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] where the contract says JSON and this is none.
    pub fn read(self, printed: &[u8]) -> Result<Value, Error> {
        match self {
            Self::Text => Ok(text(printed)),
            Self::Auto => {
                let begins = printed.trim_ascii_start().first();
                let structured = matches!(begins, Some(b'{' | b'['))
                    .then(|| serde_json::from_slice(printed).ok())
                    .flatten();
                Ok(structured.unwrap_or_else(|| text(printed)))
            }
            Self::Json => serde_json::from_slice(printed).map_err(|source| {
                Error::new(
                    ErrorKind::Failed,
                    format!(
                        "its contract says `output: json`, but it printed something else: {source}"
                    ),
                )
                .with_source(source)
            }),
        }
    }
}

fn text(printed: &[u8]) -> Value {
    let text = String::from_utf8_lossy(printed);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Value::from(text.strip_suffix('\r').unwrap_or(text))
}
