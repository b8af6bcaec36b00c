//! `praxis lsp` as a program: how sessions end, what is refused, and that edits add up.

use serde_json::{Value, json};

use crate::lsp_client::{Client, URI, at, client, range};
use crate::shell::Place;

#[test]
fn a_session_ends_as_the_protocol_says() {
    let place = Place::new(&[]);
    let started = || Client::start(&place, &[], &json!({}));
    let mut client = started();
    assert_eq!(client.ask("shutdown", &Value::Null), Value::Null);
    let late = client.call(
        "textDocument/hover",
        &at(&json!({ "line": 0, "character": 0 })),
    );
    assert_eq!(late["error"]["code"], -32600);
    client.notify("exit", &Value::Null);
    assert_eq!(client.end().0, 0);

    let mut client = started();
    client.notify("exit", &Value::Null);
    assert_eq!(client.end().0, 1);

    let mut client = started();
    client.open(URI, "CALL system_info\n");
    client.hang_up();
    assert_eq!(client.end().0, 1);

    let mut client = Client::silent(&place, &[]);
    client.hang_up();
    assert_eq!(client.end().0, 1);

    let mut client = started();
    client.ask("shutdown", &Value::Null);
    client.hang_up();
    assert_eq!(client.end().0, 0);
}

#[test]
fn what_is_no_message_is_answered_or_ends_the_session() {
    let place = Place::new(&[]);
    for (bytes, reason) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "is no header of a message"),
        (
            b"Content-Length: many\r\n\r\n",
            "`many` is no length of a message",
        ),
        (b"Content-Type: json\r\n\r\n{}", "has no `Content-Length`"),
    ] {
        let mut client = Client::start(&place, &[], &json!({}));
        client.write(bytes);
        let (code, complaint) = client.end();
        assert_eq!(code, 2, "{complaint}");
        assert!(complaint.contains(reason), "{complaint}");
    }
    let mut client = Client::start(&place, &[], &json!({}));
    client.write(b"Content-Length: 90\r\n\r\n{}");
    client.hang_up();
    let (code, complaint) = client.end();
    assert_eq!(
        (code, complaint.contains("2 of 90 bytes")),
        (2, true),
        "{complaint}"
    );

    let mut client = Client::start(&place, &[], &json!({}));
    let deep = "[".repeat(200_000);
    for (body, code) in [
        ("{nonsense", -32700),
        (&*deep, -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, -32600),
    ] {
        client.write(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let answer = client.wait("an error", |message| message["error"].is_object());
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["id"], Value::Null);
    }
    assert_eq!(client.open(URI, "CALL system_info\n"), Vec::<Value>::new());
}

#[test]
fn every_request_is_answered() {
    let place = Place::new(&[]);
    let mut client = Client::silent(&place, &[]);
    let early = client.call("textDocument/hover", &json!({}));
    assert_eq!(early["error"]["code"], -32002);
    client.ask("initialize", &json!({ "capabilities": {} }));
    let again = client.call("initialize", &json!({}));
    assert_eq!(again["error"]["code"], -32600);

    let position = json!({ "line": 9, "character": 9 });
    let mut params = at(&position);
    params["context"] = json!({ "includeDeclaration": true, "diagnostics": [] });
    params["range"] = range((9, 9), (7, 7));
    params["newName"] = json!("x");
    let methods = [
        "completion",
        "hover",
        "definition",
        "references",
        "documentHighlight",
        "prepareRename",
        "rename",
        "documentSymbol",
        "foldingRange",
        "codeAction",
        "formatting",
    ];
    for method in methods {
        let method = format!("textDocument/{method}");
        let unknown = client.call(&method, &params);
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        assert!(
            unknown["error"]["message"]
                .as_str()
                .unwrap()
                .contains("is not open")
        );
        let bad = client.call(&method, &json!({ "textDocument": 7 }));
        assert_eq!(bad["error"]["code"], -32602, "{bad}");
    }
    let unknown = client.call("textDocument/teleport", &params);
    assert_eq!(unknown["error"]["code"], -32601);
    // Notifications that make no sense are no reason to stop.
    client.notify("$/cancelRequest", &json!({ "id": 1 }));
    client.notify("textDocument/didChange", &json!({ "textDocument": { "uri": URI, "version": 3 }, "contentChanges": [{ "text": "x" }] }));
    client.notify(
        "textDocument/didClose",
        &json!({ "textDocument": { "uri": URI } }),
    );
    client.notify("textDocument/didOpen", &json!([]));
    client.notify("nonsense", &Value::Null);
    client.open(URI, "");
    for method in methods {
        let method = format!("textDocument/{method}");
        let answer = client.call(&method, &params);
        assert_eq!(
            answer.get("error").is_some(),
            method.ends_with("/rename"),
            "{answer}"
        );
    }
    client.ask("shutdown", &Value::Null);
}

