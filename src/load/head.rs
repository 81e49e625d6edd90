//! The head of an HTTP/1.x answer: its status, where its body ends (RFC 9112, section 6.3), and
//! whether the connection stays.
//!
//! Reads whole heads; [`super::answer`] puts them together.

use std::mem::MaybeUninit;

/// A head is at most this many bytes long.
pub(super) const LONGEST_HEAD: usize = 64 << 10;
const MOST_HEADERS: usize = 128;

/// The bytes are no HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What some bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// A head that goes on.
    Part,
    /// The head of an interim answer (1xx); another head follows.
    Interim {
        /// In bytes.
        length: usize,
    },
    /// The head of the answer.
    Final {
        /// In bytes.
        length: usize,
        status: u16,
        /// Its body, unless the request was a HEAD.
        body: Ending,
        /// Whether the connection may carry another request, if the body's end can be told at all.
        keep_alive: bool,
    },
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// After so many bytes.
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

impl Head {
    /// Looks at the beginning of an answer.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let length = match httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, bytes, &mut headers)
            .map_err(|_| Malformed)?
        {
            httparse::Status::Complete(length) if length <= LONGEST_HEAD => length,
            httparse::Status::Partial if bytes.len() <= LONGEST_HEAD => return Ok(Self::Part),
            _ => return Err(Malformed),
        };
        let status = response.code.ok_or(Malformed)?;
        match status {
            // Nobody asked for another protocol.
            101 => return Err(Malformed),
            100..200 => return Ok(Self::Interim { length }),
            _ => {}
        }
        let framing = Framing::of(response.headers)?;
        let body = match (framing.chunked, framing.length) {
            _ if status == 204 || status == 304 => Ending::Length(0),
            (Some(true), _) => Ending::Chunked,
            (None, Some(length)) => Ending::Length(length),
            (Some(false), _) | (None, None) => Ending::Close,
        };
        Ok(Self::Final {
            length,
            status,
            body,
            keep_alive: framing.keep_alive(response.version == Some(1)),
        })
    }
}

/// What the headers say about the body's end and the connection.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    /// `Transfer-Encoding`, which outranks the length: whether `chunked` is the last coding.
    chunked: Option<bool>,
    close: bool,
    explicit_keep_alive: bool,
}

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, Malformed> {
        let mut framing = Self::default();
        for header in headers {
            // Lengths first: most headers are told apart by that alone.
            match header.name.len() {
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let length = decimal(header.value)?;
                    if framing.length.is_some_and(|before| before != length) {
                        return Err(Malformed);
                    }
                    framing.length = Some(length);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    let last = header.value.rsplit(|&byte| byte == b',').next();
                    framing.chunked =
                        last.map(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    for token in header.value.split(|&byte| byte == b',') {
                        let token = token.trim_ascii();
                        framing.close |= token.eq_ignore_ascii_case(b"close");
                        framing.explicit_keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                _ => {}
            }
        }
        Ok(framing)
    }

    /// Whether the connection stays, by version and header.
    fn keep_alive(&self, version_1_1: bool) -> bool {
        !self.close && (version_1_1 || self.explicit_keep_alive)
    }
}

fn decimal(value: &[u8]) -> Result<u64, Malformed> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > 18 {
        return Err(Malformed);
    }
    value.iter().try_fold(0_u64, |so_far, byte| {
        if byte.is_ascii_digit() {
            Ok(so_far * 10 + u64::from(byte - b'0'))
        } else {
            Err(Malformed)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(headers: &str) -> Result<Ending, Malformed> {
        match Head::parse(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes())? {
            Head::Final { body, .. } => Ok(body),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bodys_end_is_where_its_headers_say() {
        assert_eq!(body("Content-Length:  5 \r\n"), Ok(Ending::Length(5)));
        assert_eq!(
            body("content-length: 5\r\nContent-Length: 5\r\n"),
            Ok(Ending::Length(5))
        );
        assert_eq!(
            body("Transfer-Encoding: gzip, Chunked\r\n"),
            Ok(Ending::Chunked)
        );
        assert_eq!(
            body("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            Ok(Ending::Chunked)
        );
        assert_eq!(
            body("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"),
            Ok(Ending::Close)
        );
        assert_eq!(body(""), Ok(Ending::Close));
        for bad in ["+5", "5, 5", "", "0x5", "99999999999999999999"] {
            assert_eq!(
                body(&format!("Content-Length: {bad}\r\n")),
                Err(Malformed),
                "{bad}"
            );
        }
    }
}
