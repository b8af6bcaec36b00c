//! What an attack finds around it, and how what it did is seen from outside.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Attack, Target};
use crate::{
    CallId, Error, ErrorKind, Limit, Limits, Output, Parameter, ParameterKind, Request,
    ToolContract,
};

const PROGRAM: &str = include_str!("attack.py");
const CONTRACT: &str = "name: escape\ncommand: python3 {contract_dir}/main.py\n";

const MEMORY_BYTES: u64 = 64 * 1024 * 1024;
const OUTPUT_BYTES: u64 = 64 * 1024;
const PIDS: u32 = 64;

/// How many processes the fork bomb tries for: enough to be told from the limit, few enough to do no harm.
const MANY: u32 = 200;

const LONG: usize = 1_000_000;

/// Variables of the machine that say nothing of it; engines may pass them.
const COMMON: [&str; 12] = [
    "PATH", "LANG", "TMPDIR", "HOME", "PWD", "OLDPWD", "SHLVL", "_", "HOSTNAME", "TERM", "USER",
    "LOGNAME",
];

/// The workspace of one attack, what lies around it, and who listens.
pub(super) struct Stage {
    attack: Attack,
    /// Around the workspace: what is here must not be reached.
    outside: PathBuf,
    root: PathBuf,
    secret: String,
    /// In the command line of every process of the attack.
    marker: String,
    held: File,
    port: TcpListener,
    socket: UnixListener,
    #[cfg(target_os = "linux")]
    nameless: UnixListener,
}

impl Stage {
    pub(super) fn set(folder: &Path, attack: Attack) -> Self {
        let marker = format!("praxis-escape-{}", CallId::unique());
        let folder = folder.canonicalize().expect("the target's folder is there");
        let outside = folder.join(attack.as_str());
        let root = outside.join("workspace");
        let tool = root.join("tools/escape");
        fs::create_dir_all(&tool).expect("the target's folder can be written");
        let secret = format!("secret of {marker}");
        // Permissions would stop a tool that is another user; here it must be the engine that does.
        let put = |path: PathBuf, text: &str| {
            fs::write(&path, text).expect("the target's folder can be written");
            open_to_all(&path, 0o666);
        };
        put(outside.join("secret"), &secret);
        put(tool.join("main.py"), PROGRAM);
        put(tool.join("contract.yaml"), CONTRACT);
        symlink(&outside, root.join("door")).expect("a symlink can be made");
        for path in [&folder, &outside, &root, &root.join("tools"), &tool] {
            open_to_all(path, 0o777);
        }
        let held = File::open(outside.join("secret")).expect("it was just written");
        let port = TcpListener::bind(("127.0.0.1", 0)).expect("a port of this machine");
        port.set_nonblocking(true).expect("it is a socket");
        let socket = listen(UnixListener::bind(outside.join("socket")));
        open_to_all(&outside.join("socket"), 0o777);
        #[cfg(target_os = "linux")]
        let nameless = {
            use std::os::linux::net::SocketAddrExt;
            use std::os::unix::net::SocketAddr;
            let name = SocketAddr::from_abstract_name(&marker).expect("the name is short");
            listen(UnixListener::bind_addr(&name))
        };
        Self {
            attack,
            outside,
            root,
            secret,
            marker,
            held,
            port,
            socket,
            #[cfg(target_os = "linux")]
            nameless,
        }
    }

    /// Makes the attack; gives how it was stopped, or as an error what got out.
    pub(super) async fn attack(&self, target: &dyn Target) -> Result<String, String> {
        let before = self.tools();
        let outcome = self.made(target).await?;
        self.unharmed(&before)?;
        self.silent().await?;
        Ok(outcome)
    }

    async fn made(&self, target: &dyn Target) -> Result<String, String> {
        match self.attack {
            Attack::Fifo | Attack::IgnoredSignals => {
                self.ends_as(target, ErrorKind::Timeout, json!(null)).await
            }
            Attack::MemoryHog => {
                self.ends_as(target, ErrorKind::OutOfMemory, json!(null))
                    .await
            }
            Attack::EndlessOutput => {
                self.ends_as(target, ErrorKind::OutputTooLarge, json!(null))
                    .await
            }
            Attack::DashArgument => self.arrives(target, "-c", "-c", true).await,
            Attack::NulArgument => self.arrives(target, "a\0b", "a\0b", false).await,
            Attack::LongArgument => {
                let value = "x".repeat(LONG);
                self.ends_as(target, ErrorKind::InvalidArguments, json!(value))
                    .await?;
                self.arrives(target, &value, &format!("{LONG} {LONG}"), false)
                    .await
            }
            Attack::NonUtf8Output => match self.call(target, json!(null), false).await {
                Ok(output) if output.value.to_string().contains("survived") => {
                    Ok("the rest of it is text".to_owned())
                }
                other => Err(format!("the rest of it is lost: {}", shown(&other))),
            },
            Attack::TerminalEscape => self.escaped(target).await,
            _ => self.got_nothing(target).await,
        }
    }

