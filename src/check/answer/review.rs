//! Why a person should look at an answer. A reason leaves the points as they are or caps them; it
//! never stands for points of its own.

use super::language;

/// Why a person should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Review {
    /// Not in English: the language.
    OtherLanguage(&'static str),
    /// The key again.
    PastedKey,
    /// Words in an order that no sentence has.
    WordSalad,
    /// Right and wrong ideas.
    RightAndWrong,
    /// An idea is said and denied.
    Contradiction,
    /// An idea is denied.
    Denied,
    /// It may be so, it may be otherwise.
    Hedged,
    /// It may be irony.
    Ironic,
    /// The mark hangs on a weak pattern.
    Weak,
    /// Long and without a known idea.
    Unmatched,
    /// Long, or an image, and only some of its ideas are known.
    Partial,
    /// Longer than what is judged.
    Long,
}

impl Review {
    /// Its name in statistics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OtherLanguage(_) => "other language",
            Self::PastedKey => "pasted key",
            Self::WordSalad => "word salad",
            Self::RightAndWrong => "right and wrong",
            Self::Contradiction => "contradiction",
            Self::Denied => "denied",
            Self::Hedged => "hedged",
            Self::Ironic => "ironic",
            Self::Weak => "weak",
            Self::Unmatched => "unmatched",
            Self::Partial => "partial",
            Self::Long => "long",
        }
    }

    /// One sentence.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::OtherLanguage(language::SCRIPT | language::UNKNOWN) => {
                "It is not in English, so a person should mark it.".to_owned()
            }
            Self::OtherLanguage(language) => {
                format!("It seems to be in {language}, so a person should mark it.")
            }
            Self::PastedKey => {
                "Most of it is word for word a text that goes around as the answer.".into()
            }
            Self::WordSalad => "Its words stand in an order that sentences do not have.".into(),
            Self::RightAndWrong => "It holds right ideas and a mistaken one.".into(),
            Self::Contradiction => "It says an idea in one place and denies it in another.".into(),
            Self::Denied => "It denies an idea that the question is about.".into(),
            Self::Hedged => "It leaves open whether it is so.".into(),
            Self::Ironic => "It may not be meant as it is said.".into(),
            Self::Weak => "One of its ideas is only hinted at.".into(),
            Self::Unmatched => "It is a long answer in words that the rubric does not know.".into(),
            Self::Partial => {
                "Only some of the ideas were found, and it says more than that.".into()
            }
            Self::Long => "It is so long that only its beginning was judged.".into(),
        }
    }
}