#[test]
fn open_documents_are_bounded() {
    let mut client = client();
    for number in 0..1_000 {
        client.open(&format!("file:///{number}.praxis"), "CALL system_info\n");
    }
    let one_more = json!({ "uri": URI, "languageId": "praxis", "version": 1, "text": "" });
    client.notify("textDocument/didOpen", &json!({ "textDocument": one_more }));
    let told = client.wait("a warning", |message| {
        message["method"] == "window/showMessage"
    });
    let text = told["params"]["message"].as_str().unwrap();
    assert!(text.contains("1000 documents are open"), "{text}");
    let closed = json!({ "textDocument": { "uri": "file:///7.praxis" } });
    client.notify("textDocument/didClose", &closed);
    assert_eq!(client.open(URI, ""), Vec::<Value>::new());
}

#[test]
fn a_burst_of_edits_ends_with_the_diagnostics_of_the_last() {
    let mut client = client();
    client.open(URI, "");
    for number in 0..500 {
        let text = format!("CALL no_tool_{number}\n");
        client.change(URI, &json!([{ "text": text }]));
    }
    let found = client.diagnostics(URI);
    let text = found[0]["message"].as_str().unwrap();
    assert!(text.starts_with("unknown tool `no_tool_499`"), "{text}");
}

/// A generator of numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

/// The text as units of UTF-16 by line, which is how the edits count.
fn place_in(text: &str, dice: &mut Dice) -> (Value, usize) {
    let starts: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    // Between the two characters of a line end there is no place.
    let mut at = starts[dice.below(starts.len())];
    if text[..at].ends_with('\r') && text[at..].starts_with('\n') {
        at -= 1;
    }
    let before = &text[..at];
    let ends = |at: usize| {
        let rest = &before[at..];
        rest.starts_with('\n') || (rest.starts_with('\r') && !rest[1..].starts_with('\n'))
    };
    let lines: Vec<usize> = (0..at)
        .filter(|&at| before.is_char_boundary(at) && ends(at))
        .collect();
    let start = lines.last().map_or(0, |at| at + 1);
    let character = before[start..].encode_utf16().count();
    (json!({ "line": lines.len(), "character": character }), at)
}

#[test]
fn any_edits_leave_what_a_fresh_start_gives() {
    const PIECES: [&str; 16] = [
        "CALL read_file a\n",
        "LET x = 1\n",
        "\n",
        "$x",
        "🦀",
        "é",
        "\r\n",
        "\r",
        "\"",
        "IF x > 1\n",
        "ENDIF\n",
        "FOR f IN $x\n",
        "END_FOR\n",
        "${x}",
        " ",
        "CALL word_count \"${x} 🦀\"\n",
    ];
    let mut client = client();
    let other = "file:///fresh.praxis";
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let mut text =
            String::from("LET x = [1] # 🦀\nFOR f IN $x\n  CALL read_file $f\nEND_FOR\n");
        client.open(URI, &text);
        for round in 0..10 {
            let mut changes = Vec::new();
            for _ in 0..=dice.below(4) {
                let (one, other) = (place_in(&text, &mut dice), place_in(&text, &mut dice));
                let (start, end) = if one.1 <= other.1 {
                    (one, other)
                } else {
                    (other, one)
                };
                // Long cuts would soon leave nothing to edit.
                let end = if end.1 - start.1 > 12 {
                    start.clone()
                } else {
                    end
                };
                let piece = PIECES[dice.below(PIECES.len())];
                text.replace_range(start.1..end.1, piece);
                changes.push(json!({ "range": { "start": start.0, "end": end.0 }, "text": piece }));
            }
            client.change(URI, &json!(changes));
            let edited = client.diagnostics(URI);
            let mut fresh = client.open(other, &text);
            let others = fresh
                .iter_mut()
                .filter_map(|row| row.get_mut("relatedInformation"));
            for related in others.filter_map(Value::as_array_mut).flatten() {
                related["location"]["uri"] = json!(URI);
            }
            assert_eq!(edited, fresh, "seed {seed}, round {round}: {text:?}");
        }
    }
}
