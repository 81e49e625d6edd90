//! How long each server was measured, why no longer, and what else was on the machine meanwhile.

use super::columns::whose;
use super::figure;
use crate::evidence::{Confined, Ended, Footing, Level, Machine};
use crate::report::Stage;

/// One line: a server in a stage. Strings are ready to be shown.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Measured {
    /// The stage's title.
    pub stage: String,
    /// Whose server.
    pub whose: &'static str,
    /// E.g. `3.0 s in 3 legs`.
    pub time: String,
    /// Why measuring ended.
    pub ended: &'static str,
    /// The share of the processors that other programs used.
    pub others: String,
    /// The share that the hypervisor gave to others.
    pub stolen: String,
    /// The share of the time in which something waited for a processor.
    pub pressure: String,
    /// Whether it was measured more than once, or the load generator was too slow.
    pub notes: String,
}

/// A line for each server that was measured.
#[must_use]
pub fn measured(stages: &[Stage]) -> Vec<Measured> {
    stages
        .iter()
        .filter(|stage| !stage.legs.is_empty())
        .map(|stage| {
            let mut notes = Vec::new();
            if stage.attempts > 1 {
                notes.push(format!("measured {} times", stage.attempts));
            }
            if stage.legs.iter().any(|leg| leg.at_ceiling) {
                notes.push("the load generator was never idle".to_owned());
            }
            let share = |of| Machine::mean(&stage.legs, of).map_or("–".into(), figure::percent);
            Measured {
                stage: stage.title.clone(),
                whose: whose(stage.server),
                time: format!(
                    "{} in {}",
                    figure::seconds(stage.seconds),
                    figure::plural(stage.legs.len(), "leg", "legs")
                ),
                ended: match stage.ended {
                    Some(Ended::Sure) => "sure",
                    Some(Ended::OutOfTime) => "the longest time was over",
                    None => "",
                },
                others: share(|machine| machine.others),
                stolen: share(|machine| machine.stolen),
                pressure: share(|machine| machine.pressure),
                notes: notes.join(", "),
            }
        })
        .collect()
}

/// Who got which processors, in one or two sentences.
#[must_use]
pub fn footing(footing: &Footing) -> String {
    if footing.server.is_empty() {
        return "Servers and databases were held to no processors in particular.".into();
    }
    let mut text = format!("The server was held to the processors {}", footing.server);
    text += if footing.database == footing.server {
        ", and so was its database"
    } else {
        ", its database to none in particular"
    };
    if footing.generator.is_empty() {
        text += "; the load generator shared them.";
    } else {
        text += "; the load generator had ";
        text += &footing.generator;
        text += " to itself.";
    }
    text
}

/// How far the submission was confined, in one sentence.
#[must_use]
pub fn isolation(reached: &Confined) -> String {
    let missing = match reached.missing.as_slice() {
        [] => String::new(),
        missing => format!(" Missing: {}.", missing.join("; ")),
    };
    match reached.level {
        Level::Full => format!("Build and server were confined.{missing}"),
        Level::Limits => format!("Build and server were confined in part.{missing}"),
        Level::None => format!("Build and server were not confined.{missing}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_got_which_processors_is_said_plainly() {
        let held = |database: &str, generator: &str| {
            footing(&Footing {
                wanted: 2,
                server: "0-1".into(),
                database: database.into(),
                generator: generator.into(),
            })
        };
        assert_eq!(
            held("0-1", "2-3"),
            "The server was held to the processors 0-1, and so was its database; the load generator \
             had 2-3 to itself."
        );
        assert!(held("", "").ends_with("none in particular; the load generator shared them."));
        assert!(footing(&Footing::default()).contains("no processors in particular"));
    }
}
