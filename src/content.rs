//! Content: exercises, rubrics and references, from the binary itself or from a folder.
//!
//! Reads and copies files; what they mean is for [`crate::exercise`] and [`crate::rubric`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::check::{Context, Material};
use crate::exercise::Exercise;
use crate::rubric::Rubric;
use crate::yaml::Source;

/// What `build.rs` embedded: path from the repository's root, and bytes.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/content_files.rs"));

/// Where content comes from.
#[derive(Debug, Clone)]
pub enum Content {
    /// The binary.
    Embedded,
    /// A folder with `exercises/`, `rubrics/` and `reference/`.
    Folder(PathBuf),
}

/// One exercise with all that judging needs.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// How to run it.
    pub exercise: Exercise,
    /// How to judge it.
    pub rubric: Rubric,
    /// What answers are compared with.
    pub material: Material,
}

impl Assignment {
    /// What checks may use beside the evidence.
    #[must_use]
    pub fn context(&self) -> Context<'_> {
        Context {
            exercise: &self.exercise,
            answers: &self.rubric.answers,
            material: &self.material,
        }
    }
}

impl Content {
    /// The slugs of all exercises, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn slugs(&self) -> Result<Vec<String>> {
        let mut slugs: Vec<String> = self
            .files("exercises")?
            .into_iter()
            .filter_map(|(path, _)| path.strip_suffix("/exercise.yaml").map(str::to_owned))
            .filter(|slug| !slug.contains('/'))
            .collect();
        slugs.sort();
        Ok(slugs)
    }

    /// Reads an exercise, its rubric and its texts.
    ///
    /// # Errors
    /// When there is none of that name, or its author made a mistake: file, line and caret.
    pub fn assignment(&self, slug: &str) -> Result<Assignment> {
        let slugs = self.slugs()?;
        if !slugs.iter().any(|known| known == slug) {
            bail!(
                "there is no exercise {slug:?}: there is {}",
                if slugs.is_empty() {
                    "none at all".to_owned()
                } else {
                    slugs.join(", ")
                }
            );
        }
        let source = self.source(&format!("exercises/{slug}/exercise.yaml"))?;
        let exercise = Exercise::parse(&source)?;
        if *exercise.slug != slug {
            let message = format!("the folder is called {slug}, so the slug must be, too");
            return Err(source.complaint(&exercise.slug, &message));
        }
        let rubric = Rubric::parse(&self.source(&format!("rubrics/{slug}.yaml"))?, &exercise)?;
        let starter = self.files(&format!("exercises/{slug}/starter"))?;
        let text_of = |files: &[(String, Vec<u8>)], name: &str| {
            files
                .iter()
                .find(|(path, _)| path == name)
                .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
                .unwrap_or_default()
        };
        let solution = self.files(&format!("reference/{slug}/solution"))?;
        let material = Material {
            template: text_of(&starter, "ANSWERS.md"),
            starter_code: starter
                .iter()
                .filter(|(path, _)| has_extension(path, "rs") || has_extension(path, "sql"))
                .map(|(_, bytes)| String::from_utf8_lossy(bytes))
                .collect::<Vec<_>>()
                .join("\n"),
            key: text_of(&solution, "ANSWERS.md"),
            brief: text_of(&self.files(&format!("exercises/{slug}"))?, "README.md"),
        };
        Ok(Assignment {
            exercise,
            rubric,
            material,
        })
    }

    /// The folder's own template for the page, when it has one: `templates/report.html`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn template(&self) -> Result<Option<Source>> {
        match self {
            Self::Folder(folder) if folder.join("templates/report.html").exists() => {
                self.source("templates/report.html").map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Reads one file that must be UTF-8, e.g. `rubrics/connection-pools.yaml`.
    ///
    /// # Errors
    /// When it is not there, or not UTF-8.
    pub fn source(&self, path: &str) -> Result<Source> {
        let bytes = match self {
            Self::Embedded => EMBEDDED
                .iter()
                .find(|(name, _)| *name == path)
                .map(|(_, bytes)| bytes.to_vec())
                .with_context(|| format!("there is no {path} in this program"))?,
            Self::Folder(folder) => {
                let path = folder.join(path);
                fs::read(&path).with_context(|| format!("read {}", path.display()))?
            }
        };
        let name = match self {
            Self::Embedded => path.to_owned(),
            Self::Folder(folder) => folder.join(path).display().to_string(),
        };
        let text = String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8"))?;
        Ok(Source { name, text })
    }

    /// All files below a folder: path relative to it, and bytes; sorted by path. Empty when there
    /// is no such folder.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn files(&self, folder: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        match self {
            Self::Embedded => {
                for (name, bytes) in EMBEDDED {
                    if let Some(path) = name.strip_prefix(folder).and_then(|n| n.strip_prefix('/'))
                    {
                        files.push((path.to_owned(), bytes.to_vec()));
                    }
                }
            }
            Self::Folder(root) => list(&root.join(folder), "", &mut files)?,
        }
        files.sort();
        Ok(files)
    }

    /// Copies all files below a folder to `to`, which is made.
    ///
    /// # Errors
    /// When there is nothing to copy, or a file cannot be written.
    pub fn extract(&self, folder: &str, to: &Path) -> Result<()> {
        let files = self.files(folder)?;
        if files.is_empty() {
            bail!("there is no {folder} here");
        }
        for (path, bytes) in files {
            let path = to.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
            }
            fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }
}

fn list(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("read {}", folder.display()))?,
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if !path.is_dir() {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            files.push((format!("{prefix}{name}"), bytes));
        } else if name != "target" && name != "feedgrade-out" {
            list(&path, &format!("{prefix}{name}/"), files)?;
        }
    }
    Ok(())
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}
