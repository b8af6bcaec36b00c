use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use praxis_exec::builtin::{self, BuiltinConfig};
use praxis_exec::{EffectClass, Error, ErrorKind, NativeEngine, ToolContract};
use serde_json::{Value, json};

use crate::{call, folder, write};

struct Kit {
    engine: NativeEngine,
    root: tempfile::TempDir,
}

impl Kit {
    fn new() -> Self {
        Self::with(&BuiltinConfig::default())
    }

    fn with(config: &BuiltinConfig) -> Self {
        Self {
            engine: builtin::engine(config),
            root: folder(),
        }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    async fn try_call(&self, tool: &str, arguments: Value) -> Result<Value, Error> {
        let contract = self
            .engine
            .contracts()
            .find(|contract| contract.name == tool)
            .unwrap();
        let output = call(&self.engine, contract, self.path(), arguments).await;
        output.map(|output| output.value)
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.try_call(tool, arguments).await.unwrap()
    }

    async fn refused(&self, tool: &str, arguments: Value) -> Error {
        self.try_call(tool, arguments).await.unwrap_err()
    }

    /// The error's text with the root's name taken out.
    async fn message(&self, tool: &str, arguments: Value) -> String {
        let error = self.refused(tool, arguments).await;
        error
            .to_string()
            .replace(&self.path().display().to_string(), "ROOT")
    }
}

fn names(contract: &ToolContract) -> Vec<&str> {
    contract
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect()
}

#[test]
fn the_contracts_are_those_of_the_recorded_tools() {
    let contracts = builtin::contracts();
    let check =
        |tool: &str, parameters: &[&str], class: EffectClass, reads: &[&str], writes: &[&str]| {
            let contract = contracts
                .iter()
                .find(|contract| contract.name == tool)
                .unwrap();
            assert_eq!(names(contract), parameters, "{tool}");
            assert_eq!(contract.effects.class, class, "{tool}");
            assert_eq!(contract.effects.reads, reads, "{tool}");
            assert_eq!(contract.effects.writes, writes, "{tool}");
        };
    use EffectClass::{External, Pure, Read, Write};
    check(
        "read_file",
        &["filename", "encoding"],
        Read,
        &["filename"],
        &[],
    );
    check(
        "write_file",
        &["filename", "content", "append"],
        Write,
        &[],
        &["filename"],
    );
    check("delete_file", &["filename"], Write, &[], &["filename"]);
    check(
        "list_files",
        &["directory", "pattern", "recursive"],
        Read,
        &["directory"],
        &[],
    );
    check(
        "list_directory",
        &["directory", "pattern", "recursive"],
        Read,
        &["directory"],
        &[],
    );
    check(
        "create_directory",
        &["directory", "recursive"],
        Write,
        &[],
        &["directory"],
    );
    check(
        "move_file",
        &["source", "destination"],
        Write,
        &[],
        &["source", "destination"],
    );
    check(
        "copy_file",
        &["source", "destination"],
        Write,
        &["source"],
        &["destination"],
    );
    check(
        "search_files",
        &["pattern", "directory", "recursive"],
        Read,
        &["directory"],
        &[],
    );
    check("calculator", &["expression"], Pure, &[], &[]);
    check(
        "http_fetch",
        &["url", "method", "headers", "body"],
        External,
        &[],
        &[],
    );
    for tool in [
        "word_count",
        "keyword_extract",
        "text_summarize",
        "json_format",
        "json_query",
        "template",
    ] {
        let contract = contracts
            .iter()
            .find(|contract| contract.name == tool)
            .unwrap();
        assert_eq!(
            (names(contract)[0], contract.effects.class),
            ("text", Pure),
            "{tool}"
        );
    }
    assert!(
        contracts
            .iter()
            .all(|contract| contract.engine == "native" && !contract.description.is_empty())
    );
    assert_eq!(contracts.len(), 18);
}

#[tokio::test]
async fn files_are_written_and_read() {
    let kit = Kit::new();
    let written = kit
        .call(
            "write_file",
            json!({"filename": "./a/b.txt", "content": "héllo"}),
        )
        .await;
    assert_eq!(written, json!({"path": "a/b.txt", "bytes": 6}));
    assert_eq!(
        kit.call("read_file", json!({"filename": "a/b.txt"})).await,
        json!("héllo")
    );
    kit.call(
        "write_file",
        json!({"filename": "a/b.txt", "content": "!", "append": true}),
    )
    .await;
    assert_eq!(
        kit.call("read_file", json!({"filename": "a/b.txt"})).await,
        json!("héllo!")
    );
    kit.call(
        "copy_file",
        json!({"source": "a/b.txt", "destination": "c/d.txt"}),
    )
    .await;
    kit.call(
        "move_file",
        json!({"source": "a/b.txt", "destination": "e/f.txt"}),
    )
    .await;
    kit.call("create_directory", json!({"directory": "x/y"}))
        .await;
    kit.call(
        "create_directory",
        json!({"directory": "x/y", "recursive": false}),
    )
    .await;
    let files = kit.call("list_files", json!({"recursive": true})).await;
    assert_eq!(files, json!(["c/d.txt", "e/f.txt"]));
    kit.call("delete_file", json!({"filename": "c/d.txt"}))
        .await;
    assert!(!kit.path().join("c/d.txt").exists());
    assert!(
        fs::read_dir(kit.path().join("c")).unwrap().next().is_none(),
        "no temporary file is left"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said() {
    let kit = Kit::with(&{
        let mut config = BuiltinConfig::default();
        config.file_bytes = 10;
        config
    });
    write(kit.path(), "latin", b"caf\xe9");
    write(kit.path(), "large", "12345678901");
    write(kit.path(), "dir/file", "");
    let read = async |name: &str| kit.message("read_file", json!({"filename": name})).await;
    assert_eq!(
        read("none").await,
        "tool `read_file`: there is no `none` in ROOT"
    );
    assert_eq!(
        read("latin").await,
        "tool `read_file`: `latin` is not UTF-8 text: byte 0xe9 at offset 3"
    );
    assert_eq!(
        read("large").await,
        "tool `read_file`: `large` is larger than 10 bytes"
    );
    assert_eq!(
        read("dir").await,
        "tool `read_file`: `dir` is a directory, not a file"
    );
    assert_eq!(
        read("dir/file/x").await,
        "tool `read_file`: `dir/file/x` is not a directory, or goes through a file"
    );
    assert_eq!(
        read("").await,
        "tool `read_file`: a path is empty; the root itself is `.`"
    );
    assert_eq!(
        read("./").await,
        "tool `read_file`: path `./` is the workspace root itself; name a file below it"
    );
    let text = kit
        .call(
            "read_file",
            json!({"filename": "latin", "encoding": "latin-1"}),
        )
        .await;
    assert_eq!(text, json!("café"));
    assert_eq!(
        kit.message(
            "read_file",
            json!({"filename": "latin", "encoding": "ebcdic"})
        )
        .await,
        "tool `read_file`: encoding `ebcdic` is not known; utf-8 and latin-1 are"
    );
    assert_eq!(
        kit.message("delete_file", json!({"filename": "dir"})).await,
        "tool `delete_file`: `dir` is a directory; delete_file deletes files only"
    );
    assert_eq!(
        kit.message("write_file", json!({"filename": "dir", "content": ""}))
            .await,
        "tool `write_file`: `dir` is there and is no regular file"
    );
    let error = kit.refused("read_file", json!({"filename": "none"})).await;
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn nothing_outside_of_the_root_is_reached() {
    let kit = Kit::new();
    let outside = folder();
    write(outside.path(), "secret", "secret");
    write(kit.path(), "inside/file", "text");
    symlink(outside.path().join("secret"), kit.path().join("link")).unwrap();
    symlink(outside.path(), kit.path().join("folder")).unwrap();
    symlink("/proc/self/root", kit.path().join("root")).unwrap();
    symlink(outside.path().join("new"), kit.path().join("dangling")).unwrap();
    let secret = outside.path().join("secret").display().to_string();
    let own = kit.path().join("inside/file").display().to_string();
    let ways = [
        "../x",
        "inside/../../x",
        "inside/../inside/file",
        secret.as_str(),
        own.as_str(),
        "link",
        "folder/secret",
        "folder/new",
        "root/etc/passwd",
        "/proc/self/root/etc/passwd",
        "dangling",
    ];
    for way in ways {
        let calls = [
            ("read_file", json!({"filename": way})),
            ("write_file", json!({"filename": way, "content": "x"})),
            (
                "write_file",
                json!({"filename": way, "content": "x", "append": true}),
            ),
            (
                "copy_file",
                json!({"source": "inside/file", "destination": way}),
            ),
            ("copy_file", json!({"source": way, "destination": "copy"})),
        ];
        for (tool, arguments) in calls {
            let error = kit.refused(tool, arguments).await;
            assert_eq!(error.kind(), ErrorKind::Denied, "{tool} {way}: {error}");
            assert!(
                error
                    .to_string()
                    .contains(&kit.path().display().to_string()),
                "{error}"
            );
            assert!(
                error.help().is_some_and(|help| help.contains("--root")),
                "{error}"
            );
        }
    }
    for way in [
        "../x",
        "folder/secret",
        "folder",
        "root/etc",
        secret.as_str(),
    ] {
        for tool in ["list_files", "list_directory", "create_directory"] {
            let error = kit.refused(tool, json!({"directory": way})).await;
            assert_eq!(error.kind(), ErrorKind::Denied, "{tool} {way}: {error}");
        }
        for tool in ["delete_file", "move_file"] {
            if !way.contains('/') {
                continue;
            }
            let arguments = match tool {
                "delete_file" => json!({"filename": way}),
                _ => json!({"source": "inside/file", "destination": way}),
            };
            let error = kit.refused(tool, arguments).await;
            assert_eq!(error.kind(), ErrorKind::Denied, "{tool} {way}: {error}");
        }
    }
    assert_eq!(
        fs::read_to_string(outside.path().join("secret")).unwrap(),
        "secret"
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    let found = kit.call("search_files", json!({"pattern": "secret"})).await;
    assert_eq!(found, json!([]));
    assert_eq!(
        kit.call("list_files", json!({"recursive": true})).await,
        json!(["inside/file"])
    );
}

#[tokio::test]
async fn links_inside_of_the_root_are_followed() {
    let kit = Kit::new();
    write(kit.path(), "real/file", "old");
    symlink("real/file", kit.path().join("link")).unwrap();
    symlink("real", kit.path().join("folder")).unwrap();
    assert_eq!(
        kit.call("read_file", json!({"filename": "folder/file"}))
            .await,
        json!("old")
    );
    kit.call("write_file", json!({"filename": "link", "content": "new"}))
        .await;
    assert_eq!(
        fs::read_to_string(kit.path().join("real/file")).unwrap(),
        "new"
    );
    assert!(kit.path().join("link").is_symlink());
    kit.call("delete_file", json!({"filename": "link"})).await;
    assert!(kit.path().join("real/file").exists());
}

#[tokio::test]
async fn a_pipe_is_not_waited_for() {
    let kit = Kit::new();
    let status = std::process::Command::new("mkfifo")
        .arg(kit.path().join("pipe"))
        .status()
        .unwrap();
    assert!(status.success());
    let expect = "`pipe` is a device, a socket or a pipe, not a file";
    assert!(
        kit.message("read_file", json!({"filename": "pipe"}))
            .await
            .ends_with(expect)
    );
    kit.refused("write_file", json!({"filename": "pipe", "content": "x"}))
        .await;
    assert_eq!(
        kit.call("search_files", json!({"pattern": "x"})).await,
        json!([])
    );
}

#[tokio::test]
async fn listings_match_names_or_paths() {
    let kit = Kit::new();
    for name in ["b.md", "a.md", "c.txt", "sub/d.md", "sub/deep/e.md"] {
        write(kit.path(), name, "x");
    }
    let list = async |arguments: Value| kit.call("list_files", arguments).await;
    assert_eq!(list(json!({})).await, json!(["a.md", "b.md", "c.txt"]));
    assert_eq!(
        list(json!({"pattern": "*.md"})).await,
        json!(["a.md", "b.md"])
    );
    assert_eq!(
        list(json!({"pattern": "*.md", "recursive": "true"})).await,
        json!(["a.md", "b.md", "sub/d.md", "sub/deep/e.md"])
    );
    assert_eq!(
        list(json!({"pattern": "**/*.md"})).await,
        json!(["a.md", "b.md", "sub/d.md", "sub/deep/e.md"])
    );
    assert_eq!(
        list(json!({"pattern": "*/*.md"})).await,
        json!(["sub/d.md"])
    );
    assert_eq!(
        list(json!({"directory": "sub/"})).await,
        json!(["sub/d.md"])
    );
    assert_eq!(
        list(json!({"pattern": "[ab].{md,txt}"})).await,
        json!(["a.md", "b.md"])
    );
    let entries = kit
        .call("list_directory", json!({"directory": "sub"}))
        .await;
    assert_eq!(
        entries,
        json!([
            {"name": "d.md", "path": "sub/d.md", "type": "file", "size": 1},
            {"name": "deep", "path": "sub/deep", "type": "directory", "size": 0},
        ])
    );
    assert!(
        kit.message("list_files", json!({"pattern": "[a"}))
            .await
            .contains("is no glob")
    );
    assert!(
        kit.message("list_files", json!({"directory": "none"}))
            .await
            .contains("there is no `none`")
    );
    assert!(
        kit.message("list_files", json!({"directory": "a.md"}))
            .await
            .contains("`a.md` is not a directory")
    );
}

#[tokio::test]
async fn searches_find_lines_of_text_files() {
    let mut config = BuiltinConfig::default();
    config.search_matches = 2;
    let kit = Kit::with(&config);
    write(kit.path(), "a.txt", "one\ntwo (x)\n");
    write(kit.path(), "sub/b.txt", "two (x) again\n");
    write(kit.path(), "binary", b"two (x)\0");
    let found = kit.call("search_files", json!({"pattern": "(x)"})).await;
    assert_eq!(
        found,
        json!([
            {"path": "a.txt", "line": 2, "text": "two (x)"},
            {"path": "sub/b.txt", "line": 1, "text": "two (x) again"},
        ])
    );
    let found = kit
        .call(
            "search_files",
            json!({"pattern": "(x)", "recursive": false}),
        )
        .await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    let error = kit.refused("search_files", json!({"pattern": "o"})).await;
    assert_eq!(error.kind(), ErrorKind::OutputTooLarge);
}

#[tokio::test]
async fn text_tools() {
    let kit = Kit::new();
    let counts = kit
        .call("word_count", json!({"text": "Ein Wört\nzwei\n"}))
        .await;
    assert_eq!(
        counts,
        json!({"words": 3, "lines": 2, "characters": 14, "bytes": 15})
    );
    let text = "Praxis runs tools. The tools run at once. Nobody waits for lunch. Tools of Praxis are tools.";
    let words = kit
        .call("keyword_extract", json!({"text": text, "limit": 2}))
        .await;
    assert_eq!(
        words,
        json!([{"word": "tools", "count": 4}, {"word": "praxis", "count": 2}])
    );
    let summary = kit
        .call("text_summarize", json!({"text": text, "sentences": 2}))
        .await;
    assert_eq!(
        summary,
        json!("Praxis runs tools. Tools of Praxis are tools.")
    );
    assert_eq!(
        kit.call("text_summarize", json!({"text": ""})).await,
        json!("")
    );
    assert!(
        kit.message("keyword_extract", json!({"text": "", "limit": -1}))
            .await
            .contains("from 0 to 1000")
    );
}

#[tokio::test]
async fn json_tools() {
    let kit = Kit::new();
    let formatted = kit
        .call("json_format", json!({"text": "{\"a\":[1]}", "indent": 1}))
        .await;
    assert_eq!(formatted, json!("{\n \"a\": [\n  1\n ]\n}"));
    assert_eq!(
        kit.call("json_format", json!({"text": "[ 1 ]", "indent": 0}))
            .await,
        json!("[1]")
    );
    let found = kit
        .call(
            "json_query",
            json!({"text": {"a": [{"b": 5}]}, "query": "a[0].b"}),
        )
        .await;
    assert_eq!(found, json!(5));
    assert_eq!(
        kit.message(
            "json_query",
            json!({"text": "{\"a\": {\"b\": 1}}", "query": "a.c"})
        )
        .await,
        "tool `json_query`: `a.c`: there is no `c`; there are b"
    );
    assert!(
        kit.message("json_format", json!({"text": "{"}))
            .await
            .contains("not JSON: EOF")
    );
    let filled = kit.call("template", json!({"text": "Hi {{ name }}, {{a.b}} {x}", "values": {"name": "Ada", "a": {"b": [1]}}})).await;
    assert_eq!(filled, json!("Hi Ada, [1] {x}"));
    assert!(
        kit.message("template", json!({"text": "{{no}}", "values": {}}))
            .await
            .contains("there is no `no`")
    );
    assert!(
        kit.message("template", json!({"text": "a {{no", "values": {}}))
            .await
            .contains("byte 2")
    );
}

#[tokio::test]
async fn calculator_and_system() {
    let kit = Kit::new();
    assert_eq!(
        kit.call("calculator", json!({"expression": "2 + 2 * 3"}))
            .await,
        json!(8)
    );
    assert_eq!(
        kit.call("calculator", json!({"expression": "1 / 4"})).await,
        json!(0.25)
    );
    assert_eq!(
        kit.message("calculator", json!({"expression": "1 / 0"}))
            .await,
        "tool `calculator`: expression, column 3: division by zero"
    );
    let info = kit.call("system_info", json!({})).await;
    assert_eq!(info["os"], json!(std::env::consts::OS));
    assert!(info["cpus"].as_u64().unwrap() > 0);
}

mod http {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// Answers one request and gives it back.
    fn serve(answer: String) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/page", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap();
            let _ = stream.write_all(answer.as_bytes());
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (url, server)
    }

    fn online() -> Kit {
        let mut config = BuiltinConfig::default();
        config.allow_network = true;
        config.http_bytes = 100;
        Kit::with(&config)
    }

    #[tokio::test]
    async fn the_network_is_off_unless_allowed() {
        let error = Kit::new()
            .refused("http_fetch", json!({"url": "http://127.0.0.1:9/"}))
            .await;
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.help().unwrap().contains("--allow-network"));
    }

    #[tokio::test]
    async fn pages_are_fetched() {
        let (url, server) =
            serve("HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: 4\r\n\r\nnone".to_owned());
        let answer = online()
            .call(
                "http_fetch",
                json!({"url": url, "headers": {"X-Who": "me"}}),
            )
            .await;
        assert_eq!(
            (&answer["status"], &answer["body"]),
            (&json!(404), &json!("none"))
        );
        assert_eq!(answer["headers"]["x-a"], json!("b"));
        let request = server.join().unwrap().to_lowercase();
        assert!(
            request.starts_with("get /page http/1.1\r\n") && request.contains("x-who: me\r\n"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn bodies_are_sent() {
        let (url, server) = serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned());
        online()
            .call(
                "http_fetch",
                json!({"url": url, "method": "POST", "body": "hello"}),
            )
            .await;
        let request = server.join().unwrap().to_lowercase();
        assert!(
            request.starts_with("post ") && request.contains("content-length: 5"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn answers_are_bounded_and_faults_told() {
        let body = "x".repeat(200);
        let (url, _server) = serve(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{body}"
        ));
        let error = online().refused("http_fetch", json!({"url": url})).await;
        assert_eq!(error.kind(), ErrorKind::OutputTooLarge);
        let error = online()
            .refused("http_fetch", json!({"url": "file:///etc/passwd"}))
            .await;
        assert_eq!(error.kind(), ErrorKind::InvalidArguments);
        let error = online()
            .refused("http_fetch", json!({"url": "http://127.0.0.1:1/"}))
            .await;
        assert_eq!(error.kind(), ErrorKind::Failed);
    }
}
