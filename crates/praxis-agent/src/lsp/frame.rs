//! Messages on the wire: a header with the length, then JSON.
//!
//! The reader of `lsp-server` takes the client's word for the length and ends at the first body
//! that is no message, so reading is done here.

use std::io::{self, BufRead, Read};

use lsp_server::Message;
use serde_json::Value;

/// The size of a message in bytes; a larger one is skipped.
const MAX_BODY_BYTES: u64 = 64 << 20;

/// The size of a header in bytes.
const MAX_HEADER_BYTES: u64 = 8 << 10;

/// What a client sent.
#[derive(Debug)]
pub(super) enum Frame {
    /// A message.
    Message(Message),
    /// Something that is none; the next message is found all the same.
    Bad {
        /// The error's code in the protocol.
        code: lsp_server::ErrorCode,
        /// What is wrong with it.
        message: String,
    },
}

/// Reads the next message; none at the end of the stream.
///
/// # Errors
///
/// A header that does not say how long the body is, and a stream that fails or ends in a message.
pub(super) fn read(input: &mut impl BufRead) -> io::Result<Option<Frame>> {
    let Some(length) = header(input)? else {
        return Ok(None);
    };
    if length > MAX_BODY_BYTES {
        let skipped = io::copy(&mut input.by_ref().take(length), &mut io::sink())?;
        if skipped < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        return Ok(Some(Frame::Bad {
            code: lsp_server::ErrorCode::InvalidRequest,
            message: format!("a message of {length} bytes; at most {MAX_BODY_BYTES} are read"),
        }));
    }
    let mut body = Vec::new();
    input.by_ref().take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!(
                "the input ended after {} of {length} bytes of a message",
                body.len()
            ),
        ));
    }
    Ok(Some(parse(&body)))
}

fn parse(body: &[u8]) -> Frame {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => {
            return Frame::Bad {
                code: lsp_server::ErrorCode::ParseError,
                message: format!("a message that is no JSON: {error}"),
            };
        }
    };
    let has_id = value.get("id").is_some();
    match serde_json::from_value(value) {
        // With an id that is none, a request reads like a notification, and would wait for ever.
        Ok(message) if !(has_id && matches!(message, Message::Notification(_))) => {
            Frame::Message(message)
        }
        _ => Frame::Bad {
            code: lsp_server::ErrorCode::InvalidRequest,
            message: "a message that is no request, notification or response".to_owned(),
        },
    }
}

/// The length that a header gives; none at the end of the stream.
fn header(input: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut input = input.take(MAX_HEADER_BYTES);
    let mut length = None;
    let mut line = Vec::new();
    let mut first = true;
    loop {
        line.clear();
        input.read_until(b'\n', &mut line)?;
        if line.is_empty() && first {
            return Ok(None);
        }
        first = false;
        let text = String::from_utf8_lossy(&line);
        let Some(text) = text.strip_suffix('\n') else {
            let message = if input.limit() == 0 {
                format!("a message's header has more than {MAX_HEADER_BYTES} bytes")
            } else {
                "the input ended in a message's header".to_owned()
            };
            return Err(malformed(message));
        };
        let text = text.trim_end_matches('\r');
        if text.is_empty() {
            let missing = || malformed("a message's header has no `Content-Length`".to_owned());
            return length.ok_or_else(missing).map(Some);
        }
        let field = text.split_once(':');
        let Some((name, value)) = field else {
            let shown: String = text.chars().take(60).collect();
            return Err(malformed(format!(
                "`{}` is no header of a message; expected `Content-Length: N`",
                shown.escape_debug()
            )));
        };
        if name.eq_ignore_ascii_case("Content-Length") {
            let number = value.trim().parse().map_err(|_| {
                let shown: String = value.chars().take(60).collect();
                malformed(format!(
                    "`{}` is no length of a message",
                    shown.trim().escape_debug()
                ))
            })?;
            length = Some(number);
        }
    }
}

fn malformed(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::{Frame, read};

    #[track_caller]
    fn check(input: &[u8], expect: &str) {
        let found = match read(&mut &*input) {
            Ok(None) => "end".to_owned(),
            Ok(Some(Frame::Message(message))) => format!("{message:?}"),
            Ok(Some(Frame::Bad { message, .. })) => message,
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expect), "{found}");
    }

    #[test]
    fn every_input_is_answered() {
        let framed = |body: &str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
        check(b"", "end");
        check(
            framed(r#"{"jsonrpc":"2.0","method":"exit"}"#).as_bytes(),
            "exit",
        );
        check(b"content-length:2\n\n{}", "no request");
        check(
            b"Content-Type: x\r\ncontent-length: 2\r\n\r\n[]",
            "no request",
        );
        check(framed("{").as_bytes(), "no JSON");
        check(
            framed(&"[".repeat(100_000)).as_bytes(),
            "no JSON: recursion limit",
        );
        check(b"hello\r\n\r\n", "`hello` is no header");
        check(b"Content-Length: -1\r\n\r\n", "`-1` is no length");
        check(
            b"Content-Length: 99999999999999999999\r\n\r\n",
            "is no length",
        );
        check(b"X: 1\r\n\r\n", "no `Content-Length`");
        check(b"Content-Length: 5\r\n\r\n{}", "after 2 of 5");
        check(b"Content-Len", "ended in a message's header");
        check(&b"x".repeat(10_000), "more than 8192 bytes");
    }

    #[test]
    fn a_message_that_is_too_large_is_skipped() {
        let mut input = format!("Content-Length: {}\r\n\r\n", 65 << 20).into_bytes();
        input.resize(input.len() + (65 << 20), b' ');
        input.extend_from_slice(
            b"Content-Length: 33\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"exit\"}",
        );
        let mut input = &*input;
        assert!(matches!(read(&mut input), Ok(Some(Frame::Bad { .. }))));
        assert!(matches!(read(&mut input), Ok(Some(Frame::Message(_)))));
    }
}
