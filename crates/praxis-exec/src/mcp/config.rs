//! Which servers there are: the `mcpServers` of a JSON file, as other tools have it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::contract::{check_name, units::parse_duration};
use crate::{Error, ErrorKind, SecretVariables, Secrets};

const MAX_CONFIG_BYTES: u64 = 256 * 1024;

/// The servers that an operator has named.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct McpConfig {
    /// By name; those that are disabled are left out.
    pub servers: BTreeMap<String, McpServerConfig>,
    /// Keys that Praxis does not know. Not an error: these files are shared with other tools.
    pub warnings: Vec<String>,
}

/// How one server is reached and how far it is trusted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct McpServerConfig {
    /// A program or an address.
    pub transport: McpTransport,
    /// How long it may take to start and to list its tools. Default: 30 seconds.
    pub start_timeout: Duration,
    /// The time limit of a tool without one. Default: 60 seconds.
    pub timeout: Duration,
    /// How many bytes one message of the server may have. Default: 16 MiB.
    pub message_bytes: usize,
    /// The most that a result may take as JSON where the call does not say, in bytes. Default: 16 MiB.
    pub output_bytes: u64,
    /// Whether `readOnlyHint` and `idempotentHint` are believed. Default: no, and every tool is external.
    pub trust_annotations: bool,
}

/// How one server is reached. `${NAME}` and `${NAME:-default}` in a value are the host's variable,
/// `${secret:NAME}` is the [secret](Secrets).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum McpTransport {
    /// A program that Praxis starts and speaks with over standard input and output.
    Stdio {
        /// The program: a path, or a name that is looked for in `PATH`.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its variables, beside `PATH`, `HOME`, `USER`, `LANG`, `LC_*` and their like.
        env: BTreeMap<String, String>,
        /// The folder that it starts in; that of this process if there is none.
        cwd: Option<PathBuf>,
    },
    /// An address that is spoken with over streamable HTTP.
    Http {
        /// The address, `http` or `https`.
        url: String,
        /// Headers of every request.
        headers: BTreeMap<String, String>,
    },
}

impl McpServerConfig {
    /// A server that is reached so, with the defaults for the rest.
    pub fn new(transport: McpTransport) -> Self {
        Self {
            transport,
            start_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
            message_bytes: 16 * 1024 * 1024,
            output_bytes: 16 * 1024 * 1024,
            trust_annotations: false,
        }
    }

    /// A server that is a program.
    pub fn stdio<W: Into<String>>(
        command: impl Into<String>,
        args: impl IntoIterator<Item = W>,
    ) -> Self {
        Self::new(McpTransport::Stdio {
            command: command.into(),
            args: args.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            cwd: None,
        })
    }

    /// A server at an address.
    pub fn http(url: impl Into<String>) -> Self {
        Self::new(McpTransport::Http {
            url: url.into(),
            headers: BTreeMap::new(),
        })
    }
}

