//! Exit codes: the public table of the contract. Pure.

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Graded, pass mark reached. Also: a command without a grade did what it was asked.
    Passed,
    /// Graded, below the pass mark.
    Failed,
    /// Bad arguments, bad submission path, bad exercise or rubric: nothing ran.
    Usage,
    /// Not graded: the harness or the machine failed. Never a lower grade.
    Ungraded,
    /// Interrupted by Ctrl-C or SIGTERM.
    Interrupted,
}

impl ExitCode {
    /// The number that the shell sees.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Ungraded => 3,
            Self::Interrupted => 130,
        }
    }

    /// The worse of two: a batch ends with the worst of its members.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if other.number() > self.number() {
            other
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_contracts() {
        let numbers = [
            ExitCode::Passed,
            ExitCode::Failed,
            ExitCode::Usage,
            ExitCode::Ungraded,
            ExitCode::Interrupted,
        ]
        .map(ExitCode::number);
        assert_eq!(numbers, [0, 1, 2, 3, 130]);
        let worst = ExitCode::Failed.or_worse(ExitCode::Ungraded);
        assert_eq!(worst.or_worse(ExitCode::Passed), ExitCode::Ungraded);
    }
}
