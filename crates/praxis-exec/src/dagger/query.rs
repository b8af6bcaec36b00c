//! What is asked of a session, in GraphQL, and what its answers mean.

use std::fmt::Write;

use serde_json::Value;

use crate::container::Spec;
use crate::mounts::Bind;
use crate::{CallId, Error, ErrorKind, SecretVariables};

/// What must be in a session before a container can refer to it: folders and files of the host, and secrets.
pub(super) struct Place<'a> {
    binds: &'a [Bind],
    secrets: Vec<(&'a str, &'a str)>,
    call: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(spec: &'a Spec, secrets: &'a SecretVariables, call: &'a str) -> Self {
        Self {
            binds: &spec.binds,
            secrets: secrets.expose().collect(),
            call,
        }
    }

    /// The query that brings it there and gives the ids, if there is anything to bring.
    pub(super) fn query(&self) -> Option<String> {
        if self.binds.is_empty() && self.secrets.is_empty() {
            return None;
        }
        let mut query = "query {".to_owned();
        for (number, bind) in self.binds.iter().enumerate() {
            let path = text(&bind.source.display().to_string());
            let _ = write!(
                query,
                " b{number}: host {{ {}(path: {path}) {{ id }} }}",
                kind(bind)
            );
        }
        for (number, (name, value)) in self.secrets.iter().enumerate() {
            // Two calls may have the same secret with other values; the name keeps them apart.
            let name = text(&format!("praxis-{}-{name}", self.call));
            let _ = write!(
                query,
                " s{number}: setSecret(name: {name}, plaintext: {}) {{ id }}",
                text(value)
            );
        }
        query.push_str(" }");
        Some(query)
    }

    /// The ids, the folders' first.
    pub(super) fn read(&self, answer: &Value) -> Result<Vec<String>, Error> {
        let of_bind = |(number, bind)| {
            answer
                .get(format!("b{number}"))?
                .get(kind(bind))?
                .get("id")?
                .as_str()
        };
        let of_secret = |number| answer.get(format!("s{number}"))?.get("id")?.as_str();
        let binds = self.binds.iter().enumerate().map(of_bind);
        let secrets = (0..self.secrets.len()).map(of_secret);
        let ids = binds.chain(secrets).map(|id| id.map(str::to_owned));
        ids.collect::<Option<Vec<_>>>()
            .ok_or_else(|| unexpected("gave no id for what a call needs"))
    }
}

fn kind(bind: &Bind) -> &'static str {
    if bind.source.is_file() {
        "file"
    } else {
        "directory"
    }
}

/// The query that runs a call's command.
pub(super) fn exec(spec: &Spec, place: &Place<'_>, ids: &[String], input: &str) -> String {
    let mut steps = vec![
        format!("from(address: {})", text(&spec.image)),
        format!("withUser(name: {})", text(&spec.user)),
    ];
    for (path, bytes) in &spec.scratch {
        steps.push(format!(
            "withMountedTemp(path: {}, size: {bytes})",
            text(path)
        ));
    }
    let mut ids = ids.iter();
    for (bind, id) in place.binds.iter().zip(ids.by_ref()) {
        let field = match kind(bind) {
            "file" => "withMountedFile",
            _ => "withMountedDirectory",
        };
        steps.push(format!(
            "{field}(path: {}, source: {})",
            text(&bind.target),
            text(id)
        ));
    }
    steps.push(format!("withWorkdir(path: {})", text(&spec.work_dir)));
    let variable = |name: &str, value: &str| {
        format!(
            "withEnvVariable(name: {}, value: {})",
            text(name),
            text(value)
        )
    };
    steps.extend(spec.env.iter().map(|(name, value)| variable(name, value)));
    for ((name, _), id) in place.secrets.iter().zip(ids) {
        steps.push(format!(
            "withSecretVariable(name: {}, secret: {})",
            text(name),
            text(id)
        ));
    }
    // Equal commands are run once and remembered; a tool is run at each call, a repeated one included.
    steps.push(variable("PRAXIS_DAGGER_CALL", CallId::unique().as_str()));
    let words: Vec<String> = spec.command.iter().map(|word| text(word)).collect();
    steps.push(format!(
        "withExec(args: [{}], stdin: {}, expect: ANY)",
        words.join(", "),
        text(input)
    ));
    let depth = steps.len() + 1;
    format!(
        "query {{ container {{ {} {{ exitCode stdout stderr {}",
        steps.join(" { "),
        "} ".repeat(depth + 1).trim_end()
    )
}

/// How a command ended.
pub(super) struct Exec {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Reads the answer to [`exec`]: the one field of each level down to where the ends are.
pub(super) fn read(answer: &Value) -> Result<Exec, Error> {
    let mut level = answer;
    while level.get("exitCode").is_none() {
        let inner = level.as_object().and_then(|fields| fields.values().next());
        level = inner.ok_or_else(|| unexpected("did not say how the command ended"))?;
    }
    let said = |name: &str| level.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = level.get("exitCode").and_then(Value::as_i64);
    match (
        code.and_then(|code| i32::try_from(code).ok()),
        said("stdout"),
        said("stderr"),
    ) {
        (Some(code), Some(stdout), Some(stderr)) => Ok(Exec {
            code,
            stdout,
            stderr: shown(&stderr),
        }),
        _ => Err(unexpected("did not say how the command ended")),
    }
}

/// The end of standard error, safe to show.
fn shown(stderr: &str) -> String {
    let mut tail = crate::capture::Tail::<tokio::io::Empty>::new(None, 64 * 1024);
    tail.push(stderr.as_bytes());
    tail.text()
}

/// A text as GraphQL writes it; that of JSON is one.
fn text(text: &str) -> String {
    Value::from(text).to_string()
}

fn unexpected(what: &str) -> Error {
    Error::new(
        ErrorKind::Failed,
        format!("the Dagger session {what}; its API is another than Praxis knows"),
    )
    .with_retryable(false)
}
