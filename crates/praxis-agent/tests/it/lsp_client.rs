//! A client of `praxis lsp` that speaks to the program as an editor does.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::shell::Place;

/// How long an answer may take; far more than one does.
const PATIENCE: Duration = Duration::from_secs(60);

/// The document that most tests edit.
pub(crate) const URI: &str = "file:///a.praxis";

/// A client in a folder without files.
pub(crate) fn client() -> Client {
    Client::start(&Place::new(&[]), &[], &json!({}))
}

/// The parameters of a request about a place of [`URI`].
pub(crate) fn at(position: &Value) -> Value {
    json!({ "textDocument": { "uri": URI }, "position": position })
}

pub(crate) fn range(start: (u32, u32), end: (u32, u32)) -> Value {
    let place = |(line, character)| json!({ "line": line, "character": character });
    json!({ "start": place(start), "end": place(end) })
}

pub(crate) struct Client {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// What came while something else was waited for.
    waiting: VecDeque<Value>,
    requests: i32,
    version: i32,
}

impl Client {
    /// Starts the server without a word.
    pub(crate) fn silent(place: &Place, arguments: &[&str]) -> Self {
        let arguments: Vec<&str> = ["lsp"].iter().chain(arguments).copied().collect();
        let mut child = place
            .command(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            messages,
            waiting: VecDeque::new(),
            requests: 0,
            version: 0,
        }
    }

    /// Starts the server and shakes hands; `more` is merged into the parameters.
    pub(crate) fn start(place: &Place, arguments: &[&str], more: &Value) -> Self {
        let mut client = Self::silent(place, arguments);
        let root = format!("file://{}", place.path().display());
        let mut params = json!({ "processId": null, "rootUri": root, "capabilities": {} });
        for (key, value) in more.as_object().into_iter().flatten() {
            params[key] = value.clone();
        }
        let result = client.ask("initialize", &params);
        assert_eq!(result["serverInfo"]["name"], "praxis", "{result}");
        client.notify("initialized", &json!({}));
        client
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.write(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    pub(crate) fn notify(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The next message that `wanted` accepts.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at).expect("it was found there");
        }
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|error| panic!("no {what}: {error}"));
            if wanted(&message) {
                return message;
            }
            self.waiting.push_back(message);
        }
    }

    /// The whole response to a request.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.wait(method, |message| {
            message["id"] == id && message.get("method").is_none()
        })
    }

    /// The result of a request that succeeds.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        let mut response = self.call(method, params);
        assert_eq!(response.get("error"), None, "{method} {params}");
        response["result"].take()
    }

    /// Opens a document and gives its diagnostics.
    #[track_caller]
    pub(crate) fn open(&mut self, uri: &str, text: &str) -> Vec<Value> {
        self.version += 1;
        let document =
            json!({ "uri": uri, "languageId": "praxis", "version": self.version, "text": text });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }));
        self.diagnostics(uri)
    }

    /// Changes a document without waiting for what the server says.
    pub(crate) fn change(&mut self, uri: &str, changes: &Value) {
        self.version += 1;
        let document = json!({ "uri": uri, "version": self.version });
        let params = json!({ "textDocument": document, "contentChanges": changes });
        self.notify("textDocument/didChange", &params);
    }

    /// The diagnostics of the latest version; the server may leave out those before.
    #[track_caller]
    pub(crate) fn diagnostics(&mut self, uri: &str) -> Vec<Value> {
        let version = self.version;
        let mut message = self.wait("diagnostics", |message| {
            message["method"] == "textDocument/publishDiagnostics"
                && message["params"]["uri"] == uri
                && message["params"]["version"] == version
        });
        serde_json::from_value(message["params"]["diagnostics"].take()).unwrap()
    }

    /// Closes the server's input.
    pub(crate) fn hang_up(&mut self) {
        self.input = None;
    }

    /// The exit code, and what stands on standard error.
    pub(crate) fn end(mut self) -> (i32, String) {
        let mut complaint = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        // The stream ends with the program.
        stderr.read_to_string(&mut complaint).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), complaint)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
