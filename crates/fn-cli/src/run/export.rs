//! `fnlm export`: a checkpoint becomes a Hugging Face folder.

use std::path::{Path, PathBuf};

use fn_models::hf;
use fn_train::checkpoint::{self, Checkpoints};

use super::support;
use crate::args::ExportArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};
use fn_train::{card, model, rundir};

/// Runs it.
///
/// # Errors
/// No checkpoint, a damaged one, or a tokenizer that does not fit (3); a folder that is not empty (2).
pub fn run(args: &ExportArgs) -> Result<Outcome, CliError> {
    check_out(&args.out)?;
    let (run_dir, folder) = find(args)?;
    let config = fn_train::config::read(&run_dir.join(rundir::CONFIG))?;
    let mut loaded = checkpoint::load(&folder).map_err(CliError::input_from)?;
    let step = loaded.state.step;
    let path = args.tokenizer.as_ref().unwrap_or(&config.data.tokenizer);
    let tokenizer = support::tokenizer(path).map_err(|error| match error {
        CliError::Input(message, cause) if args.tokenizer.is_none() => CliError::Input(
            format!("{message} (it is data.tokenizer of the run; say where it is now with --tokenizer)"),
            cause,
        ),
        error => error,
    })?;
    let device = device::open("flex").or_else(|_| device::open(&config.train.device))?;
    let model = model::of_checkpoint(&config.model, &mut loaded, &device).map_err(CliError::input_from)?;
    model.encoder().check_fit(tokenizer.size(), 0).map_err(|error| {
        CliError::input(format!("{} with {}: {error} (--tokenizer)", folder.display(), path.display()))
    })?;
    let options = hf::SaveOptions::with_pad(tokenizer.special().pad);
    // Written beside and renamed: an interrupted export leaves nothing that looks like a model.
    let temporary = temporary(&args.out);
    let written = model
        .save(&temporary, &options)
        .map_err(CliError::failed_from)
        .and_then(|()| tokenizer.save(&temporary).map_err(CliError::failed_from))
        .and_then(|()| Ok(card::write(&temporary, &run_dir, &config, step)?))
        .and_then(|()| {
            // An empty folder may stand there; anything else was refused above.
            let _ = std::fs::remove_dir(&args.out);
            std::fs::rename(&temporary, &args.out).map_err(|error| CliError::io("write", &args.out, error))
        });
    if let Err(error) = written {
        let _ = std::fs::remove_dir_all(&temporary);
        return Err(error);
    }
    term::note(
        args.common.quiet,
        &format!("step {step} of {} is now in {}", folder.display(), args.out.display()),
    );
    Ok(Outcome::Done)
}

pub(super) fn check_out(out: &Path) -> Result<(), CliError> {
    match std::fs::read_dir(out).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(CliError::usage(format!(
            "{} exists and is not empty; nothing is overwritten, choose another --out",
            out.display()
        ))),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::usage(format!("--out {}: {error}; choose another folder", out.display())))
        }
        _ => Ok(()),
    }
}

pub(super) fn temporary(out: &Path) -> PathBuf {
    let name = out.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned());
    out.with_file_name(format!(".{name}.tmp-{}", std::process::id()))
}

/// The run directory and the checkpoint that are meant.
fn find(args: &ExportArgs) -> Result<(PathBuf, PathBuf), CliError> {
    let from = &args.from;
    if from.join(checkpoint::MANIFEST).exists() {
        let Some(run) = rundir::of_checkpoint(from) else {
            return Err(CliError::input(format!(
                "{} is a checkpoint outside of a run directory; its {} is needed: leave it in run/{}/",
                from.display(),
                rundir::CONFIG,
                rundir::CHECKPOINTS
            )));
        };
        return Ok((run, from.clone()));
    }
    if !from.join(rundir::CONFIG).exists() {
        return Err(CliError::input(format!(
            "{} is no run directory (no {}) and no checkpoint (no {}); give what `fnlm pretrain --run` was given",
            from.display(),
            rundir::CONFIG,
            checkpoint::MANIFEST
        )));
    }
    let checkpoints = Checkpoints::new(from.join(rundir::CHECKPOINTS), 1, false);
    let Some(newest) = checkpoints.latest().map_err(CliError::input_from)? else {
        return Err(CliError::input(format!(
            "{} holds no checkpoint yet; run `fnlm pretrain` first",
            from.join(rundir::CHECKPOINTS).display()
        )));
    };
    for notice in &newest.notices {
        term::note(args.common.quiet, notice);
    }
    if args.newest {
        return Ok((from.clone(), newest.path));
    }
    let state = checkpoint::load(&newest.path).map_err(CliError::input_from)?.state;
    let best = state.best.as_ref().and_then(|best| checkpoints.best(best));
    Ok((from.clone(), best.unwrap_or(newest.path)))
}
