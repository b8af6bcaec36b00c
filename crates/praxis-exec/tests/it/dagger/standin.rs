//! Stands in for a Dagger session: takes GraphQL over HTTP on this machine, holds each query against Dagger's
//! schema, and does what it says with the containers of the Docker engine that is there.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use graphql_parser::query::Value as Literal;
use graphql_parser::query::{Definition, Field, OperationDefinition, Selection, parse_query};
use graphql_parser::schema::{
    Definition as Declared, ObjectType, Type, TypeDefinition, parse_schema,
};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

const SCHEMA: &str = include_str!("schema.graphqls");

pub(crate) const TOKEN: &str = "t0ken-of-the-session";

/// A session; dropped, it takes no more queries.
pub(crate) struct Session {
    pub(crate) port: u16,
    state: Arc<State>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    asked: Mutex<Vec<String>>,
    secrets: Mutex<BTreeMap<String, String>>,
    next: AtomicU64,
    /// Answers every query with this instead.
    answer: Option<(u16, String)>,
}

impl Session {
    pub(crate) async fn start() -> Self {
        Self::answering(None).await
    }

    pub(crate) async fn answering(answer: Option<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            answer,
            ..State::default()
        });
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            port,
            state,
            serving,
        }
    }

    /// All queries so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A refusal, at a field.
type Refusal = (String, Vec<String>);

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some((head, body)) = receive(&mut stream).await else {
        return;
    };
    let authorized = head.lines().any(|line| {
        line.to_ascii_lowercase().starts_with("authorization:")
            && line.ends_with(&base64(format!("{TOKEN}:").as_bytes()))
    });
    let (status, answer) = if !head.starts_with("POST /query ") {
        (404, "no such page".to_owned())
    } else if !authorized {
        (401, "who are you?".to_owned())
    } else if let Some(answer) = &state.answer {
        answer.clone()
    } else {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let query = request["query"].as_str().unwrap().to_owned();
        state.asked.lock().unwrap().push(query.clone());
        let mut gone = [0; 1];
        let (mut reading, _) = stream.split();
        let answered = tokio::select! {
            answered = answer(&query, &state) => answered,
            // Who asked has gone away; what runs for them is killed when its future is dropped.
            _ = reading.read(&mut gone) => return,
        };
        let answer = match answered {
            Ok(data) => json!({"data": data}),
            Err((message, path)) => {
                json!({"data": null, "errors": [{"message": message, "path": path}]})
            }
        };
        (200, answer.to_string())
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn receive(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        })?;
        while bytes.len() < end + 4 + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        return Some((head, bytes[end + 4..].to_vec()));
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let whole = three
            .iter()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(whole >> (18 - 6 * place)) as usize & 63] as char;
            text.push(if place <= three.len() { digit } else { '=' });
        }
    }
    text
}

/// What a chain of fields comes to, so far.
#[derive(Clone, Default)]
struct Container {
    image: String,
    user: String,
    work_dir: String,
    options: Vec<String>,
    ran: Option<(i32, String, String)>,
}

async fn answer(query: &str, state: &State) -> Result<Value, Refusal> {
    let parsed = parse_query::<String>(query).unwrap_or_else(|error| panic!("{error}\n{query}"));
    let [Definition::Operation(OperationDefinition::Query(operation))] = &parsed.definitions[..]
    else {
        panic!("one query: {query}");
    };
    let mut data = Map::new();
    for selection in &operation.selection_set.items {
        let field = field(selection);
        let kind = check("Query", field);
        let key = field.alias.as_ref().unwrap_or(&field.name).clone();
        let value = match field.name.as_str() {
            "setSecret" => {
                let id = format!("secret:{}", state.next.fetch_add(1, Ordering::Relaxed));
                let plaintext = argument(field, "plaintext")
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned();
                state.secrets.lock().unwrap().insert(id.clone(), plaintext);
                check(&kind, one(field));
                json!({"id": id})
            }
            "host" => {
                let inner = one(field);
                let kind = check(&kind, inner);
                check(&kind, one(inner));
                let path = argument(inner, "path")
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned();
                json!({&inner.name: {"id": format!("host:{path}")}})
            }
            "container" => {
                let path = vec![key.clone()];
                run(field, &kind, Container::default(), path, state).await?
            }
            other => panic!("{other} is not in the stand-in"),
        };
        data.insert(key, value);
    }
    Ok(Value::Object(data))
}

