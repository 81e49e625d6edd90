//! What learners' text may do to grading: nothing. Shared by the tests beside it and the fuzz
//! targets in `fuzz/`.

use std::sync::LazyLock;

use feedgrade::agreement::{self, Labelled};
use feedgrade::check::answer::grader::Grader;
use feedgrade::check::answer::rule::Mark;
use feedgrade::content::{Assignment, Content};
use feedgrade::evidence::{Build, BuildOutcome, Confined, Environment, Evidence, VERSION};
use feedgrade::exercise::Exercise;
use feedgrade::format::{self, Format};
use feedgrade::grade::Grade;
use feedgrade::judge::judge;
use feedgrade::marks;
use feedgrade::query_plan::{Node, QueryPlan};
use feedgrade::report::report;
use feedgrade::rubric::Rubric;
use feedgrade::submission::{AnswersFile, MAX_ANSWERS_BYTES};
use feedgrade::yaml::Source;

static ASSIGNMENT: LazyLock<Assignment> = LazyLock::new(|| {
    Content::Embedded
        .assignment("connection-pools")
        .unwrap_or_else(|error| panic!("{error:?}"))
});

static GRADER: LazyLock<Grader<'static>> = LazyLock::new(|| {
    let Assignment {
        exercise,
        rubric,
        material,
    } = &*ASSIGNMENT;
    Grader::new(&rubric.answers, exercise, material)
});

fn judged(evidence: &Evidence) -> Grade {
    let Assignment {
        exercise,
        rubric,
        material,
    } = &*ASSIGNMENT;
    judge(exercise, rubric, material, evidence)
}

/// Judges a whole ANSWERS.md: takes it apart, marks its questions and its Results table, and writes
/// the list of what waits for a person.
///
/// # Panics
/// When a promise of grading does not hold.
pub(super) fn answers_file(bytes: &[u8]) -> Grade {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let answers = if bytes.len() as u64 > MAX_ANSWERS_BYTES {
        AnswersFile::TooLarge {
            bytes: bytes.len() as u64,
        }
    } else {
        AnswersFile::Text {
            utf8: std::str::from_utf8(bytes).is_ok(),
            text,
        }
    };
    let evidence = evidence(answers);
    let grade = judged(&evidence);
    for criterion in &grade.criteria {
        assert!(criterion.points <= criterion.max_points);
        let told = criterion
            .reason
            .as_ref()
            .is_some_and(|reason| !reason.is_empty());
        assert!(told || criterion.points == criterion.max_points);
        if let Some(answer) = &criterion.answer {
            assert!(answer.text.chars().count() <= 20_000);
            assert!(
                answer
                    .ideas
                    .iter()
                    .flat_map(|idea| &idea.quote)
                    .all(|quote| quote.chars().count() <= 160)
            );
        }
    }
    if let Some(list) = marks::review_list("a", &grade) {
        let source = Source {
            name: "review.yaml".into(),
            text: list,
        };
        let marks = marks::Marks::parse(&source).unwrap_or_else(|error| panic!("{error:?}"));
        assert!(!marks.marks.is_empty());
    }
    grade
}

/// Judges one answer, twice.
///
/// # Panics
/// When a promise of grading does not hold.
pub(super) fn one_answer(question: u8, text: &str) -> Mark {
    let id = format!("q{}", question % 9 + 1);
    let judged = GRADER.judge(&id, text);
    assert_eq!(judged, GRADER.judge(&id, text));
    assert!(judged.gate.is_none() || judged.mark == Mark::None);
    for found in judged.ideas.iter().filter_map(|idea| idea.found.as_ref()) {
        assert!(text.get(found.span.0..found.span.1).is_some(), "{found:?}");
    }
    judged.mark
}

