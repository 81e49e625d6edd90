//! One connection: sends a prepared request, reads the answer, and is opened again when it must be.
//!
//! Non-blocking and edge-triggered; [`super::worker`] says when the socket is ready and what comes
//! next. Counts nothing, knows no clock.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::answer::{Answer, Fed};
use super::failure::Failure;

/// One connection, open or not.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Option<TcpStream>,
    token: Token,
    address: SocketAddr,
    phase: Phase,
    /// The server said that it will send no more.
    ended: bool,
    answer: Answer,
    opened: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Connecting,
    /// So many bytes of the request are written.
    Sending(usize),
    Receiving,
}

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// More must happen at the socket.
    Pending,
    /// The answer is whole and has this status.
    Answered(u16),
    /// There is no answer.
    Failed(Failure),
}

/// What the poll said about a socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) writable: bool,
    pub(super) read_closed: bool,
}

impl Connection {
    /// A connection that is not open yet. Its events carry `token`.
    pub(super) fn new(token: Token, address: SocketAddr) -> Self {
        Self {
            stream: None,
            token,
            address,
            phase: Phase::Idle,
            ended: false,
            answer: Answer::default(),
            opened: 0,
        }
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// Whether the whole request was handed to the operating system.
    pub(super) fn is_sent(&self) -> bool {
        self.phase == Phase::Receiving
    }

    /// How often the server let it in.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// The last answer's body, if it was kept.
    pub(super) fn body(&self) -> Option<&[u8]> {
        self.answer.body()
    }

    /// Starts a request. `request` must be the same at each call until the request is over.
    ///
    /// # Errors
    /// The generator itself cannot open connections.
    pub(super) fn start(
        &mut self,
        registry: &Registry,
        request: &[u8],
        keep_body: bool,
    ) -> io::Result<Step> {
        self.answer.expect(request.starts_with(b"HEAD "), keep_body);
        if self.ended {
            self.close();
        }
        if self.stream.is_some() {
            self.phase = Phase::Sending(0);
            return self.send(request);
        }
        let mut stream = match TcpStream::connect(self.address) {
            Ok(stream) => stream,
            Err(error) => return Ok(Step::Failed(Failure::of(error)?)),
        };
        registry.register(
            &mut stream,
            self.token,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        self.stream = Some(stream);
        self.phase = Phase::Connecting;
        Ok(Step::Pending)
    }

    /// Goes on after the socket became ready.
    ///
    /// # Errors
    /// The generator itself cannot go on.
    pub(super) fn go_on(
        &mut self,
        ready: Ready,
        request: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<Step> {
        self.ended |= ready.read_closed;
        match self.phase {
            Phase::Idle => {
                // Nothing was asked, so whatever came makes the connection useless.
                if self.ended || self.has_bytes(buffer) {
                    self.close();
                }
                Ok(Step::Pending)
            }
            Phase::Connecting => {
                let Some(stream) = &self.stream else {
                    return Ok(Step::Pending);
                };
                if let Some(error) = stream.take_error()? {
                    return self.fail(error);
                }
                match stream.peer_addr() {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        return Ok(Step::Pending);
                    }
                    Err(error) => return self.fail(error),
                }
                // A request is one write. Without this, one that follows a lost acknowledgement
                // would wait for it.
                let _ = stream.set_nodelay(true);
                self.opened += 1;
                self.phase = Phase::Sending(0);
                self.send(request)
            }
            Phase::Sending(_) => {
                if ready.writable {
                    let step = self.send(request)?;
                    if step != Step::Pending || self.phase == Phase::Receiving {
                        return Ok(step);
                    }
                }
                // Some servers answer before they have read it all.
                self.receive(buffer)
            }
            Phase::Receiving => self.receive(buffer),
        }
    }

    /// Throws the connection away, and the request with it.
    pub(super) fn close(&mut self) {
        // Dropping closes the socket, and that takes it out of the poll.
        self.stream = None;
        self.phase = Phase::Idle;
        self.ended = false;
    }

    fn send(&mut self, request: &[u8]) -> io::Result<Step> {
        let (Some(stream), Phase::Sending(mut written)) = (&mut self.stream, self.phase) else {
            return Ok(Step::Pending);
        };
        loop {
            match stream.write(&request[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.phase = Phase::Sending(written);
                    return Ok(Step::Pending);
                }
                Err(error) => return self.fail(error),
            }
            if written == request.len() {
                self.phase = Phase::Receiving;
                return Ok(Step::Pending);
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Step> {
        loop {
            let Some(stream) = &mut self.stream else {
                return Ok(Step::Pending);
            };
            match stream.read(buffer) {
                Ok(0) => {
                    let whole = self.answer.end();
                    self.close();
                    return Ok(if whole {
                        Step::Answered(self.answer.status())
                    } else {
                        Step::Failed(Failure::ClosedEarly)
                    });
                }
                Ok(count) => match self.answer.feed(&buffer[..count]) {
                    Ok(Fed::Whole { used }) if used == count => {
                        let reusable = self.answer.keep_alive() && self.is_sent() && !self.ended;
                        if reusable {
                            self.phase = Phase::Idle;
                        } else {
                            self.close();
                        }
                        return Ok(Step::Answered(self.answer.status()));
                    }
                    Ok(Fed::Whole { .. }) | Err(_) => {
                        self.close();
                        return Ok(Step::Failed(Failure::BadAnswer));
                    }
                    // A short read emptied the socket, so the next bytes make a new event. The end
                    // of the connection may have been told already.
                    Ok(Fed::Part) if count < buffer.len() && !self.ended => {
                        return Ok(Step::Pending);
                    }
                    Ok(Fed::Part) => {}
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Step::Pending);
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    fn fail(&mut self, error: io::Error) -> io::Result<Step> {
        self.close();
        Ok(Step::Failed(Failure::of(error)?))
    }

    fn has_bytes(&mut self, buffer: &mut [u8]) -> bool {
        match &mut self.stream {
            Some(stream) => !matches!(
                stream.read(buffer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock
            ),
            None => false,
        }
    }
}
