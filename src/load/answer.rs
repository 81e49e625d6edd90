//! An HTTP/1.1 answer, read as its bytes arrive, however they are split.
//!
//! Knows where an answer ends (content length, chunks, or the end of the connection; RFC 9112,
//! section 6.3), its status, and whether the connection may be used again. Bodies are counted off and
//! thrown away unless they are asked for. Reads no sockets.

use super::chunked::Chunk;
use super::head::{Ending, Head, LONGEST_HEAD, Malformed};

/// Bodies longer than this many bytes are drained but never kept.
const KEPT_BODY: usize = 16 << 20;

/// What is known of an answer so far. Made once for a connection and used again for each answer,
/// so that reading allocates only when a head arrives in pieces or a body is kept.
#[derive(Debug, Default)]
pub(super) struct Answer {
    state: State,
    /// A head that arrived in pieces.
    head: Vec<u8>,
    body: Body,
    to_head_request: bool,
    status: u16,
    keep_alive: bool,
}

/// What becomes of a body's bytes.
#[derive(Debug, Default)]
enum Body {
    #[default]
    Dropped,
    Kept(Vec<u8>),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of the body are missing.
    Fixed(u64),
    UntilClose,
    Chunk(Chunk),
    Whole,
}

/// What some bytes did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// The answer goes on.
    Part,
    /// The answer is whole. So many of the bytes belonged to it; the rest was never asked for.
    Whole {
        /// At most the length of what was fed.
        used: usize,
    },
}

impl Answer {
    /// Gets ready for the next answer.
    pub(super) fn expect(&mut self, to_head_request: bool, keep_body: bool) {
        self.state = State::Head;
        self.head.clear();
        self.body = if keep_body {
            Body::Kept(Vec::new())
        } else {
            Body::Dropped
        };
        self.to_head_request = to_head_request;
        self.status = 0;
        self.keep_alive = false;
    }

