//! `fnlm bench`: how fast this machine pre-trains, compared with its speed in matrix products.

use fn_study::process::{self, Record};
use fn_study::speed::Speeds;
use fn_study::{corpus, sweep};
use fn_train::bench::{Workload, measure, measure_world};
use fn_train::config::{CorrectionPreset, Dtype, Layers};
use fn_train::machine::{matmul_gflops, peak_memory};
use fn_train::session::use_dtype;

use super::{doctor, support};
use crate::args::{BenchArgs, DtypeArg};
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// A preset or device that does not exist (2), a size out of range (2).
pub fn run(args: &BenchArgs) -> Result<Outcome, CliError> {
    if args.vocabulary < 100 || args.lexicon_width == 0 {
        return Err(CliError::usage("--vocabulary must be at least 100, --lexicon-width at least 1"));
    }
    if args.batch == 0 || args.length < 8 || args.steps == 0 {
        return Err(CliError::usage("--batch and --steps must be at least 1, --length at least 8"));
    }
    if args.plot.is_some() && args.sweep.is_none() && args.corpus.is_none() {
        return Err(CliError::usage("--plot draws a --sweep or a --corpus; name one of them"));
    }
    let workload = Workload {
        batch: args.batch,
        length: args.length,
        vocabulary: args.vocabulary,
        lexicon_width: args.lexicon_width,
        steps: args.steps,
    };
    if let Some(sizes) = &args.corpus {
        return run_corpus(args, sizes);
    }
    if let Some(sweep) = &args.sweep {
        return run_sweep(args, workload, sweep);
    }
    let dtype = match args.dtype {
        DtypeArg::F32 => Dtype::F32,
        DtypeArg::Bf16 => Dtype::Bf16,
    };
    let mut configs = Vec::new();
    for preset in &args.presets {
        let typed = Layers { preset: Some(preset.clone()), set: args.set.clone(), ..Layers::default() };
        configs.push((preset, typed.resolve()?.change(|config| config.data.length = args.length)?));
    }
    if let (true, Some((_, config))) = (args.world, configs.first()) {
        return support::in_ranks(config.train.rank_timeout, args.common.verbose, |launch, ranks| {
            let spec = args.device.parse()?;
            let device = device::open_spec(&launch.map_or(spec, |launch| launch.device(spec)))?;
            use_dtype(dtype, &device, &args.device)?;
            let world = measure_world(config, &device, &workload, args.link, &**ranks)?;
            let shown = if args.json { world.json() } else { world.text() };
            if ranks.is_first() { Ok(term::out(&shown).map(|()| Outcome::Done)?) } else { Ok(Outcome::Done) }
        });
    }
    let device = device::open(&args.device)?;
    use_dtype(dtype, &device, &args.device)?;
    let mut speeds = Speeds {
        device: args.device.clone(),
        dtype: args.dtype.name(),
        workload,
        peak: matmul_gflops(&device),
        memory: 0,
        rows: Vec::new(),
    };
    for (preset, config) in &configs {
        for (name, correction) in [("none", CorrectionPreset::None), ("hard", CorrectionPreset::Hard)] {
            term::note(args.common.quiet, &format!("{preset}, correction {name}: {} steps ...", args.steps));
            speeds.push(preset, name, &measure(config, correction, &device, &workload)?);
        }
    }
    speeds.memory = peak_memory();
    if let Some(record) = &args.common.record {
        process::append(record, &Record::Timing(speeds.timing()))?;
    }
    let program = doctor::examiner();
    term::out(&if args.json { format!("{:#}\n", speeds.json(&program)) } else { speeds.text(&program) })?;
    Ok(Outcome::Done)
}

/// Measures several values of one setting, each in a separate process.
fn run_sweep(args: &BenchArgs, workload: Workload, typed: &str) -> Result<Outcome, CliError> {
    let wrong = || {
        CliError::usage(format!("--sweep {typed}: expected KEY=A,B,..., numbers with commas between them"))
    };
    let (key, values) = typed.split_once('=').ok_or_else(wrong)?;
    let preset = args.presets.first().map_or("electra-small", String::as_str);
    let (program, stop) = (support::program(), support::interruptible()?);
    let sweep = sweep::Sweep {
        program: &program,
        preset,
        key,
        workload,
        dtype: args.dtype.name(),
        device: &args.device,
        threads: args.threads,
        set: &args.set,
        stop: &stop,
    };
    let mut points = Vec::new();
    for text in values.split(',').map(str::trim) {
        let value: f64 = text.parse().map_err(|_| wrong())?;
        term::note(args.common.quiet, &format!("{preset}, {key} {text} ..."));
        points.push(sweep.measure(text, value)?);
    }
    if let Some(folder) = &args.plot {
        for path in sweep.draw(&points, folder)? {
            term::note(args.common.quiet, &format!("drew {}", path.display()));
        }
    }
    let table = || sweep.table(&points).to_markdown();
    term::out(&if args.json { format!("{:#}\n", sweep.json(&points)) } else { table() })?;
    Ok(Outcome::Done)
}

/// Measures text of several sizes, each in a separate process.
fn run_corpus(args: &BenchArgs, typed: &str) -> Result<Outcome, CliError> {
    let wrong = || CliError::usage(format!("--corpus {typed}: expected megabytes, A,B,..., each at least 1"));
    let parsed: Result<Vec<u64>, _> = typed.split(',').map(|size| size.trim().parse()).collect();
    let sizes = parsed.ok().filter(|sizes| sizes.iter().all(|&size| size > 0)).ok_or_else(wrong)?;
    let scratch = std::env::temp_dir().join(format!("fnlm-bench-corpus-{}", std::process::id()));
    let (program, stop) = (support::program(), support::interruptible()?);
    let growth = corpus::Growth {
        program: &program,
        batch: args.batch,
        length: args.length,
        set: &args.set,
        stop: &stop,
    };
    let each = |&megabytes: &u64| {
        term::note(args.common.quiet, &format!("{megabytes} MB of text ..."));
        growth.measure(megabytes, &scratch)
    };
    let points: Result<Vec<_>, _> = sizes.iter().map(each).collect();
    let _ = std::fs::remove_dir_all(&scratch); // best effort: leftovers in the temporary folder are harmless
    let points = points?;
    if let Some(folder) = &args.plot {
        corpus::draw(folder, &points)?;
    }
    let table = || corpus::table(&points).to_markdown();
    term::out(&if args.json { format!("{:#}\n", corpus::json(&points)) } else { table() })?;
    Ok(Outcome::Done)
}
