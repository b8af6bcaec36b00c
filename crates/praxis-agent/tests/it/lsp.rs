//! `praxis lsp`, driven over its streams as an editor drives it.

use serde_json::{Value, json};

use crate::lsp_client::{Client, URI, at, client, range};
use crate::shell::Place;

/// The text without its `|`, and where that stands, in units of UTF-16.
fn cursor(marked: &str) -> (String, Value) {
    let (before, after) = marked.split_once('|').expect("the text has a cursor");
    let line = before.matches('\n').count();
    let last = before.rsplit('\n').next().unwrap_or_default();
    let place = json!({ "line": line, "character": last.encode_utf16().count() });
    (format!("{before}{after}"), place)
}

/// The text after edits of disjoint ranges, as an ASCII client applies them.
fn applied(text: &str, edits: &[Value]) -> String {
    let offset = |place: &Value| {
        let line = place["line"].as_u64().unwrap() as usize;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        start + place["character"].as_u64().unwrap() as usize
    };
    let mut edits: Vec<(usize, usize, &str)> = edits
        .iter()
        .map(|edit| {
            let (start, end) = (&edit["range"]["start"], &edit["range"]["end"]);
            (
                offset(start),
                offset(end),
                edit["newText"].as_str().unwrap(),
            )
        })
        .collect();
    edits.sort_unstable();
    let mut out = text.to_owned();
    for (start, end, new) in edits.into_iter().rev() {
        out.replace_range(start..end, new);
    }
    out
}

