//! JSON to the form of a program, with the place of what is wrong.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Assignment, Clause, FormError, Piece, Program, Statement, VERSION, Word};
use crate::diagnostic::shown;
use crate::source::Limits;
use crate::suggest::nearest;

/// The size of a document in bytes.
const MAX_BYTES: usize = 256 << 20;
/// How deep a document nests: two levels a block, and what is in a statement.
const MAX_NESTING: usize = 2 * Limits::DEFAULT.max_depth + 16;

const STATEMENTS: [&str; 13] = [
    "comment", "workflow", "input", "task", "agent", "call", "let", "return", "parallel",
    "sequence", "if", "for", "try",
];
const WORDS: [&str; 8] = [
    "bare",
    "text",
    "template",
    "literal",
    "reference",
    "expression",
    "option",
    "step",
];

impl Program {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// Text that is no JSON, and the first place where the document is no program. What its words
    /// say is looked at by [`Program::to_source`].
    pub fn from_json(text: &str) -> Result<Self, FormError> {
        if text.len() > MAX_BYTES {
            let message = format!(
                "the document has {} bytes, and at most {MAX_BYTES} are read",
                text.len()
            );
            return Err(FormError::new("", message));
        }
        // Deeper documents than the parser reads of its own accord are right, but not any depth.
        if let Some(offset) = too_deep(text.as_bytes()) {
            let line = text[..offset].matches('\n').count() + 1;
            let message = format!("line {line} is nested deeper than {MAX_NESTING} levels");
            return Err(FormError::new("", message));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.disable_recursion_limit();
        let value = Value::deserialize(&mut reader)
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|error| FormError::new("", format!("it is not JSON: {error}")))?;
        Self::from_value(&value)
    }

    /// Reads a document that is parsed already.
    ///
    /// # Errors
    ///
    /// The first place where the document is no program.
    pub fn from_value(value: &Value) -> Result<Self, FormError> {
        let fields = Fields::new("", value, "a program")?;
        fields.only(&["praxis", "statements"])?;
        let version = fields.required("praxis")?;
        if version.as_u64() != Some(u64::from(VERSION)) {
            let message = format!("the version is {}, and 1 is known", found(version));
            return Err(FormError::new("/praxis", message));
        }
        Ok(Self {
            praxis: VERSION,
            statements: fields.body("statements", 0)?,
        })
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(D::Error::custom)
    }
}

