//! One thread of the generator: its share of the users, driven by one poll.
//!
//! A whole turn of a user, from one answer to the next, is one read, one clock, one write. Sums
//! nothing up: a tally leaves for [`super`] once a second.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::sync::mpsc::UnboundedSender;

use super::connection::{Connection, Ready, Step};
use super::failure::Failure;
use super::meter::Reading;
use super::pace::{Schedule, Slot, Stretch};
use super::plan::Pace;
use super::share::{Message, Shared, Summary, WAKER};
use super::tally::{Ended, Tally};
use crate::evidence::Window;

/// A user who finds nobody listening tries again after this long: no server is gained by asking a
/// hundred thousand times a second, and the processor is needed elsewhere.
const REST: Duration = Duration::from_millis(10);

/// Bytes that are read at once; larger answers take several reads.
const BUFFER: usize = 64 << 10;

/// One connection and the request on it.
struct User {
    connection: Connection,
    target: usize,
    /// Latency runs from here.
    since: Instant,
    sent: Option<Instant>,
    deadline: Instant,
    counts: bool,
    /// Answers until a body is looked at.
    until_check: u32,
    checking: bool,
    /// Got a successful answer in the measured time.
    served: bool,
}

/// Numbers that a server cannot foresee (xorshift64*, G. Marsaglia 2003, seeded by the system).
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    /// Below `limit`, each about as likely.
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        u32::try_from((high * u64::from(limit)) >> 32).unwrap_or(0)
    }
}

enum Pacing {
    Closed {
        resting: VecDeque<(Instant, usize)>,
        /// Users who go on.
        active: usize,
    },
    Open {
        schedule: Schedule,
        idle: Vec<usize>,
        /// The last instant at which all connections were busy: what waited until then waited for
        /// the server.
        full: Instant,
    },
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    poll: Poll,
    users: Vec<User>,
    pacing: Pacing,
    buffer: Box<[u8]>,
    slot: Slot,
    tally: Box<Tally>,
    reports: UnboundedSender<Message>,
    /// Closed loop: users who were answered in this turn and ask when it is over.
    answered: Vec<usize>,
    /// The place in the order of targets.
    turn: usize,
    /// No deadline passes before this.
    next_deadline: Instant,
    far: Instant,
    last_end: Instant,
    worst_lag: Duration,
    late: Vec<Window>,
    reading: Option<Reading>,
    chance: Chance,
}

impl Worker {
    /// Thread number `thread` of `shared.threads`.
    pub(super) fn new(
        shared: Arc<Shared>,
        thread: u32,
        poll: Poll,
        reports: UnboundedSender<Message>,
    ) -> Self {
        let Shared {
            plan,
            clock,
            threads,
            ..
        } = &*shared;
        let connections = plan.pace.connections();
        let own = connections / threads + u32::from(thread < connections % threads);
        let mut chance = Chance::new();
        let longest = plan.body_check.as_ref().map_or(1, |check| check.every);
        let users: Vec<User> = (0..own as usize)
            .map(|index| User {
                connection: Connection::new(Token(index), plan.address),
                target: 0,
                since: clock.start,
                sent: None,
                deadline: clock.start,
                counts: false,
                until_check: chance.below(longest),
                checking: false,
                served: false,
            })
            .collect();
        let pacing = match plan.pace {
            Pace::Users(_) => Pacing::Closed {
                resting: VecDeque::new(),
                active: users.len(),
            },
            Pace::Rate { per_second, .. } => Pacing::Open {
                schedule: Schedule::new(
                    plan,
                    *clock,
                    per_second,
                    u64::from(thread),
                    u64::from(*threads),
                ),
                idle: (0..users.len()).rev().collect(),
                full: clock.start,
            },
        };
        // Later than anything that can happen in this load.
        let far = clock.until + plan.timeout + Duration::from_hours(1);
        let slot = clock.slot(0);
        let order = shared.order.len();
        Self {
            poll,
            users,
            pacing,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            reading: (slot.stretch != Stretch::WarmUp).then(Reading::take),
            slot,
            tally: Box::new(Tally::new(plan)),
            reports,
            answered: Vec::new(),
            // Threads begin at different places, so that together they keep the shares early too.
            turn: order * thread as usize / *threads as usize,
            next_deadline: far,
            far,
            last_end: clock.from,
            worst_lag: Duration::ZERO,
            late: Vec::new(),
            chance,
            shared,
        }
    }

