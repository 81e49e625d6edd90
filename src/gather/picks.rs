//! Picks: a few of the answers to a load, taken at random while it goes on.
//!
//! A server that knows the load from other requests could answer it with nothing at all, and fast.
//! Keeps bodies, compares nothing: the truth is asked when the load is over.

use std::sync::{Arc, Mutex, PoisonError};

use crate::load::BodyCheck;
use crate::probing::MOST_BYTES;

/// One answer in so many is looked at.
const EVERY: u32 = 16;
/// Different bodies that are kept.
const MOST: usize = 4;

/// The bodies that were picked, each once, with how often it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Picks(Arc<Mutex<Bodies>>);

/// Each body, and how often it was picked.
type Bodies = Vec<(Vec<u8>, u64)>;

impl Picks {
    /// For a load: finds nothing wrong, and remembers.
    pub(super) fn check(&self) -> BodyCheck {
        let picks = self.clone();
        BodyCheck {
            every: EVERY,
            holds: Arc::new(move |body| {
                picks.pick(body);
                true
            }),
        }
    }

    fn pick(&self, body: &[u8]) {
        // A body that is cut here is none that a probe would take.
        let body = &body[..body.len().min(MOST_BYTES)];
        let mut picked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = picked.len() < MOST;
        match picked.iter_mut().find(|(known, _)| known == body) {
            Some((_, times)) => *times += 1,
            None if has_room => picked.push((body.to_vec(), 1)),
            None => {}
        }
    }

    /// What was picked so far.
    pub(super) fn take(&self) -> Bodies {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_body_is_kept_once_and_a_server_that_invents_them_fills_no_memory() {
        let picks = Picks::default();
        let check = picks.check();
        for body in ["a", "b", "a", "c", "d", "e", "f"] {
            assert!((check.holds)(body.as_bytes()));
        }
        let counted: Bodies = [("a", 2), ("b", 1), ("c", 1), ("d", 1)]
            .map(|(body, times)| (body.into(), times))
            .into();
        assert_eq!(picks.take(), counted);
        assert_eq!(picks.take(), []);
    }
}
