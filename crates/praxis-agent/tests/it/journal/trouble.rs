//! Journals where the folder, the disk or the file is not as it should be.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use super::{killed_at, place, run, runs};

#[test]
fn a_folder_that_cannot_be_written_is_said_once_and_fails_nothing() {
    let place = place();
    place.write("w.praxis", b"CALL append a.txt 1\n");
    place.write("state/runs", b"no folder");
    let ran = run(&place, &["--no-cache"]).exits(0);
    assert_eq!(
        ran.stderr.matches("cannot be resumed").count(),
        1,
        "{ran:?}"
    );
    assert_eq!(place.read("a.txt"), "1\n");
    let ran = run(&place, &["--no-cache", "--no-journal"]).exits(0);
    assert_eq!(ran.stderr, "");
    std::fs::remove_file(place.path().join("state/runs")).unwrap();
    std::fs::create_dir(place.path().join("state/runs")).unwrap();
    let folder = place.path().join("state/runs");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o500)).unwrap();
    // Root writes where it may not, so that for it nothing fails here.
    if !rustix::process::geteuid().is_root() {
        let ran = run(&place, &["--no-cache"]).exits(0);
        assert_eq!(
            ran.stderr.matches("cannot be resumed").count(),
            1,
            "{ran:?}"
        );
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// A file system of so many bytes, if the system lets this process mount one.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(path: std::path::PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "praxis-test"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[test]
fn a_disk_that_is_full_costs_the_journal_and_nothing_else() {
    let place = place();
    let Some(_small) = Small::mount(place.path().join("state"), "size=256k") else {
        eprintln!("skipped: this process may not mount a file system");
        return;
    };
    place.tool(
        "much",
        "effects: read\nparameters: [{name: n}]\n",
        "head -c 20000 /dev/zero | tr '\\0' x",
    );
    let mut program = String::new();
    for step in 0..20 {
        program.push_str(&format!(
            "CALL append out.txt {step}\nLET m{step} = CALL much {step}\n"
        ));
    }
    place.write("w.praxis", program.as_bytes());
    let ran = run(&place, &["--no-cache"]).exits(0);
    assert_eq!(
        ran.stderr.matches("cannot be resumed").count(),
        1,
        "{ran:?}"
    );
    assert!(ran.stderr.contains("full"), "{ran:?}");
    assert_eq!(place.read("out.txt").lines().count(), 20);
    let listed = runs(&place, &["list", "--json"]).exits(0).json();
    assert_eq!(listed["runs"][0]["status"], "abandoned", "{listed:#}");
    assert_eq!(listed["runs"][0]["damage"], Value::Null, "{listed:#}");
    runs(&place, &["resume", "latest", "--rerun-unknown"])
        .exits(2)
        .says(&["lost its journal"]);
}

#[test]
fn a_limit_of_file_sizes_costs_what_would_be_remembered_and_nothing_else() {
    let place = place();
    place.write("w.praxis", b"CALL append out.txt 1\nRETURN \"done\"\n");
    let praxis = env!("CARGO_BIN_EXE_praxis");
    // 8 blocks of 512 bytes or of 1,024, as the shell counts.
    let script = format!("ulimit -f 8; exec {praxis} run w.praxis --tools tools --state state");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("done\n"));
    assert!(told.contains("remembered in this run only"), "{told}");
    assert_eq!(place.read("out.txt"), "1\n");
}

