//! What a daemon's refusals mean for a caller.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bollard::errors::Error as ApiError;

use crate::{Error, ErrorKind};

/// No address had a daemon that answers; `named` says where the only one that was tried stands.
pub(crate) fn no_daemon(tried: &[Error], named: Option<&str>) -> Error {
    let said: Vec<&str> = tried.iter().map(Error::message).collect();
    let passing = tried.iter().any(Error::is_retryable);
    // What no waiting mends says itself what does.
    let lasting = tried.iter().filter(|error| !error.is_retryable());
    let help = match (lasting.filter_map(Error::help).next(), named) {
        (Some(help), _) => help.to_owned(),
        (None, Some(place)) => format!(
            "start it, or correct {place}, which names this address; without it the usual places are tried"
        ),
        (None, None) => "start Docker or Podman (`systemctl start docker`, or `systemctl --user start podman.socket`), \
             or name its address in DOCKER_HOST, such as unix:///run/docker.sock"
            .to_owned(),
    };
    Error::new(
        ErrorKind::Unavailable,
        format!("there is no container engine: {}", said.join("; ")),
    )
    .with_retryable(passing)
    .with_help(help)
}

/// The address is none.
pub(crate) fn no_address(address: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("cannot connect to {address:?}; unix:///path and tcp://host:port are understood"),
    )
    .with_retryable(false)
}

/// A call took longer than its limit.
pub(crate) fn no_answer(address: &str, doing: &str, limit: Duration) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the container engine at {address} gave no answer within {limit:?} to {doing}"),
    )
    .with_help("see whether it is well: `docker info`; or raise `call_timeout` of the engine")
}

/// The daemon went away while a tool ran.
pub(crate) fn gone(address: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "the container engine at {address} went away while the tool ran, so its result is lost"
        ),
    )
    .with_help(
        "see why it ended: `journalctl -u docker`; the tool may have done a part of its work",
    )
}

/// A call that failed, as far as the answer itself tells.
pub(crate) fn of_call(address: &str, doing: &str, error: ApiError) -> Error {
    match error {
        ApiError::DockerResponseServerError {
            status_code,
            message,
        } => refused(address, doing, status_code, &message),
        ApiError::SocketNotFoundError(path) => {
            Error::new(ErrorKind::Unavailable, format!("no socket at {path}"))
        }
        ApiError::UnsupportedURISchemeError { uri } => no_address(&uri),
        other => unreached(address, doing, other),
    }
}

/// Whether this is the daemon's own word.
pub(crate) fn is_answer(error: &ApiError) -> bool {
    matches!(error, ApiError::DockerResponseServerError { .. })
}

/// Whether the daemon says that what was asked about is not there.
pub(crate) fn is_missing(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// Whether the daemon can have got the call, and so may be doing what it asked for.
pub(crate) fn may_have_arrived(error: &ApiError) -> bool {
    let unheard = |error: &io::Error| {
        use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
        matches!(
            error.kind(),
            ConnectionRefused | NotFound | PermissionDenied
        )
    };
    !root_cause(error).is_some_and(unheard)
}

fn unreached(address: &str, doing: &str, error: ApiError) -> Error {
    let cause = root_cause(&error);
    let message = match cause.map(io::Error::kind) {
        Some(io::ErrorKind::PermissionDenied) => {
            return Error::new(
                ErrorKind::Unavailable,
                format!("may not connect to {address}: permission denied"),
            )
            .with_retryable(false)
            .with_help("let this user use it: join the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again)")
            .with_source(error);
        }
        Some(io::ErrorKind::ConnectionRefused) => format!("nobody listens at {address}"),
        Some(io::ErrorKind::NotFound) => format!("no socket at {address}"),
        _ => {
            let said = cause.map_or_else(|| innermost(&error), ToString::to_string);
            format!("the container engine at {address} cannot be reached for {doing}: {said}")
        }
    };
    Error::new(ErrorKind::Unavailable, message)
        .with_help("see whether it runs: `docker info`")
        .with_source(error)
}

/// What the daemon answered with a status that is no success.
fn refused(address: &str, doing: &str, status: u16, message: &str) -> Error {
    let said = one_line(message);
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["no space left on device", "disk quota exceeded"]) {
        return Error::new(
            ErrorKind::Io,
            format!("the container engine at {address} has no space left on its disk: {said}"),
        )
        .with_help("free some: `docker system df` says what takes it, `docker system prune` removes what is unused");
    }
    if has(&["invalid reference format", "repository name must"]) {
        let said = said.rsplit("o such image: ").next().unwrap_or_default();
        return no_image_name(said);
    }
    // Some calls say it twice: `no such image: a:1: No such image: a:1`.
    const NO_IMAGE: &str = "no such image:";
    if let Some(at) = lower.rfind(NO_IMAGE) {
        let image = said.get(at + NO_IMAGE.len()..).unwrap_or_default().trim();
        return Error::new(
            ErrorKind::NotFound,
            format!("the container engine at {address} has no image `{image}`"),
        )
        .with_help(format!(
            "get it with `docker pull {image}` or `docker build`; Praxis never downloads an image"
        ));
    }
    if has(&["bind source path does not exist", "invalid mount config"]) {
        return Error::new(
            ErrorKind::NotFound,
            format!("the container engine at {address} cannot mount a folder: {said}"),
        )
        .with_help(
            "a mount is a folder of the machine on which the engine runs; is that another one?",
        );
    }
    if has(&["executable file not found", "no such file or directory"]) && has(&["exec"]) {
        return Error::new(
            ErrorKind::NotFound,
            format!("its program is not in the image: {said}"),
        )
        .with_help(
            "name a program that the image has; a relative path starts at the contract's folder",
        );
    }
    if has(&["permission denied"]) && has(&["exec"]) {
        return Error::new(
            ErrorKind::Denied,
            format!("its program may not be executed in the container: {said}"),
        )
        .with_help("make it executable, or name its interpreter first in `command`");
    }
    if has(&["no command specified"]) {
        return Error::new(
            ErrorKind::InvalidContract,
            "neither its contract nor its image says which program to run",
        )
        .with_help("add `command` to the contract");
    }
    // The contract asks for what this daemon does not give anybody: too little memory, too few processors.
    let kind = match status {
        400 if !has(&["runtime"]) => ErrorKind::InvalidContract,
        _ => ErrorKind::Io,
    };
    let error = Error::new(
        kind,
        format!("the container engine at {address} refused {doing} ({status}): {said}"),
    );
    match (status, kind) {
        (500..=599, _) => error.with_retryable(true),
        (_, ErrorKind::InvalidContract) => error
            .with_retryable(false)
            .with_help("change what the contract asks for: this engine gives it to nobody"),
        _ => error.with_retryable(false),
    }
}

