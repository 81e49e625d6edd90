//! A roster: who is in the class, as a table that an instructor exported.
//!
//! Pure. Cells are text and nothing else: one that looks like a formula is kept as it is, and
//! guarded where it is written to a table again.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

/// Columns that are known, each with the names that exports give it.
const COLUMNS: [(&str, &[&str]); 4] = [
    ("id", &["id", "login", "username", "student_id"]),
    ("name", &["name", "full name"]),
    ("email", &["email", "e-mail", "mail"]),
    ("folder", &["folder", "repository", "repo"]),
];

/// One member of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who, told apart from all others.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub email: Option<String>,
    /// The submission's folder, below the one that is graded. The id when the roster has none.
    pub folder: String,
    /// Where the roster says so.
    pub line: u64,
}

/// Reads a roster: CSV with a heading, of which the column `id` must be there. Commas, semicolons
/// and tabs part its cells.
///
/// # Errors
/// What is wrong with it and in which line, and what to do.
pub fn parse(source: &str, bytes: &[u8]) -> Result<Vec<Entry>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        bail!("{source} is not UTF-8: save it once more as “CSV UTF-8”");
    };
    let text = text.trim_start_matches('\u{feff}');
    let heading = text.lines().next().unwrap_or_default();
    let delimiter = [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|delimiter| {
            let count = heading.bytes().filter(|byte| byte == delimiter).count();
            (count, *delimiter == b',')
        })
        .unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let heading = reader
        .headers()
        .with_context(|| format!("read {source}"))?
        .clone();
    let columns = columns(source, &heading)?;
    let mut entries = Vec::new();
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("read {source}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(str::is_empty) {
            continue;
        }
        ensure!(
            record.len() <= heading.len(),
            "{source}:{line}: there are {} cells under {} headings: put a cell that holds the \
             delimiter in quotes",
            record.len(),
            heading.len()
        );
        let cell = |column: &str| {
            let cell = columns.get(column).and_then(|at| record.get(*at));
            cell.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let Some(id) = cell("id") else {
            bail!("{source}:{line}: the id is empty: every member of the class needs one");
        };
        if let Some(first) = lines.insert(id.clone(), line) {
            bail!(
                "{source}:{line}: the id {id:?} stands in line {first} already: every member of \
                 the class needs one of their own"
            );
        }
        let folder = cell("folder").unwrap_or_else(|| id.clone());
        let is_below = |part| matches!(part, std::path::Component::Normal(_));
        ensure!(
            std::path::Path::new(&folder).components().all(is_below),
            "{source}:{line}: {folder:?} is no folder below the one that is graded"
        );
        entries.push(Entry {
            id,
            name: cell("name"),
            email: cell("email"),
            folder,
            line,
        });
    }
    ensure!(
        !entries.is_empty(),
        "{source} names nobody: a line for each member of the class follows its heading"
    );
    Ok(entries)
}

/// Which column is where.
fn columns(source: &str, heading: &csv::StringRecord) -> Result<BTreeMap<&'static str, usize>> {
    let mut columns = BTreeMap::new();
    for (column, names) in COLUMNS {
        let mut found = heading.iter().enumerate().filter(|(_, cell)| {
            let cell = cell.trim().to_lowercase();
            names.contains(&cell.as_str())
        });
        if let Some((at, first)) = found.next() {
            columns.insert(column, at);
            if let Some((_, second)) = found.next() {
                bail!("{source}: the columns {first:?} and {second:?} both say the {column}");
            }
        }
    }
    ensure!(
        columns.contains_key("id"),
        "{source} has no column `id`: its first line holds {}, and must name id, and may name \
         name, email and folder",
        heading
            .iter()
            .map(|cell| format!("{cell:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_of_any_program_is_read() {
        for text in [
            "\u{feff}ID,Name,E-Mail,Folder\r\nann,\"Ann, A.\",a@x.org,team/ann\r\n\r\n=1+1,,,\r\n",
            "id;name;email;folder\nann;Ann, A.;a@x.org;team/ann\n=1+1;;;\n",
            "folder\tname\tid\temail\nteam/ann\t\"Ann, A.\"\tann\ta@x.org\n\t\t=1+1\n",
        ] {
            let entries = parse("class.csv", text.as_bytes()).unwrap();
            assert_eq!(entries.len(), 2, "{text}");
            let ann = &entries[0];
            assert_eq!((ann.id.as_str(), ann.folder.as_str()), ("ann", "team/ann"));
            assert_eq!(ann.name.as_deref(), Some("Ann, A."));
            assert_eq!(ann.email.as_deref(), Some("a@x.org"));
            assert_eq!(
                (entries[1].id.as_str(), entries[1].folder.as_str()),
                ("=1+1", "=1+1")
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_the_way_out() {
        for (text, says) in [
            ("", "no column `id`"),
            ("id,name\n", "names nobody"),
            ("name,email\nAnn,a@x.org\n", "must name id"),
            (
                "id\nann\nben\nann\n",
                "class.csv:4: the id \"ann\" stands in line 2",
            ),
            ("id,name\nann,A\n,B\n", "class.csv:3: the id is empty"),
            ("id,folder\nann,../ben\n", "no folder below"),
            ("id,folder\nann,/etc\n", "no folder below"),
            ("id,name\nann,Ann,A\n", "in quotes"),
            ("id,login\nann,ann\n", "both say the id"),
        ] {
            let error = parse("class.csv", text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        let latin = parse("class.csv", b"id\nJos\xe9\n")
            .unwrap_err()
            .to_string();
        assert!(latin.contains("CSV UTF-8"), "{latin}");
    }
}
