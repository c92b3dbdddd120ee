//! `fnlm probe judge`: judges held against people.

use fn_core::files::write_atomic;
use fn_study::exam::{Asked, examine};

use crate::args::ProbeJudgeArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// Data, judges or WordNet that cannot be read or do not fit (3), a threshold out of range (2).
pub fn run(args: &ProbeJudgeArgs) -> Result<Outcome, CliError> {
    if !(args.threshold > 0.0 && args.threshold <= 1.0) {
        return Err(CliError::usage(format!("--threshold {}: must be above 0, at most 1", args.threshold)));
    }
    let Some(path) = args.tokenizer.as_ref().or(args.embeddings.first()).or(args.encoder.as_ref()) else {
        return Err(CliError::usage("give --tokenizer PATH"));
    };
    let page = args.html.iter().map(|path| ("--html", path));
    let fitted = args.calibration.iter().filter(|_| args.fit.is_some()).map(|path| ("--calibration", path));
    page.chain(fitted).try_for_each(|(option, path)| support::may_write(option, path, args.write))?;
    let tokenizer = support::tokenizer(path)?;
    let asked = Asked {
        data: args.data.clone(),
        lexicons: args.lexicon.clone(),
        built_from: None,
        embeddings: args.embeddings.clone(),
        encoder: args.encoder.clone(),
        layers: args.layers,
        calibration: args.calibration.clone(),
        fit: args.fit.clone(),
        verifiers: args.verifier.clone(),
        student: args.student.clone(),
        wordnet: args.wordnet.clone(),
        combine: args.combine,
        threshold: args.threshold,
        resamples: args.resamples,
        worst: args.worst,
    };
    let examined = examine(&asked, &tokenizer, &device::open("flex")?, &mut |text| {
        term::note(args.common.quiet, &text)
    })?;
    if let Some(path) = &args.html {
        write_atomic(path, examined.page.as_bytes()).map_err(|error| CliError::io("write", path, error))?;
        term::note(args.common.quiet, &format!("page: {}", path.display()));
    }
    match args.format.json {
        true => term::out(&format!("{}\n", examined.json().map_err(CliError::failed_from)?))?,
        false => term::out(&examined.text(args.format.markdown))?,
    }
    Ok(Outcome::Done)
}
