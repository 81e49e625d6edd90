//! Sheets that an instructor exported, filled in from the command line.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use feedgrade::class::figures::Counts;
use feedgrade::class::{Class, Row, Standing, VERSION};

/// As Canvas exports it, with what Canvas itself adds to a name that begins like a formula.
const CANVAS: &str = "\
Student,ID,SIS User ID,SIS Login ID,Section,Essay (10),Pools (4711),Assignments Current Points\r
    Points Possible,,,,,10.00,100.00,(read only)\r
\"Example, Ann\",101,s-1,ann@x.org,\"Backend, 2026\",7.50,,7.50\r
\"Sample, Ben\",102,s-2,ben,\"Backend, 2026\",,55.00,55.00\r
\"O'Neil, \"\"Cid\"\"\",103,s-3,cid,Backend,,\"\",\r
'=cmd()|x,104,s-4,dee,Backend,,EX,\r
\"Only, Name\",105,,,Backend,,,\r
\"Late, Eva\",106,s-6,eva,Backend,,41.00,\r
\"Student, Test\",107,,0a1b,Backend,,,\r
";

/// As Moodle downloads it, in an English site.
const MOODLE: &str = "\u{feff}\
Identifier,\"Full name\",\"Email address\",Status,Grade,\"Maximum Grade\",\"Grade can be changed\",\"Last modified (submission)\",\"Last modified (grade)\",\"Feedback comments\"
\"Participant 9001\",\"Ann Example\",Ann@X.org,\"Submitted for grading - \",,100.00,Yes,\"Friday, 6 November 2026, 9:00 AM\",-,
\"Participant 9002\",\"Ben Sample\",ben@x.org,\"Submitted for grading - \",55.00,100.00,Yes,-,\"Saturday, 7 November 2026\",\"line one
=HYPERLINK(1)\"
\"Participant 9003\",\"Cid O'Neil\",cid@x.org,\"No submission - \",\"\",100.00,No,-,-,
";

fn row(id: &str, standing: Standing, points: Option<u32>) -> Row {
    let mut row = Row::without_grade(id, id, standing, "");
    row.points = points;
    id.clone_into(&mut row.source);
    row
}

fn named(mut row: Row, name: &str, email: &str) -> Row {
    row.name = Some(name.to_owned());
    row.email = (!email.is_empty()).then(|| email.to_owned());
    row
}

fn members() -> Vec<Row> {
    use Standing::{Failed, Missing, Passed, Ungraded};
    vec![
        named(row("a-repo", Passed, Some(96)), "Ann Example", "ANN@x.org"),
        row("ben", Failed, Some(60)),
        row("cid", Passed, Some(88)),
        row("dee", Passed, Some(90)),
        row("eva", Ungraded, None),
        named(row("nobody-else", Passed, Some(71)), "Name Only", ""),
        row("gone", Missing, None),
        row("stranger\u{1b}[31m", Failed, Some(3)),
    ]
}

fn class(rows: Vec<Row>) -> Class {
    Class {
        version: VERSION,
        exercise: "connection-pools".into(),
        title: "Pools".into(),
        feedgrade: "0".into(),
        max_points: 100,
        pass_mark: 70,
        shard: None,
        counts: Counts::of(&rows),
        points: None,
        criteria: Vec::new(),
        misconceptions: Vec::new(),
        times: None,
        rows,
    }
}

