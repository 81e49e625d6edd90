//! How seeding and cloning grow with the rows. `cargo bench --bench database` prints a table: seconds
//! for the template, and the median of five clones of it.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::time::Instant;

use feedgrade::database::{Choice, Database};
use feedgrade::scratch::Scratch;

const SCHEMA: &str = include_str!("../exercises/connection-pools/starter/db/schema.sql");
const SEED: &str = include_str!("../exercises/connection-pools/starter/db/seed.sql");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    println!("{:>10}{:>10}{:>10}", "posts", "seed", "clone");
    for posts in [10_000, 30_000, 100_000, 1_000_000] {
        let seed = SEED
            .replace("30000", &posts.to_string())
            .replace("29999", &(posts - 1).to_string())
            .replace("n * 7919", "n::bigint * 7919");
        let database =
            Database::start(&Choice::Local, "postgres:15", &[], &scratch, &|_| {}).await?;
        let started = Instant::now();
        database.make_template(SCHEMA, &seed).await?;
        let seeded = started.elapsed().as_secs_f64();
        let mut clones = Vec::new();
        for number in 0..5 {
            let started = Instant::now();
            let clone = database.clone(&format!("bench-{number}")).await?;
            clones.push(started.elapsed().as_secs_f64());
            clone.close().await?;
        }
        clones.sort_by(f64::total_cmp);
        println!("{posts:>10}{seeded:>8.2} s{:>8.2} s", clones[2]);
    }
    Ok(())
}
