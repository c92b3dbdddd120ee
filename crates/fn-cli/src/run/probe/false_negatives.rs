//! `fnlm probe false-negatives`: analyses the errors of a model on held-out text, and which of them are false negatives.

use fn_study::probe::false_negatives::{Asked, Subject, Wanted, examine, export};
use fn_train::rundir;

use crate::args::ProbeFalseNegativesArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// A run without model, text or judge (3, 2); files that cannot be read (3); a file that exists (2).
pub fn run(args: &ProbeFalseNegativesArgs) -> Result<Outcome, CliError> {
    let stop = support::interruptible()?;
    let subject = Subject::find(&args.run, args.model.as_deref())?;
    let config = fn_train::config::read(&subject.run.join(rundir::CONFIG))?;
    let tokenizer = support::tokenizer(&config.data.tokenizer)?;
    let device = device::open(&args.device)?;
    if args.batches == 0 {
        return Err(CliError::usage("--batches must be at least 1"));
    }
    if !(0.0..1.0).contains(&args.rate) || args.errors == 0 {
        return Err(CliError::usage("--rate must be from 0 to less than 1, --errors at least 1"));
    }
    if let Some(path) = &args.export {
        support::may_write("--export", path, args.write)?;
        let wanted = Wanted {
            text: &args.text,
            errors: args.errors,
            sampled: args.sampled,
            rate: args.rate,
            seed: args.seed,
        };
        let exported = export(&subject, &wanted, &config, &tokenizer, &device, &stop)?;
        exported.write(path)?;
        term::note(args.common.quiet, &format!("{}: {exported}", path.display()));
        return Ok(Outcome::Done);
    }
    let asked = Asked {
        lexicons: &args.lexicon,
        verifiers: &args.verifier,
        wordnet: args.wordnet.as_deref(),
        text: &args.text,
        batches: args.batches,
        examples: args.examples,
    };
    let mut warn = |text: String| term::note(false, &format!("warning: {text}"));
    let report = examine(&subject, &asked, &config, &tokenizer, &device, &stop, &mut warn)?;
    let json = args.format.json;
    term::out(&if json { format!("{:#}\n", report.json()) } else { report.text(args.format.markdown) })?;
    Ok(Outcome::Done)
}