/// An image is called what none can be called.
pub(crate) fn no_image_name(said: &str) -> Error {
    Error::new(
        ErrorKind::InvalidContract,
        format!("its image has no name that an image can have: {said}"),
    )
    .with_help(
        "an image's name is like `python:3.12` or `registry.example/team/tool:1`, in lower case",
    )
}

fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    let line = words.join(" ");
    let shown: String = line
        .chars()
        .filter(|character| !character.is_control())
        .take(400)
        .collect();
    if shown.is_empty() {
        "it gave no reason".to_owned()
    } else {
        shown
    }
}

fn root_cause(error: &ApiError) -> Option<&io::Error> {
    causes(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .last()
}

fn innermost(error: &ApiError) -> String {
    causes(error)
        .last()
        .map_or_else(String::new, ToString::to_string)
}

fn causes(error: &ApiError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let outer: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(outer), |error| (**error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_it_means_and_the_way_out() {
        let check = |status: u16, message: &str, kind: ErrorKind, parts: &[&str]| {
            let error = of_call(
                "unix:///s",
                "creating a container",
                ApiError::DockerResponseServerError {
                    status_code: status,
                    message: message.to_owned(),
                },
            );
            assert_eq!(error.kind(), kind, "{error}");
            let shown = format!("{error} {}", error.help().unwrap_or_default());
            for part in parts {
                assert!(shown.contains(part), "{part} in {shown}");
            }
        };
        check(
            404,
            "No such image: nope:latest",
            ErrorKind::NotFound,
            &[
                "no image `nope:latest`",
                "unix:///s",
                "docker pull nope:latest",
            ],
        );
        check(
            404,
            "no such image: a:1: No such image: a:1",
            ErrorKind::NotFound,
            &["no image `a:1`", "docker pull a:1`"],
        );
        check(
            500,
            "mkdir /var/lib/docker/overlay2/x: no space left on device",
            ErrorKind::Io,
            &["no space left", "docker system df"],
        );
        check(
            400,
            "OCI runtime create failed: exec: \"nope\": executable file not found in $PATH: unknown",
            ErrorKind::NotFound,
            &["\"nope\"", "not in the image"],
        );
        check(
            400,
            "OCI runtime create failed: exec: \"/x\": permission denied: unknown",
            ErrorKind::Denied,
            &["/x", "executable"],
        );
        check(
            400,
            "invalid mount config for type \"bind\": bind source path does not exist: /x",
            ErrorKind::NotFound,
            &["/x", "machine"],
        );
        check(
            400,
            "invalid reference format: repository name must be lowercase",
            ErrorKind::InvalidContract,
            &["image", "lowercase", "python:3.12"],
        );
        check(
            404,
            "no such image: Bad Name: invalid reference format: repository name must be lowercase",
            ErrorKind::InvalidContract,
            &["can have: Bad Name: invalid", "python:3.12"],
        );
        check(
            400,
            "No command specified",
            ErrorKind::InvalidContract,
            &["which program", "`command`"],
        );
        check(
            400,
            "Minimum memory limit allowed is 6MB",
            ErrorKind::InvalidContract,
            &["6MB", "change what the contract asks for"],
        );
        check(418, "", ErrorKind::Io, &["418", "no reason"]);
    }
}