    /// Works until the load is over or stopped, and reports it.
    pub(super) fn run(mut self) {
        let ended = self.work();
        // When nobody listens any more, the load was given up.
        let _ = match ended {
            Ok(exhausted) => {
                let summary = self.summary(exhausted);
                let last = std::mem::replace(&mut *self.tally, Tally::new(&self.shared.plan));
                let _ = self.reports.send(Message::Slot(self.slot, Box::new(last)));
                self.reports.send(Message::Ended(summary))
            }
            Err(error) => self.reports.send(Message::Broken(error)),
        };
    }

    /// Whether all requests were made before the time was over.
    fn work(&mut self) -> io::Result<bool> {
        let mut events = Events::with_capacity(1024);
        let mut now = Instant::now();
        if matches!(self.pacing, Pacing::Closed { .. }) {
            for index in 0..self.users.len() {
                self.ask(index, now)?;
            }
        }
        loop {
            now = Instant::now();
            self.roll(now);
            if let Some(exhausted) = self.is_over() {
                return Ok(exhausted);
            }
            self.expire(now);
            self.ask_again()?;
            self.wake_resting(now)?;
            self.send_due(now)?;
            self.wait(&mut events, now)?;
            if self.shared.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let turn = Instant::now();
            let mut last = turn;
            for event in &events {
                if event.token() != WAKER {
                    last = self.handle(event)?;
                    self.send_due(last)?;
                }
            }
            self.ask_again()?;
            if self.slot.stretch == Stretch::Measured {
                self.worst_lag = self.worst_lag.max(last.saturating_duration_since(turn));
            }
        }
    }