#[test]
fn a_medium_that_cannot_be_written_can_be_read() {
    let place = place();
    place.write("w.praxis", b"CALL append a.txt 1\n");
    run(&place, &["--no-cache"]).exits(0);
    let Some(_small) = Small::mount(place.path().join("ro"), "size=4m") else {
        eprintln!("skipped: this process may not mount a file system");
        return;
    };
    let state = place.path().join("ro/state");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(place.path().join("state"))
        .arg(&state)
        .status();
    assert!(copied.unwrap().success());
    let remounted = std::process::Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(place.path().join("ro"))
        .status();
    assert!(remounted.unwrap().success());
    let at = ["--state", "ro/state"];
    let listed = place
        .praxis(&[&["runs", "list", "--json"], &at[..]].concat())
        .exits(0)
        .json();
    assert_eq!(listed["runs"][0]["status"], "succeeded");
    let ran = place
        .praxis(
            &[
                &["run", "w.praxis", "--tools", "tools", "--no-cache"],
                &at[..],
            ]
            .concat(),
        )
        .exits(0);
    assert_eq!(
        ran.stderr.matches("cannot be resumed").count(),
        1,
        "{ran:?}"
    );
}

#[test]
fn a_damaged_journal_is_said_and_what_is_whole_is_shown() {
    let place = place();
    let mut program = String::new();
    for step in 0..40 {
        program.push_str(&format!("CALL append out.txt {step}\n"));
    }
    place.write("w.praxis", program.as_bytes());
    let arguments = ["run", "w.praxis", "--tools", "tools", "--state", "state"];
    assert_eq!(killed_at(&place, 30, "after", &arguments), None);
    let done = place.read("out.txt");
    let whole = runs(&place, &["show", "latest", "--json"]).exits(0).json();
    // The one who showed it was the last to have it open, so all is in one file.
    let id = whole["run_id"].as_str().unwrap();
    let path = place.path().join(format!("state/runs/{id}.journal"));
    let mut bytes = std::fs::read(&path).unwrap();
    // The record stands in the file once or more, since pages keep what was moved out of them.
    let record = br#""event":"finished","step":"s13""#;
    let places: Vec<usize> = bytes
        .windows(record.len())
        .enumerate()
        .filter_map(|(at, found)| (found == record).then_some(at))
        .collect();
    assert!(!places.is_empty(), "the 13th step had finished");
    for at in places {
        bytes[at + 1] ^= 0xff;
    }
    std::fs::write(&path, bytes).unwrap();
    let shown = runs(&place, &["show", "latest", "--json"]).exits(0).json();
    let damage = shown["damage"]
        .as_str()
        .unwrap_or_else(|| panic!("{shown:#}"));
    assert!(
        damage.contains("lost") || damage.contains("damaged"),
        "{damage}"
    );
    assert!(shown["steps_finished"].as_u64() > Some(10), "{shown:#}");
    runs(&place, &["resume", "latest"])
        .exits(1)
        .says(&["damaged", "--rerun-unknown"]);
    assert_eq!(place.read("out.txt"), done, "nothing was run");
    assert!(runs(&place, &["list"]).exits(0).stdout.contains("damaged"));
}

#[test]
fn a_journal_that_is_no_more_one_is_called_damaged_wherever_it_is_asked() {
    let garbage = vec![b'x'; 20_000];
    for bytes in [&b""[..], &garbage] {
        let place = place();
        place.write("w.praxis", b"CALL append out.txt 1\n");
        let id = run(&place, &[]).exits(0).json()["run_id"].clone();
        let id = id.as_str().unwrap();
        place.write(&format!("state/runs/{id}.journal"), bytes);
        let shown = runs(&place, &["show", id]).exits(0).stdout;
        assert!(shown.contains("damaged: "), "{shown}");
        let list = runs(&place, &["list"]).exits(0).stdout;
        assert!(
            list.contains("abandoned") && list.contains("damaged"),
            "{list}"
        );
        let diff = runs(&place, &["diff", id, id]).exits(0).stdout;
        assert!(
            diff.contains("damaged: ") && !diff.contains("the runs did the same"),
            "{diff}"
        );
        runs(&place, &["resume", id]).exits(2).says(&["damaged"]);
        let replayed = runs(&place, &["replay", id]).exits(2);
        assert!(
            replayed.stderr.contains("damaged") && !replayed.stderr.contains("goes on"),
            "{replayed:?}"
        );
    }
}
