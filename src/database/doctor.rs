//! What this machine has and lacks for databases, as data for `feedgrade doctor`.

use super::programs;
use crate::scratch::Scratch;

/// One thing that this machine has or lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorLine {
    /// Whether it is there.
    pub ok: bool,
    /// What is there or not: one sentence.
    pub what: String,
    /// What to do about it. One of engine and programs is enough.
    pub way_out: Option<String>,
}

/// Looks for everything that a database can come from. Takes some seconds when an engine hangs.
pub async fn doctor(image: &str, scratch: &Scratch) -> Vec<DoctorLine> {
    let mut lines = containers(image).await;
    lines.push(match programs::find(scratch).await {
        Ok(programs) => there(format!(
            "Postgres {} in {}",
            programs.version,
            programs.folder.display()
        )),
        Err(why) => lacking(
            format!("{why:#}"),
            "install Postgres 15 or newer (Debian: apt-get install postgresql), for --database local",
        ),
    });
    if programs::is_root() {
        lines.push(match super::local::can_start(scratch).await {
            Ok(way) => there(format!("this is root, so Postgres is started {way}")),
            Err(why) => lacking(
                format!("{why:#}"),
                "run feedgrade as another user than root",
            ),
        });
    }
    lines
}

#[cfg(feature = "docker")]
async fn containers(image: &str) -> Vec<DoctorLine> {
    let image = super::image(image);
    match super::engine::Engine::find().await {
        Err(why) => vec![lacking(
            format!("{why:#}"),
            "install and start Docker, for --database container",
        )],
        Ok(engine) => {
            let has_image = engine.has_image(&image).await;
            let image = if has_image {
                there(format!("the engine has the image {image}"))
            } else {
                lacking(
                    format!("the engine does not have the image {image}"),
                    "it is fetched when it is needed; without a network, see docker/README.md",
                )
            };
            vec![
                there(format!("a Docker engine answers at {}", engine.host)),
                image,
            ]
        }
    }
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "the same as with the feature `docker`")]
async fn containers(_: &str) -> Vec<DoctorLine> {
    vec![lacking(
        "this feedgrade was built without the feature `docker`".into(),
        "install it with its default features, for --database container",
    )]
}

fn there(what: String) -> DoctorLine {
    DoctorLine {
        ok: true,
        what,
        way_out: None,
    }
}

fn lacking(what: String, way_out: &str) -> DoctorLine {
    DoctorLine {
        ok: false,
        what,
        way_out: Some(way_out.into()),
    }
}
