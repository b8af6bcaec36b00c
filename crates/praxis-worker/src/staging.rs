//! What Praxis says to the stages that it runs the tools of this machine on, and what they answer.
//!
//! A *keeper* (`praxis-worker sandbox LEVEL …`) has a Unix socket as its standard input.
//! It says that it is ready, and from then on starts one stage for each socket that it is sent: one byte of
//! [`Network`] with one file descriptor. A *stage* prepares itself, says that it is ready, takes one
//! order (one byte, [`START`], with the file descriptors of [`FIXED_FILES`] and of cgroups to join), runs one tool,
//! kills all that the tool left behind, says how it ended, and ends too.
//! The order itself is in a file in memory, the first of the descriptors, so that its length bounds no socket.
//! A stage whose socket is closed kills everything: Praxis has gone.

use std::ffi::OsString;
use std::fmt;

use crate::frames::{Fields, Frame, Malformed};

/// The bytes of an answer, always.
pub const ANSWER_BYTES: usize = 8;

/// The most bytes in an order.
pub const MAX_ORDER_BYTES: usize = 16 * 1024 * 1024;

/// Comes with the file descriptors that a tool is started with.
pub const START: u8 = b'r';

/// Asks all processes of the tool to end, by SIGTERM.
pub const STOP: u8 = b's';

/// Has all processes of the tool killed.
pub const KILL: u8 = b'k';

/// The file descriptors that come with every order: itself, then standard input, output and error.
pub const FIXED_FILES: usize = 4;

/// The most file descriptors that come with an order.
pub const MAX_FILES: usize = FIXED_FILES + 4;

/// Where a sandbox, and a container without an image, has the programs and libraries of the machine, as far as they are there.
pub const PROGRAMS: [&str; 10] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/libexec",
    "/nix/store",
    "/gnu/store",
];

/// What a stage can reach on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Nothing but itself.
    Own,
    /// What the machine can.
    Host,
}

impl Network {
    /// The byte that asks a keeper for it.
    pub fn byte(self) -> u8 {
        match self {
            Self::Own => b'o',
            Self::Host => b'h',
        }
    }

    /// The network of a byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Own, Self::Host]
            .into_iter()
            .find(|network| network.byte() == byte)
    }
}

/// A tool to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The program.
    pub program: OsString,
    /// Its arguments, without its name.
    pub words: Vec<OsString>,
    /// All of its environment.
    pub variables: Vec<(OsString, OsString)>,
    /// The folder that it starts in.
    pub folder: OsString,
    /// What the level `sandbox` shows beside the programs of the machine; later ones lie over earlier ones.
    pub binds: Vec<Bind>,
    /// The most bytes that a file may grow to, 0 for no bound.
    pub file_bytes: u64,
}

/// A file or folder of the machine at a path of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Absolute and without symlinks.
    pub source: OsString,
    /// Absolute, and without `..`.
    pub target: OsString,
    /// Whether the tool may only read it.
    pub read_only: bool,
}

impl Order {
    /// The bytes of the order.
    ///
    /// # Errors
    /// [`Malformed`] where they would be more than [`MAX_ORDER_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let mut frame = Frame::new();
        frame.bytes(self.program.as_encoded_bytes());
        frame.count(self.words.len());
        for word in &self.words {
            frame.bytes(word.as_encoded_bytes());
        }
        frame.count(self.variables.len());
        for (name, value) in &self.variables {
            frame.bytes(name.as_encoded_bytes());
            frame.bytes(value.as_encoded_bytes());
        }
        frame.bytes(self.folder.as_encoded_bytes());
        frame.count(self.binds.len());
        for bind in &self.binds {
            frame.bytes(bind.source.as_encoded_bytes());
            frame.bytes(bind.target.as_encoded_bytes());
            frame.flag(bind.read_only);
        }
        frame.u64(self.file_bytes);
        frame.finish(MAX_ORDER_BYTES)
    }

    /// Reads an order.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are no order.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (_length, rest) = bytes
            .split_at_checked(4)
            .ok_or(Malformed("it is too short"))?;
        let mut fields = Fields(rest);
        let order = Self {
            program: fields.text()?,
            words: fields.list(Fields::text)?,
            variables: fields.list(|fields| Ok((fields.text()?, fields.text()?)))?,
            folder: fields.text()?,
            binds: fields.list(|fields| {
                Ok(Bind {
                    source: fields.text()?,
                    target: fields.text()?,
                    read_only: fields.flag()?,
                })
            })?,
            file_bytes: fields.u64()?,
        };
        fields.finish()?;
        Ok(order)
    }
}

