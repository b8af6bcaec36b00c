//! What a tool may not do, whatever file system it sees: the last steps before it starts.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope, path_beneath_rules,
};
use praxis_worker::staging::{Bind, Step};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use super::{At, Failure};

/// The newest set of rights that is asked of the kernel; it enforces as many as it knows.
const LANDLOCK: ABI = ABI::V6;

/// For the level `process`: no program gives more rights than the user has.
pub(super) fn process() -> Result<(), Failure> {
    set_no_new_privs(true).at(Step::Limits)
}

/// For a keeper of the level `sandbox`, once for all its stages: what they need no more than their tools do.
///
/// A stage is a program of its own, and without inheriting them one of an ordinary user would have no capabilities.
pub(super) fn keeper() -> Result<(), Failure> {
    let all = capabilities(None).at(Step::Capabilities)?.permitted;
    let sets = CapabilitySets {
        effective: all,
        permitted: all,
        inheritable: all,
    };
    set_capabilities(None, sets).at(Step::Capabilities)?;
    for capability in all {
        configure_capability_in_ambient_set(capability, true).at(Step::Capabilities)?;
    }
    // Without these, a program of user 0 would have them all again.
    for capability in all {
        remove_capability_from_bounding_set(capability).at(Step::Capabilities)?;
    }
    set_no_new_privs(true).at(Step::Limits)?;
    filter(never).at(Step::Seccomp)
}

/// For the level `sandbox`.
pub(super) fn sandbox(binds: &[Bind]) -> Result<(), Failure> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, sets).at(Step::Capabilities)?;
    landlock(binds)
        .map_err(|_| Errno::INVAL)
        .at(Step::Landlock)?;
    filter(no_more).at(Step::Seccomp)
}

/// All filters, to see whether the kernel takes them.
pub(super) fn filters() -> Result<(), Failure> {
    filter(never)
        .and_then(|()| filter(no_more))
        .at(Step::Seccomp)
}

/// Reading and executing everywhere, writing where the order says; no signals and abstract sockets to the outside.
fn landlock(binds: &[Bind]) -> Result<(), landlock::RulesetError> {
    let writable = binds.iter().filter(|bind| !bind.read_only);
    let writable = writable.map(|bind| bind.target.as_os_str());
    let writable = writable.chain(["/tmp".as_ref(), "/dev".as_ref()]);
    Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(LANDLOCK)))?
        .add_rules(path_beneath_rules(writable, AccessFs::from_all(LANDLOCK)))?
        .restrict_self()
        .map(drop)
}

/// Rules, and what a call gets that one of them is for.
type Filters = Vec<(Rules, i32)>;

/// Installs filters. The kernel looks at every call there is when it takes one, so that a long one is dear.
fn filter(filters: fn() -> Result<Filters, BackendError>) -> Result<(), Errno> {
    for (rules, errno) in filters().map_err(|_| Errno::INVAL)? {
        let filter = compile(rules, errno).map_err(|_| Errno::INVAL)?;
        seccompiler::apply_filter(&filter).map_err(|error| match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
                super::errno(&error)
            }
            _ => Errno::INVAL,
        })?;
    }
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, BackendError> {
    // A kernel may have a second table of the same calls, for programs with short pointers.
    const X32: i64 = 0x4000_0000;
    let mut all = rules.clone();
    if cfg!(target_arch = "x86_64") {
        all.extend(rules.into_iter().map(|(call, rules)| (call | X32, rules)));
    }
    let errno = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(
        all,
        SeccompAction::Allow,
        errno,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

/// Calls that a stage needs to become one, and that no tool needs.
const NO_MORE: [i64; 6] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_unshare,
];

/// Calls that no tool needs and that have been ways out, or that reach what has no namespace.
const NEVER: [i64; 47] = [
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_lookup_dcookie,
];

#[cfg(target_arch = "x86_64")]
const NEVER_HERE: [i64; 6] = [
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS__sysctl,
    libc::SYS_nfsservctl,
];

#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: [i64; 0] = [];

/// Each call's number, which of its arguments is a mode, and how the other calls to make a file look.
#[cfg(target_arch = "x86_64")]
const MODES_HERE: [(i64, u8); 5] = [
    (libc::SYS_chmod, 1),
    (libc::SYS_open, 2),
    (libc::SYS_creat, 1),
    (libc::SYS_mknod, 1),
    (libc::SYS_mkdir, 1),
];

#[cfg(not(target_arch = "x86_64"))]
const MODES_HERE: [(i64, u8); 0] = [];

const MODES: [(i64, u8); 6] = [
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (libc::SYS_fchmodat2, 2),
    (libc::SYS_openat, 3),
    (libc::SYS_mknodat, 2),
    (libc::SYS_mkdirat, 2),
];

fn no_more() -> Result<Filters, BackendError> {
    let rules = NO_MORE.map(|call| (call, Vec::new()));
    Ok(vec![
        (rules.into(), libc::EPERM),
        (absent(libc::SYS_openat2), libc::ENOSYS),
    ])
}

/// A call whose arguments cannot be looked at, and that programs do without where it seems not to be there.
fn absent(call: i64) -> Rules {
    Rules::from([(call, Vec::new())])
}

fn never() -> Result<Filters, BackendError> {
    let never = NEVER.iter().chain(&NEVER_HERE);
    let mut rules: Rules = never.map(|call| (*call, Vec::new())).collect();
    let namespaces = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    let namespaces = namespaces.map(|flag| has(0, u64::from(flag.unsigned_abs())));
    rules.insert(
        libc::SYS_clone,
        namespaces.into_iter().collect::<Result<_, _>>()?,
    );
    // A file that gives its user's rights to whoever starts it would outlive the sandbox.
    for (call, argument) in MODES.into_iter().chain(MODES_HERE) {
        let bits = [0o4000, 0o2000].map(|bit| has(argument, bit));
        rules.insert(call, bits.into_iter().collect::<Result<_, _>>()?);
    }
    // Other families reach the machine around the network namespace.
    let families = [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_NETLINK,
    ];
    let others = families
        .map(|family| condition(0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs())))
        .into_iter()
        .collect::<Result<_, _>>()?;
    let others = vec![SeccompRule::new(others)?];
    rules.insert(libc::SYS_socket, others.clone());
    rules.insert(libc::SYS_socketpair, others);
    // Typing into a terminal.
    let typing = [libc::TIOCSTI, libc::TIOCLINUX]
        .map(|request| SeccompRule::new(vec![condition(1, SeccompCmpOp::Eq, request)?]));
    rules.insert(
        libc::SYS_ioctl,
        typing.into_iter().collect::<Result<_, _>>()?,
    );
    Ok(vec![
        (rules, libc::EPERM),
        (absent(libc::SYS_clone3), libc::ENOSYS),
    ])
}

/// That an argument has this bit.
fn has(argument: u8, bit: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(argument, SeccompCmpOp::MaskedEq(bit), bit)?])
}

fn condition(
    argument: u8,
    comparison: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile() {
        for filters in [never(), no_more()] {
            for (rules, errno) in filters.expect("the rules are sound") {
                compile(rules, errno).expect("the rules are sound");
            }
        }
    }
}
