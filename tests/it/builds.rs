//! Builds of real packages with real cargo.

use std::fs;
use std::path::Path;
use std::time::Duration;

use feedgrade::cargo::{self, Built};
use feedgrade::evidence::BuildOutcome;
use feedgrade::exercise::BuildSpec;
use feedgrade::isolation::Isolation;
use feedgrade::process::Command;
use feedgrade::scratch::Scratch;

/// A package called `feed` with one small dependency, which feedgrade itself has, too.
fn package(scratch: &Scratch, folder: &str, main: &str) -> std::path::PathBuf {
    let path = scratch.folder(folder).unwrap();
    fs::create_dir_all(path.join("src")).unwrap();
    let manifest = "[package]\nname = \"feed\"\nedition = \"2024\"\n[dependencies]\nitoa = \"1\"\n[workspace]\n";
    fs::write(path.join("Cargo.toml"), manifest).unwrap();
    fs::write(path.join("src/main.rs"), main).unwrap();
    path
}

async fn build(package: &Path, scratch: &Scratch) -> Built {
    let target = package.with_extension("target");
    let spec = BuildSpec {
        seconds: 120,
        ..BuildSpec::default()
    };
    cargo::build(package, &target, &spec, Isolation::None, scratch, |_| {})
        .await
        .unwrap()
}

async fn output_of(built: &Built, scratch: &Scratch) -> String {
    let binary = built.binary.as_ref().unwrap();
    let command = Command::new(binary, scratch.path());
    command
        .run(scratch, Duration::from_secs(10))
        .await
        .unwrap()
        .stdout
}

#[tokio::test]
async fn two_submissions_of_the_same_name_and_lock_file_each_run_their_own_code() {
    let scratch = Scratch::new().unwrap();
    let main = |who: &str| {
        format!("fn main() {{ println!(\"{who} {{}}\", itoa::Buffer::new().format(7)); }}")
    };
    let ann = package(&scratch, "ann", &main("ann"));
    let first = build(&ann, &scratch).await;
    assert_eq!(first.build.outcome, BuildOutcome::Built);
    assert_eq!(output_of(&first, &scratch).await, "ann 7\n");

    let ben = package(&scratch, "ben", &main("ben"));
    fs::copy(ann.join("Cargo.lock"), ben.join("Cargo.lock")).unwrap();
    // Older than everything that was built so far, as a checkout or an archive may leave it.
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(ben.join("src/main.rs"))
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let second = build(&ben, &scratch).await;
    assert!(second.build.dependencies_reused);
    assert_eq!(output_of(&second, &scratch).await, "ben 7\n");
    assert_eq!(output_of(&first, &scratch).await, "ann 7\n");
}

#[tokio::test]
async fn the_compilers_errors_come_back_as_the_learners() {
    let scratch = Scratch::new().unwrap();
    let broken = package(&scratch, "broken", "fn main() { let port: u16 = \"80\"; }");
    let built = build(&broken, &scratch).await;
    let BuildOutcome::Failed { errors } = &built.build.outcome else {
        panic!("{built:?}")
    };
    assert!(
        errors.contains("mismatched types") && errors.contains("src/main.rs:1"),
        "{errors}"
    );
    assert!(!errors.contains(&*scratch.session()) && built.binary.is_none());
}

#[tokio::test]
async fn a_package_without_a_binary_or_with_two_is_refused_with_the_way_out() {
    let scratch = Scratch::new().unwrap();
    let two = package(&scratch, "two", "fn main() {}");
    fs::create_dir_all(two.join("src/bin")).unwrap();
    fs::write(two.join("src/bin/other.rs"), "fn main() {}").unwrap();
    let built = build(&two, &scratch).await;
    let BuildOutcome::Refused { reason } = &built.build.outcome else {
        panic!("{built:?}")
    };
    assert!(reason.contains("2 binaries (feed, other)"), "{reason}");

    let none = package(&scratch, "none", "");
    fs::rename(none.join("src/main.rs"), none.join("src/lib.rs")).unwrap();
    let built = build(&none, &scratch).await;
    assert!(
        matches!(built.build.outcome, BuildOutcome::Refused { .. }),
        "{built:?}"
    );
}

#[tokio::test]
async fn a_manifest_that_is_no_manifest_is_the_learners_too() {
    let scratch = Scratch::new().unwrap();
    let broken = package(&scratch, "broken", "fn main() {}");
    for manifest in ["[package\n", "[package]\nname = \"\"\n", "[dependencies]\n"] {
        fs::write(broken.join("Cargo.toml"), manifest).unwrap();
        let built = build(&broken, &scratch).await;
        let BuildOutcome::Failed { errors } = &built.build.outcome else {
            panic!("{built:?}")
        };
        assert!(!errors.is_empty());
    }
}

#[tokio::test]
async fn a_module_may_be_called_target() {
    let scratch = Scratch::new().unwrap();
    let package = package(
        &scratch,
        "modules",
        "mod target;\nfn main() { target::hit(); }",
    );
    fs::create_dir_all(package.join("src/target")).unwrap();
    fs::write(package.join("src/target/mod.rs"), "pub fn hit() {}").unwrap();
    let copy = scratch.path().join("copy");
    feedgrade::sandbox::copy(&package, &copy, 1).unwrap();
    assert_eq!(
        build(&copy, &scratch).await.build.outcome,
        BuildOutcome::Built
    );
}
