//! The long run of the simulated month: `cargo run --release --workspace --example month -- --seeds 300`.
//!
//! Prints a line for each seed, and the story of the first promise that was broken.

#![allow(clippy::print_stdout, reason = "a report for a person")]

use std::time::Instant;

use clap::Parser;

#[path = "../tests/it/month/sim/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod sim;

/// A month of a whole installation, simulated; its promises are checked at every delivery.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The first of them; sixteen in a row go through all switches.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Users of the installation.
    #[arg(long, default_value_t = 20_000)]
    users: usize,
    /// Days, before those in which everything heals.
    #[arg(long, default_value_t = 30)]
    days: usize,
    /// How many times as often as usual something goes wrong around.
    #[arg(long, default_value_t = 1.0)]
    faults: f64,
}

fn main() -> std::process::ExitCode {
    let Arguments { seeds, first, users, days, faults } = Arguments::parse();
    for seed in first..first + seeds {
        let began = Instant::now();
        let setup = sim::Setup { seed, users, days, faults, watch: None };
        match sim::simulate(&setup) {
            Ok(counts) => println!("seed {seed}: {:.1} s, {counts:?}", began.elapsed().as_secs_f64()),
            Err(story) => {
                println!("{story}");
                return std::process::ExitCode::FAILURE;
            }
        }
    }
    std::process::ExitCode::SUCCESS
}