    /// Sleeps until a socket is ready or something else is to be done.
    fn wait(&mut self, events: &mut Events, now: Instant) -> io::Result<()> {
        let mut wake = self.slot.end.min(self.next_deadline);
        if self.is_late() {
            // The last request may just have come to its end.
            wake = wake.min(now + REST);
        }
        match &self.pacing {
            Pacing::Closed { resting, .. } => {
                if let Some((until, _)) = resting.front() {
                    wake = wake.min(*until);
                }
            }
            Pacing::Open { schedule, idle, .. } => {
                if let Some(due) = schedule.due() {
                    let until = if idle.is_empty() {
                        due + self.shared.plan.timeout
                    } else {
                        due
                    };
                    wake = wake.min(until);
                }
            }
        }
        let mut timeout = wake.saturating_duration_since(now);
        if matches!(self.pacing, Pacing::Open { .. }) && !timeout.is_zero() {
            // The poll below knows whole milliseconds only, and a schedule needs better.
            if let Ok(timespec) = Timespec::try_from(timeout) {
                let registry = self.poll.registry().as_fd();
                let mut fds = [PollFd::new(&registry, PollFlags::IN)];
                match rustix::event::poll(&mut fds, Some(&timespec)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => timeout = Duration::ZERO,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Something happened at a user's socket. Returns the time.
    fn handle(&mut self, event: &Event) -> io::Result<Instant> {
        let index = event.token().0;
        let user = &mut self.users[index];
        let was_busy = user.connection.is_busy();
        let opened = user.connection.opened();
        let ready = Ready {
            writable: event.is_writable(),
            read_closed: event.is_read_closed() || event.is_error(),
        };
        let request = &self.shared.wire[user.target];
        let step = user.connection.go_on(ready, request, &mut self.buffer)?;
        let now = Instant::now();
        if opened > 0 && user.connection.opened() > opened && user.counts {
            self.tally.reconnects += 1;
        }
        if step == Step::Pending {
            if user.sent.is_none() && user.connection.is_sent() {
                user.sent = Some(now);
            }
        } else if was_busy {
            self.end(index, step, now);
            self.next(index, now);
        }
        Ok(now)
    }

    /// What a user does after a request.
    fn next(&mut self, index: usize, now: Instant) {
        match &mut self.pacing {
            Pacing::Closed { .. } => self.answered.push(index),
            Pacing::Open { idle, full, .. } => {
                if idle.is_empty() {
                    *full = now;
                }
                idle.push(index);
            }
        }
    }

    /// Closed loop: whoever was answered in this turn asks again. First all answers are read and then
    /// all requests written, under one reading of the clock: less of it, and fewer wake-ups of the
    /// server, than one after the other.
    fn ask_again(&mut self) -> io::Result<()> {
        if self.answered.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let mut answered = std::mem::take(&mut self.answered);
        for index in answered.drain(..) {
            self.ask(index, now)?;
        }
        self.answered = answered;
        Ok(())
    }

    /// Closed loop: a user asks, now.
    fn ask(&mut self, index: usize, now: Instant) -> io::Result<()> {
        self.roll(now);
        if self.is_late() {
            return Ok(());
        }
        loop {
            let counts = match &self.shared.tickets {
                None => true,
                Some(_) if now < self.shared.clock.from => false,
                Some(tickets) => {
                    if tickets.fetch_sub(1, Ordering::Relaxed) <= 0 {
                        self.users[index].connection.close();
                        if let Pacing::Closed { active, .. } = &mut self.pacing {
                            *active -= 1;
                        }
                        return Ok(());
                    }
                    true
                }
            };
            let step = self.start(index, now, counts)?;
            if step == Step::Pending {
                return Ok(());
            }
            self.end(index, step, now);
            if matches!(step, Step::Failed(failure) if failure.is_no_connection()) {
                self.rest(index, now);
                return Ok(());
            }
        }
    }

    fn rest(&mut self, index: usize, now: Instant) {
        if let Pacing::Closed { resting, .. } = &mut self.pacing {
            resting.push_back((now + REST, index));
        }
    }

    fn wake_resting(&mut self, now: Instant) -> io::Result<()> {
        while let Pacing::Closed { resting, .. } = &mut self.pacing
            && resting.front().is_some_and(|(until, _)| *until <= now)
            && let Some((_, index)) = resting.pop_front()
        {
            self.ask(index, now)?;
        }
        Ok(())
    }

    /// Open loop: sends what is due.
    fn send_due(&mut self, now: Instant) -> io::Result<()> {
        loop {
            let Pacing::Open {
                schedule,
                idle,
                full,
            } = &mut self.pacing
            else {
                return Ok(());
            };
            let Some(due) = schedule.due().filter(|due| *due <= now) else {
                return Ok(());
            };
            let counts = schedule.counts();
            if now >= due + self.shared.plan.timeout {
                // Nobody had time for it before its deadline. A user would have left.
                schedule.advance();
                let target = self.next_target();
                self.count(
                    counts,
                    Ended {
                        target,
                        latency: now - due,
                        failure: Some(Failure::TimedOut),
                        lag: None,
                    },
                    now,
                );
                continue;
            }
            let Some(index) = idle.pop() else {
                return Ok(());
            };
            schedule.advance();
            let lag = now.saturating_duration_since(due.max(*full));
            if counts {
                self.worst_lag = self.worst_lag.max(lag);
            }
            let step = self.start(index, due, counts)?;
            if step == Step::Pending {
                if self.users[index].connection.is_sent() {
                    self.users[index].sent = Some(Instant::now());
                }
            } else {
                self.end(index, step, Instant::now());
                self.next(index, now);
            }
        }
    }

    fn next_target(&mut self) -> usize {
        let order = &self.shared.order;
        let target = order[self.turn];
        self.turn = if self.turn + 1 == order.len() {
            0
        } else {
            self.turn + 1
        };
        target
    }

    fn start(&mut self, index: usize, since: Instant, counts: bool) -> io::Result<Step> {
        let target = self.next_target();
        let user = &mut self.users[index];
        user.target = target;
        user.since = since;
        user.sent = None;
        user.counts = counts;
        user.deadline = since + self.shared.plan.timeout;
        self.next_deadline = self.next_deadline.min(user.deadline);
        user.checking = false;
        if let Some(check) = &self.shared.plan.body_check {
            user.checking = user.until_check == 0;
            user.until_check = match user.until_check.checked_sub(1) {
                Some(fewer) => fewer,
                None => self.chance.below(2 * check.every - 1),
            };
        }
        user.connection.start(
            self.poll.registry(),
            &self.shared.wire[target],
            user.checking,
        )
    }

    /// A request is over.
    fn end(&mut self, index: usize, step: Step, now: Instant) {
        let user = &self.users[index];
        let failure = match step {
            Step::Failed(failure) => Some(failure),
            Step::Answered(status) if !(200..300).contains(&status) => {
                Some(Failure::Status(status))
            }
            Step::Answered(_) if user.checking && !self.is_body_good(user) => {
                Some(Failure::BadBody)
            }
            Step::Answered(_) | Step::Pending => None,
        };
        let ended = Ended {
            target: user.target,
            latency: now.saturating_duration_since(user.since),
            failure,
            lag: user
                .sent
                .map(|sent| sent.saturating_duration_since(user.since)),
        };
        let measured = self.slot.stretch != Stretch::WarmUp;
        self.users[index].served |= measured && ended.failure.is_none();
        let User { counts, since, .. } = self.users[index];
        self.count(counts, ended, now);
        if counts && self.is_late() {
            let window = self.shared.clock.window_of(since);
            if self.late.len() <= window {
                self.late.resize(window + 1, Window::default());
            }
            self.late[window].requests += 1;
            self.late[window].failed += u64::from(ended.failure.is_some());
        }
    }

    fn is_body_good(&self, user: &User) -> bool {
        match (&self.shared.plan.body_check, user.connection.body()) {
            (Some(check), Some(body)) => (check.holds)(body),
            _ => true,
        }
    }

    fn count(&mut self, counts: bool, ended: Ended, now: Instant) {
        self.roll(now);
        if counts || self.slot.stretch == Stretch::WarmUp {
            // The warm-up is for the eyes of whoever watches.
            self.tally.count(ended);
            self.last_end = now;
        }
    }

    /// Closed loop: the time was over before the answer came.
    fn is_late(&self) -> bool {
        self.slot.stretch == Stretch::Late && matches!(self.pacing, Pacing::Closed { .. })
    }

    /// Sends off the tallies of slots that are over.
    fn roll(&mut self, now: Instant) {
        if self.shared.enough.load(Ordering::Relaxed) && !self.is_late() {
            // The load was broken off at the end of an earlier slot: what came since is not part of it.
            *self.tally = Tally::new(&self.shared.plan);
            self.slot = Slot {
                stretch: Stretch::Late,
                end: self.far,
                ..self.slot
            };
        }
        while now >= self.slot.end {
            let full = std::mem::replace(&mut *self.tally, Tally::new(&self.shared.plan));
            let _ = self.reports.send(Message::Slot(self.slot, Box::new(full)));
            self.slot = self.shared.clock.slot(self.slot.index + 1);
            if self.slot.stretch != Stretch::WarmUp && self.reading.is_none() {
                self.reading = Some(Reading::take());
            }
        }
    }

    /// Ends requests whose deadline is over.
    fn expire(&mut self, now: Instant) {
        if now < self.next_deadline {
            return;
        }
        self.next_deadline = self.far;
        for index in 0..self.users.len() {
            let user = &mut self.users[index];
            if !user.connection.is_busy() {
                continue;
            }
            if user.deadline <= now {
                user.connection.close();
                self.end(index, Step::Failed(Failure::TimedOut), now);
                self.next(index, now);
            } else {
                self.next_deadline = self.next_deadline.min(user.deadline);
            }
        }
    }

    /// `Some` when there is nothing left to do: whether that is because all requests were made.
    fn is_over(&self) -> Option<bool> {
        match &self.pacing {
            Pacing::Closed { active: 0, .. } => Some(true),
            // A request without an answer is seen to its end: a server that lets some hang must not
            // look better for the time being over.
            Pacing::Closed { .. } => (self.is_late()
                && !self.users.iter().any(|user| user.connection.is_busy()))
            .then_some(false),
            Pacing::Open { schedule, idle, .. } => {
                (schedule.due().is_none() && idle.len() == self.users.len()).then_some(true)
            }
        }
    }

    fn summary(&mut self, exhausted: bool) -> Summary {
        Summary {
            at: self.last_end,
            exhausted,
            starved: match &self.pacing {
                Pacing::Closed { .. } => {
                    self.users.iter().filter(|user| !user.served).count() as u64
                }
                Pacing::Open { .. } => 0,
            },
            late: std::mem::take(&mut self.late),
            worst_lag: self.worst_lag,
            cost: self.reading.map(Reading::cost).unwrap_or_default(),
        }
    }
}