/// Follows a chain of fields of a container; the values come back nested as the fields are.
async fn run(
    field: &Field<'_, String>,
    kind: &str,
    mut container: Container,
    mut path: Vec<String>,
    state: &State,
) -> Result<Value, Refusal> {
    let mut names = Vec::new();
    let mut kind = kind.to_owned();
    let mut level = field;
    while level.selection_set.items.len() == 1 {
        level = one(level);
        kind = check(&kind, level);
        path.push(level.name.clone());
        names.push(level.name.clone());
        step(level, &mut container, &path, state).await?;
    }
    let mut leaves = Map::new();
    for selection in &level.selection_set.items {
        let leaf = self::field(selection);
        check(&kind, leaf);
        let (code, stdout, stderr) = container
            .ran
            .clone()
            .expect("an end is asked for after withExec");
        let value = match leaf.name.as_str() {
            "exitCode" => json!(code),
            "stdout" => json!(stdout),
            "stderr" => json!(stderr),
            other => panic!("{other} is not in the stand-in"),
        };
        leaves.insert(leaf.name.clone(), value);
    }
    let nested = names
        .into_iter()
        .rev()
        .fold(Value::Object(leaves), |inner, name| json!({ name: inner }));
    Ok(nested)
}

async fn step(
    field: &Field<'_, String>,
    container: &mut Container,
    path: &[String],
    state: &State,
) -> Result<(), Refusal> {
    let text = |name: &str| argument(field, name).unwrap().as_str().unwrap().to_owned();
    let mut option = |words: &[String]| container.options.extend_from_slice(words);
    match field.name.as_str() {
        "from" => {
            container.image = text("address");
            let found = docker(&["image", "inspect", &container.image])
                .output()
                .await
                .unwrap();
            if !found.status.success() {
                let message = format!(
                    "failed to resolve source metadata for {}: not found",
                    container.image
                );
                return Err((message, path.to_vec()));
            }
        }
        "withUser" => container.user = text("name"),
        "withWorkdir" => container.work_dir = text("path"),
        "withMountedTemp" => option(&[
            "--tmpfs".to_owned(),
            format!("{}:rw,exec,mode=1777", text("path")),
        ]),
        "withMountedDirectory" | "withMountedFile" => {
            let source = text("source");
            let source = source.strip_prefix("host:").unwrap();
            option(&["-v".to_owned(), format!("{source}:{}", text("path"))]);
        }
        "withEnvVariable" => option(&[
            "-e".to_owned(),
            format!("{}={}", text("name"), text("value")),
        ]),
        "withSecretVariable" => {
            let value = state.secrets.lock().unwrap()[&text("secret")].clone();
            option(&["-e".to_owned(), format!("{}={value}", text("name"))]);
        }
        "withExec" => {
            assert_eq!(
                argument(field, "expect"),
                Some(json!("ANY")),
                "an exit code is an answer"
            );
            let words = argument(field, "args").unwrap();
            let words: Vec<String> = words
                .as_array()
                .unwrap()
                .iter()
                .map(|word| word.as_str().unwrap().to_owned())
                .collect();
            let stdin = argument(field, "stdin").map(|stdin| stdin.as_str().unwrap().to_owned());
            container.ran =
                Some(exec(container, &words, stdin.unwrap_or_default(), state, path).await?);
        }
        other => panic!("{other} is not in the stand-in"),
    }
    Ok(())
}

/// Kills a container when nobody waits for it any more.
struct Killer(String);

