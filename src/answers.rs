//! ANSWERS.md as its questions: what a learner wrote under each heading.
//!
//! Pure. Whatever a real learner does to such a file must still parse; nothing here judges.