impl McpConfig {
    /// Reads a file with a map `mcpServers`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where it cannot be read; [`ErrorKind::InvalidContract`] where it
    /// is larger than 256 KiB, no JSON, or names a server in a way that cannot be meant. All name the file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut text = String::new();
        let read = File::open(path)
            .and_then(|file| file.take(MAX_CONFIG_BYTES + 1).read_to_string(&mut text));
        if let Err(source) = read {
            let kind = match source.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Io,
            };
            let error = Error::new(kind, format!("cannot be read: {source}"));
            return Err(error.with_file(path).with_source(source));
        }
        if text.len() as u64 > MAX_CONFIG_BYTES {
            return Err(
                invalid(format!("it is larger than {MAX_CONFIG_BYTES} bytes")).with_file(path),
            );
        }
        Self::from_json(&text).map_err(|error| error.with_file(path))
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContract`] as [`load`](Self::load).
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let whole: Value = serde_json::from_str(text).map_err(|error| {
            let place = (error.line() as u64, error.column() as u64);
            invalid(format!("not valid JSON: {error}")).with_place(place.0, place.1)
        })?;
        let servers = whole.get("mcpServers").and_then(Value::as_object);
        let servers = servers.ok_or_else(|| {
            invalid("it has no map `mcpServers`").with_help(
                "write {\"mcpServers\": {\"name\": {\"command\": \"program\", \"args\": []}}}",
            )
        })?;
        let mut config = Self::default();
        for (name, value) in servers {
            check_name("server", name).map_err(|error| invalid(error.message().to_owned()))?;
            let reader = Reader {
                name,
                warnings: &mut config.warnings,
            };
            if let Some(server) = reader.read(value)? {
                config.servers.insert(name.clone(), server);
            }
        }
        Ok(config)
    }
}

struct Reader<'a> {
    name: &'a str,
    warnings: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn read(self, value: &Value) -> Result<Option<McpServerConfig>, Error> {
        let Value::Object(entries) = value else {
            return Err(self.wrong("must be a map"));
        };
        let mut entries = entries.clone();
        let disabled = self.boolean(&mut entries, "disabled")?;
        let kind = self.text(&mut entries, "type")?;
        let command = self.text(&mut entries, "command")?;
        let url = self.text(&mut entries, "url")?;
        let transport = match (kind.as_deref(), command, url) {
            (None | Some("stdio"), Some(command), None) => McpTransport::Stdio {
                command,
                args: self.words(&mut entries, "args")?,
                env: self.variables(&mut entries, "env")?,
                cwd: self.text(&mut entries, "cwd")?.map(PathBuf::from),
            },
            (None | Some("http" | "streamable-http" | "streamableHttp"), None, Some(url)) => {
                if !url.starts_with("http://")
                    && !url.starts_with("https://")
                    && !url.starts_with("${")
                {
                    return Err(self.wrong(format!(
                        "has the url `{url}`, which is neither http nor https"
                    )));
                }
                McpTransport::Http {
                    url,
                    headers: self.variables(&mut entries, "headers")?,
                }
            }
            (Some("sse"), ..) => {
                return Err(self.wrong(
                    "has `type: sse`, which MCP has given up; use its streamable HTTP address",
                ));
            }
            (Some(kind), ..)
                if !["stdio", "http", "streamable-http", "streamableHttp"].contains(&kind) =>
            {
                return Err(self.wrong(format!("has `type: {kind}`; it is stdio or http")));
            }
            _ => return Err(self.wrong("needs either `command` (a program) or `url` (an address)")),
        };
        let mut config = McpServerConfig::new(transport);
        for (key, slot) in [
            ("timeout", &mut config.timeout),
            ("startTimeout", &mut config.start_timeout),
        ] {
            if let Some(value) = entries.remove(key) {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let duration = parse_duration(&text).filter(|duration| !duration.is_zero());
                *slot = duration.ok_or_else(|| {
                    self.wrong(format!(
                        "has `{key}` {value}; it is a duration such as \"30s\""
                    ))
                })?;
            }
        }
        config.trust_annotations = self.boolean(&mut entries, "trustAnnotations")?;
        for key in entries.keys() {
            self.warnings.push(format!(
                "server `{}`: unknown key `{key}` is ignored",
                self.name
            ));
        }
        Ok((!disabled).then_some(config))
    }

    fn wrong(&self, message: impl std::fmt::Display) -> Error {
        invalid(format!("server `{}` {message}", self.name))
    }

    fn boolean(&self, entries: &mut Map<String, Value>, key: &str) -> Result<bool, Error> {
        match entries.remove(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(other) => Err(self.wrong(format!("has `{key}` {other}; it is true or false"))),
        }
    }

    fn text(&self, entries: &mut Map<String, Value>, key: &str) -> Result<Option<String>, Error> {
        match entries.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(other) => Err(self.wrong(format!("has `{key}` {other}; it is text"))),
        }
    }

    fn words(&self, entries: &mut Map<String, Value>, key: &str) -> Result<Vec<String>, Error> {
        let Some(value) = entries.remove(key) else {
            return Ok(Vec::new());
        };
        let words = value.as_array().map(|items| {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>()
        });
        words
            .flatten()
            .ok_or_else(|| self.wrong(format!("has `{key}` {value}; it is a list of texts")))
    }

    fn variables(
        &self,
        entries: &mut Map<String, Value>,
        key: &str,
    ) -> Result<BTreeMap<String, String>, Error> {
        let Some(value) = entries.remove(key) else {
            return Ok(BTreeMap::new());
        };
        let variables = value.as_object().map(|entries| {
            let texts = entries
                .iter()
                .map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
            texts.collect::<Option<BTreeMap<_, _>>>()
        });
        // The values may be secrets that somebody wrote here, so that the message does not show them.
        variables
            .flatten()
            .ok_or_else(|| self.wrong(format!("has a `{key}` that is no map of texts")))
    }
}

/// A value with its `${…}` filled in; the secrets among them are remembered, to be concealed.
pub(super) fn expand(
    text: &str,
    secrets: &Secrets,
    used: &mut SecretVariables,
) -> Result<String, Error> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        expanded.push_str(before);
        let Some((name, after)) = behind.split_once('}') else {
            return Err(invalid("a `${` in its configuration is not closed"));
        };
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        match name.strip_prefix("secret:") {
            Some(secret) => expanded.push_str(used.take(secret, secrets)?),
            None => match (std::env::var(name).ok(), default) {
                (Some(value), _) => expanded.push_str(&value),
                (None, Some(default)) => expanded.push_str(default),
                (None, None) => {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!(
                            "its configuration uses the host variable {name}, which is not set"
                        ),
                    )
                    .with_help(format!("set it, or write ${{{name}:-default}}")));
                }
            },
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidContract, message)
}
