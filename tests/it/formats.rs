//! Every format on every literal report. What is rendered stays in `target/tmp/faces/`, so that it
//! can be looked at.

use std::fs;
use std::path::Path;

use feedgrade::format::{
    Around, Format, annotations, csv, escape, html, json, prairielearn, render_in, text,
};
use feedgrade::grade::Verdict;
use feedgrade::report::Report;

use crate::skip::skip;

const FIXTURES: [&str; 5] = [
    "passed",
    "failed-starter",
    "failed-build",
    "ungraded",
    "hostile",
];

fn source(name: &str) -> String {
    let path = format!("tests/fixtures/reports/{name}.json");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

fn report(name: &str) -> Report {
    serde_json::from_str(&source(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What Classroom 50's runner sets.
fn around() -> Around {
    let variables = [
        ("CLASSROOM", "backend-2026"),
        ("ASSIGNMENT", "pools"),
        ("SUBMISSION_TAG", "submit/2026-09-01T12-00-00Z-abcdef0"),
        ("COMMIT_URL", "https://example.org/ann/pools/commit/abcdef0"),
        ("RELEASE_URL", "https://example.org/ann/pools/releases/1"),
        ("OWNER", "ann"),
        ("SUBMISSION_DATETIME", "2026-09-01T14:00:00+02:00"),
    ];
    Around {
        variables: variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..Around::default()
    }
}

fn rendered(format: Format, name: &str) -> String {
    let text = render_in(format, &report(name), &around())
        .unwrap_or_else(|e| panic!("{format} {name}: {e:#}"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faces");
    let path = folder.join(format!("{name}.{format}.{}", format.extension()));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, &text))
        .unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    text
}

#[test]
fn every_format_writes_every_report_without_control_characters() {
    for name in FIXTURES {
        for format in Format::ALL {
            let text = rendered(format, name);
            let bare = match format {
                Format::Text => anstream::adapter::strip_str(&text).to_string(),
                _ => text,
            };
            let bad = bare.chars().find(|&c| {
                (c.is_control() && !matches!(c, '\n' | '\t'))
                    || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            });
            assert_eq!(bad, None, "{format} {name}");
            assert!(bare.ends_with('\n'), "{format} {name}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn no_text_of_a_learner_breaks_a_format(text in "\\PC*|[\\x00-\\x{ff}<>&'\"|`\\[\\]]*") {
        let mut report = report("failed-starter");
        report.submission.clone_from(&text);
        report.stages[0].errors = [(text.clone(), 3)].into();
        report.statements[0].seen.sql.clone_from(&text);
        for criterion in &mut report.criteria {
            criterion.actual = Some(text.clone());
            if let Some(answer) = &mut criterion.answer {
                answer.text = format!("before {text} after");
                answer.ideas[0].quote = Some(text.clone());
                answer.ideas[0].found = true;
            }
        }
        for format in Format::ALL {
            let written = render_in(format, &report, &around()).unwrap();
            if format != Format::Text {
                let bad = written.chars().find(|c| c.is_control() && !"\n\t".contains(*c));
                proptest::prop_assert_eq!(bad, None, "{}", format);
            }
        }
    }
}

#[test]
fn a_good_run_reads_like_this() {
    let text = rendered(Format::Text, "passed");
    insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    for format in Format::ALL {
        assert_eq!(rendered(format, "passed"), rendered(format, "passed"));
    }
}

#[test]
fn every_report_keeps_its_schema() {
    let schema = json::schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for name in FIXTURES {
        let fixture: serde_json::Value = serde_json::from_str(&source(name)).unwrap();
        let written: serde_json::Value =
            serde_json::from_str(&rendered(Format::Json, name)).unwrap();
        assert_eq!(fixture, written, "{name}");
        let errors: Vec<String> = validator
            .iter_errors(&written)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn the_schema_wants_a_reason_exactly_when_a_criterion_is_not_met() {
    let validator = jsonschema::validator_for(&json::schema()).unwrap();
    let mut report = report("failed-starter");
    let criterion = report
        .criteria
        .iter_mut()
        .find(|criterion| criterion.verdict == Verdict::NotMet)
        .unwrap();
    let reason = criterion.reason.take();
    let valid = |report: &Report| validator.is_valid(&serde_json::to_value(report).unwrap());
    assert!(!valid(&report));
    report.criteria[0].reason = reason;
    assert!(!valid(&report));
    let mut value: serde_json::Value = serde_json::from_str(&source("passed")).unwrap();
    value["added_later"] = true.into();
    assert!(validator.is_valid(&value), "fields may be added");
    value["points"] = 95.5.into();
    assert!(!validator.is_valid(&value), "points are whole numbers");
}

#[test]
fn a_page_holds_no_script_and_loads_nothing() {
    for name in FIXTURES {
        let page = rendered(Format::Html, name);
        let lower = page.to_lowercase();
        assert!(lower.contains("default-src 'none'"), "{name}");
        for tag in [
            "<script", "<img", "<link", "<iframe", "<object", "<embed", "<base", "<form",
            "@import", "url(", "srcset=", " src=\"",
        ] {
            assert!(!lower.contains(tag), "{name} holds {tag}");
        }
        for href in lower.split(" href=\"").skip(1) {
            assert!(href.starts_with('#'), "{name} leads to {href:.60}");
        }
        assert_eq!(lower.matches("<meta http-equiv").count(), 1, "{name}");
    }
}

#[test]
fn what_learners_wrote_opens_no_tag() {
    let page = rendered(Format::Html, "hostile");
    let mut tags: Vec<&str> = page
        .split('<')
        .skip(1)
        .map(|rest| {
            rest.split([' ', '>', '\n', '/'])
                .find(|s| !s.is_empty())
                .unwrap_or("")
        })
        .collect();
    tags.sort_unstable();
    tags.dedup();
    let plain = rendered(Format::Html, "passed") + &rendered(Format::Html, "failed-starter");
    for tag in tags {
        let known = plain.contains(&format!("<{tag}")) || ["em", "b", "br", "pre"].contains(&tag);
        assert!(known, "<{tag}");
    }
    assert!(!page.contains("603729"), "a template was run inside a text");
}

#[test]
fn every_link_inside_a_page_has_its_target() {
    for name in FIXTURES {
        let page = rendered(Format::Html, name);
        for link in page.split(" href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{name}: #{id}");
        }
    }
}

#[test]
fn a_summary_fits_the_terminal() {
    for name in FIXTURES {
        let text = rendered(Format::Text, name);
        for line in anstream::adapter::strip_str(&text).to_string().lines() {
            assert!(escape::width(line) <= text::WIDTH, "{name}: {line}");
        }
    }
    let lines = rendered(Format::Text, "passed").lines().count();
    assert!(lines <= 40, "a good run takes {lines} lines");
}

#[test]
fn an_ungraded_report_takes_no_points_anywhere() {
    let text = rendered(Format::Text, "ungraded");
    assert!(text.contains("No points are lost"), "{text}");
    let page = rendered(Format::Html, "ungraded");
    assert!(page.contains("no points are lost") && !page.contains("class=\"big\""));
    let row = rendered(Format::Csv, "ungraded");
    assert!(row.contains("\nunlucky,ungraded,,100,"), "{row}");
    let xml = rendered(Format::Junit, "ungraded");
    assert!(
        xml.contains("<error") && !xml.contains("<failure message=\"0"),
        "{xml}"
    );
}

#[test]
fn junit_is_read_back_with_unique_names() {
    for name in FIXTURES {
        let xml = rendered(Format::Junit, name);
        let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        let cases = &read.test_suites[0].test_cases;
        let names: std::collections::BTreeSet<&str> =
            cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), report(name).criteria.len(), "{name}");
    }
}

/// The schema of Jenkins' xUnit plugin travels in pytest's source as
/// `testing/example_scripts/junit-10.xsd`; `FEEDGRADE_JUNIT_SCHEMA` says where it is.
#[test]
fn junit_keeps_the_schema_of_jenkins() {
    let Some(schema) = std::env::var_os("FEEDGRADE_JUNIT_SCHEMA").filter(|path| !path.is_empty())
    else {
        return skip("junit-schema", &"FEEDGRADE_JUNIT_SCHEMA names no file");
    };
    for name in FIXTURES {
        let checked = assert_cmd::Command::new("xmllint")
            .args(["--noout", "--schema"])
            .arg(&schema)
            .arg("-")
            .write_stdin(rendered(Format::Junit, name))
            .output()
            .unwrap_or_else(|error| panic!("run xmllint, of Debian's libxml2-utils: {error}"));
        let told = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{told}");
    }
}

#[test]
fn csv_cells_are_no_formulas_and_rows_have_one_width() {
    let reports = FIXTURES.map(report);
    let table = csv::render(&reports.each_ref()).unwrap();
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(table.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1 + reports.len());
    for cell in rows.iter().flatten() {
        assert!(
            !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
            "{cell:.60}"
        );
    }
}

#[test]
fn markdown_stays_small_and_holds_only_our_tags() {
    for name in FIXTURES {
        let text = rendered(Format::Markdown, name);
        assert!(text.len() < 1024 * 1024, "{name}");
        for rest in text.split('<').skip(1) {
            let ours = [
                "details>",
                "/details>",
                "summary>",
                "/summary>",
                "br>",
                "sub>",
                "/sub>",
                "pre>",
                "/pre>",
            ];
            assert!(
                ours.iter().any(|tag| rest.starts_with(tag)),
                "{name}: <{rest:.30}"
            );
        }
        // Inside `pre` there is no Markdown.
        let parts: Vec<&str> = text
            .split("<pre>")
            .enumerate()
            .map(|(i, part)| match (i, part.split_once("</pre>")) {
                (0, _) => part,
                (_, Some((_, after))) => after,
                (_, None) => panic!("{name}: pre is not closed"),
            })
            .collect();
        let text = parts.concat();
        assert!(!text.contains("](") && !text.contains("://"), "{name}");
    }
}

#[test]
fn a_template_that_does_not_fit_says_so() {
    let error = html::render(&report("passed"), "{{ report.nothing }}").unwrap_err();
    assert!(format!("{error:#}").contains("report.html"), "{error:#}");
}

fn parsed(format: Format, name: &str) -> serde_json::Value {
    serde_json::from_str(&rendered(format, name)).unwrap()
}

/// The rules of Gradescope's documentation: the allowed fields and values, and a score at the top or
/// at every test. The sum, when it has one.
fn gradescope_score(results: &serde_json::Value) -> Result<f64, String> {
    let one_of = |value: &serde_json::Value, allowed: &[&str]| {
        value.is_null() || value.as_str().is_some_and(|v| allowed.contains(&v))
    };
    let visibility = ["hidden", "after_due_date", "after_published", "visible"];
    let formats = ["text", "html", "simple_format", "md", "ansi"];
    let known = [
        "score",
        "execution_time",
        "output",
        "output_format",
        "test_output_format",
        "test_name_format",
        "visibility",
        "stdout_visibility",
        "extra_data",
        "tests",
        "leaderboard",
    ];
    let known_in_test = [
        "score",
        "max_score",
        "status",
        "name",
        "name_format",
        "number",
        "output",
        "output_format",
        "tags",
        "visibility",
        "extra_data",
    ];
    let mut complaints = Vec::new();
    let mut hold = |rule: &str, holds: bool| {
        if !holds {
            complaints.push(rule.to_owned());
        }
    };
    let fields = |value: &serde_json::Value, known: &[&str]| {
        let map = value.as_object().unwrap();
        map.keys().all(|key| known.contains(&key.as_str()))
    };
    hold("fields", fields(results, &known));
    for name in ["output_format", "test_output_format", "test_name_format"] {
        hold(name, one_of(&results[name], &formats));
    }
    hold("visibility", one_of(&results["visibility"], &visibility));
    hold("stdout", one_of(&results["stdout_visibility"], &visibility));
    let tests = results["tests"].as_array().unwrap();
    for test in tests {
        hold("fields of a test", fields(test, &known_in_test));
        hold("status", one_of(&test["status"], &["passed", "failed"]));
        // One hidden test hides the sum from everybody.
        hold("hidden", one_of(&test["visibility"], &["visible"]));
        hold("number", test["number"].is_string());
        hold(
            "tags",
            test["tags"]
                .as_array()
                .unwrap()
                .iter()
                .all(serde_json::Value::is_string),
        );
        hold(
            "range",
            test["score"].as_f64() <= test["max_score"].as_f64(),
        );
    }
    assert!(complaints.is_empty(), "{complaints:?}");
    if let Some(score) = results["score"].as_f64() {
        return Ok(score);
    }
    let scores: Option<Vec<f64>> = tests.iter().map(|test| test["score"].as_f64()).collect();
    scores
        .map(|scores| scores.iter().sum())
        .ok_or_else(|| "no score".to_owned())
}

#[test]
fn gradescope_adds_up_to_the_points_and_gets_no_score_of_a_report_without_a_grade() {
    for name in FIXTURES {
        let (results, report) = (parsed(Format::Gradescope, name), report(name));
        let output = results["output"].as_str().unwrap();
        if name == "ungraded" {
            assert!(gradescope_score(&results).is_err());
            assert!(!rendered(Format::Gradescope, name).contains("\"score\""));
            assert!(output.starts_with("NOT GRADED"), "{output}");
        } else {
            assert_eq!(
                gradescope_score(&results),
                Ok(f64::from(report.points)),
                "{name}"
            );
        }
    }
}

#[test]
fn prairielearn_gets_a_share_or_is_told_that_there_is_none() {
    for name in FIXTURES {
        let (results, report) = (parsed(Format::PrairieLearn, name), report(name));
        let tests = results["tests"].as_array().unwrap();
        let with_points = tests.iter().filter(|test| test["points"].is_u64());
        if name == "ungraded" {
            assert_eq!(results["gradable"], false);
            assert!(results["score"].is_null() && results["format_errors"].is_array());
            assert_eq!(with_points.count(), 0);
        } else {
            let score = results["score"].as_f64().unwrap();
            let points = score * f64::from(report.max_points);
            assert!(
                (0.0..=1.0).contains(&score) && (points - f64::from(report.points)).abs() < 1e-6
            );
            assert_eq!(
                with_points.count(),
                tests.len(),
                "{name}: all tests or none"
            );
        }
    }
    let mut long = report("failed-starter");
    for criterion in &mut long.criteria {
        criterion.expected = "<é\u{1}".repeat(500);
        criterion.actual = Some(criterion.expected.clone());
    }
    long.criteria = long.criteria.iter().cycle().take(400).cloned().collect();
    let text = render_in(Format::PrairieLearn, &long, &around()).unwrap();
    assert!(text.len() <= prairielearn::MAX_BYTES, "{}", text.len());
}

#[test]
fn classroom_50_gets_whole_numbers_by_its_schema_and_no_report_without_a_grade_fits_it() {
    let text = serde_json::json!({"type": "string", "minLength": 1});
    let instant =
        serde_json::json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$"});
    let score = serde_json::json!({"type": "integer", "minimum": 0});
    let schema = serde_json::json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["schema", "classroom", "assignment", "assignment_type", "owner", "submission",
            "commit", "release", "review", "datetime", "score", "max-score", "tests"],
        "properties": {
            "schema": {"const": "classroom50/result/v1"},
            "classroom": text, "assignment": text, "owner": text, "commit": text, "release": text,
            "review": text,
            "assignment_type": {"enum": ["individual", "group", "team"]},
            "submission": {"type": "string", "pattern": "^submit/"},
            "datetime": instant, "graded_at": instant, "score": score, "max-score": score,
            "tests": {"type": "array", "items": {
                "required": ["test-name", "passed", "score", "max-score"],
                "properties": {"test-name": text, "passed": {"type": "boolean"}, "score": score,
                    "max-score": score},
            }},
        },
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    for name in FIXTURES {
        let (result, report) = (parsed(Format::Classroom50, name), report(name));
        if name == "ungraded" {
            assert!(!validator.is_valid(&result));
            assert!(!rendered(Format::Classroom50, name).contains("score\""));
            continue;
        }
        let errors: Vec<String> = validator
            .iter_errors(&result)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        assert_eq!(result["score"], report.points);
        assert!(report.points <= report.max_points);
        let sum: u64 = result["tests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["score"].as_u64().unwrap())
            .sum();
        assert_eq!(sum, u64::from(report.points), "{name}");
        assert_eq!(result["datetime"], "2026-09-01T12:00:00Z");
    }
    let error = render_in(Format::Classroom50, &report("passed"), &Around::default()).unwrap_err();
    assert!(
        error.to_string().contains("CLASSROOM, ASSIGNMENT"),
        "{error}"
    );
}

#[test]
fn the_classroom_reporter_adds_up_the_points_and_nothing_of_a_report_without_a_grade() {
    use base64::Engine as _;
    for name in FIXTURES {
        let text = rendered(Format::Classroom, name);
        assert_eq!(text.lines().count(), 1, "a step output is one line");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text.trim_end())
            .unwrap();
        let result: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let sum: u64 = result["tests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["score"].as_u64().unwrap())
            .sum();
        let report = report(name);
        if name == "ungraded" {
            assert_eq!(
                (&result["status"], &result["max_score"]),
                (&"error".into(), &0.into())
            );
            assert_eq!(sum, 0);
        } else {
            assert_eq!(result["max_score"], report.max_points);
            assert_eq!(sum, u64::from(report.points), "{name}");
        }
    }
}

#[test]
fn annotations_are_few_on_their_lines_and_each_is_one_command() {
    for name in FIXTURES {
        let text = rendered(Format::Annotations, name);
        for kind in ["error", "warning", "notice"] {
            let all = text
                .lines()
                .filter(|line| line.starts_with(&format!("::{kind} ")));
            assert!(all.count() <= annotations::MOST, "{name}: {kind}");
        }
        for line in text.lines() {
            let (properties, _) = line[2..].split_once("::").unwrap();
            assert!(
                ["error ", "warning ", "notice "]
                    .iter()
                    .any(|kind| properties.starts_with(kind)),
                "{name}: {line}"
            );
        }
    }
    let mut below = around();
    below.folder = "work/mine".into();
    let text = render_in(Format::Annotations, &report("passed"), &below).unwrap();
    assert!(
        text.contains("file=work/mine/ANSWERS.md,line=94,"),
        "{text}"
    );
    let text = rendered(Format::Annotations, "ungraded");
    assert!(text.starts_with("::error title=Not graded"), "{text}");
}
