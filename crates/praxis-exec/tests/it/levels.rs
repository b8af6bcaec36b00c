//! What the levels of the local engine keep a tool from, and what of it the level `none` does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use praxis_exec::local::{Level, LocalEngine};
use praxis_exec::{
    Effects, Error, ErrorKind, ExecutionEngine, Isolation, Limit, Limits, Mount, Output, Request,
    ToolContract, doctor,
};
use serde_json::{Map, json};

use crate::local::{assert_gone, engine, processes_with};
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
    let mut contract = scene
        .tool("cat /shared/x/file; cd /shared/tools/x && ls; echo x >> contract.yaml || echo kept");
    let mount = |source: &str, target: &str| {
        let mut mount: Mount = contract_mount();
        mount.source = source.to_owned();
        mount.target = target.to_owned();
        mount
    };
    contract.mounts = vec![
        mount("data", "/shared/x"),
        mount("./tools", "/shared/tools"),
    ];
    let output = run(&LocalEngine::default(), &contract, &scene.root())
        .await
        .unwrap();
    assert_eq!(output.value, json!("contentcontract.yaml\nkept"));
    contract.mounts = vec![mount("../outside", "/shared")];
    let error = run(&LocalEngine::default(), &contract, &scene.root())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let error = run(&engine(Level::Process), &contract, &scene.root())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedLimit, "{error}");
}

/// Mounts are made by reading contracts.
fn contract_mount() -> Mount {
    let folder = folder();
    write(
        folder.path(),
        "contract.yaml",
        "name: t\ncommand: [x]\nmounts: {./a: /b}\n",
    );
    ToolContract::load(&folder.path().join("contract.yaml"))
        .unwrap()
        .mounts
        .remove(0)
}

/// Leaves a process behind that has its own session and no parent, environment or ear for SIGTERM.
fn daemon(word: &str, end: &str) -> ToolContract {
    shell(&format!(
        "(setsid env -i /bin/sh -c 'trap \"\" TERM HUP; echo up > up; while :; do /bin/sleep 1; done' {word} \
         </dev/null >/dev/null 2>&1 &); while ! test -e up; do sleep 0.01; done; {end}"
    ))
}

#[tokio::test]
async fn nothing_that_a_tool_starts_outlives_its_call() {
    for level in GUARDED {
        for (end, fails) in [("echo done", false), ("exit 3", true), ("sleep 60", true)] {
            let root = folder();
            let word = unique(&format!("daemon-{level}-{}", end.len()));
            let mut contract = daemon(&word, end);
            contract.limits.timeout = Some(Duration::from_secs(3));
            let outcome = run(&engine(level), &contract, root.path()).await;
            assert_eq!(outcome.is_err(), fails, "{outcome:?}");
            assert_eq!(processes_with(&word), [""; 0], "{level} {end}");
        }
        let root = folder();
        let word = unique(&format!("dropped-{level}"));
        let contract = daemon(&word, "sleep 60");
        let engine = engine(level);
        let up = async {
            while !root.path().join("up").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            outcome = run(&engine, &contract, root.path()) => panic!("{outcome:?}"),
            () = up => {}
        }
        assert_gone(&word).await;
    }
}

#[tokio::test]
async fn without_a_level_one_can_get_away() {
    let root = folder();
    let word = unique("daemon-none");
    run(
        &engine(Level::None),
        &daemon(&word, "echo done"),
        root.path(),
    )
    .await
    .unwrap();
    let left = processes_with(&word);
    for pid in &left {
        let _ = Command::new("kill").args(["-9", pid]).status();
    }
    assert_eq!(left.len(), 1);
}

const HOLD: &str = "PRAXIS_TEST_HOLD";

/// The part of a Praxis that is killed; without the variable there is nothing to hold.
#[tokio::test]
async fn holds_a_tool() {
    let Ok(held) = std::env::var(HOLD) else {
        return;
    };
    let (level, word) = held.split_once(' ').unwrap();
    let root = folder();
    let contract = daemon(
        word,
        &format!("exec sh -c 'while :; do sleep 1; done' {word}"),
    );
    let outcome = run(&engine(level.parse().unwrap()), &contract, root.path()).await;
    panic!("{outcome:?}");
}

