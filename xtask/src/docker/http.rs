//! As much of HTTP as it takes to talk to a container engine.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// The path of a socket.
    Unix(String),
    /// Host and port.
    Tcp(String),
    /// A form that is not understood here.
    Other(String),
}

impl Address {
    pub(crate) fn parse(text: &str) -> Self {
        let rest = |scheme: &str| text.strip_prefix(scheme).map(str::to_owned);
        if let Some(path) = rest("unix://") {
            Self::Unix(path)
        } else if let Some(host) = rest("tcp://").or_else(|| rest("http://")) {
            Self::Tcp(host.trim_end_matches('/').to_owned())
        } else {
            Self::Other(text.to_owned())
        }
    }

    /// Whether every client finds it without being told.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::Unix("/var/run/docker.sock".to_owned())
    }

    pub(crate) fn ping(&self) -> Result<()> {
        let (status, _) = self.call("GET", "/_ping", None, Duration::from_secs(5))?;
        ensure!(status == 200, "it answers a ping with status {status}");
        Ok(())
    }

    pub(crate) fn version(&self) -> Result<String> {
        let (_, body) = self.call("GET", "/version", None, Duration::from_secs(5))?;
        let body: serde_json::Value = serde_json::from_str(&body)?;
        Ok(body["Version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// One request on a connection of its own: status and body.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&mut File>,
        limit: Duration,
    ) -> Result<(u16, String)> {
        match self {
            Self::Unix(socket) => {
                let stream = UnixStream::connect(socket)
                    .with_context(|| format!("cannot connect to {socket}"))?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                exchange(stream, method, path, body)
            }
            Self::Tcp(host) => {
                let stream = TcpStream::connect(host)
                    .with_context(|| format!("cannot connect to {host}"))?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                exchange(stream, method, path, body)
            }
            Self::Other(text) => {
                anyhow::bail!("{text:?} is no unix:///path and no tcp://host:port")
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{path}"),
            Self::Tcp(host) => write!(formatter, "tcp://{host}"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

/// Version 1.0 of the protocol, in which an answer ends with its connection and never comes in chunks.
fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    body: Option<&mut File>,
) -> Result<(u16, String)> {
    let length = match &body {
        Some(file) => file.metadata()?.len(),
        None => 0,
    };
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/x-tar\r\nContent-Length: {length}\r\n\r\n"
    )?;
    if let Some(file) = body {
        std::io::copy(file, &mut stream)?;
    }
    stream.flush()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> Result<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("the answer is no HTTP")?;
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok());
    Ok((status.context("the answer has no status")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_print() {
        for text in [
            "unix:///run/docker.sock",
            "tcp://127.0.0.1:2375",
            "ssh://host",
        ] {
            assert_eq!(Address::parse(text).to_string(), text);
        }
    }

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let (status, body) =
            parse(b"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n{}\n").expect("it is HTTP");
        assert_eq!((status, body.as_str()), (404, "{}\n"));
        assert!(parse(b"nonsense").is_err());
    }
}
