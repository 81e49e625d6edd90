//! The chunked transfer coding (RFC 9112, section 7.1), byte by byte.
//!
//! Knows what a byte between the data means. The data itself is [`super::answer`]'s.

use super::head::Malformed;

/// A chunk's size with its extensions is at most this many bytes long.
const LONGEST_CHUNK_LINE: u32 = 4 << 10;
/// All trailers together are at most this many bytes long.
const LONGEST_TRAILERS: u32 = 64 << 10;

/// Where in the coding the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    Size { so_far: u64, digits: u32 },
    Extension { size: u64, length: u32 },
    SizeEnd { size: u64 },
    Data { missing: u64 },
    DataCr,
    DataEnd,
    Trailer { line: u32, total: u32 },
    TrailerEnd { line: u32, total: u32 },
}

impl Chunk {
    /// At the first chunk.
    pub(super) const START: Self = Self::Size {
        so_far: 0,
        digits: 0,
    };

    /// What comes after one byte that is not data; `None` when it was the last.
    pub(super) fn step(self, byte: u8) -> Result<Option<Self>, Malformed> {
        Ok(Some(match (self, byte) {
            (Self::Size { so_far, digits }, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                if digits >= 15 {
                    return Err(Malformed);
                }
                Self::Size {
                    so_far: so_far * 16 + u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Malformed),
            (Self::Size { so_far: size, .. }, b';' | b' ' | b'\t') => {
                Self::Extension { size, length: 0 }
            }
            (Self::Size { so_far: size, .. } | Self::Extension { size, .. }, b'\r') => {
                Self::SizeEnd { size }
            }
            (Self::Extension { size, length }, byte)
                if byte != b'\n' && length < LONGEST_CHUNK_LINE =>
            {
                Self::Extension {
                    size,
                    length: length + 1,
                }
            }
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { line: 0, total: 0 },
            (Self::SizeEnd { size }, b'\n') => Self::Data { missing: size },
            (Self::DataCr, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::START,
            (Self::Trailer { line, total }, b'\r') => Self::TrailerEnd { line, total },
            (Self::Trailer { line, total }, byte) if byte != b'\n' && total < LONGEST_TRAILERS => {
                Self::Trailer {
                    line: line + 1,
                    total: total + 1,
                }
            }
            (Self::TrailerEnd { line: 0, .. }, b'\n') => return Ok(None),
            (Self::TrailerEnd { total, .. }, b'\n') => Self::Trailer { line: 0, total },
            _ => return Err(Malformed),
        }))
    }
}
