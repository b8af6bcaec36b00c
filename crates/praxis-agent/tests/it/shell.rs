//! Running `praxis` in a folder of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as the one JSON document that it must be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}; stderr: {}", self.stdout, self.stderr))
    }

    /// Asserts the exit code, showing everything if it is another.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self
    }

    /// Asserts that standard error has each of the texts.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stderr.contains(text),
                "{text:?} is not in: {}",
                self.stderr
            );
        }
        self
    }
}

/// A report without the run's id and what was measured: what must be equal in every mode, cold or warm.
pub(crate) fn without_measurements(mut report: Value) -> Value {
    let drop_of = |value: &mut Value, names: &[&str]| {
        let fields = value.as_object_mut().unwrap();
        for name in names {
            fields.remove(*name).unwrap();
        }
    };
    drop_of(&mut report, &["run_id", "timing"]);
    for step in report["steps"].as_array_mut().unwrap() {
        drop_of(step, &["timing"]);
    }
    report
}

/// A folder with files, a folder for state, and the program to run there.
pub(crate) struct Place {
    folder: TempDir,
    state: TempDir,
}

impl Place {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
        };
        for (name, content) in files {
            place.write(name, content.as_bytes());
        }
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What `XDG_STATE_HOME` is for the program.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// A tool with a program for `sh`.
    pub(crate) fn tool(&self, name: &str, contract: &str, script: &str) {
        let body = format!(
            "name: {name}\nengine: local\ncommand: [sh, \"{{contract_dir}}/tool.sh\"]\n{contract}"
        );
        self.write(&format!("tools/{name}/contract.yaml"), body.as_bytes());
        self.write(&format!("tools/{name}/tool.sh"), script.as_bytes());
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_praxis"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("RUST_LOG")
            // Nothing is to be left in, or found in, the folder of whoever runs the tests.
            .env_remove("HOME")
            .env("XDG_STATE_HOME", self.state())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn praxis(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).output().unwrap())
    }

    /// Runs a program given on standard input.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let arguments: Vec<&str> = ["run", "-"].iter().chain(arguments).copied().collect();
        self.feed(program.as_bytes(), &arguments)
    }

    pub(crate) fn feed(&self, input: &[u8], arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // The program may stop reading before the end.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        ran(output)
    }
}

fn ran(output: std::process::Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