#[tokio::test]
async fn tools_die_with_praxis() {
    for level in GUARDED {
        let word = unique(&format!("orphan-{level}"));
        let mut praxis = this_test("levels::holds_a_tool")
            .env(HOLD, format!("{level} {word}"))
            .spawn()
            .unwrap();
        let own = praxis.id().to_string();
        loop {
            let held = processes_with(&word);
            if held.iter().filter(|pid| **pid != own).count() >= 2 {
                break;
            }
            assert!(
                praxis.try_wait().unwrap().is_none(),
                "it has ended by itself"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        praxis.kill().unwrap();
        praxis.wait().unwrap();
        assert_gone(&word).await;
    }
}

fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Where the tests are those of root, the same is tried as someone who has no rights at all.
#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_has_the_sandbox() {
    const NOBODY: u32 = 4242;
    if !is_root() {
        return;
    }
    let place = folder();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("it");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let tests = [
        "levels::there_is_no_way_out_of_the_sandbox",
        "levels::the_kernel_is_not_asked_for_much",
        "levels::the_network_is_there_for_who_asks_for_it",
        "levels::a_workspace_is_written_to_by_who_writes",
        "levels::mounts_are_where_the_contract_says",
        "levels::nothing_that_a_tool_starts_outlives_its_call",
        "conformance::the_local_engine_conforms",
        "conformance::the_local_engine_conforms_on_level_sandbox",
    ];
    let output = Command::new(&program)
        .arg("--exact")
        .args(tests)
        .env("TMPDIR", "/tmp")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}");
    assert!(said.contains(&format!("{} passed", tests.len())), "{said}");
}

const REFUSED: &str = "PRAXIS_TEST_REFUSED";

/// The part of a Praxis on a machine without user namespaces; without the variable it is on this one.
#[tokio::test(flavor = "multi_thread")]
async fn is_refused_the_sandbox() {
    if std::env::var_os(REFUSED).is_none() {
        return;
    }
    let root = folder();
    let mut contract = shell("echo well");
    let error = run(&engine(Level::Sandbox), &contract, root.path()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedLimit, "{error}");
    assert_eq!(
        error.message(),
        "the level `sandbox` is not available: cannot make a user namespace: No space left on device (os error 28)"
    );
    let help = error.help().unwrap();
    assert!(help.contains("user.max_user_namespaces"), "{help}");

    let automatic = LocalEngine::default();
    assert_eq!(automatic.capabilities().isolation, Isolation::Process);
    let output = run(&automatic, &contract, root.path()).await.unwrap();
    assert_eq!(output.value, json!("well"));
    contract.limits.network = Some(false);
    let error = run(&automatic, &contract, root.path()).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot enforce network"),
        "{error}"
    );
    let help = error.help().unwrap();
    assert!(help.contains("user.max_user_namespaces"), "{help}");
    let arguments = Map::new();
    let request = Request::new(&contract, &arguments, root.path()).accepting(&[Limit::Network]);
    let output = automatic.execute(request).await.unwrap();
    assert_eq!(output.value, json!("well"));

    let report = doctor::examine();
    let available = report.levels.iter().map(|level| level.available);
    assert_eq!(available.collect::<Vec<_>>(), [true, true, false]);
    let names = ["user namespace", "mount namespace", "seccomp"];
    let works = |name: &str| {
        report
            .findings
            .iter()
            .any(|found| found.name == name && found.works)
    };
    assert_eq!(names.map(works), [false, true, true], "{report}");
}

#[tokio::test]
async fn a_machine_without_user_namespaces_says_so() {
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", forbid, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "levels::is_refused_the_sandbox", "--nocapture"])
        .env(REFUSED, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn limited(script: &str, limits: impl FnOnce(&mut Limits)) -> ToolContract {
    let mut contract = shell(script);
    limits(&mut contract.limits);
    contract
}

/// Runs the tool on both levels where the machine holds tools to this limit, and sees it refused elsewhere.
async fn metered(limit: Limit, contract: &ToolContract, check: impl Fn(Result<Output, Error>)) {
    for level in GUARDED {
        let engine = engine(level);
        let root = folder();
        let outcome = run(&engine, contract, root.path()).await;
        if engine.capabilities().enforces(limit) {
            check(outcome);
        } else {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::UnsupportedLimit);
        }
    }
}

#[tokio::test]
async fn memory_has_its_limit() {
    let hog = "head -c 300000000 /dev/zero | tail -c 290000000 | wc -c";
    for end in ["", "; exit 0", "; exit 5"] {
        let contract = limited(&format!("{hog}{end}"), |limits| {
            limits.memory_bytes = Some(64 * 1024 * 1024);
        });
        metered(Limit::Memory, &contract, |outcome| {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
            assert!(error.to_string().contains("67108864 bytes"), "{error}");
        })
        .await;
    }
    let killed = limited("kill -9 $$", |limits| {
        limits.memory_bytes = Some(64 * 1024 * 1024)
    });
    metered(Limit::Memory, &killed, |outcome| {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Failed);
    })
    .await;
}

