//! The session: what the client sends, in its order, and what it is answered.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::document::Document;
use super::frame::Frame;
use super::protocol::{
    ActionParams, ChangeParams, DocumentParams, OpenParams, PositionParams, ReferenceParams,
    RenameParams,
};
use super::text::Encoding;
use super::{Ended, Options, complete, diagnose, hover, names, outline, tools};
use crate::toolbox::Toolbox;

/// How many documents may be open.
const MAX_DOCUMENTS: usize = 1_000;

/// The size of all open documents in bytes.
const MAX_TOTAL_BYTES: usize = 256 << 20;

/// How long a client that keeps sending is left without diagnostics.
const LONGEST_SILENCE: Duration = Duration::from_millis(250);

/// How long a client sends nothing before races and cycles are looked for.
const QUIET: Duration = Duration::from_millis(150);

/// How many folders of tools a client may name.
const MAX_FOLDERS: usize = 64;

/// Why a request has no result.
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Running,
    ShutDown,
}

pub(super) struct Server<W> {
    options: Options,
    output: W,
    phase: Phase,
    encoding: Encoding,
    watches: bool,
    /// The folder that the client's folders of tools are relative to.
    root: PathBuf,
    /// The folders that the client named.
    folders: Vec<PathBuf>,
    tools: Option<Toolbox>,
    documents: BTreeMap<String, Document>,
}

impl<W: Write> Server<W> {
    pub(super) fn new(options: Options, output: W) -> Self {
        Self {
            options,
            output,
            phase: Phase::Fresh,
            encoding: Encoding::Utf16,
            watches: false,
            root: PathBuf::new(),
            folders: Vec::new(),
            tools: None,
            documents: BTreeMap::new(),
        }
    }

