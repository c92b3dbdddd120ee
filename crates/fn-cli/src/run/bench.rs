//! `fnlm bench`: how fast this machine pre-trains, and what of it the matrix products leave.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use fn_core::correct::Resources;
use fn_core::corrupt::Corruptor;
use fn_core::judge::DeviceLexicon;
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::loss::{MaskedLmConfig, ReplacedTokenConfig};
use fn_core::noise::{Stream, Use};
use fn_core::sample::{Prediction, SampleConfig};
use fn_core::vocab::{SpecialIds, VocabFacts};
use fn_data::loader::{MaskedBatch, fixed_batches};
use fn_data::pack::PackedRow;
use fn_data::shard::Dataset;
use fn_models::{BertConfig, BertForPreTraining, Electra, ElectraConfig, EncoderConfig, Pretrained};
use fn_train::config::{Arch, CorrectionConfig, CorrectionPreset, Dtype, Layers, RunConfig};
use fn_train::machine::{matmul_gflops, peak_memory};
use fn_train::objective::{Judging, MaskedLanguageModel, Objective, ReplacedTokenDetection, Share};
use fn_train::optim::{AdamW, Gradients, Groups};
use fn_train::session::use_dtype;
use serde::Serialize;

use super::{bench_corpus, bench_sweep, doctor};
use crate::args::{BenchArgs, DtypeArg};
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Steps before the clock starts: kernels are chosen, memory is taken.
const WARM_UP: usize = 2;
/// Blocks of the longest bar.
const BAR: usize = 40;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Measured {
    preset: String,
    correction: &'static str,
    /// Median.
    seconds_per_step: f64,
    /// The very first one, which chooses and compiles kernels.
    seconds_of_first_step: f64,
    tokens_per_second: f64,
    /// Floating-point operations of the matrix products of a step, a product and a sum counted as two.
    operations: f64,
    /// Of what large matrix products alone reach on the device.
    share_of_peak: f64,
}

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
    if let Some(sizes) = &args.corpus {
        return bench_corpus::run(args, sizes);
    }
    if let Some(sweep) = &args.sweep {
        return bench_sweep::run(args, sweep);
    }
    let mut configs = Vec::new();
    for preset in &args.presets {
        let typed = Layers { preset: Some(preset.clone()), set: args.set.clone(), ..Layers::default() };
        configs.push((preset, typed.resolve()?.change(|config| config.data.length = args.length)?));
    }
    let device = device::open(&args.device)?;
    let dtype = match args.dtype {
        DtypeArg::F32 => Dtype::F32,
        DtypeArg::Bf16 => Dtype::Bf16,
    };
    use_dtype(dtype, &device, &args.device)?;
    let peak = matmul_gflops(&device);
    let mut all = Vec::new();
    for (preset, config) in &configs {
        for (name, correction) in [("none", CorrectionPreset::None), ("hard", CorrectionPreset::Hard)] {
            term::note(args.common.quiet, &format!("{preset}, correction {name}: {} steps ...", args.steps));
            let (seconds, first) = measure(config, correction, &device, args)?;
            let operations = operations(config, args);
            all.push(Measured {
                preset: (*preset).clone(),
                correction: name,
                seconds_per_step: seconds,
                seconds_of_first_step: first,
                tokens_per_second: (args.batch * args.length) as f64 / seconds,
                operations,
                share_of_peak: operations / seconds / 1e9 / peak,
            });
        }
    }
    print(args, peak, &all)?;
    Ok(Outcome::Done)
}

