//! The kinds of failed requests, with the short names that reports show.

use std::fmt;
use std::io;

/// Why a request did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody listens.
    Refused,
    /// No way to the address.
    Unreachable,
    /// The server threw the connection away.
    Reset,
    /// The connection ended before the answer did.
    ClosedEarly,
    /// The deadline passed.
    TimedOut,
    /// A status other than 2xx.
    Status(u16),
    /// Not HTTP/1.x, or more bytes than announced.
    BadAnswer,
    /// 2xx, but not the body that was expected.
    BadBody,
    /// Anything else that the operating system reports of the connection.
    Other(io::ErrorKind),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Reset => f.write_str("reset"),
            Self::ClosedEarly => f.write_str("closed early"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::BadAnswer => f.write_str("bad answer"),
            Self::BadBody => f.write_str("bad body"),
            Self::Other(kind) => write!(f, "{kind}"),
        }
    }
}

impl Failure {
    /// What an error of the connection means, or the error itself when it is the generator's own:
    /// it ran out of file descriptors, ports or memory.
    pub(super) fn of(error: io::Error) -> io::Result<Self> {
        use rustix::io::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        if [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::PERM,
            Errno::ACCESS,
        ]
        .iter()
        .any(|own| errno == Some(*own))
        {
            return Err(error);
        }
        Ok(match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Self::Unreachable,
            kind => Self::Other(kind),
        })
    }

    /// Whether there is no server to talk to, so that asking again at once is pointless.
    pub(super) fn is_no_connection(self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_stable() {
        let names = [
            Failure::Refused,
            Failure::Reset,
            Failure::ClosedEarly,
            Failure::TimedOut,
            Failure::Status(503),
            Failure::BadAnswer,
            Failure::BadBody,
        ]
        .map(|failure| failure.to_string());
        let expected = [
            "refused",
            "reset",
            "closed early",
            "timed out",
            "status 503",
            "bad answer",
            "bad body",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn running_out_of_file_descriptors_is_not_the_servers_fault() {
        let own = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert!(Failure::of(own).is_err());
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Failure::of(refused).unwrap(), Failure::Refused);
    }
}
