//! `fnlm export`: writes a checkpoint as a Hugging Face folder.

use std::path::Path;

use fn_models::hf;
use fn_train::checkpoint;
use fn_train::{card, model, rundir};

use super::support;
use crate::args::ExportArgs;
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// No checkpoint, a damaged one, or a tokenizer that does not fit (3); a folder that is not empty (2).
pub fn run(args: &ExportArgs) -> Result<Outcome, CliError> {
    check_out(&args.out)?;
    let rundir::Found { run: run_dir, checkpoint: folder, notices } =
        rundir::find_checkpoint(&args.from, args.newest)?;
    for notice in &notices {
        term::note(args.common.quiet, notice);
    }
    let config = fn_train::config::read(&run_dir.join(rundir::CONFIG))?;
    let mut loaded = checkpoint::load(&folder).map_err(CliError::input_from)?;
    let step = loaded.state.step;
    let path = args.tokenizer.as_ref().unwrap_or(&config.data.tokenizer);
    let tokenizer = support::tokenizer(path).map_err(|error| match error {
        CliError::Input(message, cause) if args.tokenizer.is_none() => CliError::Input(
            format!("{message} (it is data.tokenizer of the run; if it was moved, give its new path with --tokenizer)"),
            cause,
        ),
        error => error,
    })?;
    let device = device::open("flex").or_else(|_| device::open(&config.train.device))?;
    let read = if args.average { model::average_of_checkpoint } else { model::of_checkpoint };
    let model = read(&config.model, &mut loaded, &device).map_err(CliError::input_from)?;
    model.encoder().check_fit(tokenizer.size(), 0).map_err(|error| {
        CliError::input(format!("{} with {}: {error} (--tokenizer)", folder.display(), path.display()))
    })?;
    let options = hf::SaveOptions::with_special(model.arch(), &tokenizer.special());
    write_folder(&args.out, &|folder| {
        model.save(folder, &options).map_err(CliError::failed_from)?;
        tokenizer.save(folder).map_err(CliError::failed_from)?;
        Ok(card::write(folder, &run_dir, &config, step)?)
    })?;
    term::note(
        args.common.quiet,
        &format!("wrote step {step} of {} to {}", folder.display(), args.out.display()),
    );
    Ok(Outcome::Done)
}

pub(super) fn check_out(out: &Path) -> Result<(), CliError> {
    fn_train::lock::hold_output(out)?;
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

/// Writes to a temporary folder and renames it, so that an interrupted command leaves no incomplete model.
pub(super) fn write_folder(
    out: &Path,
    write: &dyn Fn(&Path) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let name = out.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned());
    let beside = out.with_file_name(format!(".{name}.tmp-{}", std::process::id()));
    let written = write(&beside).and_then(|()| {
        // `out` may be an empty folder; `check_out` has returned an error for anything else.
        let _ = std::fs::remove_dir(out);
        std::fs::rename(&beside, out).map_err(|error| CliError::io("write", out, error))
    });
    if written.is_err() {
        let _ = std::fs::remove_dir_all(&beside);
    }
    written
}
