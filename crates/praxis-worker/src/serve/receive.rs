//! Orders as they come in, with the file descriptors that travel with them.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use praxis_worker::frames::{Inbox, MAX_ORDER_BYTES, Order, STREAMS};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

const CHUNK: usize = 32 * 1024;

/// The orders on a socket.
pub(super) struct Orders<'a> {
    stream: &'a UnixStream,
    inbox: Inbox,
    chunk: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl<'a> Orders<'a> {
    pub(super) fn new(stream: &'a UnixStream) -> Self {
        Self {
            stream,
            inbox: Inbox::new(MAX_ORDER_BYTES),
            chunk: vec![0; CHUNK],
            descriptors: Vec::new(),
        }
    }

    /// The next order; `None` when the socket has closed.
    pub(super) fn next(&mut self) -> Result<Option<Order>, String> {
        loop {
            let order = self.inbox.next(Order::decode);
            if let Some(order) = order.map_err(|error| error.to_string())? {
                return Ok(Some(order));
            }
            if self.receive()? == 0 {
                return match self.inbox.is_empty() {
                    true => Ok(None),
                    false => Err("the socket closed in the middle of an order".to_owned()),
                };
            }
        }
    }

    /// The streams that came with the order to start a tool.
    pub(super) fn streams(&mut self) -> Result<[OwnedFd; STREAMS], String> {
        <[OwnedFd; STREAMS]>::try_from(std::mem::take(&mut self.descriptors))
            .map_err(|other| format!("{} streams came with a tool, not {STREAMS}", other.len()))
    }

    fn receive(&mut self) -> Result<usize, String> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut self.chunk)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            match recvmsg(self.stream, &mut slices, &mut ancillary, flags) {
                Err(rustix::io::Errno::INTR) => {}
                // Praxis was killed with answers unread.
                Err(rustix::io::Errno::CONNRESET) => return Ok(0),
                other => break other.map_err(|error| format!("cannot receive: {error}"))?,
            }
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > STREAMS {
            return Err("more streams came than one tool has".to_owned());
        }
        self.inbox.push(&self.chunk[..received.bytes]);
        Ok(received.bytes)
    }
}