    /// The attacks that are over when the tool says what it got.
    async fn got_nothing(&self, target: &dyn Target) -> Result<String, String> {
        let outcome = self.call(target, json!(null), false).await;
        let got = match &outcome {
            Ok(output) => got(&output.value),
            Err(_) => Vec::new(),
        };
        self.connected()?;
        if got.iter().any(|got| got.contains(&self.secret)) {
            return Err("it read the secret".to_owned());
        }
        match self.attack {
            Attack::Device if !got.is_empty() => return Err(got.join(", ")),
            Attack::MetadataAddress if !got.is_empty() => return Err(got.join(", ")),
            Attack::MetadataAddress if !route_to_metadata() => {
                return Ok("there is no route, nor has the machine one".to_owned());
            }
            Attack::HostSecret | Attack::HostEnvironment => {
                if let Some(name) = host_variable(&got) {
                    return Err(format!("it read the machine's variable {name}"));
                }
            }
            Attack::ForkBomb => {
                let count = got.first().and_then(|got| got.strip_prefix("children "));
                let count: u32 = count.and_then(|count| count.parse().ok()).unwrap_or(0);
                if count >= PIDS {
                    return Err(format!("{count} processes, and the limit is {PIDS}"));
                }
            }
            _ => {}
        }
        match outcome {
            Ok(_) => Ok("it got nothing".to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::Failed | ErrorKind::Denied) => {
                Ok(format!("it failed: {}", error.message()))
            }
            // So many processes may want more memory than they have before they are too many.
            Err(error)
                if self.attack == Attack::ForkBomb && error.kind() == ErrorKind::OutOfMemory =>
            {
                Ok(error.message().to_owned())
            }
            Err(error) => Err(format!("an error that hides what it did: {error}")),
        }
    }

    async fn ends_as(
        &self,
        target: &dyn Target,
        kind: ErrorKind,
        value: Value,
    ) -> Result<String, String> {
        let in_command = !value.is_null();
        match self.call(target, value, in_command).await {
            Err(error) if error.kind() == kind => Ok(error.message().to_owned()),
            other => Err(format!("not ended as `{kind}`: {}", shown(&other))),
        }
    }

    async fn arrives(
        &self,
        target: &dyn Target,
        value: &str,
        expect: &str,
        in_command: bool,
    ) -> Result<String, String> {
        match self.call(target, json!(value), in_command).await {
            Ok(output) if got(&output.value) == [expect] => Ok("it arrived as data".to_owned()),
            Err(error) if error.kind() == ErrorKind::InvalidArguments => {
                Ok(format!("refused: {}", error.message()))
            }
            other => Err(format!("changed on its way: {}", shown(&other))),
        }
    }

    async fn escaped(&self, target: &dyn Target) -> Result<String, String> {
        let outcome = self.call(target, json!(null), false).await;
        let Err(error) = outcome else {
            return Err(format!("not told as a failure: {}", shown(&outcome)));
        };
        let words = format!("{error}{}", error.stderr());
        let obeyed = |character: &char| character.is_control() && !matches!(character, '\n' | '\t');
        match words.chars().find(obeyed) {
            Some(character) => Err(format!("{character:?} is in the error as it is")),
            None if words.contains("red") => {
                Ok("control characters are shown, not obeyed".to_owned())
            }
            None => Err(format!("the tool's words are lost: {error}")),
        }
    }

    async fn call(
        &self,
        target: &dyn Target,
        value: Value,
        in_command: bool,
    ) -> Result<Output, Error> {
        let mut words = vec!["python3", "{contract_dir}/main.py", "{marker}"];
        words.extend(in_command.then_some("{value}"));
        let mut contract = ToolContract::new("escape")
            .command(words)
            .mount(".", "/workspace");
        for name in ["attack", "outside", "secret", "held", "socket", "marker"] {
            contract = contract.parameter(Parameter::text(name));
        }
        for name in ["pid", "port", "many"] {
            contract = contract.parameter(Parameter::new(name, ParameterKind::Integer));
        }
        contract = contract.parameter(Parameter::new("value", ParameterKind::Text));
        contract.dir = Some(self.root.join("tools/escape"));
        contract.limits = Limits {
            memory_bytes: Some(MEMORY_BYTES),
            pids: Some(PIDS),
            timeout: Some(match self.attack {
                Attack::Fifo | Attack::IgnoredSignals => Duration::from_secs(2),
                _ => Duration::from_secs(20),
            }),
            output_bytes: Some(OUTPUT_BYTES),
            network: Some(false),
            ..Limits::default()
        };
        let contract = target.adapt(contract);
        let pid = std::process::id();
        let mut arguments = json!({
            "attack": self.attack.as_str(),
            "outside": self.outside,
            "secret": self.outside.join("secret"),
            "held": format!("/proc/{pid}/fd/{}", self.held.as_raw_fd()),
            "socket": self.outside.join("socket"),
            "marker": self.marker,
            "pid": pid,
            "port": self.port.local_addr().map_or(0, |address| address.port()),
            "many": MANY,
        });
        if !value.is_null() {
            arguments["value"] = value;
        }
        let arguments = contract.bind(arguments.as_object().cloned().unwrap_or_else(Map::new))?;
        // What the engine cannot hold it to is then found out, and not refused.
        let request = Request::new(&contract, &arguments, &self.root).accepting(&Limit::ALL);
        target.engine().execute(request).await
    }

