//! `fnlm probe replaced`: does a discriminator tell what is wrong?

use fn_study::probe::replaced;
use fn_study::process::{Measured, Record, append};

use crate::args::ProbeReplacedArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::term;

/// Runs it.
///
/// # Errors
/// A model or labels that cannot be read (3), a signal (128 + n).
pub fn run(args: &ProbeReplacedArgs) -> Result<Outcome, CliError> {
    let stop = support::interruptible()?;
    let exams = fn_study::exam::read(&args.data)?;
    let exam = exams.first().ok_or_else(|| CliError::input(format!("{}: no labels", args.data.display())))?;
    let prober = super::prober(&args.model, args.tokenizer.as_ref(), &args.device, args.common.quiet)?;
    let report = replaced::measure(&prober, exam, args.length, &args.data, &stop)?;
    if let Some(record) = &args.common.record {
        append(record, &Record::Figures(Measured::finite(report.figures())))?;
    }
    let table = report.table();
    term::out(&if args.format.json {
        format!("{:#}\n", report.json())
    } else if args.format.markdown {
        table.to_markdown()
    } else {
        table.to_text()
    })?;
    Ok(Outcome::Done)
}
