//! `fnlm import`: what is in a foreign folder, and the same in our layout.

use std::path::Path;

use fn_models::Arch;
use fn_models::hf::{self, LoadReport};

use super::export::{check_out, temporary};
use super::support;
use crate::args::ImportArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Writes the model that was read.
type Save = dyn Fn(&Path, &hf::SaveOptions) -> Result<(), hf::HfError>;

/// Runs it.
///
/// # Errors
/// A folder that cannot be read (3); an output folder that is not empty (2).
pub fn run(args: &ImportArgs) -> Result<Outcome, CliError> {
    if let Some(out) = &args.out {
        check_out(out)?;
    }
    let device = device::open("flex").or_else(|_| device::open("wgpu"))?;
    let (family, config) = hf::read_encoder(&args.from).map_err(CliError::input_from)?;
    let name = if family == Arch::Bert { "BERT" } else { "ELECTRA" };
    let (report, save): (LoadReport, Box<Save>) = match family {
        Arch::Bert => {
            let (model, shape, report) = hf::load_bert(&args.from, &device).map_err(CliError::input_from)?;
            (report, Box::new(move |dir, options| hf::save_bert_with(dir, &model, &shape, options)))
        }
        Arch::Electra => {
            let (model, shape, report) =
                hf::load_electra(&args.from, &device).map_err(CliError::input_from)?;
            (report, Box::new(move |dir, options| hf::save_electra_with(dir, &model, &shape, options)))
        }
    };
    term::out(&format!(
        "{name}: {} layers of {}, {} heads, {} positions, {} pieces\n{report}\n",
        config.num_layers, config.hidden_size, config.num_heads, config.max_positions, config.vocab_size
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
    if tokenizer.size() > config.vocab_size {
        return Err(CliError::input(format!(
            "{}: the model knows {} pieces, the tokenizer has {}; give the model's own with --tokenizer",
            args.from.display(),
            config.vocab_size,
            tokenizer.size()
        )));
    }
    // Written beside and renamed: an interrupted import leaves nothing that looks like a model.
    let beside = temporary(out);
    let written = save(&beside, &report.options)
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
