//! Length-prefixed frames over a Unix socket: orders to the worker, and its answers.
//!
//! A frame is a length of four bytes, least significant first, and as many bytes: a tag and its fields.
//! A frame that starts a tool travels with three file descriptors, the tool's standard streams.
//! Lengths are checked against a bound before anything is kept, on both sides.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

/// The version of this protocol, which a worker says first.
pub const VERSION: u16 = 1;

/// The most bytes in an order. The kernel starts no program whose words and variables take more than 6 MiB.
pub const MAX_ORDER_BYTES: usize = 8 * 1024 * 1024;

/// The most bytes in an answer.
pub const MAX_ANSWER_BYTES: usize = 1024;

/// How many file descriptors travel with [`Order::Run`]: standard input, output and error.
pub const STREAMS: usize = 3;

/// What a worker is told. To kill what it runs, and itself, the socket is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start a tool; one at a time.
    Run(Run),
    /// Ask the processes of this call to end, by SIGTERM.
    Stop(u64),
    /// Show that you are there.
    Ping(u64),
}

/// A tool to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Names the call in what follows.
    pub call: u64,
    /// The folder that it starts in.
    pub folder: OsString,
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// Its environment, on top of that of the container.
    pub variables: Vec<(OsString, OsString)>,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The first frame: the version of the protocol.
    Hello(u16),
    /// Answers [`Order::Ping`] with its number.
    Pong(u64),
    /// The tool of this call could not be started.
    Refused {
        /// The call.
        call: u64,
        /// What the operating system said, as an `errno`.
        errno: i32,
        /// Whether the folder to start in was at fault.
        folder: bool,
    },
    /// The tool has ended, and so has everything that it started.
    Ended(Ended),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The call.
    pub call: u64,
    /// The tool's own end.
    pub exit: Exit,
    /// How many processes of the call the kernel killed for want of memory, where it tells.
    pub oom_kills: Option<u32>,
    /// Whether the folders to be emptied are empty.
    pub clean: bool,
    /// From the start of the tool to its end, in nanoseconds.
    pub nanoseconds: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Bytes that are no frame of this protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not a frame of protocol {VERSION}: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Collects bytes until they make a frame.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    limit: usize,
}

impl Inbox {
    /// An inbox that refuses frames of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether nothing waits here, not even the beginning of a frame.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the next frame, read by `decode`, if it is there in full.
    ///
    /// # Errors
    /// [`Malformed`] where the length is above the limit or `decode` says so.
    pub fn next<T>(
        &mut self,
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        let Some((length, rest)) = self.bytes.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > self.limit {
            return Err(Malformed("it is longer than any may be"));
        }
        let Some(frame) = rest.get(..length) else {
            return Ok(None);
        };
        let value = decode(frame)?;
        self.bytes.drain(..4 + length);
        // One long order must not be paid for as long as the worker lives.
        self.bytes.shrink_to(64 * 1024);
        Ok(Some(value))
    }
}

impl Order {
    /// The whole frame.
    ///
    /// # Errors
    /// [`Malformed`] where it would be longer than [`MAX_ORDER_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let mut frame = Frame::new();
        match self {
            Self::Run(run) => {
                frame.byte(0).u64(run.call);
                frame.bytes(run.folder.as_encoded_bytes());
                frame.count(run.words.len());
                for word in &run.words {
                    frame.bytes(word.as_encoded_bytes());
                }
                frame.count(run.variables.len());
                for (name, value) in &run.variables {
                    frame.bytes(name.as_encoded_bytes());
                    frame.bytes(value.as_encoded_bytes());
                }
            }
            Self::Stop(call) => frame.byte(1).u64(*call).end(),
            Self::Ping(number) => frame.byte(2).u64(*number).end(),
        }
        frame.finish(MAX_ORDER_BYTES)
    }

    /// Reads a frame without its length.
    ///
    /// # Errors
    /// [`Malformed`] where it is no order.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(frame);
        let order = match fields.byte()? {
            0 => {
                let call = fields.u64()?;
                let folder = fields.text()?;
                let words = fields.list(Fields::text)?;
                let variables = fields.list(|fields| Ok((fields.text()?, fields.text()?)))?;
                Self::Run(Run {
                    call,
                    folder,
                    words,
                    variables,
                })
            }
            1 => Self::Stop(fields.u64()?),
            2 => Self::Ping(fields.u64()?),
            _ => return Err(Malformed("there is no such order")),
        };
        fields.finish()?;
        Ok(order)
    }
}

