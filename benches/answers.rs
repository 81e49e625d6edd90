//! 500 answers, judged one after the other. `cargo bench --bench answers` prints the time.

use std::time::Instant;

use feedgrade::agreement;
use feedgrade::check::Material;
use feedgrade::check::answer::grader::Grader;
use feedgrade::exercise::Exercise;
use feedgrade::rubric::Rubric;
use feedgrade::yaml::Source;

const EXERCISE: &str = "
version: 1
slug: connection-pools
title: X
summary: X.
minutes: 1
database: {image: 'postgres:15', schema: s, seed: s}
stages: []
";

fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.into(),
        text: text.into(),
    }
}

fn main() -> anyhow::Result<()> {
    let exercise = Exercise::parse(&source("exercise.yaml", EXERCISE))?;
    let text = include_str!("../rubrics/connection-pools.yaml");
    let yaml = source("rubrics/connection-pools.yaml", text);
    let started = Instant::now();
    let rubric: Rubric = yaml.parse()?;
    rubric.answers.check(&yaml)?;
    let loaded = started.elapsed();
    let labelled = agreement::parse(
        "labelled.jsonl",
        include_str!("../tests/answers/labelled.jsonl"),
    )?;
    let grader = Grader::new(&rubric.answers, &exercise, &Material::default());
    let started = Instant::now();
    let mut full = 0;
    for one in labelled.iter().cycle().take(500) {
        full += usize::from(grader.judge(&one.question, &one.answer).mark.value() > 0.9);
    }
    let judged = started.elapsed();
    let mut out = anstream::stdout().lock();
    std::io::Write::write_fmt(
        &mut out,
        format_args!(
            "rubric loaded in {loaded:.1?}; 500 answers judged in {judged:.1?} ({full} with full marks)\n"
        ),
    )?;
    Ok(())
}