#[test]
fn diagnostics_follow_the_text() {
    let mut client = client();
    let found = client.open(URI, "LET x = 1\nLET x = 2\nCALL raed_file a.txt\n");
    let codes: Vec<&str> = found
        .iter()
        .map(|row| row["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["P0402", "P0201"]);
    assert_eq!(found[0]["range"], range((1, 4), (1, 5)));
    assert_eq!(found[0]["severity"], 1);
    assert_eq!(found[0]["source"], "praxis");
    let related = &found[0]["relatedInformation"][0];
    assert_eq!(
        related["location"],
        json!({ "uri": URI, "range": range((0, 4), (0, 5)) })
    );
    assert_eq!(
        found[1]["message"],
        "unknown tool `raed_file`\nhelp: did you mean `read_file`?"
    );

    client.change(
        URI,
        &json!([{ "range": range((1, 4), (1, 5)), "text": "y" }]),
    );
    let found = client.diagnostics(URI);
    assert_eq!(found.len(), 1, "{found:?}");
    // Two documents are apart, and a race is known from the plan.
    let race = "PARALLEL\nCALL write_file a.txt b\nCALL write_file a.txt c\nEND_PARALLEL\n";
    let other = client.open("file:///b.praxis", race);
    assert_eq!(other[0]["code"], "P0307");
    client.change(URI, &json!([{ "text": "CALL read_file a.txt\n" }]));
    assert_eq!(client.diagnostics(URI), Vec::<Value>::new());

    client.notify(
        "textDocument/didClose",
        &json!({ "textDocument": { "uri": "file:///b.praxis" } }),
    );
    let cleared = client.wait("cleared diagnostics", |message| {
        message["params"]["uri"] == "file:///b.praxis" && message["params"]["version"].is_null()
    });
    assert_eq!(cleared["params"]["diagnostics"], json!([]));
}

#[test]
fn an_edit_that_makes_a_race_is_told_when_the_client_is_quiet() {
    let mut client = client();
    let apart = "PARALLEL\nCALL write_file a.txt b\nCALL write_file c.txt c\nEND_PARALLEL\n";
    assert_eq!(client.open(URI, apart), Vec::<Value>::new());
    let place = |name| json!([{ "range": range((2, 16), (2, 17)), "text": name }]);
    client.change(URI, &place("a"));
    // The language has nothing against it; the plan has.
    assert_eq!(client.diagnostics(URI), Vec::<Value>::new());
    assert_eq!(client.diagnostics(URI)[0]["code"], "P0307");
    // A program with a race is looked at whole, so that the race is not taken back for a moment.
    client.change(
        URI,
        &json!([{ "range": range((2, 22), (2, 23)), "text": "other" }]),
    );
    assert_eq!(client.diagnostics(URI)[0]["code"], "P0307");
    client.change(URI, &place("d"));
    assert_eq!(client.diagnostics(URI), Vec::<Value>::new());
}

#[test]
fn edits_count_as_the_protocol_says() {
    let mut client = client();
    client.open(URI, "LET x = \"🦀é\" # 🦀\r\nCALL word_count \"${x}\"\r\n");
    // After the crab, which is two units of UTF-16 and four bytes.
    client.change(
        URI,
        &json!([
            { "range": range((0, 11), (0, 12)), "text": "🦀" },
            { "range": range((0, 4), (0, 5)), "text": "name" },
            { "range": range((1, 19), (1, 20)), "text": "nmae" },
        ]),
    );
    let found = client.diagnostics(URI);
    assert_eq!(found[0]["range"], range((1, 19), (1, 23)), "{found:?}");
    let shown = client.ask(
        "textDocument/hover",
        &at(&json!({ "line": 0, "character": 5 })),
    );
    let text = shown["contents"]["value"].as_str().unwrap();
    assert!(text.contains("LET name = \"🦀🦀\" # 🦀"), "{text}");
    // Half of a character, an end before its start, and places beyond the text have a meaning.
    client.change(
        URI,
        &json!([
            { "range": range((0, 15), (0, 15)), "text": "!" },
            { "range": range((1, 21), (1, 17)), "text": "" },
            { "range": range((7, 7), (9, 9)), "text": "CALL system_info" },
        ]),
    );
    let found = client.diagnostics(URI);
    assert_eq!(found.len(), 1, "{found:?}");
    let shown = client.ask(
        "textDocument/hover",
        &at(&json!({ "line": 0, "character": 5 })),
    );
    let text = shown["contents"]["value"].as_str().unwrap();
    assert!(text.contains("LET name = \"🦀!🦀\" # 🦀"), "{text}");
}

#[test]
fn a_client_may_count_in_bytes() {
    let general = json!({ "general": { "positionEncodings": ["utf-32", "utf-8"] } });
    let capabilities = json!({ "capabilities": general });
    let mut client = Client::start(&Place::new(&[]), &[], &capabilities);
    let found = client.open(URI, "CALL word_count \"🦀\" --x 1\n");
    assert_eq!(found[0]["range"], range((0, 23), (0, 26)), "{found:?}");
    client.change(
        URI,
        &json!([{ "range": range((0, 17), (0, 21)), "text": "" }]),
    );
    let found = client.diagnostics(URI);
    assert_eq!(found[0]["range"], range((0, 19), (0, 22)), "{found:?}");
}

#[track_caller]
fn completes(client: &mut Client, marked: &str, expect: &[&str], absent: &[&str]) -> Vec<Value> {
    let (source, place) = cursor(marked);
    client.open(URI, &source);
    let items = client.ask("textDocument/completion", &at(&place));
    let items: Vec<Value> = serde_json::from_value(items).unwrap();
    let labels: Vec<&str> = items
        .iter()
        .map(|item| item["label"].as_str().unwrap())
        .collect();
    for label in expect {
        assert!(
            labels.contains(label),
            "{label} is not in {labels:?} for {marked}"
        );
    }
    for label in absent {
        assert!(
            !labels.contains(label),
            "{label} is in {labels:?} for {marked}"
        );
    }
    if expect.is_empty() && absent.is_empty() {
        assert!(labels.is_empty(), "{labels:?} for {marked}");
    }
    items
}

#[test]
fn completion_offers_what_fits() {
    let place = Place::new(&[]);
    let contract = "description: Paints.\nparams:\n  - {name: colour, enum: [red, dark blue]}\n  - {name: glossy, type: boolean}\n";
    place.tool("paint", contract, "true");
    let mut client = Client::start(&place, &["--tools", "tools"], &json!({}));
    let client = &mut client;
    completes(
        client,
        "|",
        &["CALL", "LET", "PARALLEL FOR"],
        &["END_FOR", "ELSE", "CATCH"],
    );
    completes(
        client,
        "FOR x IN [1]\n  IF true\n  |",
        &["ENDIF", "ELSE"],
        &["END_FOR"],
    );
    completes(
        client,
        "FOR x IN [1]\n  IF true\n  ENDIF\nE|\n",
        &["END_FOR"],
        &["ENDIF", "ELSE"],
    );
    completes(client, "TRY\n|\nEND_TRY", &["CATCH", "END_TRY"], &[]);
    completes(client, "# |", &[], &[]);
    completes(
        client,
        "CALL |",
        &["read_file", "paint", "http_fetch"],
        &["CALL"],
    );
    completes(client, "LET x = |", &["CALL"], &["$x", "read_file"]);
    completes(client, "LET x = CALL re|", &["read_file"], &[]);
    completes(
        client,
        "CALL paint --|",
        &["--colour", "--glossy", "@timeout="],
        &["red"],
    );
    completes(
        client,
        "CALL paint --gl| --colour red @id=x",
        &["--glossy"],
        &["--colour", "@id="],
    );
    completes(
        client,
        "CALL paint |",
        &["red", "\"dark blue\"", "--colour"],
        &["true"],
    );
    completes(
        client,
        "CALL paint red |",
        &["true", "false", "--glossy"],
        &["--colour"],
    );
    completes(client, "CALL paint --colour |", &["red"], &["--glossy"]);
    completes(client, "CALL paint --glossy=|", &["true"], &["red"]);
    completes(client, "CALL paint @cache=|", &["on", "off"], &[]);
    completes(client, "PARALLEL |", &["FOR", "--limit", "--any"], &[]);
    let names = "INPUT a\nFOR b IN [1]\nLET c = 1\nCALL paint $|\nLET d = 1\nEND_FOR\n";
    completes(client, names, &["a", "b", "c"], &["d"]);
    completes(
        client,
        "FOR b IN [1]\nLET c = 1\nEND_FOR\nRETURN |",
        &["$c"],
        &["$b"],
    );
    completes(
        client,
        "INPUT a\nCALL word_count \"x ${si|ze(a)}\"",
        &["a"],
        &["$a"],
    );
    completes(client, "INPUT a\nIF |\nENDIF", &["a"], &[]);
    completes(client, "INPUT a\nCALL word_count '${|}'", &[], &[]);

    let items = completes(
        client,
        "INPUT 🦀\nLET é = '🦀'\nCALL re|ad",
        &["read_file"],
        &[],
    );
    let item = items
        .iter()
        .find(|item| item["label"] == "read_file")
        .unwrap();
    let edit = json!({ "range": range((2, 5), (2, 7)), "newText": "read_file" });
    assert_eq!(item["textEdit"], edit);
    let text = item["documentation"]["value"].as_str().unwrap();
    assert!(text.contains("`--filename` (text, required)"), "{text}");
}

#[test]
fn hover_tells_what_a_word_is() {
    let mut client = client();
    let mut check = |marked: &str, expect: &[&str]| {
        let (source, place) = cursor(marked);
        client.open(URI, &source);
        let shown = client.ask("textDocument/hover", &at(&place));
        let text = shown["contents"]["value"].as_str().unwrap_or_default();
        for part in expect {
            assert!(
                text.contains(part),
                "{part:?} is not in {text:?} for {marked}"
            );
        }
        assert_eq!(expect.is_empty(), shown.is_null(), "{shown} for {marked}");
    };
    check(
        "CALL re|ad_file a",
        &[
            "**read_file**",
            "`--filename` (text, required)",
            "Effects: read",
        ],
    );
    check(
        "CALL read_file --fil|ename a",
        &["`--filename` (text, required)"],
    );
    check("CA|LL read_file a", &["CALL tool", "Runs a tool"]);
    check("CALL read_file a @time|out=5s", &["`@timeout=5s`"]);
    check(
        "LET t = CALL read_file a\nRETURN $|t",
        &["`$t`", "line 1", "result of **read_file**"],
    );
    check("LET n = 4|2\n", &[]);
    check("LET n = 42\nRETURN $n|", &["`$n`: an integer"]);
    check("INPUT n = [1]\nRETURN ${n|[0]}", &["`$n`"]);
    check(
        "FOR i IN [1]\nCALL word_count $|i\nEND_FOR",
        &["an item of the list"],
    );
    check("CALL no_|tool", &["**P0201**", "`praxis tools list`"]);
    check("RETURN $|x", &["`$x`", "**P0401**"]);
    check("# CA|LL", &[]);
}

#[test]
fn names_are_found_and_renamed() {
    let mut client = client();
    let source = "INPUT dir = \"docs\"\nLET files = CALL list_files $dir\nIF size(files) > 0\n  CALL word_count \"${files[0]} in ${dir}\"\nENDIF\n";
    client.open(URI, source);
    let place = |line: u32, character: u32| at(&json!({ "line": line, "character": character }));
    let found = client.ask("textDocument/definition", &place(3, 23));
    assert_eq!(
        found,
        json!([{ "uri": URI, "range": range((1, 4), (1, 9)) }])
    );
    let mut asked = place(1, 5);
    for (all, count) in [(true, 3), (false, 2)] {
        asked["context"] = json!({ "includeDeclaration": all });
        let found = client.ask("textDocument/references", &asked);
        assert_eq!(found.as_array().unwrap().len(), count, "{found}");
    }
    let found = client.ask("textDocument/documentHighlight", &place(2, 9));
    assert_eq!(found.as_array().unwrap().len(), 3, "{found}");
    assert_eq!(
        found[0],
        json!({ "range": range((1, 4), (1, 9)), "kind": 3 })
    );
    let found = client.ask("textDocument/definition", &place(0, 1));
    assert_eq!(found, json!([]));

    let found = client.ask("textDocument/prepareRename", &place(1, 30));
    assert_eq!(
        found,
        json!({ "range": range((1, 29), (1, 32)), "placeholder": "dir" })
    );
    let mut asked = place(1, 30);
    asked["newName"] = json!("folder");
    let edits = client.ask("textDocument/rename", &asked);
    let edits = edits["changes"][URI].as_array().unwrap();
    let renamed = applied(source, edits);
    assert_eq!(renamed, source.replace("dir", "folder"));
    assert_eq!(client.open(URI, &renamed), Vec::<Value>::new());
    for (name, reason) in [
        ("files", "already"),
        ("1x", "cannot be a name"),
        ("a b", "too much"),
        ("a\nINPUT b", "one word"),
        ("", "no name"),
    ] {
        asked["newName"] = json!(name);
        let answer = client.call("textDocument/rename", &asked);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{name:?}: {message}");
    }
}

#[test]
fn fixes_take_their_mistake_away() {
    let mut client = client();
    for source in [
        "CALL raed_file a.txt\n",
        "CALL read_file --filname a.txt\n",
        "LET x = 1\nCALL word_count \"$x\"\n",
        "FOR x IN [1]\nCALL system_info\nEND_FRO\n",
        "LET text = 1\nRETURN $txet\n",
        "read_file a.txt\n",
    ] {
        let found = client.open(URI, source);
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        let params = json!({
            "textDocument": { "uri": URI },
            "range": found[0]["range"],
            "context": { "diagnostics": found },
        });
        let actions = client.ask("textDocument/codeAction", &params);
        let action = &actions[0];
        assert_eq!(action["kind"], "quickfix", "{source}: {actions}");
        assert_eq!(action["diagnostics"][0], found[0]);
        let mended = applied(source, action["edit"]["changes"][URI].as_array().unwrap());
        assert_eq!(
            client.open(URI, &mended),
            Vec::<Value>::new(),
            "{source} became {mended}"
        );
    }
    client.open(URI, "CALL raed_file a.txt\nCALL raed_file b.txt\n");
    let mut params = json!({
        "textDocument": { "uri": URI },
        "range": range((1, 7), (1, 7)),
        "context": { "diagnostics": [], "only": ["quickfix"] },
    });
    let actions = client.ask("textDocument/codeAction", &params);
    assert_eq!(actions.as_array().unwrap().len(), 1, "{actions}");
    params["context"]["only"] = json!(["refactor"]);
    assert_eq!(client.ask("textDocument/codeAction", &params), json!([]));
}

#[test]
fn blocks_are_outlined_and_folded() {
    let mut client = client();
    client.open(
        URI,
        "WORKFLOW report\nTASK \"reading\"\nFOR file IN [1]\n  LET text = $file\n  IF true\n    LET a = 1\n  ELSE\n    LET a = 2\n  ENDIF\nEND_FOR\n",
    );
    let document = json!({ "textDocument": { "uri": URI } });
    let symbols = client.ask("textDocument/documentSymbol", &document);
    let names: Vec<&str> = symbols
        .as_array()
        .unwrap()
        .iter()
        .map(|symbol| symbol["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["report", "\"reading\"", "file"]);
    assert_eq!(symbols[2]["range"], range((2, 0), (9, 7)));
    let inner: Vec<&str> = symbols[2]["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|symbol| symbol["name"].as_str().unwrap())
        .collect();
    assert_eq!(inner, ["text", "a", "a"]);
    let folds = client.ask("textDocument/foldingRange", &document);
    let fold = |start: u32, end: u32| json!({ "startLine": start, "endLine": end });
    assert_eq!(folds, json!([fold(2, 8), fold(4, 5), fold(6, 7)]));
}

#[test]
fn formatting_gives_the_one_layout_by_an_edit_of_what_differs() {
    let mut client = client();
    let mut check = |source: &str, expect: &str, lines: Option<(u64, u64)>| {
        client.open(URI, source);
        let params = json!({ "textDocument": { "uri": URI }, "options": { "tabSize": 8, "insertSpaces": false } });
        let edits = client.ask("textDocument/formatting", &params);
        let edits = edits.as_array().unwrap();
        assert_eq!(applied(source, edits), expect, "{source:?}");
        let touched = edits.first().map(|edit| {
            let line = |end: &str| edit["range"][end]["line"].as_u64().unwrap();
            (line("start"), line("end"))
        });
        assert_eq!(touched, lines, "{source:?}");
    };
    check("CALL system_info\n", "CALL system_info\n", None);
    check(
        "if true\ncall   system_info # x\nendif\n",
        "IF true\n  CALL system_info  # x\nENDIF\n",
        Some((0, 3)),
    );
    check(
        "LET x = 1\nFOR i IN [1]\nCALL system_info\nEND_FOR\n",
        "LET x = 1\nFOR i IN [1]\n  CALL system_info\nEND_FOR\n",
        Some((2, 3)),
    );
    check("let x = 1", "LET x = 1\n", Some((0, 0)));
    check(
        "IF true\n CALL   system_info",
        "IF true\n CALL   system_info",
        None,
    );
    check("", "", None);
}

#[test]
fn tools_are_read_again_when_their_contracts_change() {
    let place = Place::new(&[]);
    place.tool("paint", "params:\n  - {name: colour}\n", "true");
    let more = json!({
        "initializationOptions": { "tools": ["tools"] },
        "capabilities": { "workspace": { "didChangeWatchedFiles": { "dynamicRegistration": true } } },
    });
    let mut client = Client::start(&place, &[], &more);
    let asked = client.wait("a registration", |message| {
        message["method"] == "client/registerCapability"
    });
    assert_eq!(
        asked["params"]["registrations"][0]["method"],
        "workspace/didChangeWatchedFiles"
    );
    client.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": null }));
    assert_eq!(
        client.open(URI, "CALL paint --colour red\n"),
        Vec::<Value>::new()
    );

    place.tool("paint", "params:\n  - {name: shade}\n", "true");
    let changed = json!({ "changes": [{ "uri": "file:///tools/paint/contract.yaml", "type": 2 }] });
    client.notify("workspace/didChangeWatchedFiles", &changed);
    let found = client.diagnostics(URI);
    assert_eq!(found[0]["code"], "P0202", "{found:?}");

    // A contract that is wrong is told, and takes away no other tool.
    place.write("tools/bad/contract.yaml", b"name: [\n");
    place.tool("paint", "params:\n  - {name: colour}\n", "true");
    client.notify("workspace/didChangeWatchedFiles", &changed);
    let told = client.wait("a warning", |message| {
        message["method"] == "window/showMessage"
    });
    let text = told["params"]["message"].as_str().unwrap();
    assert!(text.contains("bad/contract.yaml"), "{text}");
    assert_eq!(client.diagnostics(URI), Vec::<Value>::new());

    let settings = json!({ "settings": { "praxis": { "tools": [] } } });
    client.notify("workspace/didChangeConfiguration", &settings);
    let found = client.diagnostics(URI);
    assert_eq!(found[0]["code"], "P0201", "{found:?}");
}