fn print(args: &BenchArgs, peak: f64, all: &[Measured]) -> Result<(), CliError> {
    let dtype = args.dtype.name();
    let memory = peak_memory();
    if args.json {
        let report = serde_json::json!({
            "fnlm": env!("CARGO_PKG_VERSION"), "device": args.device, "processor": doctor::processor(),
            "dtype": dtype, "batch": args.batch, "length": args.length, "steps": args.steps,
            "matmul_gflops": peak, "peak_memory_bytes": memory, "runs": all,
        });
        return term::out(&format!("{report:#}\n"));
    }
    let fastest = all.iter().map(|m| m.tokens_per_second).fold(0.0, f64::max);
    let width = all.iter().map(|m| m.preset.len()).max().unwrap_or(0);
    let mut out = format!(
        "{}\nlarge matrix products on {}: {peak:.0} GFLOP/s\npre-training in {dtype}, {} x {}, dropout as in the preset, {} steps\n",
        doctor::one_line(),
        args.device,
        args.batch,
        args.length,
        args.steps
    );
    for m in all {
        let blocks = (BAR as f64 * m.tokens_per_second / fastest).round() as usize;
        out.push_str(&format!(
            "{:<width$}  {:<5} {:<BAR$}  {:>9} tok/s  {:>7.0} ms  {:>3.0} % of the products alone\n",
            m.preset,
            m.correction,
            "█".repeat(blocks),
            term::thousands(m.tokens_per_second as u64),
            1e3 * m.seconds_per_step,
            100.0 * m.share_of_peak,
        ));
    }
    out.push_str(&format!("memory at its highest: {}\n", term::bytes(memory)));
    term::out(&out)
}

/// Median seconds of a step, and those of the first.
fn measure(
    config: &RunConfig,
    preset: CorrectionPreset,
    device: &Device,
    args: &BenchArgs,
) -> Result<(f64, f64), CliError> {
    let batch = batch(config, args)?;
    let lexicon = DeviceLexicon::new(&lexicon(args)?, None, device);
    let device = device.clone().autodiff();
    let encoder: EncoderConfig = config.model.encoder(args.vocabulary);
    let named = CorrectionConfig::preset(preset);
    let judging = Judging::by_lexicon(Some(lexicon.clone()));
    let resources = Resources { lexicon: Some(lexicon) };
    let masked_lm = MaskedLmConfig { correction: named.generator, hard_negatives: 0.0 }.init(&resources);
    let masked_lm = masked_lm.map_err(CliError::failed_from)?;
    match config.model.arch {
        Arch::Bert => {
            let shape = BertConfig::new(encoder);
            shape.validate().map_err(CliError::failed_from)?;
            let objective = MaskedLanguageModel {
                masked_lm,
                prediction: Prediction::Argmax,
                weight: 1.0,
                judging,
                device: device.clone(),
            };
            Ok(median(
                &objective,
                BertForPreTraining::init(&shape, 1, &device).into(),
                &batch,
                config,
                args.steps,
            ))
        }
        Arch::Electra => {
            let shape =
                ElectraConfig::new(encoder, config.model.generator_width, config.model.generator_depth);
            shape.validate().map_err(CliError::failed_from)?;
            let objective = ReplacedTokenDetection {
                masked_lm,
                prediction: Prediction::Argmax,
                generator_weight: 1.0,
                replaced_token: ReplacedTokenConfig {
                    correction: named.discriminator,
                    weight: config.train.discriminator_weight,
                    hard_negatives: 0.0,
                }
                .init(&resources)
                .map_err(CliError::failed_from)?,
                sample: SampleConfig::default(),
                judging,
                device: device.clone(),
            };
            Ok(median(&objective, Electra::init(&shape, 1, &device).into(), &batch, config, args.steps))
        }
    }
}

fn median(
    objective: &dyn Objective,
    mut model: Pretrained,
    batch: &MaskedBatch,
    config: &RunConfig,
    steps: usize,
) -> (f64, f64) {
    let mut optimizer = AdamW::new(config.optimizer.clone(), Groups::default());
    let (mut seconds, mut first) = (Vec::with_capacity(steps), f64::NAN);
    for step in 0..WARM_UP + steps {
        let clock = Instant::now();
        let loss = objective.loss(&model, batch, Share::WHOLE, step as u64);
        let gradients = Gradients::from_backward(&model, loss.total.backward());
        let update;
        (model, update) = optimizer.step(model, gradients, 1e-4);
        // The norm was read from the device: everything before it is done.
        let taken = clock.elapsed().as_secs_f64();
        if step == 0 {
            first = taken;
        }
        if step >= WARM_UP && update.grad_norm.is_finite() {
            seconds.push(taken);
        }
    }
    seconds.sort_by(f64::total_cmp);
    drop(Module::into_record(model));
    (seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN), first)
}

