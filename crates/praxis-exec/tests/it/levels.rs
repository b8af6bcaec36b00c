//! What the levels of the local engine keep a tool from, and what of it the level `none` does not.

mod lifetimes;
mod limits;
mod machine;

use std::fs;
use std::path::{Path, PathBuf};

use praxis_exec::local::{Level, LocalEngine};
use praxis_exec::{Effects, Error, ErrorKind, ExecutionEngine, Output, Request, ToolContract};
use serde_json::{Map, json};

use crate::local::engine;
use crate::{folder, write};

const GUARDED: [Level; 2] = [Level::Process, Level::Sandbox];

fn shell(script: &str) -> ToolContract {
    ToolContract::new("tool").command(["sh", "-c", script])
}

async fn run(engine: &LocalEngine, contract: &ToolContract, root: &Path) -> Result<Output, Error> {
    let arguments = Map::new();
    engine
        .execute(Request::new(contract, &arguments, root))
        .await
}

fn unique(name: &str) -> String {
    format!("praxis-level-{name}-{}", std::process::id())
}

/// A workspace with a tool in it, and beside it a folder with a secret that no tool is given.
struct Scene {
    all: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let all = folder();
        write(all.path(), "outside/secret", "the crown jewels");
        write(all.path(), "root/tools/x/contract.yaml", "name: x\n");
        write(all.path(), "root/data/file", "content");
        Self { all }
    }

    fn root(&self) -> PathBuf {
        self.all.path().join("root")
    }

    fn outside(&self) -> PathBuf {
        self.all.path().join("outside")
    }

    /// A tool of the workspace with this script.
    fn tool(&self, script: &str) -> ToolContract {
        let mut contract = shell(script);
        contract.dir = Some(self.root().join("tools/x"));
        let outside = self.outside().display().to_string();
        contract.env = vec![
            ("OUTSIDE".to_owned(), outside),
            ("PRAXIS".to_owned(), std::process::id().to_string()),
        ];
        contract
    }
}

/// Ways out that do no harm where they are open: each prints the word ESCAPED if it is.
const WAYS_OUT: [(&str, &str); 19] = [
    ("a path", "cat \"$OUTSIDE/secret\" && echo ESCAPED"),
    (
        "dots",
        "cat \"$PRAXIS_ROOT/../outside/secret\" && echo ESCAPED",
    ),
    (
        "a symlink",
        "ln -s \"$OUTSIDE\" link; cat link/secret && echo ESCAPED",
    ),
    (
        "a hard link",
        "ln \"$OUTSIDE/secret\" hard && cat hard && echo ESCAPED",
    ),
    (
        "the root of a process",
        "for p in self 1 $PPID $PRAXIS; do cat \"/proc/$p/root$OUTSIDE/secret\" && echo ESCAPED; done",
    ),
    (
        "the folder of a process",
        "for p in self 1 $PPID $PRAXIS; do ls /proc/$p/cwd/../outside/ && echo ESCAPED; done",
    ),
    (
        "writing outside",
        "echo x > \"$OUTSIDE/new\" && echo ESCAPED",
    ),
    (
        "its contract",
        "echo x >> \"$PRAXIS_CONTRACT_DIR/contract.yaml\" && echo ESCAPED",
    ),
    (
        "its contract, in the workspace",
        "echo x >> tools/x/contract.yaml && echo ESCAPED",
    ),
    (
        "another folder for its contract",
        "mv tools elsewhere && mkdir -p tools/x && echo x > tools/x/contract.yaml && echo ESCAPED",
    ),
    (
        "the environment of Praxis",
        "cat /proc/[0-9]*/environ | grep -c CARGO_PKG_NAME && echo ESCAPED",
    ),
    (
        "seeing processes",
        "test -d /proc/$PRAXIS/fd && echo ESCAPED",
    ),
    ("signals", "kill -0 $PRAXIS && echo ESCAPED"),
    (
        "settings of the kernel",
        "test -w /proc/sys/kernel/hostname && echo ESCAPED",
    ),
    (
        "a file that gives rights",
        "cp /bin/true mine && chmod u+s mine && test -u mine && echo ESCAPED",
    ),
    ("new namespaces", "unshare --user true && echo ESCAPED"),
    (
        "disks and memory",
        "ls /dev/kmsg /dev/mem /dev/vda /dev/sda /dev/tty0 | grep . && echo ESCAPED",
    ),
    (
        "users of the machine",
        "test -e /etc/shadow && echo ESCAPED",
    ),
    (
        "the host's name",
        "test \"$(cat /proc/sys/kernel/hostname)\" = \"$HOSTNAME_OUTSIDE\" && test -d /sys/kernel && echo ESCAPED",
    ),
];

async fn tried(level: Level, script: &str) -> String {
    let scene = Scene::new();
    let mut contract = scene.tool(&format!("cd \"$PRAXIS_ROOT\"; ({script}) 2>&1; true"));
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let name = name.trim().to_owned();
    contract.env.push(("HOSTNAME_OUTSIDE".to_owned(), name));
    let output = run(&engine(level), &contract, &scene.root()).await.unwrap();
    let said = output.value.to_string();
    // What only looked like a success in the tool's own file system is none.
    let changed = scene.outside().join("new").exists()
        || fs::read_to_string(scene.root().join("tools/x/contract.yaml")).unwrap() != "name: x\n";
    match changed {
        true => format!("ESCAPED, and the machine has changed: {said}"),
        false => said,
    }
}

