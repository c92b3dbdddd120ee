//! `fnlm import`: lists the contents of a Hugging Face folder and converts it to the layout of `fnlm`.

use fn_models::{Pretrained, hf};

use super::export::{check_out, write_folder};
use super::support;
use crate::args::ImportArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// A folder that cannot be read (3); an output folder that is not empty (2).
pub fn run(args: &ImportArgs) -> Result<Outcome, CliError> {
    if let Some(out) = &args.out {
        check_out(out)?;
    }
    let device = device::open("flex").or_else(|_| device::open("wgpu"))?;
    let (model, report) = Pretrained::open(&args.from, &device).map_err(CliError::input_from)?;
    let text = || report.text(&model, args.all);
    term::out(&if args.json { format!("{:#}\n", report.json(&model)) } else { text() })?;
    let Some(out) = &args.out else { return Ok(Outcome::Done) };
    let tokenizer = support::tokenizer_of(&args.from, args.tokenizer.as_deref())?;
    hf::check_fit(&args.from, tokenizer.size(), 0).map_err(CliError::input_from)?;
    write_folder(out, &|folder| {
        model.save(folder, &report.options).map_err(CliError::failed_from)?;
        tokenizer.save(folder).map_err(CliError::failed_from)
    })?;
    term::note(args.common.quiet, &format!("wrote {}", out.display()));
    Ok(Outcome::Done)
}