    fn connected(&self) -> Result<(), String> {
        if self.port.accept().is_ok() {
            return Err("it reached a port of the machine".to_owned());
        }
        if self.socket.accept().is_ok() {
            return Err("it reached a socket beside the workspace".to_owned());
        }
        #[cfg(target_os = "linux")]
        if self.nameless.accept().is_ok() {
            return Err("it reached a nameless socket of the machine".to_owned());
        }
        Ok(())
    }

    /// The contract's folder as it is: its files, and where it should be.
    fn tools(&self) -> Vec<(OsString, Vec<u8>)> {
        let entries = fs::read_dir(self.root.join("tools/escape"));
        let mut found: Vec<_> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name() != "__pycache__")
            .map(|entry| {
                (
                    entry.file_name(),
                    fs::read(entry.path()).unwrap_or_default(),
                )
            })
            .collect();
        found.sort();
        found
    }

    fn unharmed(&self, before: &[(OsString, Vec<u8>)]) -> Result<(), String> {
        if self.outside.join("planted").exists() {
            return Err("it wrote beside the workspace".to_owned());
        }
        if self.tools() != before {
            return Err("it changed its own contract".to_owned());
        }
        let nodes = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let is_device = |kind: fs::FileType| kind.is_block_device() || kind.is_char_device();
        for node in nodes {
            if node.file_type().is_ok_and(is_device) {
                return Err(format!("it left the device {}", node.path().display()));
            }
        }
        Ok(())
    }

    /// Nothing of it runs any more, and nothing writes.
    async fn silent(&self) -> Result<(), String> {
        let mut left = processes(&self.marker);
        for _ in 0..250 {
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = processes(&self.marker);
        }
        if !left.is_empty() {
            return Err(format!("{} of its processes still run", left.len()));
        }
        let beacon = self.root.join("beacon");
        let size = || fs::metadata(&beacon).map_or(0, |metadata| metadata.len());
        let before = size();
        if before > 0 {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        if size() != before {
            return Err("something of it still writes".to_owned());
        }
        Ok(())
    }

    /// Ends what is left of an attack that was not stopped.
    pub(super) fn clear(&self) {
        let left = processes(&self.marker);
        if !left.is_empty() {
            let kill = Command::new("kill")
                .arg("-KILL")
                .args(left)
                .stderr(Stdio::null())
                .status();
            drop(kill);
        }
    }
}

fn listen(listener: std::io::Result<UnixListener>) -> UnixListener {
    let listener = listener.expect("a socket of this machine");
    listener.set_nonblocking(true).expect("it is a socket");
    listener
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn got(value: &Value) -> Vec<&str> {
    let list = value["got"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}

fn shown(outcome: &Result<Output, Error>) -> String {
    let text = match outcome {
        Ok(output) => output.value.to_string(),
        Err(error) => error.to_string(),
    };
    text.chars().take(200).collect()
}

/// A variable of this process that is among what a tool got.
fn host_variable(got: &[&str]) -> Option<String> {
    let added = added_by_python();
    std::env::vars()
        .filter(|(name, value)| {
            let common = COMMON.contains(&name.as_str()) || name.starts_with("LC_");
            !common && !added.contains(name) && value.len() > 3
        })
        .find(|(name, value)| {
            let line = format!("{name}={value}");
            got.iter()
                .any(|got| got.split('\0').any(|entry| entry == line))
        })
        .map(|(name, _)| name)
}

/// The variables that Python has when it is given none: a wrapper that chooses among versions sets some.
fn added_by_python() -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut python = Command::new("python3");
    python
        .args(["-c", "import os; print(*os.environ)"])
        .env_clear()
        .env("PATH", path);
    let printed = python
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let names = String::from_utf8_lossy(&printed).into_owned();
    names.split_whitespace().map(str::to_owned).collect()
}

/// Connecting a datagram socket looks for a route and sends nothing.
fn route_to_metadata() -> bool {
    let socket = UdpSocket::bind(("0.0.0.0", 0));
    socket.is_ok_and(|socket| socket.connect(("169.254.169.254", 80)).is_ok())
}

/// The processes of this machine that have `marker` in their command line.
fn processes(marker: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(marker.len())
                .any(|part| part == marker.as_bytes())
        })
        .collect()
}
