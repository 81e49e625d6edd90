//! Tests of the shipped rubric: every gate on texts of its own, and texts that mean harm.

use feedgrade::agreement;
use feedgrade::check::Material;
use feedgrade::check::answer::gate::Gate;
use feedgrade::check::answer::grader::Grader;
use feedgrade::check::answer::judged::Judged;
use feedgrade::check::answer::rule::Mark;
use feedgrade::exercise::Exercise;
use feedgrade::rubric::Rubric;
use feedgrade::rubric_lint::{Severity, lint};
use feedgrade::yaml::Source;

use super::hostile::answers_file;

const EXERCISE: &str = r#"
version: 1
slug: connection-pools
title: X
summary: X.
minutes: 1
database: {image: "postgres:15", schema: s, seed: s}
stages: []
questions:
  - {id: q1, text: "What does `connect_per_request()` do, and when is it called?"}
  - {id: q2, text: "How will the time for this query change while the table grows to millions of rows?"}
  - {id: q4, text: "Most requests of your first load test failed. Explain why. What does each of the 100 concurrent requests do, and where does it get stuck?"}
  - {id: q9, text: "How would you bring a new version of this server into production so that no user notices an interruption?"}
"#;

const KEY: &str = "## Q1\nEach handler first builds a pool that holds a single connection and belongs to this request alone; \
when the request is over it is closed, and the next one starts from nothing again.\n";

const CODE: &str = "async fn connect_per_request() -> Result<PgPool, sqlx::Error> {\n    PgPoolOptions::new()\n        \
.max_connections(1)\n        .acquire_timeout(Duration::from_millis(150))\n        .connect(&database_url())\n        .await\n}\n";

fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.into(),
        text: text.into(),
    }
}

/// The shipped rubric, its questions, and a key.
struct Shipped {
    rubric: Rubric,
    exercise: Exercise,
    material: Material,
}

impl Shipped {
    fn new() -> Self {
        let rubric = source(
            "rubrics/connection-pools.yaml",
            include_str!("../../rubrics/connection-pools.yaml"),
        );
        let parsed: Rubric = rubric.parse().unwrap();
        parsed.answers.check(&rubric).unwrap();
        Self {
            rubric: parsed,
            exercise: Exercise::parse(&source("exercise.yaml", EXERCISE)).unwrap(),
            material: Material {
                key: KEY.into(),
                starter_code: CODE.into(),
                ..Material::default()
            },
        }
    }

    fn grader(&self) -> Grader<'_> {
        Grader::new(&self.rubric.answers, &self.exercise, &self.material)
    }

    fn judge(&self, question: &str, text: &str) -> Judged {
        self.grader().judge(question, text)
    }
}

#[test]
fn what_is_no_answer_earns_nothing_and_is_named() {
    let shipped = Shipped::new();
    for (question, text, gate) in [
        ("q1", "", Gate::Blank),
        ("q1", "   \n\n", Gate::Blank),
        ("q3", "TODO", Gate::Blank),
        (
            "q1",
            "what does connect_per_request do and when is it called",
            Gate::QuestionCopy,
        ),
        (
            "q9",
            "How could one bring out a new release without anybody noticing?",
            Gate::QuestionCopy,
        ),
        (
            "q4",
            "Most requests of your first load test failed. Explain why.",
            Gate::QuestionCopy,
        ),
        (
            "q4",
            "What ends the wait of a request that has no connection yet?",
            Gate::QuestionCopy,
        ),
        ("q1", CODE, Gate::CodeCopy),
        (
            "q7",
            "CREATE INDEX posts_created_at ON posts (created_at DESC);",
            Gate::CodeOnly,
        ),
        (
            "q1",
            "pool connection request handler every new PgPool timeout 150ms max_connections",
            Gate::KeywordList,
        ),
        (
            "q5",
            "root cause, symptom, Option A, Option B, Option C, reuse, waste, 10,000",
            Gate::KeywordList,
        ),
        (
            "q9",
            "blue-green, canary, rolling update, load balancer, old, new, health, traffic",
            Gate::KeywordList,
        ),
        ("q2", "sdfkj wqer zxcvb qwrt lkjh", Gate::Gibberish),
    ] {
        let judged = shipped.judge(question, text);
        assert_eq!(judged.gate, Some(gate), "{text}");
        assert_eq!(judged.mark, Mark::None, "{text}");
        assert!(!judged.reason().is_empty());
    }
}

#[test]
fn a_pasted_key_earns_everything_and_is_sent_to_a_person() {
    let shipped = Shipped::new();
    let key = KEY.trim_start_matches("## Q1\n");
    let judged = shipped.judge("q1", key);
    assert_eq!(judged.mark, Mark::Full);
    assert!(judged.needs_review());
    let words: Vec<&str> = key.split_whitespace().collect();
    // Every seventh word, seven times over: the same words, shuffled.
    let shuffled: Vec<&str> = (0..7)
        .flat_map(|start| words.iter().skip(start).step_by(7).copied())
        .collect();
    let judged = shipped.judge("q1", &shuffled.join(" "));
    assert!(judged.mark < Mark::Full && judged.needs_review());
}

#[test]
fn the_template_earns_nothing_and_the_solutions_answers_everything() {
    let points = |text: &str| -> (u32, usize) {
        let grade = answers_file(text.as_bytes());
        let answers = grade.criteria.iter().filter(|one| one.answer.is_some());
        answers.fold((0, 0), |(points, all), one| (points + one.points, all + 1))
    };
    let template = include_str!("../../exercises/connection-pools/starter/ANSWERS.md");
    assert_eq!(points(template), (0, 9));
    let solution = include_str!("../../reference/connection-pools/solution/ANSWERS.md");
    assert_eq!(points(solution), (27, 9));
    // It is the key, so a person sees it.
    assert!(
        answers_file(solution.as_bytes())
            .criteria
            .iter()
            .filter(|one| one.answer.is_some())
            .all(|one| one.needs_review)
    );
}

