//! The launcher on Linux.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, Scope, make_bitflags, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::Launch;
use crate::confinement::Confinement;
use crate::evidence::Confined;

pub(super) fn launch(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.peekable();
    if arguments
        .peek()
        .is_some_and(|argument| argument == super::PROBE)
    {
        return probe();
    }
    let told = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map(File::from);
    let error = match become_program(arguments) {
        // `exec` only returns when it failed: then the program is to blame, or its absence.
        Ok(error) => format!("exec {}", error.raw_os_error().unwrap_or(0)),
        Err(error) => format!("{error:#}"),
    };
    if let Ok(mut told) = told {
        let _ = told.write_all(error.as_bytes());
    }
    ExitCode::FAILURE
}

fn become_program(mut arguments: impl Iterator<Item = OsString>) -> Result<std::io::Error> {
    let spec = arguments.next().context("the launcher got nothing to do")?;
    let spec = spec.to_str().context("read what to confine")?;
    let launch: Launch = serde_json::from_str(spec).context("read what to confine")?;
    let program = arguments.next().context("the launcher got no program")?;
    let nothing = File::open("/dev/null").context("open /dev/null")?;
    rustix::stdio::dup2_stdin(&nothing).context("take stdin away")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("ask to end with feedgrade")?;
    rustix::process::setsid().context("open a session")?;
    for entrance in &launch.entrances {
        std::fs::write(entrance, "0").with_context(|| format!("join {}", entrance.display()))?;
    }
    crate::cores::hold(&launch.cores);
    limit(&launch.confinement)?;
    rustix::thread::set_no_new_privs(true).context("give up new privileges")?;
    restrict_files(&launch.confinement)?;
    give_up_capabilities()?;
    for filter in filters(&launch.confinement)? {
        seccompiler::apply_filter(&filter).context("restrict system calls")?;
    }
    Ok(Command::new(program).args(arguments).exec())
}

/// What root can do beyond others is in none of its programs: not even after `exec`, which gives
/// root whatever is in the bounding set.
fn give_up_capabilities() -> Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets};
    for capability in CapabilitySet::all().iter() {
        // Who may not do this has none to give up; older kernels do not know all of them.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets).context("give up capabilities")
}

/// What one process may use; the rest is counted from outside.
fn limit(confinement: &Confinement) -> Result<()> {
    let limits = &confinement.limits;
    for (resource, most) in [
        (Resource::Fsize, limits.disk),
        (Resource::Cpu, limits.cpu),
        (Resource::Core, 0),
        // Reserved and not used, for the stacks of threads, is no memory yet.
        (Resource::Data, limits.memory.saturating_mul(4)),
        (Resource::Memlock, 8 << 20),
        (Resource::Msgqueue, 0),
        // The same everywhere: how many sockets a server can open must not depend on who grades.
        (Resource::Nofile, 4_096),
    ] {
        let hard = rustix::process::getrlimit(resource).maximum;
        // Past the first limit of CPU time a program is told by a signal of its own.
        let past = if resource == Resource::Cpu { 5 } else { 0 };
        let within = |most: u64| Some(hard.map_or(most, |hard| hard.min(most)));
        setrlimit(
            resource,
            Rlimit {
                current: within(most),
                maximum: within(most + past),
            },
        )
        .with_context(|| format!("limit {resource:?}"))?;
    }
    Ok(())
}

/// All that Landlock knows up to ABI 6, which came with Linux 6.12.
fn restrict_files(confinement: &Confinement) -> Result<LandlockStatus> {
    let read = AccessFs::from_read(ABI::V5);
    let write = make_bitflags!(AccessFs::{
        WriteFile | Truncate | RemoveFile | RemoveDir | MakeDir | MakeReg | MakeSym | MakeFifo
            | Refer
    });
    let device = make_bitflags!(AccessFs::{ReadFile | WriteFile});
    let port = |access: AccessNet| {
        move |port: &u16| Ok::<_, landlock::RulesetError>(NetPort::new(*port, access))
    };
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(&confinement.read, read))?
        .add_rules(path_beneath_rules(&confinement.write, read | write))?
        .add_rules(path_beneath_rules(
            ["null", "zero", "full", "random", "urandom"].map(|name| Path::new("/dev").join(name)),
            device,
        ))?
        // Opened here, so it is this process's own, and remains so when it becomes the program.
        .add_rules(path_beneath_rules(
            ["/proc/self"],
            AccessFs::from_read(ABI::V5),
        ))?
        .add_rules(confinement.listen.iter().map(port(AccessNet::BindTcp)))?
        .add_rules(confinement.connect.iter().map(port(AccessNet::ConnectTcp)))?
        .restrict_self()
        .context("restrict files")?;
    Ok(status.landlock)
}

/// System calls that no server and no compiler needs: other processes, the kernel's insides,
/// namespaces, and every way around the rules for files and ports.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_process_madvise,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Its operations pass by the filter for sockets.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    // Shared memory and queues of System V outlive their process.
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    // Nobody takes more of the processors than his share.
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setaffinity,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    // Nobody becomes somebody else.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// System calls on the modes, owners and times of files, which Landlock does not know.
const MODES: &[libc::c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    // `fchmodat2`, which `libc` does not name yet everywhere.
    452,
];

const OWNERS: &[libc::c_long] = &[
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];

