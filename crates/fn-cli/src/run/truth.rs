//! `fnlm study truth`: compares corrections on generated languages whose false negatives are known.

use fn_core::files::write_atomic;
use fn_study::truth::{DIALS, Dial, Found, Sweep, draw, figures, table};

use super::support;
use crate::args::StudyTruthArgs;
use crate::error::{CliError, Outcome};
use crate::term;

/// Runs the missing quickstarts, then draws the figures.
///
/// # Errors
/// A dial that does not exist (2), a quickstart that fails (1).
pub fn run(args: &StudyTruthArgs) -> Result<Outcome, CliError> {
    if args.seeds == 0 || args.steps == 0 {
        return Err(CliError::usage("--seeds and --steps must be at least 1"));
    }
    let known: Vec<&str> = DIALS.iter().map(|dial| dial.name).collect();
    if let Some(name) = args.dials.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(CliError::usage(format!("--dial {name}: no such dial; known: {}", known.join(", "))));
    }
    let (stop, program) = (support::interruptible()?, support::program());
    let sweep =
        Sweep { out: &args.out, steps: args.steps, device: &args.device, program: &program, stop: &stop };
    let chosen = |dial: &&Dial| args.dials.is_empty() || args.dials.iter().any(|name| name == dial.name);
    let dials: Vec<&'static Dial> = DIALS.iter().filter(chosen).collect();
    let all: usize = dials.iter().map(|dial| dial.places.len()).sum::<usize>() * args.seeds as usize;
    let mut found: Vec<Found> = Vec::new();
    let mut count = 0;
    for dial in dials {
        for &place in dial.places {
            let mut seeds = Vec::new();
            for seed in 1..=args.seeds {
                count += 1;
                let out = sweep.folder(dial, place, seed);
                term::note(args.common.quiet, &format!("[{count}/{all}] {}", out.display()));
                let Some(figures) = sweep.run(dial, place, seed)? else {
                    term::note(args.common.quiet, "stopped; repeat the command to resume");
                    return Ok(Outcome::Stopped { saved: true });
                };
                seeds.push(figures);
            }
            found.push((dial, place, seeds));
        }
    }
    let figure = draw(&found)?;
    let path = args.out.join("truth.svg");
    write_atomic(&path, figure.as_bytes()).map_err(|error| CliError::io("write", &path, error))?;
    term::out(&if args.json { format!("{:#}\n", figures(&found)) } else { table(&found).to_markdown() })?;
    term::note(args.common.quiet, &format!("figure: {}", path.display()));
    Ok(Outcome::Done)
}