#[test]
fn a_key_with_denials_put_into_it_earns_half_at_most() {
    let solution = include_str!("../../reference/connection-pools/solution/ANSWERS.md");
    let denied = solution
        .replace(
            " calls connect_per_request()",
            " does not call connect_per_request()",
        )
        .replace("gets a private pool", "does not get a private pool")
        .replace("each needs a new backend", "none needs a new backend")
        .replace(
            "gives up and the handler",
            "does not give up and the handler",
        );
    assert_ne!(denied, solution);
    let grade = answers_file(denied.as_bytes());
    let fourth = grade
        .criteria
        .iter()
        .find(|one| one.id == "answers.q4")
        .unwrap();
    assert!(fourth.points <= 2 && fourth.needs_review, "{fourth:?}");
}

#[test]
fn a_denied_key_earns_half_at_most_and_is_sent_to_a_person() {
    let shipped = Shipped::new();
    for (question, text) in [
        (
            "q1",
            "The handlers do not build a pool, and it is not called for each request.",
        ),
        (
            "q2",
            "It does not take longer, because Postgres does not read every row.",
        ),
        (
            "q4",
            "The requests don't each open a pool, and they don't give up after 150 ms.",
        ),
        (
            "q8",
            "More servers and a load balancer would not help at all.",
        ),
    ] {
        let judged = shipped.judge(question, text);
        assert!(judged.mark <= Mark::Half, "{text}");
        assert!(judged.needs_review() || judged.mark == Mark::None, "{text}");
    }
}

#[test]
fn other_languages_go_to_a_person_and_never_earn_nothing() {
    let shipped = Shipped::new();
    for (question, text) in [
        (
            "q1",
            "Jeder Handler baut sich damit einen eigenen Pool auf, also bei jeder Anfrage neu.",
        ),
        (
            "q2",
            "Cada vez que la tabla crece la consulta es más lenta, porque no hay índice y se leen todas las filas.",
        ),
        (
            "q4",
            "Chaque requête crée son propre pool et abandonne au bout de 150 ms, car rien n'est partagé.",
        ),
        (
            "q9",
            "Eu subiria uma segunda instância com a nova versão e depois o balanceador manda os usuários para ela.",
        ),
        (
            "q3",
            "Większość żądań nie powiedzie się, bo każde otwiera nowe połączenie do bazy danych.",
        ),
        (
            "q6",
            "データベースは全ての行を読む必要があるので遅いです。百万行ならもっと遅いです。",
        ),
        (
            "q8",
            "Suurin osa palvelimista pitäisi monistaa ja kuormantasaaja jakaisi liikenteen niille.",
        ),
    ] {
        let judged = shipped.judge(question, text);
        assert!(
            judged.mark > Mark::None && judged.needs_review(),
            "{text}: {judged:?}"
        );
    }
}

#[test]
fn an_image_is_not_marked_down_unseen() {
    let shipped = Shipped::new();
    for (question, text) in [
        (
            "q2",
            "Picture a diary whose pages were torn out and thrown on the floor. To find yesterday you pick up a great many of them.",
        ),
        (
            "q8",
            "When the soup kitchen is overrun you open a second one round the corner, and somebody shows hungry folks where to stand.",
        ),
    ] {
        let judged = shipped.judge(question, text);
        assert!(
            judged.mark > Mark::None || judged.needs_review(),
            "{text}: {judged:?}"
        );
    }
}

#[test]
fn restating_the_question_neither_helps_nor_hurts() {
    let shipped = Shipped::new();
    let asked = "What does each of the 100 concurrent requests do, and where does it get stuck?";
    let answer = "Each opens a pool of its own and gives up after 150 ms.";
    for text in [
        format!("{asked} {answer}"),
        format!("> {asked}\n\n{answer}"),
    ] {
        assert_eq!(shipped.judge("q4", &text).mark, Mark::Full, "{text}");
    }
}

#[test]
fn marks_agree_with_people_on_answers_of_many_kinds() {
    let shipped = Shipped::new();
    let text = include_str!("../answers/labelled.jsonl");
    let labelled = agreement::parse("labelled.jsonl", text).unwrap();
    let agreement = agreement::measure(&shipped.grader(), &labelled);
    let told = agreement.to_text(5);
    assert!(agreement.qwk >= 0.9, "{told}");
    assert!(
        agreement.qwk_auto.is_some_and(|auto| auto >= 0.92),
        "{told}"
    );
    assert!(
        agreement.review_share <= 0.2 && agreement.false_zero == 0,
        "{told}"
    );
}

#[test]
fn the_lint_finds_no_fault() {
    let shipped = Shipped::new();
    let source = source(
        "rubrics/connection-pools.yaml",
        include_str!("../../rubrics/connection-pools.yaml"),
    );
    let remarks = lint(
        &source,
        &shipped.rubric,
        &shipped.exercise,
        &shipped.material,
    );
    let faults: Vec<String> = remarks
        .into_iter()
        .filter(|remark| remark.severity == Severity::Fault)
        .map(|remark| remark.text)
        .collect();
    assert_eq!(faults, [""; 0], "{}", faults.join("\n\n"));
}