fn argument(index: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value)
        .context("write a rule for a system call")
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule> {
    SeccompRule::new(conditions).context("write a rule for a system call")
}

fn filters(confinement: &Confinement) -> Result<Vec<BpfProgram>> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let unsigned = |flag: libc::c_int| u64::from(flag.cast_unsigned());
    let all = |calls: &[libc::c_long]| -> BTreeMap<i64, Vec<SeccompRule>> {
        calls.iter().map(|call| (*call, Vec::new())).collect()
    };
    let mut rules = all(REFUSED);
    // Programs that copy or unpack files give them owners, modes and times, and stop where they
    // cannot. They are told that they could.
    let mut pretended = all(OWNERS);
    if !confinement.changes_modes {
        pretended.extend(all(MODES));
    }
    let has_network = !(confinement.listen.is_empty() && confinement.connect.is_empty());
    let (inet, inet6) = (unsigned(libc::AF_INET), unsigned(libc::AF_INET6));
    let mut sockets = vec![rule(vec![argument(0, Ne, inet)?, argument(0, Ne, inet6)?])?];
    for family in [inet, inet6] {
        let of_family = || argument(0, Eq, family);
        if has_network {
            // TCP and nothing else: Landlock does not watch the rest. The low bits are the type.
            for kind in (0..16).filter(|kind| *kind != unsigned(libc::SOCK_STREAM)) {
                sockets.push(rule(vec![of_family()?, argument(1, MaskedEq(0xf), kind)?])?);
            }
            let (any, tcp) = (0, unsigned(libc::IPPROTO_TCP));
            sockets.push(rule(vec![
                of_family()?,
                argument(2, Ne, any)?,
                argument(2, Ne, tcp)?,
            ])?);
        } else {
            sockets.push(rule(vec![of_family()?])?);
        }
    }
    rules.insert(libc::SYS_socket, sockets);
    // Sending on a socket that is not connected connects it, past the rule for ports.
    let fast_open = unsigned(libc::MSG_FASTOPEN);
    for (call, flags) in [
        (libc::SYS_sendto, 3),
        (libc::SYS_sendmsg, 2),
        (libc::SYS_sendmmsg, 3),
    ] {
        let is_fast_open = argument(flags, MaskedEq(fast_open), fast_open)?;
        rules.insert(call, vec![rule(vec![is_fast_open])?]);
    }
    // The limits of any process of the same user, feedgrade's among them; 0 is its own.
    let is_anothers = argument(0, Ne, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![is_anothers])?]);
    // New namespaces.
    let mut clones = Vec::new();
    for flag in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        let flag = unsigned(flag);
        clones.push(rule(vec![argument(0, MaskedEq(flag), flag)?])?);
    }
    rules.insert(libc::SYS_clone, clones);
    let compile = |rules, errno: libc::c_int| -> Result<BpfProgram> {
        let arch = std::env::consts::ARCH
            .try_into()
            .context("filter system calls")?;
        let errno = SeccompAction::Errno(errno.cast_unsigned());
        SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)
            .and_then(TryInto::try_into)
            .context("write the filter for system calls")
    };
    // Its flags are behind a pointer; whoever calls it takes `clone` where it is not there.
    let newer = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let mut filters = vec![compile(rules, libc::EACCES)?, compile(newer, libc::ENOSYS)?];
    if !pretended.is_empty() {
        filters.push(compile(pretended, 0)?);
    }
    Ok(filters)
}

/// Confines this very process, tells what came of it on stdout, and ends it.
fn probe() -> ExitCode {
    let mut reached = Confined::default();
    let confinement = Confinement::of_server(
        &crate::exercise::ServerSpec::default(),
        &[],
        Path::new("/nowhere"),
        1,
        1,
    );
    let mut note = |what: &str, done: Result<Option<String>>| match done {
        Ok(None) => reached.enforced.push(what.into()),
        Ok(Some(missing)) => reached.missing.push(missing),
        Err(error) => reached.missing.push(format!("{what}: {error:#}")),
    };
    note("rlimits", limit(&confinement).map(|()| None));
    let privileges = rustix::thread::set_no_new_privs(true).context("prctl");
    note("no new privileges", privileges.map(|()| None));
    // Last of all in earnest; here it is all the same.
    note("capabilities", give_up_capabilities().map(|()| None));
    let landlock = restrict_files(&confinement);
    for (what, since, linux) in [
        ("Landlock for files", ABI::V1, "5.13"),
        ("truncation", ABI::V3, "6.2"),
        ("TCP ports", ABI::V4, "6.7"),
        ("signals", ABI::V6, "6.12"),
    ] {
        note(
            what,
            match &landlock {
                Ok(LandlockStatus::Available { effective_abi, .. }) if *effective_abi >= since => {
                    Ok(None)
                }
                Ok(LandlockStatus::Available { .. }) => Ok(Some(format!(
                    "{what}: this kernel's Landlock is too old, Linux {linux} or newer has it"
                ))),
                Ok(_) => Ok(Some(format!("{what}: this kernel runs without Landlock"))),
                Err(error) => Ok(Some(format!("{what}: {error:#}"))),
            },
        );
    }
    let filtered = filters(&confinement).and_then(|filters| {
        for filter in filters {
            seccompiler::apply_filter(&filter).context("seccomp")?;
        }
        Ok(None)
    });
    note("system calls", filtered);
    let text = serde_json::to_string(&reached).unwrap_or_default();
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
