//! Every format on every literal report. What is rendered stays in `target/tmp/faces/`, so that it
//! can be looked at.

use std::fs;
use std::path::Path;

use feedgrade::format::{Format, csv, escape, html, json, render, text};
use feedgrade::grade::Verdict;
use feedgrade::report::Report;

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

fn rendered(format: Format, name: &str) -> String {
    let text =
        render(format, &report(name), None).unwrap_or_else(|e| panic!("{format} {name}: {e:#}"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faces");
    let path = folder.join(format!("{name}.{}", format.extension()));
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
            let written = render(format, &report, None).unwrap();
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
