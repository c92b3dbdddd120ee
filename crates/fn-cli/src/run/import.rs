//! `fnlm import`: what is in a foreign folder, and the same in our layout.

use fn_models::{Pretrained, hf};

use super::export::{check_out, temporary};
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
    let config = model.encoder();
    term::out(&format!(
        "{}: {} layers of {}, {} heads, {} positions, {} pieces\n{report}\n",
        model.arch().name(),
        config.num_layers,
        config.hidden_size,
        config.num_heads,
        config.max_positions,
        config.vocab_size
    ))?;
    if args.all {
        for (what, names) in [("missing", &report.missing), ("unused", &report.unused)] {
            for name in names {
                term::out(&format!("{what}  {name}\n"))?;
            }
        }
    }
    let Some(out) = &args.out else { return Ok(Outcome::Done) };
    let tokenizer = support::tokenizer(args.tokenizer.as_ref().unwrap_or(&args.from))?;
    hf::check_fit(&args.from, tokenizer.size(), 0).map_err(CliError::input_from)?;
    // Written beside and renamed: an interrupted import leaves nothing that looks like a model.
    let beside = temporary(out);
    let written = model
        .save(&beside, &report.options)
        .map_err(CliError::failed_from)
        .and_then(|()| tokenizer.save(&beside).map_err(CliError::failed_from))
        .and_then(|()| {
            let _ = std::fs::remove_dir(out);
            std::fs::rename(&beside, out).map_err(|error| CliError::io("write", out, error))
        });
    if let Err(error) = written {
        let _ = std::fs::remove_dir_all(&beside);
        return Err(error);
    }
    term::note(args.common.quiet, &format!("wrote {}", out.display()));
    Ok(Outcome::Done)
}