#[tokio::test]
async fn processes_have_their_limit() {
    let word = unique("bomb");
    let script = format!("bomb() {{ bomb | bomb & }}; bomb; sleep 60 # {word}");
    let contract = limited(&script, |limits| {
        limits.pids = Some(24);
        limits.timeout = Some(Duration::from_secs(2));
    });
    metered(Limit::Pids, &contract, |outcome| {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Failed),
            "{error}"
        );
        assert_eq!(processes_with(&word), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_limited_tool_is_in_a_cgroup_that_goes_with_it() {
    let contract = limited("cat /proc/self/cgroup", |limits| limits.cpu = Some(0.5));
    metered(Limit::Cpu, &contract, |outcome| {
        let said = outcome.unwrap().value.as_str().unwrap().to_owned();
        let name = format!("praxis-{}-", std::process::id());
        assert!(said.contains(&name), "{said}");
        let group = said.lines().find(|line| line.contains(&name)).unwrap();
        let path = group.rsplit(':').next().unwrap();
        for mount in [
            "/sys/fs/cgroup/cpu",
            "/sys/fs/cgroup/cpu,cpuacct",
            "/sys/fs/cgroup",
        ] {
            let folder = format!("{mount}{path}");
            // Its last member is dying when the call ends.
            let end = Instant::now() + Duration::from_secs(5);
            while Path::new(&folder).exists() && Instant::now() < end {
                std::thread::yield_now();
            }
            assert!(!Path::new(&folder).exists(), "{folder}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_level_is_chosen_by_what_is_asked_for() {
    let level = "grep -c '^NoNewPrivs:.1' /proc/self/status; test -e /proc/self/root/sys/kernel && echo outside; true";
    let root = folder();
    let engine = LocalEngine::default();
    let check = async |contract: &ToolContract, expect: &str| {
        let output = run(&engine, contract, root.path()).await.unwrap();
        assert_eq!(output.value, json!(expect));
    };
    let mut contract = shell(level);
    check(&contract, "1\noutside").await;
    contract.isolation = Isolation::Process;
    check(&contract, "1\noutside").await;
    contract.isolation = Isolation::Sandbox;
    check(&contract, "1").await;
    contract.isolation = Isolation::None;
    contract.limits.network = Some(false);
    check(&contract, "1").await;
    contract.isolation = Isolation::Container;
    let error = run(&engine, &contract, root.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedLimit);
    assert!(error.to_string().contains("`container`"), "{error}");
    contract.isolation = Isolation::Sandbox;
    contract.limits.network = None;
    let error = run(
        &crate::local::engine(Level::Process),
        &contract,
        root.path(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedLimit);
    assert!(error.help().is_some(), "{error}");
    assert_eq!(engine.capabilities().isolation, Isolation::Sandbox);
}

#[test]
fn the_doctor_has_tried_it() {
    let report = doctor::examine();
    let levels: Vec<(Level, bool)> = report
        .levels
        .iter()
        .map(|level| (level.level, level.available))
        .collect();
    assert_eq!(levels, Level::ALL.map(|level| (level, true)));
    let finding = |name: &str| {
        report
            .findings
            .iter()
            .find(|finding| finding.name == name)
            .unwrap()
    };
    assert!(finding("user namespace").works);
    assert!(finding("seccomp").works);
    let text = report.to_string();
    assert!(
        text.contains("level sandbox: available, enforces "),
        "{text}"
    );
    serde_json::to_string(&report).unwrap();
}