impl Drop for Killer {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker")
            .args(["rm", "-f", &self.0])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

async fn exec(
    container: &Container,
    words: &[String],
    stdin: String,
    state: &State,
    path: &[String],
) -> Result<(i32, String, String), Refusal> {
    let number = state.next.fetch_add(1, Ordering::Relaxed);
    let name = format!(
        "praxis-dagger-test-{}-{number}",
        praxis_exec::CallId::unique()
    );
    let _killer = Killer(name.clone());
    let mut command = docker(&[
        "run",
        "--rm",
        "-i",
        "--pull",
        "never",
        "--network",
        "none",
        "--name",
        &name,
    ]);
    command
        .args(["--user", &container.user, "--workdir", &container.work_dir])
        .args(&container.options);
    command
        .args(["--entrypoint", &words[0], &container.image])
        .args(&words[1..]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("the docker command is there");
    let mut input = child.stdin.take().unwrap();
    let feed = async move {
        let _ = input.write_all(stdin.as_bytes()).await;
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stderr = text(&output.stderr);
    if output.status.code() == Some(127) && stderr.contains("executable file not found") {
        return Err((stderr, path.to_vec()));
    }
    Ok((
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        stderr,
    ))
}

fn docker(words: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(words);
    command
}

fn field<'a, 'q>(selection: &'a Selection<'q, String>) -> &'a Field<'q, String> {
    match selection {
        Selection::Field(field) => field,
        other => panic!("{other:?} is no field"),
    }
}

fn one<'a, 'q>(outer: &'a Field<'q, String>) -> &'a Field<'q, String> {
    let [selection] = &outer.selection_set.items[..] else {
        panic!("{} has one field", outer.name);
    };
    field(selection)
}

fn argument(field: &Field<'_, String>, name: &str) -> Option<Value> {
    let (_, literal) = field.arguments.iter().find(|(named, _)| named == name)?;
    Some(plain(literal))
}

fn plain(literal: &Literal<'_, String>) -> Value {
    match literal {
        Literal::String(text) => json!(text),
        Literal::Int(number) => json!(number.as_i64()),
        Literal::Boolean(value) => json!(value),
        Literal::Enum(name) => json!(name),
        Literal::List(items) => items.iter().map(plain).collect(),
        other => panic!("{other} is not in the stand-in"),
    }
}

/// Holds a field against the schema and gives the name of its type.
fn check(kind: &str, field: &Field<'_, String>) -> String {
    let schema = parse_schema::<String>(SCHEMA).unwrap();
    let types: Vec<&ObjectType<'_, String>> = schema
        .definitions
        .iter()
        .filter_map(|definition| match definition {
            Declared::TypeDefinition(TypeDefinition::Object(object)) => Some(object),
            _ => None,
        })
        .collect();
    let object = types.iter().find(|object| object.name == kind);
    let object =
        object.unwrap_or_else(|| panic!("{kind} is no object, and {} was asked of it", field.name));
    let declared = object
        .fields
        .iter()
        .find(|declared| declared.name == field.name);
    let declared = declared.unwrap_or_else(|| panic!("{kind} has no field {}", field.name));
    for (name, literal) in &field.arguments {
        let parameter = declared
            .arguments
            .iter()
            .find(|parameter| parameter.name == *name);
        let parameter =
            parameter.unwrap_or_else(|| panic!("{} has no argument {name}", field.name));
        assert!(
            fits(&parameter.value_type, literal),
            "{}({name}: {literal}) is no {}",
            field.name,
            parameter.value_type
        );
    }
    for parameter in &declared.arguments {
        let required = matches!(parameter.value_type, Type::NonNullType(_));
        let given = field
            .arguments
            .iter()
            .any(|(name, _)| *name == parameter.name);
        assert!(
            given || !required,
            "{} needs {}",
            field.name,
            parameter.name
        );
    }
    let mut inner = &declared.field_type;
    loop {
        match inner {
            Type::NonNullType(of) | Type::ListType(of) => inner = of,
            Type::NamedType(name) => return name.clone(),
        }
    }
}

fn fits(kind: &Type<'_, String>, literal: &Literal<'_, String>) -> bool {
    match (kind, literal) {
        (Type::NonNullType(inner), literal) => fits(inner, literal),
        (Type::ListType(inner), Literal::List(items)) => items.iter().all(|item| fits(inner, item)),
        (Type::NamedType(name), literal) => matches!(
            (name.as_str(), literal),
            ("String" | "ID", Literal::String(_))
                | ("Int", Literal::Int(_))
                | ("Boolean", Literal::Boolean(_))
                | ("ReturnType", Literal::Enum(_))
        ),
        _ => false,
    }
}
