//! Secrets: values that a tool needs and nobody else may see.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Error, ErrorKind, Output, Request};

/// What a host variable's name begins with that holds a secret; the secret's name follows.
pub const SECRET_VARIABLE_PREFIX: &str = "PRAXIS_SECRET_";

/// The host variable that names a folder of secrets.
pub const SECRETS_FOLDER_VARIABLE: &str = "PRAXIS_SECRETS";

/// How many bytes a secret may have; a variable holds no more.
const MAX_BYTES: u64 = 64 * 1024;

/// How many bytes a secret must have: one that is shorter would be found, and concealed, in any text.
const MIN_BYTES: usize = 6;

/// What stands where a secret stood.
const MASK: &str = "[secret]";

/// Where the values of secrets come from.
///
/// A contract names secrets (`secrets: [API_KEY]`) and the operator supplies them under these names, so that
/// no contract reaches what the operator did not mean for tools. The value of `API_KEY` is, in this order,
/// one that was [given](Self::with), the content of the file `API_KEY` in the [folder](Self::in_folder),
/// or the host variable `PRAXIS_SECRET_API_KEY` if [variables](Self::from_variables) are asked for.
///
/// Values are read when a call starts, shown by nothing (not even `Debug`), and part of no digest.
#[derive(Clone, Default)]
pub struct Secrets {
    given: BTreeMap<String, String>,
    folder: Option<PathBuf>,
    variables: bool,
}

impl Secrets {
    /// No secrets at all.
    pub const fn none() -> Self {
        Self {
            given: BTreeMap::new(),
            folder: None,
            variables: false,
        }
    }

    /// The secrets of this host: the folder that `PRAXIS_SECRETS` names, then the variables `PRAXIS_SECRET_…`.
    pub fn of_host() -> Self {
        let folder = std::env::var_os(SECRETS_FOLDER_VARIABLE).filter(|folder| !folder.is_empty());
        Self {
            given: BTreeMap::new(),
            folder: folder.map(PathBuf::from),
            variables: true,
        }
    }

    /// Adds one value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.given.insert(name.into(), value.into());
        self
    }

    /// Looks into a folder, where each file is named for its secret; one line end at its end is no part of it.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Looks at the host variables that begin with `PRAXIS_SECRET_`.
    #[must_use]
    pub fn from_variables(mut self) -> Self {
        self.variables = true;
        self
    }

    fn find(&self, name: &str) -> Result<String, Error> {
        let value = match self.given.get(name) {
            Some(value) => value.clone(),
            None => self
                .in_file(name)
                .transpose()
                .or_else(|| self.in_variable(name).transpose())
                .unwrap_or_else(|| Err(self.missing(name)))?,
        };
        let wrong = if value.len() < MIN_BYTES {
            format!("has fewer than {MIN_BYTES} bytes, too few to tell it from other text")
        } else if value.len() as u64 > MAX_BYTES {
            format!("has more than {MAX_BYTES} bytes, too many for a variable")
        } else if value.contains('\0') {
            "holds a NUL, which no variable can".to_owned()
        } else {
            return Ok(value);
        };
        Err(Error::new(
            ErrorKind::InvalidArguments,
            format!("secret `{name}` {wrong}"),
        ))
    }

    fn in_file(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.join(name);
        let mut text = match read(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let shown = path.display();
                let message = format!("cannot read secret `{name}` from {shown}: {source}");
                return Err(Error::new(ErrorKind::Io, message).with_source(source));
            }
        };
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(Some(text))
    }

    fn in_variable(&self, name: &str) -> Result<Option<String>, Error> {
        if !self.variables {
            return Ok(None);
        }
        let variable = format!("{SECRET_VARIABLE_PREFIX}{name}");
        let value = std::env::var_os(&variable).map(|value| {
            value.into_string().map_err(|_| {
                let message = format!("the host variable {variable} is no UTF-8");
                Error::new(ErrorKind::InvalidArguments, message)
            })
        });
        value.transpose()
    }

    fn missing(&self, name: &str) -> Error {
        let mut ways = Vec::new();
        if self.variables {
            ways.push(format!(
                "set the host variable {SECRET_VARIABLE_PREFIX}{name}"
            ));
        }
        match &self.folder {
            Some(folder) => ways.push(format!("write it to {}", folder.join(name).display())),
            None if self.variables => ways.push(format!(
                "let {SECRETS_FOLDER_VARIABLE} name a folder with the file {name}"
            )),
            None => {}
        }
        let error = Error::new(
            ErrorKind::NotFound,
            format!("needs the secret `{name}`, which nobody has supplied"),
        );
        match ways.is_empty() {
            true => error.with_help("this caller supplies no secrets"),
            false => error.with_help(ways.join(", or ")),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    // Opening a FIFO would wait for a writer for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Secrets")
            .field("given", &self.given.keys())
            .field("folder", &self.folder)
            .field("variables", &self.variables)
            .finish()
    }
}

