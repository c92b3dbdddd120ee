//! `fnlm quickstart`: pre-trains three arms on a generated language whose false negatives are known by construction.

use burn::tensor::Device;
use fn_data::language::{Language, LanguageConfig, LexiconNoise};
use fn_eval::table::percent;
use fn_study::quickstart::{self, ARMS, Inputs, STEPS, Setup, Trial, measured};
use fn_train::config::{RunConfig, Runnable, set_values};
use fn_train::lock::RunLock;
use fn_train::rundir;
use fn_train::session::{Session, Summary};
use fn_train::stop::Stop;

use super::data::PrepareBar;
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
        return Err(CliError::usage(format!("--arm {name}: no such arm; known: baseline, hard, soft")));
    }
    let inputs = setup.write(&args.out)?;
    if args.prepare_only {
        let text = format!("corpus, vocabulary, lexicon and config.toml are in {}", args.out.display());
        term::note(args.common.quiet, &text);
        return Ok(Outcome::Done);
    }
    let stop = support::interruptible()?;
    let device = device::open(&setup.device)?;
    let Inputs { language, config } = &inputs;
    term::note(args.common.quiet, &introduction(args, &setup, language, config));
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
    term::out(&conclusion(args, &setup, trial.language(), &arms))?;
    quickstart::summarise(&args.out, &arms)?;
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
    let mut preparing = PrepareBar::new(args.common.quiet);
    let session = Session::open(config, &dir, device, stop, held, &mut |p| preparing.show(p))?;
    Ok(trial.run(&session, &mut reporters)?)
}

fn introduction(args: &QuickstartArgs, setup: &Setup, language: &Language, config: &RunConfig) -> String {
    let arch = if setup.bert { "BERT" } else { "ELECTRA" };
    let times = match args.arms.len() {
        0 => "three times".to_owned(),
        _ => format!("({})", args.arms.join(", ")),
    };
    format!(
        "A generated language of {} words, some of them interchangeable by construction.\n\
         Pre-training a {}-layer {arch} of width {} {times} for {} steps (5,000 of all three take about {} minutes on two cores).\n",
        language.size(),
        config.model.num_layers,
        config.model.hidden_size,
        config.train.steps,
        if setup.bert { "one and a half" } else { "three" }
    )
}

/// The comparison with explanations; only the table with `--quiet`.
fn conclusion(args: &QuickstartArgs, setup: &Setup, language: &Language, arms: &[(&str, Summary)]) -> String {
    let table = quickstart::table(setup, arms);
    if args.common.quiet {
        return table.to_text();
    }
    let mut text = format!(
        "\n{}\nexact: the hidden word itself was predicted; fitting: it or a word planted as interchangeable with it.\n",
        table.to_text()
    );
    if !setup.bert {
        text.push_str("true AUC: replacements that fit count as original.\n");
    }
    if let Some((_, hard)) = arms.iter().find(|(name, _)| *name == "hard") {
        text.push_str(&format!(
            "The lexicon's verdicts on wrong predictions, against the planted truth: precision {}, recall {}.\n",
            percent(measured(hard, "predicted_detection_precision")),
            percent(measured(hard, "predicted_detection_recall")),
        ));
    }
    text.push_str(&format!(
        "One seed shows how it works, not which arm is better. Runs, curves and models: {}\n",
        args.out.display()
    ));
    if let Some((name, _)) = arms.iter().find(|(name, _)| *name == "hard").or(arms.first()) {
        text.push_str(&format!(
            "Next: fnlm inspect --model {} --lexicon {} \"{}\"\n",
            args.out.join(name).join("model").display(),
            args.out.join("lexicon.safetensors").display(),
            quickstart::question(language, setup.seed)
        ));
    }
    text
}
