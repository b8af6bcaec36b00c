//! Steps in containers: what is begun for them, when, and that nothing of it stays.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::shell::Place;

/// A socket in front of the container engine's that notes which containers are asked for.
struct Witness {
    socket: PathBuf,
    created: Arc<AtomicUsize>,
}

impl Witness {
    /// Listens in the place, and writes the file `created` there as soon as a container is asked for.
    fn start(place: &Place) -> Self {
        let socket = place.state().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let created = Arc::new(AtomicUsize::new(0));
        let (count, sign) = (Arc::clone(&created), place.path().join("created"));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let daemon = UnixStream::connect(daemon()).unwrap();
                let (count, sign) = (Arc::clone(&count), sign.clone());
                let back = (daemon.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    relay(client, daemon, |part| {
                        let asked = b"/containers/create?";
                        if part.windows(asked.len()).any(|words| words == asked) {
                            count.fetch_add(1, Ordering::SeqCst);
                            std::fs::write(&sign, "").unwrap();
                        }
                    });
                });
                std::thread::spawn(move || relay(back.0, back.1, |_| {}));
            }
        });
        Self { socket, created }
    }

    /// The command that runs `w.praxis` of the place with the engine behind the socket.
    fn command(&self, place: &Place) -> Command {
        let mut command = place.command(&["run", "w.praxis", "--tools", "tools", "--json"]);
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }

    /// The report of a run that succeeds.
    fn run(&self, place: &Place) -> serde_json::Value {
        let output = self.command(place).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn created(&self) -> usize {
        self.created.load(Ordering::SeqCst)
    }
}

fn relay(mut from: UnixStream, mut to: UnixStream, mut seen: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut buffer)
        && count > 0
    {
        seen(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// The socket of the engine that the tests run with.
fn daemon() -> PathBuf {
    let named = std::env::var("DOCKER_HOST").ok();
    let path = named
        .as_deref()
        .and_then(|host| host.strip_prefix("unix://"));
    Path::new(path.unwrap_or("/var/run/docker.sock")).to_owned()
}

/// What the engine has of containers of this tool, as JSON.
fn containers(tool: &str) -> String {
    let mut daemon = UnixStream::connect(daemon()).unwrap();
    let filter = format!("%7B%22label%22%3A%5B%22io.praxis.tool%3D{tool}%22%5D%7D");
    let ask = format!("GET /containers/json?all=1&filters={filter} HTTP/1.0\r\nHost: d\r\n\r\n");
    daemon.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    daemon.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    body.trim().to_owned()
}

/// A tool with the programs of this machine in a container; its name is no other test's.
fn contained(place: &Place, name: &str, effects: &str) -> String {
    let name = format!("{name}_{}", std::process::id());
    let contract = format!(
        "name: {name}\nengine: docker\nimage: host\neffects: {effects}\ncommand: [echo, '{{text}}']\n\
         parameters: [{{name: text}}]\n"
    );
    place.write(&format!("tools/{name}/contract.yaml"), contract.as_bytes());
    name
}

#[test]
fn a_run_that_the_cache_answers_starts_no_container() {
    let place = Place::new(&[]);
    let witness = Witness::start(&place);
    let (one, two) = (
        contained(&place, "one", "pure"),
        contained(&place, "two", "pure"),
    );
    let program = format!("LET a = CALL {one} x\nLET b = CALL {two} y\nRETURN \"${{a}}${{b}}\"\n");
    place.write("w.praxis", program.as_bytes());
    let run = || {
        let report = witness.run(&place);
        assert_eq!(report["output"], "xy");
        (report["timing"]["cache"]["hits"].clone(), witness.created())
    };
    assert_eq!(run(), (json!(0), 2));
    assert_eq!(run(), (json!(2), 2), "the second run creates none");
    for tool in [one, two] {
        assert_eq!(containers(&tool), "[]");
    }
}

#[test]
fn a_container_is_on_its_way_while_steps_run_that_need_none() {
    let place = Place::new(&[]);
    let witness = Witness::start(&place);
    place.tool(
        "wait",
        "effects: external\nlimits: {timeout: 60s}\n",
        "while ! test -e created; do sleep 0.02; done; echo begun",
    );
    let tool = contained(&place, "later", "external");
    let program = format!("LET a = CALL wait\nLET b = CALL {tool} $a\nRETURN $b\n");
    place.write("w.praxis", program.as_bytes());
    assert_eq!(witness.run(&place)["output"], "begun");
    assert_eq!(witness.created(), 1, "for one call one container");
    assert_eq!(containers(&tool), "[]");
}

#[test]
fn a_run_that_ends_while_a_container_is_coming_leaves_none() {
    let place = Place::new(&[]);
    let witness = Witness::start(&place);
    place.tool("hang", "effects: external\n", "sleep 600");
    let tool = contained(&place, "never", "external");
    let program = format!("LET a = CALL hang\nCALL {tool} $a\n");
    place.write("w.praxis", program.as_bytes());
    let child = witness
        .command(&place)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while witness.created() == 0 {
        assert!(Instant::now() < limit, "no container is begun");
        std::thread::sleep(Duration::from_millis(2));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(containers(&tool), "[]");
    // One that fails is over as soon.
    place.tool("fail", "effects: external\n", "exit 3");
    let program = format!("LET a = CALL fail\nCALL {tool} $a\n");
    place.write("w.praxis", program.as_bytes());
    place
        .praxis(&["run", "w.praxis", "--tools", "tools"])
        .exits(1);
    assert_eq!(containers(&tool), "[]");
}
