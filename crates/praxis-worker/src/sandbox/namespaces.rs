//! Namespaces, and who one is in them.

use std::fs;

use praxis_worker::staging::{Network, Step};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socket_with};
use rustix::process::{getegid, geteuid};
use rustix::thread::UnshareFlags;

use super::{At, Failure};

/// Leaves the namespaces of the parent; those of this thread, for [`own`] is called on a keeper's threads.
#[expect(
    deprecated,
    reason = "it is unsafe for CLONE_FILES alone, which is not among the flags"
)]
pub(super) fn leave(flags: UnshareFlags) -> Result<(), rustix::io::Errno> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    rustix::thread::unshare(flags)
}

/// A user namespace in which this user and group keep their ids, and nobody else has one, and a mount namespace.
pub(super) fn users() -> Result<(), Failure> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    leave(UnshareFlags::NEWUSER).at(Step::UserNamespace)?;
    let map = |file: &str, text: String| fs::write(file, text).at(Step::UserNamespace);
    map("/proc/self/setgroups", "deny".to_owned())?;
    map("/proc/self/uid_map", format!("{user} {user} 1"))?;
    map("/proc/self/gid_map", format!("{group} {group} 1"))?;
    leave(UnshareFlags::NEWNS).at(Step::MountNamespace)
}

/// Namespaces of a stage's own, all but the user namespace.
pub(super) fn own(network: Network) -> Result<(), Failure> {
    leave(UnshareFlags::NEWNS).at(Step::MountNamespace)?;
    leave(UnshareFlags::NEWIPC).at(Step::IpcNamespace)?;
    leave(UnshareFlags::NEWUTS).at(Step::HostNameNamespace)?;
    if network == Network::Own {
        leave(UnshareFlags::NEWNET).at(Step::NetworkNamespace)?;
        loopback_up().at(Step::NetworkNamespace)?;
    }
    leave(UnshareFlags::NEWPID).at(Step::ProcessNamespace)
}

/// Turns the loopback interface on, which is the first of every network namespace.
/// The protocol 0 of netlink sockets is the one for routes.
fn loopback_up() -> Result<(), rustix::io::Errno> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const IFF_UP: u32 = 1;
    const LOOPBACK: i32 = 1;
    const LENGTH: u32 = 32;
    let mut message = Vec::with_capacity(LENGTH as usize);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    let family = AddressFamily::NETLINK;
    let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &message, SendFlags::empty()).map(drop)
}
