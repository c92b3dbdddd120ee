//! `fnlm doctor`: what works on this machine, measured.

use fn_study::doctor::{Examiner, Processor};
use fn_train::config::Layers;
use fn_train::device::DeviceSpec;
use fn_train::machine;
use fn_train::rundir::Program;

use crate::args::DoctorArgs;
use crate::device::{check_compiled, compiled, open_spec};
use crate::error::{CliError, Outcome};
use crate::{allocator, device, term};

/// Runs it.
///
/// # Errors
/// The device asked for is not compiled in (2) or cannot be used (1).
pub fn run(args: &DoctorArgs) -> Result<Outcome, CliError> {
    let asked: Option<DeviceSpec> = args.device.as_deref().map(str::parse).transpose()?;
    asked.iter().try_for_each(check_compiled)?;
    let mut report = examiner().examine(asked, &args.dir);
    if args.config.is_some() {
        let config = Layers { file: args.config.clone(), ..Layers::default() }.resolve()?;
        report.examine_judges(&config, &args.exam, &device::open("flex")?)?;
    }
    term::out(&match args.json {
        true => serde_json::to_string_pretty(&report).map_err(CliError::failed_from)? + "\n",
        false => report.text(),
    })?;
    match report.unusable().filter(|_| asked.is_some()) {
        Some(message) => Err(CliError::failed(message)),
        None => Ok(Outcome::Done),
    }
}

/// This program and this machine.
pub fn examiner() -> Examiner<'static> {
    Examiner {
        version: env!("CARGO_PKG_VERSION"),
        processor: processor(),
        compiled: &compiled,
        open: &|spec| open_spec(spec).map_err(|error| error.to_string()),
    }
}

/// The machine in one line, for error reports and model cards.
pub fn one_line() -> String {
    examiner().one_line()
}

/// This program, as a run directory describes it.
pub fn program() -> Program {
    Program {
        backends: examiner().features(),
        processor: serde_json::to_value(processor()).unwrap_or_default(),
    }
}

/// The processor, without measuring anything.
pub fn processor() -> Processor {
    Processor { found: machine::Processor::read(), purge_delay_ms: allocator::purge_delay() }
}
