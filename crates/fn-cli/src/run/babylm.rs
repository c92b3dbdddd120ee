//! `fnlm babylm`: which of two sentences does a model find likelier, and which substitutes of a word?

use fn_study::babylm::{Asked, measure};
use fn_study::process::{Measured, Record, append};

use crate::args::BabylmArgs;
use crate::error::{CliError, Outcome};
use crate::run::{probe, support};
use crate::term;

/// Runs it.
///
/// # Errors
/// A model or pairs that cannot be read (3), a folder that is not empty (2), a signal (128 + n).
pub fn run(args: &BabylmArgs) -> Result<Outcome, CliError> {
    let stop = support::interruptible()?;
    let quiet = args.common.quiet;
    if let Some(out) = &args.out {
        support::may_write("--out", out, args.write)?;
    }
    let prober = probe::prober(&args.model, args.tokenizer.as_ref(), &args.device, quiet)?;
    let asked = Asked {
        blimp: &args.blimp,
        supplement: &args.supplement,
        substitution: &args.substitution,
        pairs: args.pairs.map(Into::into),
        out: args.out.as_deref(),
    };
    let report = measure(&prober, &asked, &stop)?;
    if let Some(record) = &args.common.record {
        append(record, &Record::Figures(Measured::finite(report.figures())))?;
    }
    term::note(report.left_out().is_none(), &format!("warning: {}", report.left_out().unwrap_or_default()));
    term::out(&match args.format.json {
        true => format!("{:#}\n", report.json()),
        false => report.tables(args.format.markdown),
    })?;
    Ok(Outcome::Done)
}