/// Where brackets nest too deeply.
fn too_deep(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (offset, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Some(offset);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// The fields of an object at a place.
struct Fields<'v> {
    pointer: String,
    fields: &'v Map<String, Value>,
}

impl<'v> Fields<'v> {
    fn new(pointer: &str, value: &'v Value, wanted: &str) -> Result<Self, FormError> {
        match value {
            Value::Object(fields) => Ok(Self {
                pointer: pointer.to_owned(),
                fields,
            }),
            other => Err(wrong(pointer, wanted, "an object", other)),
        }
    }

    fn at(&self, name: &str) -> String {
        // RFC 6901 escapes both characters that a pointer gives a meaning.
        format!(
            "{}/{}",
            self.pointer,
            name.replace('~', "~0").replace('/', "~1")
        )
    }

    /// Refuses fields that are not known.
    fn only(&self, known: &[&str]) -> Result<(), FormError> {
        let Some(unknown) = self.fields.keys().find(|name| !known.contains(&&***name)) else {
            return Ok(());
        };
        let message = format!(
            "there is no field `{}` here; {}",
            shown(unknown),
            meant(unknown, known)
        );
        Err(FormError::new(self.at(unknown), message))
    }

    fn required(&self, name: &str) -> Result<&'v Value, FormError> {
        self.fields
            .get(name)
            .ok_or_else(|| FormError::new(&*self.pointer, format!("the field `{name}` is missing")))
    }

    fn text(&self, name: &str) -> Result<String, FormError> {
        text(&self.at(name), self.required(name)?)
    }

    fn optional_text(&self, name: &str) -> Result<Option<String>, FormError> {
        let value = self.fields.get(name);
        value.map(|value| text(&self.at(name), value)).transpose()
    }

    fn flag(&self, name: &str) -> Result<bool, FormError> {
        match self.fields.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong(&self.at(name), "it", "true or false", other)),
        }
    }

    fn word(&self, name: &str) -> Result<Word, FormError> {
        word(&self.at(name), self.required(name)?)
    }

    fn optional_word(&self, name: &str) -> Result<Option<Word>, FormError> {
        let value = self.fields.get(name);
        value.map(|value| word(&self.at(name), value)).transpose()
    }

    fn words(&self, name: &str) -> Result<Vec<Word>, FormError> {
        match self.fields.get(name) {
            None => Ok(Vec::new()),
            Some(value) => list(&self.at(name), value, word),
        }
    }

    fn body(&self, name: &str, depth: usize) -> Result<Vec<Statement>, FormError> {
        let pointer = self.at(name);
        if depth > Limits::DEFAULT.max_depth {
            let message = format!("blocks nest to {} levels", Limits::DEFAULT.max_depth);
            return Err(FormError::new(pointer, message));
        }
        list(&pointer, self.required(name)?, |pointer, value| {
            statement(pointer, value, depth)
        })
    }

    fn clauses(&self, known: &[&str], depth: usize) -> Result<Vec<Clause>, FormError> {
        match self.fields.get("clauses") {
            None => Ok(Vec::new()),
            Some(value) => list(&self.at("clauses"), value, |pointer, value| {
                clause(pointer, value, known, depth)
            }),
        }
    }

    fn kind(&self, known: &[&'v str]) -> Result<&'v str, FormError> {
        match self.required("kind")? {
            Value::String(kind) if known.contains(&kind.as_str()) => Ok(kind),
            Value::String(kind) => {
                let message = format!(
                    "there is no kind `{}` here; {}",
                    shown(kind),
                    meant(kind, known)
                );
                Err(FormError::new(self.at("kind"), message))
            }
            other => Err(wrong(&self.at("kind"), "it", "a text", other)),
        }
    }
}

fn statement(pointer: &str, value: &Value, depth: usize) -> Result<Statement, FormError> {
    let fields = Fields::new(pointer, value, "a statement")?;
    let inner = depth + 1;
    let named = |fields: &Fields<'_>| {
        fields.only(&["kind", "name", "words"])?;
        Ok::<_, FormError>((fields.word("name")?, fields.words("words")?))
    };
    Ok(match fields.kind(&STATEMENTS)? {
        "comment" => {
            fields.only(&["kind", "text"])?;
            Statement::Comment {
                text: fields.text("text")?,
            }
        }
        "workflow" => {
            let (name, words) = named(&fields)?;
            Statement::Workflow { name, words }
        }
        "task" => {
            let (name, words) = named(&fields)?;
            Statement::Task { name, words }
        }
        "agent" => {
            let (name, words) = named(&fields)?;
            Statement::Agent { name, words }
        }
        "input" => {
            fields.only(&["kind", "name", "default"])?;
            Statement::Input {
                name: fields.text("name")?,
                default: fields.optional_word("default")?,
            }
        }
        "call" => {
            fields.only(&["kind", "bind", "tool", "arguments"])?;
            Statement::Call {
                bind: fields.optional_text("bind")?,
                tool: fields.word("tool")?,
                arguments: fields.words("arguments")?,
            }
        }
        "let" => {
            fields.only(&["kind", "name", "value"])?;
            Statement::Let {
                name: fields.text("name")?,
                value: fields.word("value")?,
            }
        }
        "return" => {
            fields.only(&["kind", "value"])?;
            Statement::Return {
                value: fields.optional_word("value")?,
            }
        }
        "parallel" => {
            fields.only(&["kind", "words", "body"])?;
            Statement::Parallel {
                words: fields.words("words")?,
                body: fields.body("body", inner)?,
            }
        }
        "sequence" => {
            fields.only(&["kind", "body"])?;
            Statement::Sequence {
                body: fields.body("body", inner)?,
            }
        }
        "if" => {
            fields.only(&["kind", "condition", "body", "clauses"])?;
            Statement::If {
                condition: fields.text("condition")?,
                body: fields.body("body", inner)?,
                clauses: fields.clauses(&["elif", "else"], inner)?,
            }
        }
        "for" => {
            fields.only(&["kind", "parallel", "variable", "items", "words", "body"])?;
            Statement::For {
                parallel: fields.flag("parallel")?,
                variable: fields.text("variable")?,
                items: fields.word("items")?,
                words: fields.words("words")?,
                body: fields.body("body", inner)?,
            }
        }
        _ => {
            fields.only(&["kind", "body", "clauses"])?;
            Statement::Try {
                body: fields.body("body", inner)?,
                clauses: fields.clauses(&["catch"], inner)?,
            }
        }
    })
}

