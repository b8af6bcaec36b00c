//! A language server: what editors show of a program, over the Language Server Protocol.
//!
//! [`serve`] speaks the protocol over any pair of streams and never runs a tool: it reads
//! contracts, and programs as the client sends them. `praxis lsp` is this over standard input
//! and output.

mod complete;
mod diagnose;
mod document;
mod frame;
mod hover;
mod keywords;
mod names;
mod outline;
mod protocol;
mod server;
mod text;
mod tools;

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use self::server::Server;

/// Where the server finds tools; the client may name more folders.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Folders of `*/contract.yaml` tools, relative to the current one.
    pub tools: Vec<PathBuf>,
    /// The folder that the client's folders of tools are relative to; unless told, the client's
    /// workspace.
    pub root: Option<PathBuf>,
}

/// How a session came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The client asked for it: `shutdown`, then `exit`.
    Properly,
    /// The client said `exit` without `shutdown`, or closed the stream.
    Abruptly,
}

/// How many messages may wait; more are left in the stream.
const MOST_WAITING: usize = 8;

/// Serves one client until it leaves.
///
/// A thread of its own reads `input`; it ends with the stream, or with the process.
///
/// # Errors
///
/// A stream that fails, and input that is no message: after it, it is not known where the next
/// one starts.
pub fn serve(
    options: Options,
    mut input: impl BufRead + Send + 'static,
    output: impl Write,
) -> io::Result<Ended> {
    let (sender, receiver) = mpsc::sync_channel(MOST_WAITING);
    thread::Builder::new()
        .name("lsp-input".to_owned())
        .spawn(move || {
            loop {
                let frame = frame::read(&mut input);
                let last = !matches!(frame, Ok(Some(_)));
                // The end of the stream is the end of the channel.
                let Some(frame) = frame.transpose() else {
                    return;
                };
                if sender.send(frame).is_err() || last {
                    return;
                }
            }
        })?;
    Server::new(options, output).run(&receiver)
}
