//! What a program prints: the first and the last of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Both streams of a program.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) stdout: Arc<Capped>,
    pub(super) stderr: Arc<Capped>,
}

/// The first and the last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Capped(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

/// Bytes kept of a stream's start, and as many of its end.
pub(super) const KEPT: usize = 512 * 1024;

impl Capped {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT - kept.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        kept.head.extend_from_slice(head);
        kept.tail.extend(rest);
        let over = kept.tail.len().saturating_sub(KEPT);
        kept.tail.drain(..over);
        kept.left_out += over as u64;
    }

    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = kept.head.clone();
        if kept.left_out > 0 {
            bytes.extend(format!("\n… {} bytes left out …\n", kept.left_out).bytes());
        }
        bytes.extend(&kept.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Reads a stream to its end.
pub(super) async fn read(mut pipe: impl AsyncRead + Unpin, into: Arc<Capped>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        into.push(&buffer[..length]);
    }
}