fn clause(pointer: &str, value: &Value, known: &[&str], depth: usize) -> Result<Clause, FormError> {
    let fields = Fields::new(pointer, value, "a clause")?;
    Ok(match fields.kind(known)? {
        "elif" => {
            fields.only(&["kind", "condition", "body"])?;
            Clause::Elif {
                condition: fields.text("condition")?,
                body: fields.body("body", depth)?,
            }
        }
        "else" => {
            fields.only(&["kind", "body"])?;
            Clause::Else {
                body: fields.body("body", depth)?,
            }
        }
        _ => {
            fields.only(&["kind", "name", "body"])?;
            Clause::Catch {
                name: fields.optional_text("name")?,
                body: fields.body("body", depth)?,
            }
        }
    })
}

/// The one field of an object that is one of `known`.
fn single<'v>(
    pointer: &str,
    value: &'v Value,
    what: &str,
    known: &[&str],
) -> Result<(&'v str, &'v Value, String), FormError> {
    let fields = Fields::new(pointer, value, what)?;
    fields.only(known)?;
    let mut entries = fields.fields.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value, fields.at(name))),
        _ => {
            let message = format!("{what} has one of the fields {}", known.join(", "));
            Err(FormError::new(pointer, message))
        }
    }
}

fn word(pointer: &str, value: &Value) -> Result<Word, FormError> {
    if !value.is_object() {
        let json = shown(&value.to_string());
        let message = format!(
            "a word is an object, such as {{\"bare\": \"42\"}} or {{\"text\": \"some text\"}}, not {json}"
        );
        return Err(FormError::new(pointer, message));
    }
    let (name, value, pointer) = single(pointer, value, "a word", &WORDS)?;
    Ok(match name {
        "bare" => Word::Bare(text(&pointer, value)?),
        "text" => Word::Text(text(&pointer, value)?),
        "literal" => Word::Literal(text(&pointer, value)?),
        "reference" => Word::Reference(text(&pointer, value)?),
        "expression" => Word::Expression(text(&pointer, value)?),
        "template" => Word::Template(list(&pointer, value, |pointer, value| {
            let (name, value, pointer) =
                single(pointer, value, "a piece", &["text", "expression"])?;
            let text = text(&pointer, value)?;
            Ok(if name == "text" {
                Piece::Text(text)
            } else {
                Piece::Expression(text)
            })
        })?),
        "option" => Word::Option(assignment(&pointer, value)?),
        _ => Word::Step(assignment(&pointer, value)?),
    })
}

fn assignment(pointer: &str, value: &Value) -> Result<Assignment, FormError> {
    let fields = Fields::new(pointer, value, "an option")?;
    fields.only(&["name", "value"])?;
    let value = fields.optional_word("value")?;
    if matches!(value, Some(Word::Option(_) | Word::Step(_))) {
        let message = "the value of an option is no option";
        return Err(FormError::new(fields.at("value"), message));
    }
    Ok(Assignment {
        name: fields.text("name")?,
        value: value.map(Box::new),
    })
}

fn text(pointer: &str, value: &Value) -> Result<String, FormError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(wrong(pointer, "it", "a text", other)),
    }
}

fn list<T>(
    pointer: &str,
    value: &Value,
    read: impl Fn(&str, &Value) -> Result<T, FormError>,
) -> Result<Vec<T>, FormError> {
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| read(&format!("{pointer}/{index}"), item))
            .collect(),
        other => Err(wrong(pointer, "it", "a list", other)),
    }
}

fn wrong(pointer: &str, what: &str, wanted: &str, value: &Value) -> FormError {
    FormError::new(pointer, format!("{what} is {wanted}, not {}", found(value)))
}

fn found(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => shown(&other.to_string()),
    }
}

fn meant(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{}`?", meant.word),
        None => format!("there are {}", known.join(", ")),
    }
}
