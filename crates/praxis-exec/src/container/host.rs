//! The host's own programs in a container: an image with nothing in it, and the host's system folders, read-only.

use std::path::Path;

use praxis_worker::staging::PROGRAMS;

use crate::mounts::Bind;

/// What a contract or a configuration writes in place of an image.
pub(crate) const HOST: &str = "host";

/// The image with nothing in it, which [`crate::docker::Client`] makes where it is missing.
pub(crate) const EMPTY_IMAGE: (&str, &str) = ("praxis/empty", "1");

/// The little of the settings that programs need to start. Nothing of a user is in it.
const SETTINGS: [&str; 6] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
];

/// Those of the system's folders that this machine has.
pub(crate) fn binds() -> impl Iterator<Item = Bind> {
    PROGRAMS.into_iter().chain(SETTINGS).filter_map(|path| {
        // Where `/bin` leads to `/usr/bin`, the container has a folder of that name with the same files.
        let source = Path::new(path).canonicalize().ok()?;
        Some(Bind {
            source,
            target: path.to_owned(),
            read_only: true,
        })
    })
}