impl Answer {
    /// The whole frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = Frame::new();
        match self {
            Self::Hello(version) => frame.byte(0).u64(u64::from(*version)).end(),
            Self::Pong(number) => frame.byte(1).u64(*number).end(),
            Self::Refused {
                call,
                errno,
                folder,
            } => frame.byte(2).u64(*call).i32(*errno).flag(*folder).end(),
            Self::Ended(ended) => {
                frame.byte(3).u64(ended.call);
                match ended.exit {
                    Exit::Code(code) => frame.byte(0).i32(code).end(),
                    Exit::Signal(signal) => frame.byte(1).i32(signal).end(),
                }
                frame
                    .flag(ended.oom_kills.is_some())
                    .u64(ended.oom_kills.unwrap_or(0).into())
                    .flag(ended.clean)
                    .u64(ended.nanoseconds)
                    .end();
            }
        }
        frame
            .finish(MAX_ANSWER_BYTES)
            .expect("an answer has a few numbers and nothing else")
    }

    /// Reads a frame without its length.
    ///
    /// # Errors
    /// [`Malformed`] where it is no answer.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(frame);
        let answer = match fields.byte()? {
            0 => Self::Hello(fields.narrow()?),
            1 => Self::Pong(fields.u64()?),
            2 => Self::Refused {
                call: fields.u64()?,
                errno: fields.i32()?,
                folder: fields.flag()?,
            },
            3 => {
                let call = fields.u64()?;
                let exit = match (fields.flag()?, fields.i32()?) {
                    (false, code) => Exit::Code(code),
                    (true, signal) => Exit::Signal(signal),
                };
                let (counted, oom_kills) = (fields.flag()?, fields.narrow()?);
                Self::Ended(Ended {
                    call,
                    exit,
                    oom_kills: counted.then_some(oom_kills),
                    clean: fields.flag()?,
                    nanoseconds: fields.u64()?,
                })
            }
            _ => return Err(Malformed("there is no such answer")),
        };
        fields.finish()?;
        Ok(answer)
    }
}

/// A frame in the making.
pub(crate) struct Frame(Vec<u8>);

impl Frame {
    pub(crate) fn new() -> Self {
        Self(vec![0; 4])
    }

    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Self {
        self.byte(flag.into())
    }

    fn i32(&mut self, number: i32) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(crate) fn count(&mut self, count: usize) {
        // More than fits makes a frame that is too long anyway.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&count.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn end(&mut self) {}

    pub(crate) fn finish(mut self, limit: usize) -> Result<Vec<u8>, Malformed> {
        let length = self.0.len() - 4;
        if length > limit {
            return Err(Malformed("it is longer than any may be"));
        }
        let length = u32::try_from(length).expect("the limit is below 4 GiB");
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        Ok(self.0)
    }
}

/// What is left to read of a frame.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (chunk, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.chunk().map(|[byte]| byte)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a flag is neither 0 nor 1")),
        }
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.chunk().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.u64()?).map_err(|_| Malformed("a number is too large"))
    }

    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        self.chunk().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A text without a NUL in it, as the kernel takes it.
    pub(crate) fn text(&mut self) -> Result<OsString, Malformed> {
        let bytes = self.bytes()?;
        if bytes.contains(&0) {
            return Err(Malformed("a text holds a NUL"));
        }
        Ok(OsString::from_vec(bytes.to_vec()))
    }

    pub(crate) fn list<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count()?;
        // An item takes four bytes at least, so a count that lies reserves nothing.
        if count > self.0.len() / 4 {
            return Err(SHORT);
        }
        (0..count).map(|_| item(self)).collect()
    }

    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        match self.0 {
            [] => Ok(()),
            _ => Err(Malformed("there is more in it than its fields")),
        }
    }
}

const SHORT: Malformed = Malformed("it ends before its fields do");
