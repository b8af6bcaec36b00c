//! What the kernel lets this user do, as the worker finds it out.

use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use super::cgroup::{self, Version};
use super::keeper;
use crate::doctor::Finding;

/// What the worker calls what it tries, and what people do.
const NAMES: [(&str, &str); 8] = [
    ("user", "user namespace"),
    ("mount", "mount namespace"),
    ("pid", "process namespace"),
    ("net", "network namespace"),
    ("ipc", "IPC namespace"),
    ("uts", "host name namespace"),
    ("landlock", "Landlock"),
    ("seccomp", "seccomp"),
];

/// Tries namespaces, Landlock, seccomp and cgroups.
pub(crate) fn probe() -> Vec<Finding> {
    let mut findings = match kernel() {
        Ok(findings) => findings,
        Err(why) => vec![Finding::new("worker", Err(why))],
    };
    findings.extend(cgroup::places().report().map(|(controller, found)| {
        let outcome = match found {
            Ok((version, folder)) => {
                let version = match version {
                    Version::One => 1,
                    Version::Two => 2,
                };
                Ok(format!("version {version}, in {}", folder.display()))
            }
            Err(why) => Err(why.to_owned()),
        };
        Finding::new(format!("cgroup {controller}"), outcome)
    }));
    findings
}

fn kernel() -> Result<Vec<Finding>, String> {
    let program = keeper::program().map_err(|refusal| refusal.message)?;
    let output = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
        .arg("probe")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start the worker: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let findings = text.lines().filter_map(|line| {
        let (word, outcome) = line.split_once(' ')?;
        let (_, name) = NAMES.into_iter().find(|(known, _)| *known == word)?;
        let outcome = match outcome.strip_prefix("errno ") {
            Some(errno) => {
                let errno = errno.parse().unwrap_or(0);
                Err(std::io::Error::from_raw_os_error(errno).to_string())
            }
            None if word == "landlock" => Ok(format!("ABI {outcome} or above")),
            None => Ok("made one".to_owned()),
        };
        Some(Finding::new(name, outcome))
    });
    Ok(findings.collect())
}
