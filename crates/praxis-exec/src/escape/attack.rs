use std::fmt;

/// One way in which a tool or an argument tries to get out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Attack {
    /// Reads and writes beside the workspace root, through `..` and by absolute paths.
    ParentFolder,
    /// The same through symlinks: of its own making, and one that lies in the workspace.
    Symlink,
    /// The same through `/proc`: the root, the folder and the open files of other processes.
    ProcRoot,
    /// Rewrites its own contract and program, adds a file to them, or puts another folder in their place.
    OwnContract,
    /// Makes or opens devices of the machine.
    Device,
    /// Makes a FIFO of its output file and waits in it for ever.
    Fifo,
    /// Starts processes for as long as it can.
    ForkBomb,
    /// Takes memory for as long as it can.
    MemoryHog,
    /// Prints far more than is allowed.
    EndlessOutput,
    /// Leaves a process behind that has left its session, its parent and its environment.
    DoubleFork,
    /// Ignores every request to end.
    IgnoredSignals,
    /// Connects to a port and to a socket of the machine.
    Network,
    /// Finds a way to the address at which clouds hand out credentials.
    MetadataAddress,
    /// Reads a file that is not the workspace's, and what is known of the process that runs Praxis.
    HostSecret,
    /// Looks for variables of the machine in its own environment.
    HostEnvironment,
    /// Is an argument that begins with `-`.
    DashArgument,
    /// Is an argument with a NUL in it.
    NulArgument,
    /// Is an argument of a million bytes.
    LongArgument,
    /// Prints what is no UTF-8.
    NonUtf8Output,
    /// Prints what a terminal would obey.
    TerminalEscape,
}

impl Attack {
    /// All of them, in the order of this page.
    pub const ALL: [Self; 20] = [
        Self::ParentFolder,
        Self::Symlink,
        Self::ProcRoot,
        Self::OwnContract,
        Self::Device,
        Self::Fifo,
        Self::ForkBomb,
        Self::MemoryHog,
        Self::EndlessOutput,
        Self::DoubleFork,
        Self::IgnoredSignals,
        Self::Network,
        Self::MetadataAddress,
        Self::HostSecret,
        Self::HostEnvironment,
        Self::DashArgument,
        Self::NulArgument,
        Self::LongArgument,
        Self::NonUtf8Output,
        Self::TerminalEscape,
    ];

    /// Its name as one `snake_case` word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ParentFolder => "parent_folder",
            Self::Symlink => "symlink",
            Self::ProcRoot => "proc_root",
            Self::OwnContract => "own_contract",
            Self::Device => "device",
            Self::Fifo => "fifo",
            Self::ForkBomb => "fork_bomb",
            Self::MemoryHog => "memory_hog",
            Self::EndlessOutput => "endless_output",
            Self::DoubleFork => "double_fork",
            Self::IgnoredSignals => "ignored_signals",
            Self::Network => "network",
            Self::MetadataAddress => "metadata_address",
            Self::HostSecret => "host_secret",
            Self::HostEnvironment => "host_environment",
            Self::DashArgument => "dash_argument",
            Self::NulArgument => "nul_argument",
            Self::LongArgument => "long_argument",
            Self::NonUtf8Output => "non_utf8_output",
            Self::TerminalEscape => "terminal_escape",
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