#[tokio::test]
async fn there_is_no_way_out_of_the_sandbox() {
    for (way, script) in WAYS_OUT {
        let said = tried(Level::Sandbox, script).await;
        assert!(!said.contains("ESCAPED"), "{way}: {said}");
    }
}

#[tokio::test]
async fn the_same_ways_are_open_without_it() {
    let mut closed = Vec::new();
    for (way, script) in WAYS_OUT {
        if !tried(Level::None, script).await.contains("ESCAPED") {
            closed.push(way);
        }
    }
    // Some need root, or devices that not every machine has.
    let depends = [
        "settings of the kernel",
        "disks and memory",
        "new namespaces",
        "the root of a process",
        "the folder of a process",
        "users of the machine",
    ];
    closed.retain(|way| !depends.contains(way));
    assert_eq!(closed, [""; 0]);
}

/// Harmful where they worked, so they are tried in the sandbox alone.
#[tokio::test]
async fn the_kernel_is_not_asked_for_much() {
    let attempts = [
        "mount -t tmpfs none /tmp",
        "mount --bind /usr /tmp",
        "mount -o remount,rw /usr",
        "umount /usr",
        "umount -l /proc",
        "chroot /usr /bin/true",
        "pivot_root . .",
        "mknod dev b 8 0",
        "mknod dev c 1 1",
        "dmesg",
        "hostname other",
        "date -s 2001-01-01",
        "echo 0 > /proc/sys/kernel/randomize_va_space",
        "echo b > /proc/sysrq-trigger",
        "chmod 666 /dev/null",
        "rm /usr/bin/env",
        "touch /usr/x /etc/x /x /dev/x /proc/x",
        "nsenter --target 1 --mount true",
        "kill -9 1",
        "chown 12345 data",
        "ip link set lo down",
    ];
    let scene = Scene::new();
    let engine = engine(Level::Sandbox);
    for attempt in attempts {
        // A program that is not installed fails too, which is well: what it would do is not done.
        let script = format!(
            "cd \"$PRAXIS_ROOT\"; if {attempt}; then echo ESCAPED; fi; test -d /proc/1 && echo alive"
        );
        let output = run(&engine, &scene.tool(&script), &scene.root()).await;
        let said = output.unwrap().value.to_string();
        let outside = attempt.starts_with("kill -9 1");
        assert!(outside || !said.contains("ESCAPED"), "{attempt}: {said}");
        assert!(said.contains("alive"), "{attempt}: {said}");
    }
}

#[tokio::test]
async fn the_network_is_there_for_who_asks_for_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reach =
        |address: &str| format!("bash -c 'exec 3<>/dev/tcp/{address}' && echo REACHED; true");
    let loopback = reach(&format!("127.0.0.1/{port}"));
    let root = folder();
    let check = async |level, script: &str, network, reached: bool| {
        let mut contract = shell(script);
        contract.limits.network = network;
        let output = run(&engine(level), &contract, root.path()).await.unwrap();
        let found = output.value.to_string().contains("REACHED");
        assert_eq!(found, reached, "{level} {network:?} {script}");
    };
    check(Level::None, &loopback, None, true).await;
    check(Level::Process, &loopback, None, true).await;
    check(Level::Sandbox, &loopback, None, false).await;
    check(Level::Sandbox, &loopback, Some(false), false).await;
    check(Level::Sandbox, &loopback, Some(true), true).await;
    check(Level::Sandbox, &reach("169.254.169.254/80"), None, false).await;
    // A tool can still talk to itself.
    let own = "perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or exit; \
               print \"REACHED\" if IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $l->sockport)'";
    check(Level::Sandbox, own, None, true).await;
}

#[tokio::test]
async fn a_workspace_is_written_to_by_who_writes() {
    let write = shell("echo x > file && cat file");
    let (pure, mut locked) = (write.clone().effects(Effects::pure()), write.clone());
    locked.limits.read_only = Some(true);
    let engine = engine(Level::Sandbox);
    for (contract, works) in [(&write, true), (&pure, false), (&locked, false)] {
        let root = folder();
        let outcome = run(&engine, contract, root.path()).await;
        assert_eq!(outcome.is_ok(), works, "{outcome:?}");
        assert_eq!(root.path().join("file").exists(), works);
    }
    let root = folder();
    let scratch =
        shell("echo x > /tmp/file && cat /tmp/file && ls /tmp | wc -l").effects(Effects::pure());
    for _ in 0..2 {
        let output = run(&engine, &scratch, root.path()).await.unwrap();
        assert!(output.value.as_str().unwrap().starts_with('x'));
    }
}

#[tokio::test]
async fn mounts_are_where_the_contract_says() {
    let scene = Scene::new();
    let script =
        "cat /shared/x/file; cd /shared/tools/x && ls; echo x >> contract.yaml || echo kept";
    let contract = scene.tool(script).mount("data", "/shared/x");
    let contract = contract.mount("./tools", "/shared/tools");
    let output = run(&LocalEngine::default(), &contract, &scene.root())
        .await
        .unwrap();
    assert_eq!(output.value, json!("contentcontract.yaml\nkept"));
    let contract = scene.tool(script).mount("../outside", "/shared");
    let error = run(&LocalEngine::default(), &contract, &scene.root())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let error = run(&engine(Level::Process), &contract, &scene.root())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedLimit, "{error}");
}
