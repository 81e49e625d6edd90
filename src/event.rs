//! Events: what a long run tells while it goes on. A closed set; only `console` turns it into text.

/// Something that happened while evidence was gathered.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A phase began, e.g. `build the submission`.
    PhaseStarted {
        /// What is done, for people.
        name: String,
        /// How long it is expected to take in seconds, where that is known.
        expected: Option<f64>,
    },
    /// The running phase got further.
    PhaseProgress {
        /// What is to be said beside the phase's name.
        detail: String,
    },
    /// The running phase ended.
    PhaseFinished {
        /// As it began.
        name: String,
        /// Wall time.
        seconds: f64,
        /// How it ended, for people, e.g. `4 errors`. Empty when there is nothing to say.
        result: String,
    },
    /// Something began with one submission of a class; several may be at work at once.
    MemberStarted {
        /// Whose.
        id: String,
        /// What is done, one word: `builds`, `runs`.
        doing: String,
        /// How long it is expected to take in seconds, where that is known.
        expected: Option<f64>,
    },
    /// It got further.
    MemberProgress {
        /// Whose.
        id: String,
        /// What is being done now.
        detail: String,
    },
    /// It ended.
    MemberEnded {
        /// Whose.
        id: String,
    },
    /// The whole class got further.
    ClassProgress {
        /// Submissions that are done.
        done: usize,
        /// All that are to be done.
        all: usize,
        /// Seconds until all are done, where that is known.
        left: Option<f64>,
    },
    /// A line that matters by itself, e.g. which database was taken and why.
    Notice(String),
}

/// Where events go. Cheap to copy; shared by everything that gathers.
pub type OnEvent<'a> = &'a (dyn Fn(Event) + Send + Sync);