    /// The status, once the answer is whole.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection may carry another request, once the answer is whole.
    pub(super) fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// The whole body, if it was to be kept and is not too long.
    pub(super) fn body(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Kept(bytes) => Some(bytes),
            Body::Dropped => None,
        }
    }

    /// Takes the next bytes of the connection.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Fed, Malformed> {
        let mut used = 0;
        while self.state == State::Head {
            let rest = &bytes[used..];
            if rest.is_empty() {
                return Ok(Fed::Part);
            }
            match self.feed_head(rest)? {
                Some(length) => used += length,
                None => return Ok(Fed::Part),
            }
        }
        used += self.feed_body(&bytes[used..])?;
        Ok(if self.state == State::Whole {
            Fed::Whole { used }
        } else {
            Fed::Part
        })
    }

    /// The connection ended. Whether the answer is whole now.
    pub(super) fn end(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Whole;
        }
        self.state == State::Whole
    }

    /// How many bytes belonged to a head that is whole now; `None` when all did and more are needed.
    fn feed_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        if self.head.is_empty() {
            // Nearly always a head arrives in one piece and is read where it lies.
            if let Some(length) = self.parse_head(bytes)? {
                return Ok(Some(length));
            }
            self.head.extend_from_slice(bytes);
            return Ok(None);
        }
        let before = self.head.len();
        let fits = bytes.len().min(LONGEST_HEAD + 1 - before.min(LONGEST_HEAD));
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(&bytes[..fits]);
        // A head can only end with a line, so one that trickles in is not read again at each byte.
        // Its first line is, so that garbage is found early.
        let parsed = if before < 16 || bytes.contains(&b'\n') || head.len() > LONGEST_HEAD {
            self.parse_head(&head)
        } else {
            Ok(None)
        };
        self.head = head;
        match parsed? {
            Some(length) => {
                self.head.clear();
                Ok(Some(length.saturating_sub(before)))
            }
            None => Ok(None),
        }
    }

    /// The head's length when it is whole; then the state is the body's, or [`State::Head`] again
    /// after an interim answer.
    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        match Head::parse(bytes)? {
            Head::Part => Ok(None),
            Head::Interim { length } => Ok(Some(length)),
            Head::Final {
                length,
                status,
                body,
                keep_alive,
            } => {
                self.status = status;
                self.state = match body {
                    _ if self.to_head_request => State::Whole,
                    Ending::Length(0) => State::Whole,
                    Ending::Length(length) => State::Fixed(length),
                    Ending::Chunked => State::Chunk(Chunk::START),
                    Ending::Close => State::UntilClose,
                };
                self.keep_alive = keep_alive && self.state != State::UntilClose;
                Ok(Some(length))
            }
        }
    }

    /// How many of the bytes belonged to the body.
    fn feed_body(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self.state {
            State::Head | State::Whole => Ok(0),
            State::UntilClose => {
                self.keep(bytes);
                Ok(bytes.len())
            }
            State::Fixed(missing) => {
                let (taken, missing) = take(bytes, missing);
                self.keep(taken);
                self.state = if missing == 0 {
                    State::Whole
                } else {
                    State::Fixed(missing)
                };
                Ok(taken.len())
            }
            State::Chunk(mut chunk) => {
                let mut used = 0;
                while used < bytes.len() {
                    if let Chunk::Data { missing } = chunk {
                        let (taken, missing) = take(&bytes[used..], missing);
                        self.keep(taken);
                        used += taken.len();
                        chunk = if missing == 0 {
                            Chunk::DataCr
                        } else {
                            Chunk::Data { missing }
                        };
                        continue;
                    }
                    let next = chunk.step(bytes[used])?;
                    used += 1;
                    if let Some(next) = next {
                        chunk = next;
                    } else {
                        self.state = State::Whole;
                        return Ok(used);
                    }
                }
                self.state = State::Chunk(chunk);
                Ok(used)
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Body::Kept(body) = &mut self.body {
            if body.len() + bytes.len() > KEPT_BODY {
                self.body = Body::Dropped;
            } else {
                body.extend_from_slice(bytes);
            }
        }
    }
}

/// The front of `bytes` that is still missing, and how much is missing after it.
fn take(bytes: &[u8], missing: u64) -> (&[u8], u64) {
    let count = usize::try_from(missing).map_or(bytes.len(), |missing| missing.min(bytes.len()));
    (&bytes[..count], missing - count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Status, body, keep-alive, bytes left over; `None` when it never was whole.
    type Read = Option<(u16, Vec<u8>, bool, usize)>;

    /// Feeds pieces until the answer is whole.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Read, Malformed> {
        let mut answer = Answer::default();
        answer.expect(false, true);
        let mut left = None;
        for piece in pieces {
            if let Some(left) = &mut left {
                *left += piece.len();
            } else if let Fed::Whole { used } = answer.feed(piece)? {
                left = Some(piece.len() - used);
            }
        }
        if left.is_none() && answer.end() {
            left = Some(0);
        }
        Ok(left.map(|left| {
            let body = answer.body().unwrap().to_vec();
            (answer.status(), body, answer.keep_alive(), left)
        }))
    }

    #[test]
    fn a_length_ends_an_answer() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!";
        assert_eq!(
            read([&answer[..]]),
            Ok(Some((200, b"hello".to_vec(), true, 1)))
        );
    }

    #[test]
    fn chunks_end_an_answer_with_extensions_and_trailers() {
        let answer = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 3\r\n\r\n\
            5;name=\"x\"\r\nhello\r\n00A \r\n, wor\r\nld!\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n";
        let (status, body, keep_alive, left) = read([&answer[..]]).unwrap().unwrap();
        assert_eq!((status, keep_alive, left), (201, true, 0));
        assert_eq!(body, b"hello, wor\r\nld!"[..].to_vec());
    }

    #[test]
    fn the_end_of_the_connection_ends_an_answer_without_a_length() {
        let answer = b"HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(
            read([&answer[..]]),
            Ok(Some((200, b"hello".to_vec(), false, 0)))
        );
        assert_eq!(
            read([&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"[..]]),
            Ok(None)
        );
    }

    #[test]
    fn some_answers_have_no_body_whatever_their_headers_say() {
        for status in [204, 304] {
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n");
            assert_eq!(
                read([answer.as_bytes()]),
                Ok(Some((status, Vec::new(), true, 0)))
            );
        }
        let mut answer = Answer::default();
        answer.expect(true, false);
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(answer.feed(head), Ok(Fed::Whole { used: head.len() }));
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(
            read([&answer[..]]),
            Ok(Some((200, b"ok".to_vec(), true, 0)))
        );
    }

    #[test]
    fn a_connection_is_kept_as_its_version_and_header_say() {
        let kept = |head: &str| {
            read([format!("{head}\r\nContent-Length: 0\r\n\r\n").as_bytes()])
                .unwrap()
                .unwrap()
                .2
        };
        assert!(kept("HTTP/1.1 200 OK"));
        assert!(!kept("HTTP/1.1 200 OK\r\nConnection: Close"));
        assert!(!kept("HTTP/1.1 200 OK\r\nConnection: x, close"));
        assert!(!kept("HTTP/1.0 200 OK"));
        assert!(kept("HTTP/1.0 200 OK\r\nconnection: keep-alive"));
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for bad in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n",
        ] {
            assert_eq!(read([bad.as_bytes()]), Err(Malformed), "{bad:?}");
            let bytes = bad.as_bytes().chunks(1);
            assert_eq!(read(bytes), Err(Malformed), "{bad:?} byte by byte");
        }
    }

    #[test]
    fn a_head_without_end_is_malformed_and_a_large_one_is_not() {
        let line = format!("X: {}\r\n", "y".repeat(1000));
        let large = format!(
            "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
            line.repeat(50)
        );
        assert_eq!(read([large.as_bytes()]).unwrap().unwrap().0, 200);
        assert_eq!(read(large.as_bytes().chunks(999)).unwrap().unwrap().0, 200);
        let endless = format!("HTTP/1.1 200 OK\r\n{}", line.repeat(80));
        assert_eq!(read([endless.as_bytes()]), Err(Malformed));
        assert_eq!(read(endless.as_bytes().chunks(999)), Err(Malformed));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(200));
        assert_eq!(read([many.as_bytes()]), Err(Malformed));
    }

    /// An answer as bytes, with its status and body.
    fn answers() -> impl Strategy<Value = (Vec<u8>, u16, Vec<u8>)> {
        let body = proptest::collection::vec(any::<u8>(), 0..200);
        let chunks = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..60), 0..5);
        let statuses = prop_oneof![Just(200_u16), Just(201), Just(404), Just(429), Just(503)];
        (statuses, body, chunks, 0..3_u8).prop_map(|(status, body, chunks, framing)| {
            let mut bytes = format!("HTTP/1.1 {status} Some Reason\r\nServer: x\r\n").into_bytes();
            match framing {
                0 => {
                    bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                    bytes.extend(&body);
                    (bytes, status, body)
                }
                1 => {
                    bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in &chunks {
                        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                        bytes.extend(chunk);
                        bytes.extend(b"\r\n");
                    }
                    bytes.extend(b"0\r\n\r\n");
                    (bytes, status, chunks.concat())
                }
                _ => {
                    bytes.extend(b"\r\n");
                    bytes.extend(&body);
                    (bytes, status, body)
                }
            }
        })
    }

    /// `bytes` cut at the given places.
    fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut places: Vec<usize> = places.iter().map(|p| p.index(bytes.len())).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        places.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
    }

    proptest! {
        #[test]
        fn an_answer_is_the_same_however_it_is_split(
            (bytes, status, body) in answers(),
            places in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let pieces = cut(&bytes, &places);
            let (seen_status, seen_body, _, left) = read(pieces).unwrap().unwrap();
            prop_assert_eq!((seen_status, left), (status, 0));
            prop_assert_eq!(&seen_body, &body);
            let (seen_status, seen_body, _, left) = read(bytes.chunks(1)).unwrap().unwrap();
            prop_assert_eq!((seen_status, left), (status, 0));
            prop_assert_eq!(&seen_body, &body);
        }

        #[test]
        fn a_broken_answer_ends_the_same_way_however_it_is_split(
            (mut bytes, _, _) in answers(),
            spoiled in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            places in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            for (place, byte) in spoiled {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            // Some faults show only at the end of a line or of the connection.
            prop_assert_eq!(
                read(cut(&bytes, &places)).ok().flatten(),
                read([&bytes[..]]).ok().flatten()
            );
        }

        #[test]
        fn any_bytes_are_taken_without_panic(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20),
        ) {
            let _ = read(pieces.iter().map(Vec::as_slice));
        }
    }
}