/// Any bytes as an `exercise.yaml` and as a rubric: read, and used when they are one.
///
/// # Panics
/// When a mistake in them has no message.
pub(super) fn authors_file(bytes: &[u8]) {
    let source = Source {
        name: "any.yaml".into(),
        text: String::from_utf8_lossy(bytes).into_owned(),
    };
    let Assignment {
        exercise, material, ..
    } = &*ASSIGNMENT;
    if let Err(error) = Exercise::parse(&source) {
        assert!(!format!("{error:#}").is_empty());
    }
    match Rubric::parse(&source, exercise) {
        Err(error) => assert!(!format!("{error:#}").is_empty()),
        Ok(rubric) => {
            let grader = Grader::new(&rubric.answers, exercise, material);
            let _ = grader.judge("q1", "Each request opens a new pool of its own.");
            let _ = judge(exercise, &rubric, material, &evidence(AnswersFile::Missing));
        }
    }
}

/// Any bytes as what EXPLAIN gave.
pub(super) fn plan(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice(bytes) else {
        return;
    };
    if let Ok(plan) = QueryPlan::parse(&json) {
        let nodes = plan.nodes();
        assert!(!nodes.is_empty());
        let told =
            |node: &&Node| node.is_sequential_scan() || node.is_sort() || node.reads("posts");
        let _ = nodes.iter().filter(|node| told(node)).count();
    }
}

/// Any bytes as an `evidence.json`: judged by today's rubric, and written in every format.
///
/// # Panics
/// When a promise of grading does not hold.
pub(super) fn evidence_file(bytes: &[u8]) {
    let Ok(evidence) = serde_json::from_slice::<Evidence>(bytes) else {
        return;
    };
    let grade = judged(&evidence);
    for criterion in &grade.criteria {
        assert!(criterion.points <= criterion.max_points);
    }
    let report = report(&ASSIGNMENT.exercise, &evidence, grade);
    for format in Format::ALL {
        // A format may refuse what it cannot hold, in words.
        if let Err(error) = format::render(format, &report, None) {
            assert!(!format!("{error:#}").is_empty());
        }
    }
}

/// Any text as the Results table of a submission that was measured.
pub(super) fn results_table(text: &str) {
    static MEASURED: LazyLock<Evidence> = LazyLock::new(|| {
        serde_json::from_str(SOLUTION).unwrap_or_else(|error| panic!("{error:?}"))
    });
    let evidence = Evidence {
        answers: AnswersFile::Text {
            text: format!("## Results\n\n{text}\n"),
            utf8: true,
        },
        ..MEASURED.clone()
    };
    let grade = judged(&evidence);
    let results = grade
        .criteria
        .iter()
        .find(|one| one.id == "answers.results");
    assert!(results.is_some_and(|one| one.points == one.max_points || one.reason.is_some()));
}

/// Evidence of a run of the solution.
pub(super) const SOLUTION: &str = include_str!("../fixtures/evidence/solution.json");

/// Measures answers as an author would.
#[must_use]
pub(super) fn measured(text: &str) -> agreement::Agreement {
    let labelled = vec![Labelled {
        question: "q1".into(),
        answer: text.into(),
        score: Mark::Half,
        kind: String::new(),
    }];
    agreement::measure(&GRADER, &labelled)
}

fn evidence(answers: AnswersFile) -> Evidence {
    Evidence {
        version: VERSION,
        exercise: "connection-pools".into(),
        submission: "a".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        environment: Environment {
            feedgrade: "0".into(),
            database: "none".into(),
            database_reason: String::new(),
            postgres: String::new(),
            settings: std::collections::BTreeMap::new(),
            cores: 2,
            isolation: Confined::default(),
            footing: feedgrade::evidence::Footing::default(),
            rustc: String::new(),
            platform: String::new(),
        },
        answers,
        build: Build {
            outcome: BuildOutcome::Built,
            seconds: 1.0,
            dependencies_reused: true,
            notes: Vec::new(),
        },
        api: None,
        stages: Vec::new(),
        phases: Vec::new(),
    }
}