/// What a keeper or a stage says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It can be given work.
    Ready,
    /// It cannot go on: this step failed with this `errno`. The tool did not start.
    Failed(Step, i32),
    /// The tool has ended with this status, as `wait` gives it, and so has all that it started.
    Ended(i32),
}

impl Answer {
    /// The bytes of the answer.
    pub fn encode(self) -> [u8; ANSWER_BYTES] {
        let (tag, step, number) = match self {
            Self::Ready => (0, 0, 0),
            Self::Failed(step, errno) => (1, step as u8, errno),
            Self::Ended(status) => (2, 0, status),
        };
        let [a, b, c, d] = number.to_le_bytes();
        [tag, step, 0, 0, a, b, c, d]
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are none.
    pub fn decode(bytes: [u8; ANSWER_BYTES]) -> Result<Self, Malformed> {
        let [tag, step, _, _, a, b, c, d] = bytes;
        let number = i32::from_le_bytes([a, b, c, d]);
        match tag {
            0 => Ok(Self::Ready),
            1 => Step::ALL
                .into_iter()
                .find(|known| *known as u8 == step)
                .map(|step| Self::Failed(step, number))
                .ok_or(Malformed("there is no such step")),
            2 => Ok(Self::Ended(number)),
            _ => Err(Malformed("there is no such answer")),
        }
    }
}

macro_rules! steps {
    ($($(#[doc = $doc:literal])* $step:ident: $does:literal,)*) => {
        /// A step on the way to a tool that runs, for the words of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Step {
            $($(#[doc = $doc])* $step,)*
        }

        impl Step {
            /// All steps.
            pub const ALL: [Self; [$(Self::$step),*].len()] = [$(Self::$step),*];

            /// What the step does, as in "cannot …".
            pub fn does(self) -> &'static str {
                match self {
                    $(Self::$step => $does,)*
                }
            }
        }
    };
}

steps! {
    /// `unshare(CLONE_NEWUSER)` and its maps.
    UserNamespace: "make a user namespace",
    /// `unshare(CLONE_NEWNS)`.
    MountNamespace: "make a mount namespace",
    /// `unshare(CLONE_NEWPID)`.
    ProcessNamespace: "make a process namespace",
    /// `unshare(CLONE_NEWNET)`.
    NetworkNamespace: "make a network namespace",
    /// `unshare(CLONE_NEWIPC)`.
    IpcNamespace: "make an IPC namespace",
    /// `unshare(CLONE_NEWUTS)`.
    HostNameNamespace: "make a host name namespace",
    /// The file system that the sandbox starts from.
    Root: "build the sandbox's root file system",
    /// `/proc` of the sandbox.
    Proc: "mount /proc for a process namespace",
    /// A folder that the tool is to see.
    Bind: "show a folder to the sandbox",
    /// `pivot_root`.
    Pivot: "change the root file system",
    /// The cgroup of the call.
    Cgroup: "enter a cgroup",
    /// Resource limits, the session, no-new-privileges.
    Limits: "limit the process",
    /// Dropping all capabilities.
    Capabilities: "drop capabilities",
    /// Landlock.
    Landlock: "restrict itself with Landlock",
    /// The system call filter.
    Seccomp: "filter system calls with seccomp",
    /// The folder to start in.
    Folder: "enter the folder to start in",
    /// Starting the program.
    Start: "start the program",
    /// Reading an order.
    Order: "read its order",
    /// Starting a stage.
    Stage: "start a stage",
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.does())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_survive_the_way() {
        let order = Order {
            program: "/bin/echo".into(),
            words: vec!["-n".into(), "".into()],
            variables: vec![("A".into(), "b=c".into())],
            folder: "/w".into(),
            binds: vec![Bind {
                source: "/a".into(),
                target: "/b".into(),
                read_only: true,
            }],
            file_bytes: 7,
        };
        let bytes = order.encode().expect("it is short");
        assert_eq!(Order::decode(&bytes), Ok(order));
        for cut in 0..bytes.len() {
            assert!(Order::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        let answers = [Answer::Ready, Answer::Ended(-1), Answer::Ended(0x0b)];
        let failures = Step::ALL.map(|step| Answer::Failed(step, 13));
        for answer in answers.into_iter().chain(failures) {
            assert_eq!(Answer::decode(answer.encode()), Ok(answer));
        }
        assert!(Answer::decode([9, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(Answer::decode([1, 255, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