struct Told {
    code: Option<i32>,
    sheet: String,
    said: String,
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new(class: &Class, sheet: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let json = serde_json::to_string(class).unwrap();
        fs::write(folder.path().join("batch.json"), json).unwrap();
        fs::write(folder.path().join("sheet.csv"), sheet).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fill(&self, kind: &str, more: &[&str]) -> Told {
        let output = Command::cargo_bin("feedgrade")
            .unwrap()
            .args(["sheet", kind])
            .args([self.folder.path(), &self.path("sheet.csv")])
            .arg("--out")
            .arg(self.path("filled.csv"))
            .args(more)
            .output()
            .unwrap();
        Told {
            code: output.status.code(),
            sheet: fs::read_to_string(self.path("filled.csv")).unwrap_or_default(),
            said: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn canvas(more: &[&str]) -> Told {
    Desk::new(&class(members()), CANVAS).fill("canvas", more)
}

fn refused(kind: &str, class: &Class, sheet: &[u8], says: &str) {
    let desk = Desk::new(class, sheet);
    let told = desk.fill(kind, &[]);
    assert_eq!(told.code, Some(2), "{}", told.said);
    assert!(told.said.contains(says), "{says}: {}", told.said);
    assert_eq!(told.said.trim_end().lines().count(), 1, "{}", told.said);
    assert!(!desk.path("filled.csv").exists(), "{says}");
    assert_eq!(fs::read(desk.path("sheet.csv")).unwrap(), sheet);
}

#[test]
fn a_canvas_gradebook_gets_the_points_and_keeps_every_other_byte() {
    let told = canvas(&[]);
    assert_eq!(told.code, Some(0), "{}", told.said);
    let wanted = CANVAS
        .replace("2026\",7.50,,7.50", "2026\",7.50,96,7.50")
        .replace(",55.00,55.00", ",60,55.00")
        .replace("Backend,,\"\",\r", "Backend,,\"88\",\r")
        .replace("105,,,Backend,,,\r", "105,,,Backend,,71,\r");
    assert_eq!(told.sheet, wanted);
}

#[test]
fn everybody_who_is_left_out_is_named() {
    let Told { said, .. } = canvas(&[]);
    for line in [
        "note: other points than the sheet had: Sample, Ben 55 → 60",
        "note: left as they were, because the sheet says so: '=cmd()|x (excused)",
        "note: told by their names alone: Name Only",
        "note: without a grade, and left as they were (this is no zero): eva",
        "note: handed in nothing, and left as they were: gone",
        "note: in the class, and not in the sheet: gone, stranger",
        "note: in the sheet, and not in the class: Student, Test",
        "4 of 6 grades filled in",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn a_sheet_that_is_filled_in_already_stays_as_it_is() {
    let first = canvas(&[]).sheet;
    let again = Desk::new(&class(members()), &first).fill("canvas", &[]);
    assert_eq!((again.code, again.sheet), (Some(0), first));
    assert!(!again.said.contains("other points"), "{}", again.said);
}

#[test]
fn semicolons_decimal_commas_a_bom_and_a_row_about_posting_are_kept() {
    let sheet = "\u{feff}Student;ID;SIS Login ID;Section;Pools (1)\n\
                 ;;;;Manual Posting\n    Points Possible;;;;10,00\n\
                 Ben;1;ben;A;\nCid;2;cid;A;\"1,50\"";
    let rows = vec![
        row("ben", Standing::Failed, Some(60)),
        row("cid", Standing::Passed, Some(88)),
    ];
    let desk = Desk::new(&class(rows), sheet);
    let told = desk.fill("canvas", &["--scale"]);
    let wanted = sheet
        .replace("ben;A;", "ben;A;6")
        .replace("\"1,50\"", "\"8,8\"");
    assert_eq!(told.sheet, wanted, "{}", told.said);
    let told = desk.fill("canvas", &[]);
    assert_eq!(told.code, Some(2));
    assert!(told.said.contains("with --scale"), "{}", told.said);
}

#[test]
fn a_decimal_comma_is_quoted_between_commas() {
    let sheet = "Student,ID,SIS Login ID,Section,Pools (1)\n\
                 Points Possible,,,,\"10,00\"\nBen,1,ben,A,\n";
    let rows = vec![row("ben", Standing::Failed, Some(65))];
    let told = Desk::new(&class(rows), sheet).fill("canvas", &["--scale"]);
    assert_eq!(told.sheet, sheet.replace("ben,A,", "ben,A,\"6,5\""));
}

#[test]
fn a_canvas_column_is_named_by_its_title_its_number_or_its_heading() {
    for column in ["pools", "4711", "Pools (4711)"] {
        let told = canvas(&["--column", column]);
        assert_eq!(told.code, Some(0), "{column}: {}", told.said);
    }
    let told = canvas(&["--column", "Essay", "--scale"]);
    assert!(told.sheet.contains("2026\",9.6,,7.50"), "{}", told.sheet);
    let told = canvas(&["--column", "Assignments Current Points"]);
    assert_eq!(told.code, Some(2), "{}", told.said);
    assert!(told.said.contains("“Essay (10)”"), "{}", told.said);
}

#[test]
fn an_assignment_that_is_called_section_hides_no_other() {
    let sheet = CANVAS
        .replace("Pools (4711),", "Pools (4711),Section 2 quiz (12),")
        .replace("100.00,(read", "100.00,5.00,(read");
    let told = Desk::new(&class(members()), &sheet).fill("canvas", &["--column", "4711"]);
    assert_eq!(told.code, Some(0), "{}", told.said);
}

#[test]
fn nobody_gets_a_row_that_could_be_anothers() {
    let sheet = "Student,ID,SIS User ID,SIS Login ID,Section,Pools (1)\n\
                 Points Possible,,,,,100\n\
                 Ann,7,,ann,A,\nBen,8,7,ben,A,\nCid,9,,cid,A,\nCid,10,,other,A,\n";
    let rows = vec![
        // The number of one and the school's number of another.
        row("7", Standing::Passed, Some(80)),
        // Two members that are one in the sheet.
        row("cid", Standing::Passed, Some(81)),
        named(row("cid-2", Standing::Failed, Some(5)), "Cid", "CID"),
        // One name in two rows.
        named(row("cid-3", Standing::Failed, Some(6)), "Cid", ""),
    ];
    let told = Desk::new(&class(rows), sheet).fill("canvas", &[]);
    assert_eq!(told.code, Some(0), "{}", told.said);
    let wanted = "not clear which row is whose: 7, cid, Cid";
    assert!(told.said.contains(wanted), "{}", told.said);
    // The second Cid of the sheet is the one namesake that is left.
    assert_eq!(told.sheet, sheet.replace("other,A,", "other,A,6"));
}

#[test]
fn a_moodle_worksheet_gets_the_points_and_keeps_every_other_byte() {
    let rows = vec![
        named(row("x", Standing::Passed, Some(96)), "Ann", "ann@x.org"),
        row(
            "Ben Sample_9002_assignsubmission_file",
            Standing::Failed,
            Some(60),
        ),
        named(row("y", Standing::Failed, Some(1)), "Cid O'Neil", ""),
    ];
    let told = Desk::new(&class(rows), MOODLE).fill("moodle", &[]);
    assert_eq!(told.code, Some(0), "{}", told.said);
    let wanted = MOODLE
        .replacen("grading - \",,", "grading - \",96,", 1)
        .replace(",55.00,", ",60,");
    assert_eq!(told.sheet, wanted);
    for line in [
        "Cid O'Neil (its grade cannot be changed)",
        "2 of 3 grades filled in",
    ] {
        assert!(told.said.contains(line), "{line}: {}", told.said);
    }
}

#[test]
fn a_formula_that_the_export_holds_is_told_and_not_touched() {
    let sheet = CANVAS.replace("'=cmd()|x", "=cmd()|x");
    let told = Desk::new(&class(members()), &sheet).fill("canvas", &[]);
    assert!(told.sheet.contains("\n=cmd()|x,104"), "{}", told.sheet);
    let says = "1 cells of the sheet begin like a formula";
    assert!(told.said.contains(says), "{}", told.said);
}

#[test]
fn a_moodle_worksheet_in_another_language_needs_the_name_of_its_column() {
    let sheet = "ID,\"Vollständiger Name\",E-Mail-Adresse,Status,Bewertung,Bestwertung,\"Zuletzt geändert (Bewertung)\"\n\
                 \"Teilnehmer/in9001\",\"Ann Example\",ann@x.org,Abgegeben,,\"10,00\",-\n";
    let rows = vec![named(
        row("a", Standing::Passed, Some(96)),
        "Ann",
        "ann@x.org",
    )];
    let desk = Desk::new(&class(rows), sheet);
    let told = desk.fill("moodle", &["--scale"]);
    assert_eq!(told.code, Some(2));
    let says = "no column “Grade”: name that of the grade with --column, one of “ID”";
    assert!(told.said.contains(says), "{}", told.said);
    let told = desk.fill("moodle", &["--column", "Bewertung", "--scale"]);
    let wanted = sheet.replace("Abgegeben,,", "Abgegeben,\"9,6\",");
    assert_eq!(told.sheet, wanted, "{}", told.said);
}

#[test]
fn a_sheet_of_another_course_or_assignment_is_refused_in_one_sentence() {
    let all = class(members());
    let other = CANVAS.replace("Pools (4711)", "Queues (4712)");
    refused(
        "canvas",
        &all,
        other.as_bytes(),
        "no assignment “Pools” or “connection-pools”",
    );
    let strangers = class(vec![row("zoe", Standing::Passed, Some(80))]);
    refused(
        "canvas",
        &strangers,
        CANVAS.as_bytes(),
        "it is of another course",
    );
    refused(
        "moodle",
        &strangers,
        MOODLE.as_bytes(),
        "it is of another course",
    );
    let few: Vec<Row> = ["ben", "u", "v", "w"]
        .map(|id| row(id, Standing::Failed, Some(1)))
        .into();
    refused(
        "canvas",
        &class(few),
        CANVAS.as_bytes(),
        "holds 1 of the 4 in this class",
    );
    let ten = CANVAS.replace("10.00,100.00", "10.00,20.00");
    refused(
        "canvas",
        &all,
        ten.as_bytes(),
        "an assignment of 20 points, and connection-pools has 100",
    );
}

#[test]
fn what_is_no_such_sheet_is_refused_in_one_sentence() {
    let all = class(members());
    for (kind, sheet, says) in [
        ("canvas", "", "is empty"),
        ("canvas", MOODLE, "no gradebook of Canvas"),
        ("moodle", CANVAS, "no row of Moodle's grading worksheet"),
        (
            "moodle",
            "Identifier,Full name,Grade\n",
            "there is nothing to fill in",
        ),
        (
            "moodle",
            "Identifier,Full name,Grade,Maximum Grade\nParticipant 1,Ben,Good,\"Bad, Good\"\n",
            "not graded with points",
        ),
        (
            "canvas",
            "Student,ID,Section,Pools (1)\nPoints Possible,,,\nBen,ben,A,\n",
            "has no points",
        ),
        (
            "canvas",
            "Student,ID,Section,Pools (1),Pools (2)\nPoints Possible,,,100,100\nBen,ben,A,,\n",
            "has 2 assignments",
        ),
        (
            "canvas",
            "Student,ID,Section,Pools (1)\nPoints Possible,,,100\nBen,ben,A,\"\n",
            "3: a quote is opened and not closed",
        ),
    ] {
        refused(kind, &all, sheet.as_bytes(), says);
    }
    refused(
        "canvas",
        &all,
        b"Student,ID\nJos\xe9,1\n",
        "export it once more",
    );
}

#[test]
fn results_that_are_none_or_newer_and_a_sheet_that_would_be_lost_are_refused() {
    let desk = Desk::new(&class(members()), CANVAS);
    let sheet = desk.path("sheet.csv");
    let told = desk.fill("canvas", &["--partial"]);
    assert_eq!(told.code, Some(0));
    let output = Command::cargo_bin("feedgrade")
        .unwrap()
        .args(["sheet", "canvas"])
        .args([desk.folder.path(), &sheet])
        .arg("--out")
        .arg(&sheet)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&sheet).unwrap(), CANVAS);
    for (text, says) in [
        ("{\"version\": 99}", "has version 99"),
        ("{\"version\": 1}", "is no batch.json"),
        ("half a fi", "is no batch.json"),
    ] {
        fs::write(desk.path("batch.json"), text).unwrap();
        let told = desk.fill("canvas", &[]);
        assert_eq!(told.code, Some(2));
        assert!(told.said.contains(says), "{}", told.said);
    }
    fs::remove_file(desk.path("batch.json")).unwrap();
    let told = desk.fill("canvas", &[]);
    assert!(
        told.said.contains("a folder that `feedgrade batch` wrote"),
        "{}",
        told.said
    );
}
