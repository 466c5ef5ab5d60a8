//! `quorate-sim [--world sentinel] --seeds 1000 [--start N] [--seed N --trace] [--mutant NAME]`: runs seeds, prints what failed and how to
//! see it again. Exit code 1: something failed; 2: it was asked for something that it does not know.

use sim::mutant::{MUTANTS, Mutant};
use sim::run::{report, run};
use sim::setup::Setup;
use std::process::ExitCode;

/// The end of a failing run's trace that is printed without `--trace`.
const TAIL_LINES: usize = 60;
const USAGE: &str = "usage: quorate-sim [--world sentinel] [--seeds COUNT] [--start SEED] [--seed SEED] [--trace] [--keep-going] [--redis | --standby] \
     [--mutant NAME]";

#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // switches of the command line, each on its own
struct Options {
    seeds: u64,
    start: u64,
    seed: Option<u64>,
    trace: bool,
    keep_going: bool,
    mutant: Option<Mutant>,
    redis: bool,
    standby: bool,
    /// The world of sentinels, and a rule broken there.
    sentinel: bool,
    sentinel_mutant: Option<sim::sentinel::mutant::Mutant>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { seeds: 1000, ..Options::default() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments.next().ok_or(format!("{argument} needs a number"))?;
            text.parse::<u64>().map_err(|_| format!("{argument}: '{text}' is not a number"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = number()?,
            "--start" => options.start = number()?,
            "--seed" => options.seed = Some(number()?),
            "--trace" => options.trace = true,
            "--redis" => options.redis = true,
            "--standby" => options.standby = true,
            "--keep-going" => options.keep_going = true,
            "--world" => match arguments.next().as_deref() {
                Some("sentinel") => options.sentinel = true,
                other => return Err(format!("no world '{}'; there is sentinel", other.unwrap_or_default())),
            },
            "--mutant" if options.sentinel => {
                let name = arguments.next().unwrap_or_default();
                let known: Vec<&str> = sim::sentinel::mutant::MUTANTS.iter().map(|(name, _)| *name).collect();
                let mutant = sim::sentinel::mutant::Mutant::named(&name);
                options.sentinel_mutant =
                    Some(mutant.ok_or(format!("no mutant '{name}'; there are {}", known.join(", ")))?);
            }
            "--mutant" => {
                let name = arguments.next().unwrap_or_default();
                let known: Vec<&str> = MUTANTS.iter().map(|(name, _)| *name).collect();
                options.mutant =
                    Some(Mutant::named(&name).ok_or(format!("no mutant '{name}'; there are {}", known.join(", ")))?);
            }
            other => return Err(format!("'{other}' is not an option")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("quorate-sim: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.sentinel {
        let Options { seed, start, seeds, sentinel_mutant, trace, keep_going, .. } = options;
        let good = sim::sentinel::run::command(seed, start..start + seeds, sentinel_mutant, trace, keep_going);
        return if good { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let redis = options.redis || options.mutant.is_some_and(Mutant::is_of_redis);
    let plain = |seed| match (redis, options.standby) {
        (true, _) => Setup::with_redis(seed),
        (false, true) => Setup::as_standby(seed),
        (false, false) => Setup::for_mutant(seed, options.mutant),
    };
    let setup = |seed| Setup { mutant: options.mutant, trace: options.trace, ..plain(seed) };
    if let Some(seed) = options.seed {
        let outcome = run(setup(seed));
        for line in &outcome.trace {
            println!("{line}");
        }
        println!(
            "seed {seed}: {} s simulated, {} events, {} writes acknowledged, {} leaderships: {}",
            outcome.simulated_seconds,
            outcome.events,
            outcome.acknowledged,
            outcome.leaderships.len(),
            outcome.violation.as_deref().unwrap_or("no violation")
        );
        return if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let mut failures = 0u64;
    let (mut events, mut seconds, mut acknowledged, mut leaderships) = (0, 0, 0, 0);
    let mut of_redis = sim::run::RedisOutcome::default();
    for seed in options.start..options.start + options.seeds {
        let outcome = run(setup(seed));
        events += outcome.events;
        seconds += outcome.simulated_seconds;
        acknowledged += outcome.acknowledged;
        leaderships += outcome.leaderships.len();
        if let Some(redis) = outcome.redis {
            of_redis.acknowledged += redis.acknowledged;
            of_redis.leaderships += redis.leaderships;
            of_redis.switchovers += redis.switchovers;
        }
        if let Some(violation) = &outcome.violation {
            failures += 1;
            if options.keep_going {
                println!("seed {seed}: {violation}");
            } else {
                println!("{}", report(&setup(seed), TAIL_LINES));
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{} seeds, {failures} failed: {seconds} s simulated, {events} events, {acknowledged} writes acknowledged, {leaderships} leaderships",
        options.seeds
    );
    if redis {
        println!(
            "Redis: {} writes acknowledged, {} leaderships, {} planned switchovers",
            of_redis.acknowledged, of_redis.leaderships, of_redis.switchovers
        );
    }
    if failures > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