/// One corrupted batch of full rows of random words.
fn batch(config: &RunConfig, args: &BenchArgs) -> Result<MaskedBatch, CliError> {
    let row = |row: u64| {
        let mut draw = Stream::new(7, 0, row, Use::Test);
        let mut ids: Vec<u32> =
            (0..args.length).map(|_| 5 + draw.below(args.vocabulary as u64 - 5) as u32).collect();
        (ids[0], ids[args.length - 1]) = (2, 3);
        PackedRow { second: ids.len() as u16, ids }
    };
    let rows = (0..args.batch as u64).map(row).collect();
    let data = Arc::new(Dataset::from_rows(rows, args.length)?);
    let facts = VocabFacts::plain(args.vocabulary, SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
    let corruptor = Corruptor::new(config.corruption.clone(), facts).map_err(CliError::failed_from)?;
    let batch = fixed_batches(data, Arc::new(corruptor), args.batch, 7, 1).next();
    batch.ok_or_else(|| CliError::failed("no batch could be made"))
}

/// Random look-up sets.
fn lexicon(args: &BenchArgs) -> Result<Lexicon, CliError> {
    let rows = (5..args.vocabulary as u32).map(|word| {
        let mut draw = Stream::new(11, 0, u64::from(word), Use::Test);
        (word, (0..args.lexicon_width).map(|_| 5 + draw.below(args.vocabulary as u64 - 5) as u32).collect())
    });
    let info = LexiconInfo { kind: "random".into(), ..LexiconInfo::default() };
    Ok(Lexicon::from_rows(args.vocabulary, rows, info)?)
}

/// Operations of the matrix products of a step, forward and backward: what no implementation can leave out.
fn operations(config: &RunConfig, args: &BenchArgs) -> f64 {
    let model = &config.model;
    let encoder = model.encoder(args.vocabulary);
    let tokens = (args.batch * args.length) as f64;
    let masked = tokens * f64::from(config.corruption.rate as f32);
    let of_encoder = |e: &EncoderConfig| {
        let (h, f, l) = (e.hidden_size as f64, e.intermediate_size as f64, args.length as f64);
        let projection = if e.embedding_size == e.hidden_size { 0.0 } else { e.embedding_size as f64 * h };
        // Query, key, value, output; both halves of the feed-forward; scores and context.
        tokens * (e.num_layers as f64 * (4.0 * h * h + 2.0 * h * f + 2.0 * l * h) + projection)
    };
    let of_head = |e: &EncoderConfig| {
        let (h, width) = (e.hidden_size as f64, e.embedding_size as f64);
        masked * (h * width + width * args.vocabulary as f64)
    };
    let products = match model.arch {
        Arch::Bert => of_encoder(&encoder) + of_head(&encoder),
        Arch::Electra => {
            let shape = ElectraConfig::new(encoder, model.generator_width, model.generator_depth);
            let head = tokens * (shape.discriminator.hidden_size as f64).powi(2);
            of_encoder(&shape.discriminator) + of_encoder(&shape.generator) + of_head(&shape.generator) + head
        }
    };
    // A product and a sum; once forward, twice backward.
    6.0 * products
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_electra_small_are_those_counted_by_hand() {
        let config = fn_train::config::preset("electra-small").unwrap();
        let args = BenchArgs {
            presets: vec![],
            batch: 16,
            length: 128,
            vocabulary: 30_522,
            lexicon_width: 16,
            set: vec![],
            sweep: None,
            corpus: None,
            plot: None,
            steps: 1,
            dtype: DtypeArg::F32,
            device: "flex".into(),
            threads: None,
            json: false,
            common: crate::args::Common::default(),
        };
        // 12 layers: 4 * 256^2 + 2 * 256 * 1024 + 2 * 128 * 256, and the projection 128 * 256; generator of a quarter.
        let discriminator = 12.0 * (262_144.0 + 524_288.0 + 65_536.0) + 32_768.0 + 65_536.0;
        let generator = 12.0 * (16_384.0 + 32_768.0 + 16_384.0) + 8_192.0;
        let head = 0.15 * (64.0 * 128.0 + 128.0 * 30_522.0);
        let wanted = 6.0 * 2048.0 * (discriminator + generator + head);
        assert!((operations(&config, &args) / wanted - 1.0).abs() < 1e-6, "{}", operations(&config, &args));
    }
}
