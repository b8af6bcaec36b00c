//! Tools that read and change single files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions};
use serde_json::{Value, json};

use super::workspace::{Workspace, shown};
use super::{BuiltinConfig, Tools, invalid, take_text};
use crate::{CallId, Effects, Error, Invocation, Parameter, ParameterKind, ToolContract};

pub(super) fn register(tools: &mut Tools<'_>) -> Result<(), Error> {
    let file = || Parameter::text("filename").describe("path of the file, relative to the root");
    let from_to = |name: &str| {
        ToolContract::new(name)
            .parameter(Parameter::text("source").describe("path of the file that is there"))
            .parameter(
                Parameter::text("destination").describe("path of the file that will be there"),
            )
    };
    tools.blocking(
        ToolContract::new("read_file")
            .describe("The text of a file.")
            .parameter(file())
            .parameter(
                Parameter::text("encoding")
                    .or("utf-8")
                    .describe("utf-8 or latin-1"),
            )
            .effects(Effects::read(&["filename"])),
        read_file,
    )?;
    tools.blocking(
        ToolContract::new("write_file")
            .describe("Writes text to a file, in place of what it holds, and creates the folders above it.")
            .parameter(file())
            .parameter(Parameter::text("content").rest().describe("the text"))
            .parameter(
                Parameter::new("append", ParameterKind::Boolean)
                    .or(false)
                    .describe("add to the end instead"),
            )
            .effects(Effects::write(&["filename"])),
        write_file,
    )?;
    tools.blocking(
        ToolContract::new("delete_file")
            .describe("Deletes a file; a symlink is deleted itself, not what it points to.")
            .parameter(file())
            .effects(Effects::write(&["filename"])),
        delete_file,
    )?;
    tools.blocking(
        from_to("copy_file")
            .describe("Copies a file, over one that may be there.")
            .effects(
                Effects::write(&["destination"])
                    .reading(&["source"])
                    .idempotent(),
            ),
        copy_file,
    )?;
    tools.blocking(
        from_to("move_file")
            .describe("Moves a file or a folder, over a file that may be there.")
            .effects(Effects::write(&["source", "destination"])),
        move_file,
    )?;
    tools.blocking(
        ToolContract::new("create_directory")
            .describe("Creates a folder; one that is there already is fine.")
            .parameter(
                Parameter::text("directory").describe("path of the folder, relative to the root"),
            )
            .parameter(
                Parameter::new("recursive", ParameterKind::Boolean)
                    .or(true)
                    .describe("create the folders above it too"),
            )
            .effects(Effects::write(&["directory"]).idempotent()),
        create_directory,
    )
}

fn read_file(call: Invocation, config: &BuiltinConfig) -> Result<Value, Error> {
    let workspace = Workspace::open(call.root())?;
    let path = workspace.entry(call.text("filename")?)?;
    let encoding = call.text("encoding")?;
    let latin = match encoding.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => false,
        "latin-1" | "latin1" | "iso-8859-1" => true,
        _ => {
            return Err(invalid(format!(
                "encoding `{encoding}` is not known; utf-8 and latin-1 are"
            )));
        }
    };
    let bytes = workspace.read(&path, config.file_bytes)?;
    if latin {
        return Ok(bytes.into_iter().map(char::from).collect::<String>().into());
    }
    String::from_utf8(bytes).map(Value::from).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::failed(format!(
            "`{}` is not UTF-8 text: byte {:#04x} at offset {at}",
            shown(&path),
            error.as_bytes()[at]
        ))
        .with_help("if it is text in an old encoding, give --encoding latin-1; a binary file cannot be read as text")
    })
}

