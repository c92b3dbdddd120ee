//! `fnlm quickstart`: pre-trains three arms on a generated language whose false negatives are known by construction.

use burn::tensor::Device;
use fn_data::language::{LanguageConfig, LexiconNoise};
use fn_study::quickstart::{self, ARMS, Inputs, STEPS, Setup, Trial};
use fn_train::config::{Runnable, did_you_mean, set_values};
use fn_train::lock::RunLock;
use fn_train::rundir;
use fn_train::session::{Session, Summary};
use fn_train::stop::Stop;

use super::data::preparing;
use super::{doctor, support};
use crate::args::QuickstartArgs;
use crate::error::{CliError, Outcome};
use crate::progress::reporters;
use crate::{device, term};

/// Runs the command.
pub fn run(args: &QuickstartArgs) -> Result<Outcome, CliError> {
    let setup = match &args.setup {
        Some(path) => Setup::open(path)?,
        None => setup(args)?,
    };
    if let Some(name) = args.arms.iter().find(|name| ARMS.iter().all(|(arm, _)| arm != name)) {
        let known = ARMS.map(|(arm, _)| arm);
        let (meant, known) = (did_you_mean(name, &known), known.join(", "));
        return Err(CliError::usage(format!("--arm {name}: no such arm{meant}; known: {known}")));
    }
    fn_train::lock::hold_output(&args.out)?;
    let inputs = setup.write(&args.out)?;
    if args.prepare_only {
        let text = format!("corpus, vocabulary, lexicon and config.toml are in {}", args.out.display());
        term::note(args.common.quiet, &text);
        return Ok(Outcome::Done);
    }
    let stop = support::interruptible()?;
    let device = device::open(&setup.device)?;
    let Inputs { language, config } = &inputs;
    term::note(args.common.quiet, &setup.introduction(&args.arms, language, config));
    let config = config.clone();
    let trial = Trial::new(&setup, inputs)?;

    let mut arms = Vec::new();
    for (name, preset) in ARMS {
        if !args.arms.is_empty() && !args.arms.iter().any(|arm| arm == name) {
            continue;
        }
        let summary = run_arm(args, quickstart::arm(&config, preset)?, name, &trial, &device, &stop)?;
        if !summary.complete {
            let step = summary.step;
            let text = format!("stopped in arm `{name}` at step {step}; repeat the command to resume");
            term::note(args.common.quiet, &text);
            return Ok(Outcome::Stopped { saved: summary.saved.is_some() });
        }
        arms.push((name, summary));
    }
    let table = quickstart::table(&setup, &arms).to_text();
    let explained = || setup.conclusion(&args.out, &table, trial.language(), &arms);
    let figures = quickstart::summarise(&args.out, &arms)?;
    term::out(&if args.json {
        figures + "\n"
    } else if args.common.quiet {
        table.clone()
    } else {
        explained()
    })?;
    Ok(Outcome::Done)
}

/// The setup of the command line.
fn setup(args: &QuickstartArgs) -> Result<Setup, CliError> {
    Ok(Setup {
        seed: args.seed,
        steps: args.steps.unwrap_or(STEPS),
        bert: args.bert,
        device: args.device.clone(),
        noise: LexiconNoise { coverage: args.coverage, wrong: args.wrong },
        language: set_values(&LanguageConfig::default(), &args.language)?,
    })
}

fn run_arm(
    args: &QuickstartArgs,
    config: Runnable,
    name: &str,
    trial: &Trial,
    device: &Device,
    stop: &Stop,
) -> Result<Summary, CliError> {
    let dir = args.out.join(name);
    let held = RunLock::take(&dir)?;
    rundir::write(&dir, &config, &doctor::program())?;
    let mut reporters = reporters(&dir, name, &config, args.common.quiet)?;
    let session = Session::open(config, &dir, device, stop, held, &mut preparing(args.common.quiet))?;
    Ok(trial.run(&session, &mut reporters)?)
}