    /// Answers what arrives until the client leaves. Diagnostics are told when nothing waits, so
    /// that a burst of edits is looked at once.
    pub(super) fn run(mut self, input: &Receiver<io::Result<Frame>>) -> io::Result<Ended> {
        loop {
            let untold = self
                .documents
                .values()
                .filter_map(|document| document.untold)
                .min();
            let overdue = untold.is_some_and(|since| since.elapsed() >= LONGEST_SILENCE);
            let frame = match untold {
                Some(_) if overdue => None,
                Some(_) => match input.try_recv() {
                    Ok(frame) => Some(frame),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return Ok(self.left()),
                },
                None if self.documents.values().any(Document::is_unsettled) => {
                    match input.recv_timeout(QUIET) {
                        Ok(frame) => Some(frame),
                        Err(RecvTimeoutError::Timeout) => {
                            self.settle();
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => return Ok(self.left()),
                    }
                }
                None => match input.recv() {
                    Ok(frame) => Some(frame),
                    Err(_) => return Ok(self.left()),
                },
            };
            match frame {
                None => self.tell()?,
                Some(frame) => {
                    if let Some(ended) = self.frame(frame?)? {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    fn left(&self) -> Ended {
        if self.phase == Phase::ShutDown {
            Ended::Properly
        } else {
            Ended::Abruptly
        }
    }

    /// Publishes the diagnostics of the document that has waited longest.
    fn tell(&mut self) -> io::Result<()> {
        let oldest = self
            .documents
            .values_mut()
            .filter(|document| document.untold.is_some());
        let Some(document) = oldest.min_by_key(|document| document.untold) else {
            return Ok(());
        };
        document.untold = None;
        let Some(tools) = &self.tools else {
            return Ok(());
        };
        let began = Instant::now();
        let params = diagnose::published(document, tools);
        tracing::debug!(uri = document.uri, version = document.version, took = ?began.elapsed(), "checked");
        self.notify("textDocument/publishDiagnostics", params)
    }

    /// Looks for the races and cycles of one document.
    fn settle(&mut self) {
        let mut documents = self.documents.values_mut();
        let unsettled = documents.find(|document| document.is_unsettled());
        if let (Some(document), Some(tools)) = (unsettled, &self.tools) {
            let began = Instant::now();
            document.settle(tools);
            tracing::debug!(uri = document.uri, version = document.version, took = ?began.elapsed(), "settled");
        }
    }

    fn frame(&mut self, frame: Frame) -> io::Result<Option<Ended>> {
        match frame {
            Frame::Bad { code, message } => {
                tracing::warn!("{message}");
                self.refuse_unread(code, &message)?;
            }
            // Nothing depends on what the client says to the server's requests.
            Frame::Message(Message::Response(_)) => {}
            Frame::Message(Message::Request(request)) => self.request(request)?,
            Frame::Message(Message::Notification(notification)) => {
                if notification.method == "exit" {
                    return Ok(Some(self.left()));
                }
                if self.phase == Phase::Running {
                    self.notification(notification)?;
                }
            }
        }
        Ok(None)
    }

    fn send(&mut self, message: Message) -> io::Result<()> {
        message.write(&mut self.output)?;
        self.output.flush()
    }

    /// Answers what could not be read, whose id is not known; `lsp-server` has no such answer.
    fn refuse_unread(&mut self, code: ErrorCode, message: &str) -> io::Result<()> {
        let error = json!({ "code": code as i32, "message": message });
        let body = json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string();
        write!(self.output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
        self.output.flush()
    }

    fn notify(&mut self, method: &str, params: Value) -> io::Result<()> {
        self.send(Notification::new(method.to_owned(), params).into())
    }

    /// Says something to the person at the editor.
    fn show(&mut self, message: &str) -> io::Result<()> {
        tracing::warn!("{message}");
        self.notify(
            "window/showMessage",
            json!({ "type": 2, "message": message }),
        )
    }

    fn request(&mut self, request: Request) -> io::Result<()> {
        let Request { id, method, params } = request;
        let answer = match (self.phase, method.as_str()) {
            (Phase::Fresh, "initialize") => return self.initialize(id, &params),
            (Phase::Fresh, _) => Err(Refusal::new(
                ErrorCode::ServerNotInitialized,
                format!("`{method}` came before `initialize`"),
            )),
            (Phase::ShutDown, _) => Err(Refusal::new(
                ErrorCode::InvalidRequest,
                format!("`{method}` came after `shutdown`; only `exit` may"),
            )),
            (Phase::Running, "initialize") => Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "`initialize` came before",
            )),
            (Phase::Running, "shutdown") => {
                self.phase = Phase::ShutDown;
                self.documents.clear();
                Ok(Value::Null)
            }
            (Phase::Running, method) => self.answer(method, params),
        };
        self.respond(id, answer)
    }

    fn respond(&mut self, id: RequestId, answer: Result<Value, Refusal>) -> io::Result<()> {
        let response = match answer {
            Ok(result) => Response::new_ok(id, result),
            Err(Refusal { code, message }) => Response::new_err(id, code as i32, message),
        };
        self.send(response.into())
    }

    fn initialize(&mut self, id: RequestId, params: &Value) -> io::Result<()> {
        let flag = |path: &str| params.pointer(path).and_then(Value::as_bool) == Some(true);
        let encodings = params.pointer("/capabilities/general/positionEncodings");
        let utf8 = encodings
            .and_then(Value::as_array)
            .is_some_and(|offered| offered.iter().any(|name| name == Encoding::Utf8.as_str()));
        if utf8 {
            self.encoding = Encoding::Utf8;
        }
        self.watches = flag("/capabilities/workspace/didChangeWatchedFiles/dynamicRegistration");
        let workspace = params
            .pointer("/workspaceFolders/0/uri")
            .or_else(|| params.get("rootUri"));
        let workspace = workspace.and_then(Value::as_str).and_then(file_path);
        let told = self.options.root.clone();
        self.root = told.or(workspace).unwrap_or_default();
        if let Some(options) = params.get("initializationOptions") {
            self.folders = named_folders(options, &self.root).unwrap_or_default();
        }
        self.phase = Phase::Running;
        let result = json!({
            "capabilities": capabilities(self.encoding),
            "serverInfo": { "name": "praxis", "version": env!("CARGO_PKG_VERSION") },
        });
        self.respond(id, Ok(result))?;
        self.reload()
    }

    /// Reads the contracts, and looks at every document again.
    fn reload(&mut self) -> io::Result<()> {
        let folders: Vec<PathBuf> = self
            .options
            .tools
            .iter()
            .chain(&self.folders)
            .cloned()
            .collect();
        let (tools, problems) = tools::load(&folders).map_err(io::Error::other)?;
        self.tools = Some(tools);
        for document in self.documents.values_mut() {
            document.tools_changed();
        }
        for problem in problems {
            self.show(&problem)?;
        }
        Ok(())
    }

    fn notification(&mut self, notification: Notification) -> io::Result<()> {
        let Notification { method, params } = notification;
        match method.as_str() {
            "initialized" if self.watches => {
                let watchers = json!([{ "globPattern": "**/contract.{yaml,yml}" }]);
                let registration = json!({
                    "id": "contracts",
                    "method": "workspace/didChangeWatchedFiles",
                    "registerOptions": { "watchers": watchers },
                });
                let params = json!({ "registrations": [registration] });
                let id = RequestId::from("contracts".to_owned());
                self.send(Request::new(id, "client/registerCapability".to_owned(), params).into())
            }
            "textDocument/didOpen" => match read(&method, params) {
                Ok(params) => self.open(params),
                Err(refusal) => self.show(&refusal.message),
            },
            "textDocument/didChange" => match read(&method, params) {
                Ok(params) => self.change(params),
                Err(refusal) => self.show(&refusal.message),
            },
            "textDocument/didClose" => match read::<DocumentParams>(&method, params) {
                Ok(params) => self.close(&params.text_document.uri),
                Err(refusal) => self.show(&refusal.message),
            },
            "workspace/didChangeWatchedFiles" => self.reload(),
            "workspace/didChangeConfiguration" => {
                let settings = params.get("settings").unwrap_or(&Value::Null);
                let own = settings.get("praxis").unwrap_or(settings);
                match named_folders(own, &self.root) {
                    Some(folders) if folders != self.folders => {
                        self.folders = folders;
                        self.reload()
                    }
                    _ => Ok(()),
                }
            }
            // Others, such as `$/cancelRequest`, ask for nothing: requests are answered in order.
            _ => Ok(()),
        }
    }

    fn open(&mut self, params: OpenParams) -> io::Result<()> {
        let opened = params.text_document;
        if self.documents.len() >= MAX_DOCUMENTS && !self.documents.contains_key(&opened.uri) {
            return self.show(&format!(
                "{} is not looked at: {MAX_DOCUMENTS} documents are open; close some",
                opened.uri
            ));
        }
        let uri = opened.uri;
        let document = Document::new(uri.clone(), opened.version, opened.text, self.encoding);
        self.documents.insert(uri.clone(), document);
        self.bound(&uri);
        Ok(())
    }

    fn change(&mut self, params: ChangeParams) -> io::Result<()> {
        let uri = params.text_document.uri;
        let Some(document) = self.documents.get_mut(&uri) else {
            tracing::warn!("{uri} was changed and is not open");
            return Ok(());
        };
        // The stream keeps the order of the edits, whatever their versions say.
        document.change(params.text_document.version, params.content_changes);
        self.bound(&uri);
        Ok(())
    }

    /// Lets go of the document's text where all of them together are too large.
    fn bound(&mut self, uri: &str) {
        let total: usize = self
            .documents
            .values()
            .map(|document| document.source().len())
            .sum();
        if total > MAX_TOTAL_BYTES
            && let Some(document) = self.documents.get_mut(uri)
        {
            document.drop_text();
        }
    }

    fn close(&mut self, uri: &str) -> io::Result<()> {
        if self.documents.remove(uri).is_none() {
            return Ok(());
        }
        let params = json!({ "uri": uri, "diagnostics": [] });
        self.notify("textDocument/publishDiagnostics", params)
    }

    fn answer(&self, method: &str, params: Value) -> Result<Value, Refusal> {
        match method {
            "textDocument/completion" => {
                let place: PositionParams = read(method, params)?;
                let (document, tools) = self.document(&place.text_document.uri)?;
                write(complete::items(document, tools, place.position))
            }
            "textDocument/hover" => {
                let place: PositionParams = read(method, params)?;
                let (document, tools) = self.document(&place.text_document.uri)?;
                write(hover::hover(document, tools, place.position))
            }
            "textDocument/definition" => {
                let place: PositionParams = read(method, params)?;
                let (document, tools) = self.document(&place.text_document.uri)?;
                write(names::definitions(document, tools, place.position))
            }
            "textDocument/references" => {
                let ReferenceParams { place, context } = read(method, params)?;
                let (document, tools) = self.document(&place.text_document.uri)?;
                let bindings = context.include_declaration;
                write(names::references(document, tools, place.position, bindings))
            }
            "textDocument/documentHighlight" => {
                let place: PositionParams = read(method, params)?;
                let (document, tools) = self.document(&place.text_document.uri)?;
                write(names::highlights(document, tools, place.position))
            }
            "textDocument/prepareRename" => {
                let place: PositionParams = read(method, params)?;
                let (document, tools) = self.document(&place.text_document.uri)?;
                write(names::renamable(document, tools, place.position))
            }
            "textDocument/rename" => {
                let RenameParams { place, new_name } = read(method, params)?;
                let (document, tools) = self.document(&place.text_document.uri)?;
                names::rename(document, tools, place.position, &new_name)
                    .map_err(|message| Refusal::new(ErrorCode::RequestFailed, message))
            }
            "textDocument/documentSymbol" => {
                let params: DocumentParams = read(method, params)?;
                let (document, _) = self.document(&params.text_document.uri)?;
                write(outline::symbols(document))
            }
            "textDocument/foldingRange" => {
                let params: DocumentParams = read(method, params)?;
                let (document, _) = self.document(&params.text_document.uri)?;
                write(outline::foldings(document))
            }
            "textDocument/formatting" => {
                let params: DocumentParams = read(method, params)?;
                let (document, _) = self.document(&params.text_document.uri)?;
                // A program whose blocks are not known is left alone; its diagnostics say why.
                let layout = praxis_dsl::format(document.tree()).ok();
                let edit = layout.and_then(|layout| document.replacement(&layout));
                write(Vec::from_iter(edit))
            }
            "textDocument/codeAction" => {
                let params: ActionParams = read(method, params)?;
                let (document, tools) = self.document(&params.text_document.uri)?;
                let only = params.context.only;
                let wanted = only.is_none_or(|kinds| {
                    kinds
                        .iter()
                        .any(|kind| kind.is_empty() || kind == "quickfix")
                });
                if !wanted {
                    return Ok(json!([]));
                }
                write(diagnose::actions(document, tools, params.range))
            }
            _ => Err(Refusal::new(
                ErrorCode::MethodNotFound,
                format!("`{method}` is not known"),
            )),
        }
    }

    fn document(&self, uri: &str) -> Result<(&Document, &Toolbox), Refusal> {
        let document = self.documents.get(uri).ok_or_else(|| {
            Refusal::new(
                ErrorCode::InvalidParams,
                format!("the document {uri} is not open"),
            )
        })?;
        let tools = self
            .tools
            .as_ref()
            .ok_or_else(|| Refusal::new(ErrorCode::InternalError, "the tools are not loaded"))?;
        Ok((document, tools))
    }
}

fn read<P: DeserializeOwned>(method: &str, params: Value) -> Result<P, Refusal> {
    serde_json::from_value(params).map_err(|error| {
        Refusal::new(
            ErrorCode::InvalidParams,
            format!("the parameters of `{method}`: {error}"),
        )
    })
}

fn write(result: impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(result)
        .map_err(|error| Refusal::new(ErrorCode::InternalError, error.to_string()))
}

fn capabilities(encoding: Encoding) -> Value {
    json!({
        "positionEncoding": encoding.as_str(),
        // Opening and closing are told, and changes by their ranges.
        "textDocumentSync": { "openClose": true, "change": 2 },
        "completionProvider": { "triggerCharacters": [" ", "-", "@", "$", "{", "="] },
        "hoverProvider": true,
        "definitionProvider": true,
        "referencesProvider": true,
        "documentHighlightProvider": true,
        "renameProvider": { "prepareProvider": true },
        "documentSymbolProvider": true,
        "foldingRangeProvider": true,
        "documentFormattingProvider": true,
        "codeActionProvider": { "codeActionKinds": ["quickfix"] },
    })
}

/// The folders that `{"tools": ["dir", …]}` names; none where it does not say.
fn named_folders(options: &Value, root: &Path) -> Option<Vec<PathBuf>> {
    let named = options.get("tools")?.as_array()?;
    let folders = named.iter().filter_map(Value::as_str).take(MAX_FOLDERS);
    Some(folders.map(|folder| root.join(folder)).collect())
}

/// The path of a `file:` URI.
fn file_path(uri: &str) -> Option<PathBuf> {
    let path = uri.strip_prefix("file://")?;
    let path = &path[path.find('/')?..];
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}
