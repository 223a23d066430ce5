//! Trains and measures the networks of `smilefilter`.

mod arguments;
mod card;
mod command;
mod cross_validate;
mod eval;
mod eval_face;
mod eval_tables;
mod export;
mod face;
mod files;
mod info;
mod leave;
mod locate;
mod material;
mod outputs;
mod recipe;
mod terminal;
mod train;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Cli, Command};
use gstsmile::train::Preset;
use terminal::say;

/// Training takes and gives back large tensors all the time, which the C library hands to the kernel
/// page by page: a quarter of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many threads candle's own operations take.
const CANDLE_THREADS: &str = "CANDLE_NUM_THREADS";

fn main() -> ExitCode {
    // Candle's threads spin while they wait for the small operations between our kernels: that takes
    // more time than they save, and most of all from others on the machine.
    if std::env::var_os(CANDLE_THREADS).is_none() {
        // SAFETY: there is no other thread yet that could read the environment.
        unsafe { std::env::set_var(CANDLE_THREADS, "1") };
    }
    let cli = Cli::parse();
    let result = match (&cli.command, &cli.train) {
        (Some(Command::Card(arguments)), _) => card::run(arguments),
        (Some(Command::CrossValidate(arguments)), _) => cross_validate::run(arguments),
        (Some(Command::Eval(arguments)), _) => eval::run(arguments),
        (Some(Command::Export(arguments)), _) => export::run(arguments),
        (Some(Command::Info(arguments)), _) => info::run(arguments),
        (Some(Command::Locate(arguments)), _) => locate::run(arguments),
        (None, Some(arguments)) if arguments.preset == Preset::Face => face::run(arguments),
        (None, Some(arguments)) => train::run(arguments),
        (None, None) => {
            let _ = Cli::command().print_help();
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(_) if !terminal::is_printed() => ExitCode::FAILURE,
        Ok(code) => code,
        Err(error) => {
            say!("smile-train: {error}");
            ExitCode::from(if error.is_bad_input() { 2 } else { 1 })
        }
    }
}

/// Sets the number of threads; to be called once, before anything runs on them.
fn limit_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
}
