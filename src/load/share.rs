//! What the threads of a load share, and what they tell.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::{Duration, Instant};

use mio::Token;

use super::meter::Cost;
use super::pace::{Clock, Slot};
use super::plan::LoadPlan;
use super::tally::Tally;
use crate::evidence::Window;

/// The token of the waker that ends a thread's waiting.
pub(super) const WAKER: Token = Token(usize::MAX);

/// What all threads of a load share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: LoadPlan,
    pub(super) clock: Clock,
    pub(super) threads: u32,
    /// Each target's bytes.
    pub(super) wire: Vec<Vec<u8>>,
    /// Indices into `wire`, to be repeated.
    pub(super) order: Vec<usize>,
    /// Closed loop: counted requests that may still be started.
    pub(super) tickets: Option<AtomicI64>,
    /// The load was given up.
    pub(super) stop: AtomicBool,
    /// Enough was measured: no more is to begin.
    pub(super) enough: AtomicBool,
}

/// What a thread tells.
#[derive(Debug)]
pub(super) enum Message {
    /// A slot of time is over.
    Slot(Slot, Box<Tally>),
    /// The thread is done.
    Ended(Summary),
    /// The generator itself failed.
    Broken(io::Error),
}

/// How a thread's work ended.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    pub(super) at: Instant,
    /// All requests were made, before the time was over.
    pub(super) exhausted: bool,
    /// Users of a closed loop without a successful answer in the measured time.
    pub(super) starved: u64,
    /// Closed loop: what ended when the time was over, by the measured window in which it was asked.
    pub(super) late: Vec<Window>,
    pub(super) worst_lag: Duration,
    pub(super) cost: Cost,
}
