//! Nothing of one call is there for the next, not even in the same container.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use praxis_exec::pool::PoolEngine;
use praxis_exec::{Parameter, ToolContract};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::config;
use crate::containers::{script, workspace};

/// Leaves what a program can leave behind, and says what it finds, by the order of its first argument.
const PROGRAM: &str = r#"
import ctypes, errno, json, os, signal, socket, sys, time

libc = ctypes.CDLL(None, use_errno=True)
FOLDERS = ['/work', '/tmp', '/dev/shm', '/dev/mqueue', '/var/tmp', '/run']
KEY = 0x1234

def leave():
    made = []
    for folder in FOLDERS:
        try:
            with open(folder + '/left', 'w') as file:
                file.write('left')
            os.makedirs(folder + '/deep/er')
            os.symlink('/etc', folder + '/deep/link')
            made.append('files')
        except OSError:
            pass
    if libc.mq_open(b'/queue', os.O_CREAT | os.O_RDWR, 0o600, None) >= 0:
        made.append('queues')
    for call, size in (('shmget', 4096), ('semget', 1), ('msgget', None)):
        arguments = [KEY] + ([] if size is None else [size]) + [0o1600]
        if getattr(libc, call)(*arguments) >= 0:
            made.append(call)
    os.environ['LEFT'] = 'left'
    ready, told = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            name = socket.socket(socket.AF_UNIX)
            name.bind('\0left')
            name.listen()
            port = socket.socket()
            port.bind(('127.0.0.1', 4242))
            port.listen()
            for descriptor in range(3):
                os.close(descriptor)
            # The one that closes first is the one that lingers.
            one = socket.create_connection(('127.0.0.1', 4242))
            other, _ = port.accept()
            one.close()
            other.close()
            os.write(told, b'x')
            time.sleep(1000)
        os._exit(0)
    os.read(ready, 1)
    try:
        os.setpriority(os.PRIO_PROCESS, 1, 5)
        made.append('priority')
    except OSError:
        pass
    return sorted(set(made))

def find():
    found = []
    for folder in FOLDERS:
        try:
            found += ['file'] if os.listdir(folder) else []
        except OSError:
            pass
    found += ['process' for name in os.listdir('/proc') if name.isdigit() and int(name) not in (1, os.getpid())]
    found += ['variable' for name in ('LEFT', 'word') if name in os.environ and os.environ[name] == 'left']
    for call, size in (('shmget', 0), ('semget', 0), ('msgget', None)):
        arguments = [KEY] + ([] if size is None else [size]) + [0]
        found += ['memory'] if getattr(libc, call)(*arguments) >= 0 else []
    found += ['queue'] if libc.mq_open(b'/queue', os.O_RDWR) >= 0 else []
    for family, address in ((socket.AF_UNIX, '\0left'), (socket.AF_INET, ('127.0.0.1', 4242))):
        try:
            probe = socket.socket(family)
            probe.connect(address)
            probe.close()
            found.append('socket')
        except OSError:
            pass
    for table in ('/proc/net/tcp', '/proc/net/unix'):
        with open(table) as lines:
            found += ['connection' for line in lines.readlines()[1:] if '1092' in line or '@left' in line]
    found += ['priority'] if os.getpriority(os.PRIO_PROCESS, 0) != 0 else []
    return sorted(set(found))

made = leave() if 'leave' in sys.argv[1] else []
found = find() if 'find' in sys.argv[1] else []
print(json.dumps({'made': made, 'found': found}))
"#;

fn tool(reuse: bool) -> (ToolContract, TempDir) {
    let folder = crate::folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    crate::write(folder.path(), "tool.py", PROGRAM);
    let mut contract = ToolContract::new("residue")
        .parameter(Parameter::text("order"))
        .parameter(Parameter::text("word"))
        .command(["python3", "{contract_dir}/tool.py", "{order}"]);
    contract.dir = Some(folder.path().to_owned());
    contract.reuse = reuse;
    (contract, folder)
}

async fn call(engine: &PoolEngine, contract: &ToolContract, order: &str) -> Value {
    let root = workspace();
    let word = if order.contains("leave") { "left" } else { "" };
    let arguments = json!({"order": order, "word": word});
    let output = crate::call(engine, contract, root.path(), arguments).await;
    output.unwrap().value
}

async fn check(reuse: bool) {
    let engine = PoolEngine::new(config());
    let (contract, _folder) = tool(reuse);
    // All of it is found while it is there, so the search can find.
    let at_once = call(&engine, &contract, "leave and find").await;
    let mut expect = vec![
        "connection",
        "file",
        "process",
        "queue",
        "socket",
        "variable",
    ];
    if !reuse {
        expect.insert(2, "memory");
    }
    assert_eq!(at_once["found"], json!(expect), "{at_once}");
    let own = |made: &Value| {
        made.as_array()
            .unwrap()
            .iter()
            .any(|made| made == "priority")
    };
    assert!(
        !own(&at_once["made"]),
        "the worker is out of reach: {at_once}"
    );
    for _ in 0..3 {
        let left = call(&engine, &contract, "leave").await;
        assert!(left["made"].as_array().unwrap().len() >= 2, "{left}");
        let later = call(&engine, &contract, "find").await;
        assert_eq!(later["found"], json!([]), "{later}");
    }
    let statistics = engine.statistics();
    assert_eq!(statistics.discarded, 0);
    if reuse {
        assert_eq!(
            (statistics.misses, statistics.hits),
            (1, 6),
            "one container served all"
        );
    }
    engine.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_container_keeps_nothing() {
    check(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_container_has_nothing_to_keep() {
    check(false).await;
}

/// What cannot be emptied is not used again, whatever the contract says.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_root_can_be_written_to_is_not_used_again() {
    let engine = PoolEngine::new(config());
    let text = "ls -A /var/tmp; touch /var/tmp/left && echo written";
    let mut contract = super::reusable(script(text));
    contract.limits.read_only = Some(false);
    for _ in 0..3 {
        assert_eq!(super::answer(&engine, &contract).await, "written");
    }
}

/// A folder that its owner may not enter cannot be emptied; the container goes instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_cannot_be_emptied_is_not_used_again() {
    let engine = PoolEngine::new(config());
    let leave = "mkdir -p a/b && chmod 0 a";
    let contract = super::reusable(script(&format!("ls -A /work; {leave}")));
    for _ in 0..3 {
        assert_eq!(super::answer(&engine, &contract).await, "");
    }
    assert_eq!(engine.statistics().discarded, 3);
}
