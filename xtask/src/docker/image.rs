//! The image that the tests run tools in: busybox and Python, unpacked from the system's own packages.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::daemon::apt;
use super::http::Address;
use crate::{process, workspace::Workspace};

/// The image's name.
pub(crate) const NAME: &str = "praxis/tools:local";

/// What the image holds; what these need comes along.
const PACKAGES: [&str; 3] = ["busybox-static", "python3-minimal", "libpython3-stdlib"];

/// What they name as needed, but only for being installed.
const NEEDLESS: [&str; 1] = ["dpkg"];

const WAY_OUT: &str = "any image with /bin/sh, busybox's programs and python3 will do: \
     `docker tag YOUR-IMAGE praxis/tools:local`";

/// Whether the engine has the image.
///
/// # Errors
/// The engine does not answer.
pub(crate) fn is_there(address: &Address) -> Result<bool> {
    let path = format!("/images/{NAME}/json");
    let (status, _) = address.call("GET", &path, None, Duration::from_secs(10))?;
    Ok(status == 200)
}

/// Makes the image where the engine lacks it.
///
/// # Errors
/// It cannot be made here, with what would help; or the engine refuses it.
pub(crate) fn ensure(address: &Address) -> Result<()> {
    if is_there(address)? {
        return Ok(());
    }
    let archive = Workspace::load()?
        .target_directory
        .join("xtask/tools-image.tar");
    if !archive.exists() {
        eprintln!("making the image {NAME} of {}", PACKAGES.join(", "));
        make(&archive).with_context(|| format!("cannot make the image {NAME}; {WAY_OUT}"))?;
    }
    import(address, &archive)
}

fn import(address: &Address, archive: &Path) -> Result<()> {
    let (name, tag) = NAME.split_once(':').expect("the image's name has a tag");
    let path = format!(
        "/images/create?fromSrc=-&repo={name}&tag={tag}\
         &changes=ENV%20PATH%3D/usr/bin:/bin:/usr/sbin:/sbin&changes=CMD%20%5B%22/bin/sh%22%5D"
    );
    let mut file =
        File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    let (status, body) = address.call("POST", &path, Some(&mut file), Duration::from_secs(300))?;
    // A failure in the middle comes as a line of the body, under a status that says well done.
    let failed = body.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line.get("error").or(line.get("message"))?.to_string())
    });
    if let Some(reason) = failed {
        bail!("{address} refuses the image {NAME}: {reason}");
    }
    ensure!(
        status == 200,
        "{address} refuses the image {NAME} with status {status}: {body}"
    );
    Ok(())
}

fn make(archive: &Path) -> Result<()> {
    let folder = archive.with_extension("new");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let (packages, root) = (folder.join("packages"), folder.join("root"));
    fs::create_dir_all(&packages)?;
    fs::create_dir_all(&root)?;
    download(&packages)?;
    for entry in fs::read_dir(&packages)? {
        let mut unpack = Command::new("dpkg-deb");
        process::output(unpack.arg("--extract").arg(entry?.path()).arg(&root))?;
    }
    furnish(&root)?;
    // Written elsewhere and renamed: one that was interrupted is never taken for a whole one.
    let unfinished = archive.with_extension("part");
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ])
    .arg("--create")
    .arg("--file")
    .arg(&unfinished)
    .arg("--directory")
    .arg(&root)
    .arg(".");
    process::output(&mut tar)?;
    fs::rename(&unfinished, archive)?;
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Downloads the packages and all that they need, as if nothing were installed.
fn download(folder: &Path) -> Result<()> {
    let list = || {
        let mut simulate = Command::new("apt-get");
        simulate
            .args([
                "--simulate",
                "-o",
                "Dir::State::status=/dev/null",
                "install",
            ])
            .arg("--no-install-recommends")
            .args(PACKAGES);
        process::output(&mut simulate)
    };
    // The lists of what there is are empty on a fresh machine; only root may fetch them.
    let planned = match list() {
        Ok(planned) => planned,
        Err(_) => {
            apt(&["update", "-qq"])?;
            list()?
        }
    };
    let names: Vec<&str> = planned
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .filter(|name| !NEEDLESS.contains(name))
        .collect();
    let mut download = Command::new("apt-get");
    download
        .args(["-o", "APT::Sandbox::User=root", "-qq", "download"])
        .args(names)
        .current_dir(folder);
    process::output(&mut download).map(drop)
}

/// Makes a system of the unpacked packages.
fn furnish(root: &Path) -> Result<()> {
    // Some releases keep these four apart and some do not; programs find everything under either name.
    for name in ["bin", "sbin", "lib", "lib64"] {
        let (apart, merged) = (root.join(name), root.join("usr").join(name));
        fs::create_dir_all(&merged)?;
        if apart.is_dir() && !apart.is_symlink() {
            let mut copy = Command::new("cp");
            process::output(copy.arg("--archive").arg(apart.join(".")).arg(&merged))?;
            fs::remove_dir_all(&apart)?;
        }
        if !apart.is_symlink() {
            symlink(format!("usr/{name}"), &apart)?;
        }
    }
    let programs = root.join("usr/bin");
    let listed = process::output(Command::new(programs.join("busybox")).arg("--list"))?;
    for name in listed.lines() {
        let program: PathBuf = programs.join(name);
        if !program.exists() && !program.is_symlink() {
            symlink("busybox", program)?;
        }
    }
    for folder in [
        "proc", "sys", "dev", "work", "root", "tmp", "var/tmp", "etc",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    for folder in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o1777))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\ntool:x:1000:1000:tool:/work:/bin/sh\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\ntool:x:1000:\n")?;
    for needless in ["doc", "man", "locale", "lintian"] {
        let folder = root.join("usr/share").join(needless);
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}
