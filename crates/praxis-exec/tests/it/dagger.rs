//! The Dagger engine, against a stand-in for a session that runs what it is asked on the Docker engine.

mod standin;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use praxis_exec::conformance::{Behaviour, Subject, check};
use praxis_exec::dagger::{DaggerConfig, DaggerEngine};
use praxis_exec::{
    CallId, Error, ErrorKind, ExecutionEngine, Limit, Output, Parameter, Request, Secrets,
    ToolContract,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::standin::{Session, TOKEN};
use crate::containers::{IMAGE, script, workspace};
use crate::{folder, object, write, write_program};

fn engine(session: &Session) -> DaggerEngine {
    let mut config = DaggerConfig::session(session.port, TOKEN);
    config.image = Some(IMAGE.to_owned());
    DaggerEngine::new(config)
}

async fn run(
    session: &Session,
    contract: &ToolContract,
    arguments: Value,
) -> Result<Output, Error> {
    let root = workspace();
    crate::call(&engine(session), contract, root.path(), arguments).await
}

struct Dagger {
    engine: DaggerEngine,
    root: TempDir,
}

impl Subject for Dagger {
    fn engine(&self) -> &dyn ExecutionEngine {
        &self.engine
    }

    fn contract(&self, behaviour: Behaviour) -> ToolContract {
        let mut contract = crate::conformance::program(behaviour);
        "dagger".clone_into(&mut contract.engine);
        match behaviour {
            // The stand-in mounts the folder itself where Dagger mounts a copy; else no beacon could be seen.
            Behaviour::Beacon => {
                let target = self.root.path().display();
                contract.mount(".", target.to_string())
            }
            // An answer comes when the command has ended.
            Behaviour::Flood => contract.command(["head", "-c", "4000000", "/dev/zero"]),
            _ => contract,
        }
    }

    fn root(&self) -> &Path {
        self.root.path()
    }

    /// Nobody but the session knows when the command starts.
    fn startup(&self) -> Duration {
        Duration::from_secs(4)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dagger_engine_conforms() {
    let session = Session::start().await;
    let subject = Dagger {
        engine: engine(&session),
        root: workspace(),
    };
    check(&subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_asked_as_dagger_wants_it() {
    let session = Session::start().await;
    let (root, tool) = (workspace(), folder());
    write(
        tool.path(),
        "main.py",
        "import os, sys, json\nprint(json.dumps({'in': json.load(sys.stdin), 'env': os.environ['WHO'], 'cwd': os.getcwd()}))\n",
    );
    fs::set_permissions(tool.path(), fs::Permissions::from_mode(0o755)).unwrap();
    write(root.path(), "data.txt", "data");
    let mut contract = ToolContract::new("t")
        .parameter(Parameter::text("who"))
        .command(["python3", "{contract_dir}/main.py"])
        .mount(".", "/workspace");
    contract.mounts[0].read_only = true;
    contract.dir = Some(tool.path().to_owned());
    let who = "Ada \"Q\" \\ $(id) ${HOME}\n\u{1f600}\u{7}";
    let session_engine = engine(&session);
    let output = crate::call(&session_engine, &contract, root.path(), json!({"who": who}))
        .await
        .unwrap();
    assert_eq!(
        output.value,
        json!({"in": {"who": who}, "env": who, "cwd": "/workspace"})
    );
    assert_eq!(output.exit_code, Some(0));
    let asked = session.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(
        asked[0],
        format!(
            "query {{ b0: host {{ directory(path: \"{}\") {{ id }} }} b1: host {{ directory(path: \"{}\") {{ id }} }} }}",
            tool.path().canonicalize().unwrap().display(),
            root.path().canonicalize().unwrap().display()
        )
    );
    assert!(
        asked[1].starts_with(
            "query { container { from(address: \"praxis/tools:local\") { withUser(name: "
        ),
        "{}",
        asked[1]
    );
    assert!(
        asked[1].contains("withExec(args: [\"python3\", \"/praxis/tool/main.py\"], stdin: "),
        "{}",
        asked[1]
    );
    // Each call has a variable of its own, one that is repeated under its id too, so that the session remembers none.
    let arguments = contract.bind(object(json!({"who": who}))).unwrap();
    for _ in 0..2 {
        let request = Request::new(&contract, &arguments, root.path());
        let request = request.with_call_id(CallId::new("step-1"));
        session_engine.execute(request).await.unwrap();
    }
    let asked = session.asked();
    assert_eq!((asked.len(), &asked[2]), (6, &asked[4]));
    assert_ne!(asked[3], asked[5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_secrets_of_the_session() {
    let session = Session::start().await;
    let mut contract = script(
        "printf '%s' \"$API_KEY\" | wc -c; echo \"$API_KEY\"; echo \"$API_KEY\" >&2; exit $code",
    )
    .parameter(Parameter::new("code", praxis_exec::ParameterKind::Integer).or(0));
    contract.secrets = vec!["API_KEY".to_owned()];
    let root = workspace();
    let engine = engine(&session);
    let secrets = Secrets::none().with("API_KEY", "s3cr\"t-value");
    for code in [0, 3] {
        let arguments = contract.bind(object(json!({"code": code}))).unwrap();
        let request = Request::new(&contract, &arguments, root.path()).with_secrets(&secrets);
        match engine.execute(request).await {
            Ok(output) => assert_eq!(
                (output.value, output.stderr.as_str()),
                (json!("12\n[secret]"), "[secret]\n")
            ),
            Err(error) => {
                assert_eq!(error.message(), "exited with code 3: [secret]");
                assert!(!format!("{error:?}").contains("s3cr"));
            }
        }
    }
    let asked = session.asked();
    assert!(
        asked[0].contains("setSecret(name: \"praxis-") && !asked[1].contains("s3cr"),
        "{asked:?}"
    );
    assert!(
        asked[1].contains("withSecretVariable(name: \"API_KEY\", secret: \"secret:"),
        "{}",
        asked[1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_says_why() {
    let session = Session::start().await;
    let check = async |contract: ToolContract, kind: ErrorKind, words: &str| {
        let error = run(&session, &contract, json!({})).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.engine(), Some("dagger"));
    };
    let mut missing = script("true");
    missing.image = Some("praxis/no-such-image:none".to_owned());
    check(
        missing,
        ErrorKind::NotFound,
        "image `praxis/no-such-image:none` cannot be had",
    )
    .await;
    let absent = ToolContract::new("t").command(["no-such-program"]);
    check(
        absent,
        ErrorKind::NotFound,
        "its program is not in image `praxis/tools:local`",
    )
    .await;
    check(
        script("echo no >&2; exit 4"),
        ErrorKind::Failed,
        "exited with code 4: no",
    )
    .await;
    let written = script("true").mount(".", "/workspace");
    check(
        written,
        ErrorKind::UnsupportedLimit,
        "mounts that are written to; what the tool wrote to /workspace would be lost",
    )
    .await;
    let mut limited = script("true");
    limited.limits.memory_bytes = Some(1 << 20);
    limited.limits.network = Some(false);
    check(
        limited,
        ErrorKind::UnsupportedLimit,
        "engine `dagger` cannot enforce memory, network; it enforces timeout, output_bytes, mounts",
    )
    .await;
    assert!(!engine(&session).capabilities().enforces(Limit::Cpu));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_none_say_so() {
    let fails = async |config: DaggerConfig, kind: ErrorKind, words: &str| {
        let mut config = config;
        config.image = Some(IMAGE.to_owned());
        let root = workspace();
        let error = crate::call(
            &DaggerEngine::new(config),
            &script("true"),
            root.path(),
            json!({}),
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        error
    };
    let session = Session::start().await;
    fails(
        DaggerConfig::session(session.port, "wrong"),
        ErrorKind::Denied,
        "does not know this token",
    )
    .await;
    let lost = fails(
        DaggerConfig::session(9, TOKEN),
        ErrorKind::Unavailable,
        "the Dagger session at port 9 cannot be reached",
    )
    .await;
    assert!(lost.is_retryable());
    for (answer, words) in [
        (
            (502, "<html>bad gateway</html>"),
            "answered HTTP 502 and no JSON: \"<html>bad gateway",
        ),
        ((200, "{\"data\": null}"), "answered without data"),
    ] {
        let session = Session::answering(Some((answer.0, answer.1.to_owned()))).await;
        fails(
            DaggerConfig::session(session.port, TOKEN),
            ErrorKind::Unavailable,
            words,
        )
        .await;
    }
    for (answer, words) in [
        (
            "{\"data\": {\"container\": {}}}",
            "did not say how the command ended",
        ),
        (
            "{\"errors\": [{\"message\": \"Cannot query field \\u001b[31m\"}]}",
            "refused: Cannot query field \\u{1b}[31m",
        ),
    ] {
        let session = Session::answering(Some((200, answer.to_owned()))).await;
        fails(
            DaggerConfig::session(session.port, TOKEN),
            ErrorKind::Failed,
            words,
        )
        .await;
    }
    let session = Session::answering(Some((200, "x".repeat(120_000_000)))).await;
    fails(
        DaggerConfig::session(session.port, TOKEN),
        ErrorKind::OutputTooLarge,
        "16777216",
    )
    .await;
    let mut config = DaggerConfig::default();
    config.cli = Some("no-such-dagger".to_owned());
    let error = fails(config, ErrorKind::Unavailable, "there is no Dagger session (DAGGER_SESSION_PORT is not set) and no program `no-such-dagger`").await;
    assert!(error.help().unwrap().contains("Praxis downloads neither") && !error.is_retryable());
    let shown = format!("{:?}", DaggerConfig::session(1, TOKEN));
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_opens_a_session_and_ends_with_the_engine() {
    let session = Session::start().await;
    let folder = workspace();
    let cli = folder.path().join("dagger");
    let greet = json!({"port": session.port, "session_token": TOKEN});
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = session ] || exit 9\necho starting >&2\necho 'not json'\necho '{greet}'\ncat >/dev/null\n"
    );
    let program = |text: &str, patience: u64| {
        write_program(&cli, text);
        let mut config = DaggerConfig::default();
        config.cli = Some(cli.display().to_string());
        config.image = Some(IMAGE.to_owned());
        config.start_timeout = Duration::from_secs(patience);
        DaggerEngine::new(config)
    };
    let engine = program(&text, 60);
    let root = workspace();
    for _ in 0..2 {
        let output = crate::call(&engine, &script("echo done"), root.path(), json!({}))
            .await
            .unwrap();
        assert_eq!(output.value, json!("done"));
    }
    let running = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let mark = |path: std::path::PathBuf| {
            let bytes = fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(&*cli.to_string_lossy())
        };
        entries.filter(|entry| mark(entry.path())).count()
    };
    assert_eq!(running(), 1, "one session for both calls");
    drop(engine);
    let until = Instant::now() + Duration::from_secs(60);
    while running() > 0 {
        assert!(Instant::now() < until, "the program goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (text, patience, kind, words) in [
        (
            "#!/bin/sh\necho no engine here >&2; exit 1\n",
            60,
            ErrorKind::Unavailable,
            "ended without opening a session",
        ),
        (
            "#!/bin/sh\nexec sleep 60\n",
            3,
            ErrorKind::Timeout,
            "opened no session within 3s",
        ),
    ] {
        let error = crate::call(
            &program(text, patience),
            &script("true"),
            root.path(),
            json!({}),
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