fn write_file(mut call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let workspace = Workspace::open(call.root())?;
    let path = workspace.entry(call.text("filename")?)?;
    let content = take_text(&mut call, "content")?;
    let target = target(&workspace, &path)?;
    workspace.create_parents(&target)?;
    let written = if call.boolean("append")? {
        let mut options = OpenOptions::new();
        let file = workspace
            .dir()
            .open_with(&target, options.append(true).create(true));
        file.and_then(|mut file| file.write_all(content.as_bytes()))
    } else {
        replace(workspace.dir(), &target, |file| {
            file.write_all(content.as_bytes())
        })
    };
    written.map_err(|error| workspace.error(&path, error))?;
    Ok(json!({"path": shown(&path), "bytes": content.len()}))
}

fn delete_file(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let workspace = Workspace::open(call.root())?;
    let path = workspace.entry(call.text("filename")?)?;
    let metadata = workspace.dir().symlink_metadata(&path);
    if metadata.is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::failed(format!(
            "`{}` is a directory; delete_file deletes files only",
            shown(&path)
        )));
    }
    let removed = workspace.dir().remove_file(&path);
    removed.map_err(|error| workspace.error(&path, error))?;
    Ok(json!({"path": shown(&path)}))
}

fn copy_file(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let workspace = Workspace::open(call.root())?;
    let source = workspace.entry(call.text("source")?)?;
    let destination = workspace.entry(call.text("destination")?)?;
    let mut from = workspace.open_file(&source)?;
    let target = target(&workspace, &destination)?;
    workspace.create_parents(&target)?;
    let mut bytes = 0;
    replace(workspace.dir(), &target, |to| {
        bytes = io::copy(&mut from, to)?;
        to.set_permissions(from.metadata()?.permissions())
    })
    .map_err(|error| workspace.error(&destination, error))?;
    Ok(json!({"source": shown(&source), "destination": shown(&destination), "bytes": bytes}))
}

fn move_file(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let workspace = Workspace::open(call.root())?;
    let source = workspace.entry(call.text("source")?)?;
    let destination = workspace.entry(call.text("destination")?)?;
    let metadata = workspace.dir().symlink_metadata(&source);
    metadata.map_err(|error| workspace.error(&source, error))?;
    workspace.create_parents(&destination)?;
    let moved = workspace
        .dir()
        .rename(&source, workspace.dir(), &destination);
    moved.map_err(|error| workspace.error(&destination, error))?;
    Ok(json!({"source": shown(&source), "destination": shown(&destination)}))
}

fn create_directory(call: Invocation, _config: &BuiltinConfig) -> Result<Value, Error> {
    let workspace = Workspace::open(call.root())?;
    let path = workspace.entry(call.text("directory")?)?;
    let there = || {
        workspace
            .dir()
            .metadata(&path)
            .is_ok_and(|found| found.is_dir())
    };
    if call.boolean("recursive")? {
        workspace.create_folders(&path)?;
    } else if !there() {
        let created = workspace.dir().create_dir(&path);
        created.map_err(|error| workspace.error(&path, error))?;
    }
    Ok(json!({"path": shown(&path)}))
}

/// Where a write to this path really goes: through links, as long as they stay below the root.
fn target(workspace: &Workspace, path: &Path) -> Result<PathBuf, Error> {
    match workspace.dir().metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(Error::failed(format!(
            "`{}` is there and is no regular file",
            shown(path)
        ))),
        Ok(_) => workspace
            .dir()
            .canonicalize(path)
            .map_err(|error| workspace.error(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(workspace.error(path, error)),
    }
}

/// Puts a file in place of another at once: readers see the old content or the new one.
fn replace(
    dir: &Dir,
    target: &Path,
    fill: impl FnOnce(&mut cap_std::fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = target.with_file_name(format!(".praxis-{}.tmp", CallId::unique()));
    let mut options = OpenOptions::new();
    let mut file = dir.open_with(&temporary, options.write(true).create_new(true))?;
    let written = dir
        .metadata(target)
        .map_or(Ok(()), |old| file.set_permissions(old.permissions()))
        .and_then(|()| fill(&mut file))
        .and_then(|()| dir.rename(&temporary, dir, target));
    if written.is_err() {
        let _ = dir.remove_file(&temporary);
    }
    written
}
