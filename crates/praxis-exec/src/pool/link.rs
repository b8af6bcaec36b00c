//! The socket between Praxis and the worker in a container.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use praxis_worker::frames::{Answer, Inbox, MAX_ANSWER_BYTES, Malformed, Order, STREAMS, VERSION};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

/// A worker that has dialled in. Dropped, it closes the socket, and the worker and all that it runs end.
pub(super) struct Link {
    stream: UnixStream,
    inbox: Inbox,
    last: u64,
}

/// Why nothing can be had from a worker any more.
#[derive(Debug)]
pub(super) enum Lost {
    Closed,
    Failed(io::Error),
    Nonsense(Malformed),
    Version(u16),
    Unexpected,
}

impl Link {
    /// Waits for a worker to dial in and to say that it speaks this protocol.
    pub(super) async fn accept(listener: &UnixListener) -> Result<Self, Lost> {
        let (stream, _) = listener.accept().await.map_err(Lost::Failed)?;
        let mut link = Self {
            stream,
            inbox: Inbox::new(MAX_ANSWER_BYTES),
            last: 0,
        };
        match link.answer().await? {
            Answer::Hello(VERSION) => Ok(link),
            Answer::Hello(other) => Err(Lost::Version(other)),
            _ => Err(Lost::Unexpected),
        }
    }

    /// A number that no order of this worker has had.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Whether the worker is there and has nothing to say, as it must be between two orders.
    pub(super) fn is_quiet(&self) -> bool {
        let mut byte = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let received = recv(&self.stream, &mut byte[..], flags);
        self.inbox.is_empty() && matches!(received, Err(rustix::io::Errno::AGAIN))
    }

    /// Sends an order. If it fails, the worker has not got all of it, and so does nothing of it.
    pub(super) async fn send(&self, order: &[u8], streams: &[OwnedFd]) -> io::Result<()> {
        let streams: Vec<BorrowedFd<'_>> = streams.iter().map(AsFd::as_fd).collect();
        let first = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !streams.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(&streams));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let slices = [IoSlice::new(order)];
            Ok(sendmsg(&self.stream, &slices, &mut ancillary, flags)?)
        };
        let mut sent = self.stream.async_io(Interest::WRITABLE, first).await?;
        while sent < order.len() {
            self.stream.writable().await?;
            match self.stream.try_write(&order[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next answer. Waiting for it may be given up and taken up again.
    pub(super) async fn answer(&mut self) -> Result<Answer, Lost> {
        let mut chunk = [0; 256];
        loop {
            let answer = self.inbox.next(Answer::decode).map_err(Lost::Nonsense)?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
            self.stream.readable().await.map_err(Lost::Failed)?;
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Err(Lost::Closed),
                Ok(count) => self.inbox.push(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(Lost::Closed);
                }
                Err(error) => return Err(Lost::Failed(error)),
            }
        }
    }

    /// Whether the worker answers.
    pub(super) async fn ping(&mut self) -> Result<(), Lost> {
        let number = self.number();
        let order = Order::Ping(number).encode().map_err(Lost::Nonsense)?;
        self.send(&order, &[]).await.map_err(Lost::Failed)?;
        match self.answer().await? {
            Answer::Pong(answered) if answered == number => Ok(()),
            _ => Err(Lost::Unexpected),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("its container has ended"),
            Self::Failed(error) => write!(formatter, "its socket failed: {error}"),
            Self::Nonsense(error) => write!(formatter, "its worker said what is {error}"),
            Self::Version(version) => write!(
                formatter,
                "its worker speaks protocol {version}, not {VERSION}"
            ),
            Self::Unexpected => formatter.write_str("its worker said what it was not asked"),
        }
    }
}
