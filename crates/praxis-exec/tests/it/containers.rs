//! What the tests of the engines of containers have in common.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use praxis_exec::conformance::Behaviour;
use praxis_exec::{ErrorKind, ToolContract};
use tempfile::TempDir;

/// The image that `cargo xtask docker up` makes: busybox and Python.
pub(crate) const IMAGE: &str = "praxis/tools:local";

/// How much memory the tools of [`hogs`] may have.
pub(crate) const HOG_BYTES: u64 = 64 << 20;

/// A workspace in which any user may write: a tool is nobody where Praxis is root.
pub(crate) fn workspace() -> TempDir {
    let folder = crate::folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

pub(crate) fn script(text: &str) -> ToolContract {
    ToolContract::new("t").command(["sh", "-c", text])
}

/// A tool that runs for longer than any machine takes to do something about it.
pub(crate) fn lasting(text: &str) -> ToolContract {
    let mut contract = script(&format!("{text}; sleep 3600"));
    contract.limits.timeout = Some(Duration::from_secs(3600));
    contract
}

/// The beacon's path is the host's, so its container sees the workspace there too.
pub(crate) fn seen_by_the_host(
    contract: ToolContract,
    behaviour: Behaviour,
    root: &Path,
) -> ToolContract {
    match behaviour {
        Behaviour::Beacon => contract.mount(".", root.display().to_string()),
        _ => contract,
    }
}

/// Scripts that want more than [`HOG_BYTES`], each with how it ends and words of the message:
/// by themselves, in a child, and in a process that has lost its parent.
pub(crate) fn hogs() -> [(String, ErrorKind, &'static str); 3] {
    let hog = "python3 -c 'x = bytearray(400 << 20)'";
    let orphan = format!(
        "pid=$({hog} >/dev/null 2>&1 & echo $!); while kill -0 $pid 2>/dev/null; do sleep 0.05; done; exit 3"
    );
    [format!("exec {hog}"), format!("{hog}; exit 0"), orphan]
        .map(|text| (text, ErrorKind::OutOfMemory, "67108864 bytes"))
}

/// A folder with an executable file `garbage` that is no program of any machine.
pub(crate) fn no_program() -> TempDir {
    let tool = crate::folder();
    fs::set_permissions(tool.path(), fs::Permissions::from_mode(0o755)).unwrap();
    crate::write_program(&tool.path().join("garbage"), "\x01\x02");
    tool
}