/// The secrets of one call: what its tool gets as environment variables.
#[derive(Clone, Default)]
pub struct SecretVariables {
    found: Vec<(String, String)>,
}

impl SecretVariables {
    /// Name and value of each, for the tool's environment and for nothing else.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether the call has none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds a secret and gives its value.
    #[cfg(feature = "mcp")]
    pub(crate) fn take(&mut self, name: &str, secrets: &Secrets) -> Result<&str, Error> {
        let place = match self.found.iter().position(|(known, _)| known == name) {
            Some(place) => place,
            None => {
                self.found.push((name.to_owned(), secrets.find(name)?));
                self.found.len() - 1
            }
        };
        Ok(&self.found[place].1)
    }

    /// The text with `[secret]` in place of every value.
    pub fn conceal<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (_, value) in &self.found {
            // A program shows a value of several lines line by line, and control characters escaped.
            for part in value.lines().filter(|line| line.len() >= MIN_BYTES) {
                if text.contains(part) {
                    text = Cow::Owned(text.replace(part, MASK));
                }
                // The kept end of a long text may begin within a value.
                let end = text.strip_prefix('…').and_then(|kept| {
                    let ends = part.char_indices().skip(1).map(|(start, _)| &part[start..]);
                    let mut ends = ends.take_while(|end| end.len() >= MIN_BYTES);
                    ends.find_map(|end| kept.strip_prefix(end))
                });
                if let Some(rest) = end {
                    text = Cow::Owned(format!("…{MASK}{rest}"));
                }
            }
        }
        text
    }

    /// What a call came to, with `[secret]` in place of every value: in the result, the error and what the program said.
    ///
    /// Only the value as it is is found, not one that a tool has encoded or cut up.
    ///
    /// # Errors
    /// The outcome's own.
    pub fn conceal_in(&self, outcome: Result<Output, Error>) -> Result<Output, Error> {
        if self.is_empty() {
            return outcome;
        }
        match outcome {
            Ok(mut output) => {
                self.conceal_value(&mut output.value);
                output.stderr = self.conceal(&output.stderr).into_owned();
                Ok(output)
            }
            Err(error) => Err(error.map_texts(|text| self.conceal(text).into_owned())),
        }
    }

    fn conceal_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(concealed) = self.conceal(text) {
                    *text = concealed;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.conceal_value(item)),
            Value::Object(entries) => {
                let told = |key: &String| matches!(self.conceal(key), Cow::Owned(_));
                if entries.keys().any(told) {
                    let open = std::mem::take(entries);
                    let concealed = open
                        .into_iter()
                        .map(|(key, value)| (self.conceal(&key).into_owned(), value));
                    entries.extend(concealed);
                }
                entries
                    .values_mut()
                    .for_each(|item| self.conceal_value(item));
            }
            Value::Null | Value::Bool(_) => {}
            // A secret of digits may be read as a number.
            Value::Number(number) => {
                let text = number.to_string();
                if self
                    .found
                    .iter()
                    .any(|(_, secret)| text.contains(secret.as_str()))
                {
                    *value = MASK.into();
                }
            }
        }
    }
}

impl fmt::Debug for SecretVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.found.iter().map(|(name, _)| name);
        formatter.debug_list().entries(names).finish()
    }
}

impl Request<'_> {
    /// The secrets that the contract names, for an engine that starts its program.
    ///
    /// An engine that calls this gives every outcome to [`SecretVariables::conceal_in`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where one is not supplied, with the ways to do so; [`ErrorKind::Io`] or
    /// [`ErrorKind::InvalidArguments`] where its file cannot be read or its value cannot be a variable.
    pub fn secret_variables(&self) -> Result<SecretVariables, Error> {
        let names = self.contract.secrets.iter();
        let found = names.map(|name| Ok((name.clone(), self.secrets.find(name)?)));
        let found: Result<_, Error> = found.collect();
        Ok(SecretVariables {
            found: found.map_err(|error| error.with_tool(&self.contract.name))?,
        })
    }

    /// Refuses a contract that names secrets, for an engine whose tools get no variables.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`], naming the first of them.
    pub fn refuse_secrets(&self) -> Result<(), Error> {
        match self.contract.secrets.first() {
            None => Ok(()),
            Some(name) => Err(self
                .contract
                .invalid(format!(
                    "names the secret `{name}`, but its engine has no way to give it one"
                ))
                .with_help("give it the secret where it is made or configured")),
        }
    }
}
