//! Measures the speed of pre-training on random words, and counts the operations of the matrix products of a step.

mod world;

pub use world::{RankTimes, World, measure_world};

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use fn_core::correct::Resources;
use fn_core::corrupt::Corruptor;
use fn_core::judge::DeviceLexicon;
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::noise::{Stream, Use};
use fn_core::vocab::{SpecialIds, VocabFacts};
use fn_data::loader::{MaskedBatch, fixed_batches};
use fn_data::pack::PackedRow;
use fn_data::shard::Dataset;
use fn_models::{ElectraConfig, EncoderConfig, Pretrained};

use crate::TrainError;
use crate::config::{CorrectionConfig, CorrectionPreset, RunConfig};
use crate::objective::{self, Judging, Objective, Share};
use crate::optim::{AdamW, Gradients, Groups};

/// Warm-up steps, in which kernels are tuned and memory is allocated.
const WARM_UP: usize = 2;

/// Sizes of the measured step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Batch size, in sequences.
    pub batch: usize,
    /// Sequence length.
    pub length: usize,
    /// Size of the vocabulary, at least 100.
    pub vocabulary: usize,
    /// Number of words of each look-up set.
    pub lexicon_width: usize,
    /// Number of measured steps, after two warm-up steps.
    pub steps: usize,
}

/// Result of a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Median time of a step in seconds; NaN if no step was finite.
    pub seconds_per_step: f64,
    /// Time of the first step in seconds, in which kernels are compiled and tuned.
    pub seconds_of_first_step: f64,
    /// Tokens per second.
    pub tokens_per_second: f64,
    /// Floating-point operations of the matrix products of a step; a multiplication and an addition count as two.
    pub operations: f64,
}

/// Measures steps of pre-training with this configuration and correction, on random words.
///
/// # Errors
/// Sizes that do not fit together.
pub fn measure(
    config: &RunConfig,
    preset: CorrectionPreset,
    device: &Device,
    workload: &Workload,
) -> Result<Measured, TrainError> {
    let config = RunConfig { correction: CorrectionConfig::preset(preset), ..config.clone() };
    let (objective, model, batch) = prepared(&config, device, workload)?;
    let (seconds_per_step, seconds_of_first_step) =
        median(&*objective, model, &batch, &config, workload.steps);
    Ok(Measured {
        seconds_per_step,
        seconds_of_first_step,
        tokens_per_second: (workload.batch * workload.length) as f64 / seconds_per_step,
        operations: operations(&config, workload),
    })
}

/// The loss, a new model, and a batch of random words.
fn prepared(
    config: &RunConfig,
    device: &Device,
    workload: &Workload,
) -> Result<(Box<dyn Objective>, Pretrained, MaskedBatch), TrainError> {
    let batch = batch(config, workload)?;
    let lexicon = DeviceLexicon::new(&lexicon(workload)?, None, device);
    let device = device.clone().autodiff();
    let (arch, encoder) = (config.model.arch, config.model.encoder(workload.vocabulary, 0));
    let model = Pretrained::fresh(arch, encoder, config.model.generator(), 1, &device)?;
    let judging = Judging::by_lexicon(lexicon.clone());
    let resources = Resources { lexicon: Some(lexicon), ..Resources::default() };
    let objective = objective::build(config, &resources, judging, device)?;
    Ok((objective, model, batch))
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
        // The gradient norm was read from the device, so all operations of the step are finished.
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

/// A batch of random words, with masked positions and without padding.
fn batch(config: &RunConfig, workload: &Workload) -> Result<MaskedBatch, TrainError> {
    let row = |row: u64| {
        let mut draw = Stream::new(7, 0, row, Use::Test);
        let mut ids: Vec<u32> =
            (0..workload.length).map(|_| 5 + draw.below(workload.vocabulary as u64 - 5) as u32).collect();
        (ids[0], ids[workload.length - 1]) = (2, 3);
        PackedRow { second: ids.len() as u16, ids }
    };
    let rows = (0..workload.batch as u64).map(row).collect();
    let data = Arc::new(Dataset::from_rows(rows, workload.length)?);
    let facts =
        VocabFacts::plain(workload.vocabulary, SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
    let corruptor = Corruptor::new(config.corruption.clone(), facts)?;
    let batch = fixed_batches(data, Arc::new(corruptor), workload.batch, 7, 1).next();
    batch.ok_or(TrainError::Data(fn_data::DataError::NoRows))
}

/// Random look-up sets.
fn lexicon(workload: &Workload) -> Result<Lexicon, TrainError> {
    let rows = (5..workload.vocabulary as u32).map(|word| {
        let mut draw = Stream::new(11, 0, u64::from(word), Use::Test);
        (
            word,
            (0..workload.lexicon_width)
                .map(|_| 5 + draw.below(workload.vocabulary as u64 - 5) as u32)
                .collect(),
        )
    });
    let info = LexiconInfo { kind: "random".into(), ..LexiconInfo::default() };
    Ok(Lexicon::from_rows(workload.vocabulary, rows, info)?)
}

/// Number of operations of the matrix products of a step, forward and backward, which every implementation has to compute.
pub fn operations(config: &RunConfig, workload: &Workload) -> f64 {
    let model = &config.model;
    let encoder = model.encoder(workload.vocabulary, 0);
    let tokens = (workload.batch * workload.length) as f64;
    let masked = tokens * f64::from(config.corruption.rate as f32);
    let of_encoder = |e: &EncoderConfig| {
        let (h, f) = (e.hidden_size as f64, e.intermediate_size as f64);
        let projection = if e.embedding_size == e.hidden_size { 0.0 } else { e.embedding_size as f64 * h };
        // A gated feed-forward part has three matrices.
        let feed_forward = if e.modern.is_some() { 3.0 } else { 2.0 } * h * f;
        let of_layer = |layer: usize| {
            let window =
                e.modern.as_ref().and_then(|m| (!layer.is_multiple_of(m.global_every)).then_some(m.window));
            // Query, key, value, output; feed-forward; scores and context.
            4.0 * h * h + feed_forward + 2.0 * h * attended(workload.length, window)
        };
        tokens * ((0..e.num_layers).map(of_layer).sum::<f64>() + projection)
    };
    let of_head = |e: &EncoderConfig| {
        let (h, width) = (e.hidden_size as f64, e.embedding_size as f64);
        masked * (h * width + width * workload.vocabulary as f64)
    };
    let products = if model.arch.has_discriminator() {
        let shape = ElectraConfig::new(encoder, model.generator_width, model.generator_depth);
        let head = tokens * (shape.discriminator.hidden_size as f64).powi(2);
        of_encoder(&shape.discriminator) + of_encoder(&shape.generator) + of_head(&shape.generator) + head
    } else {
        of_encoder(&encoder) + of_head(&encoder)
    };
    // A multiplication and an addition; once forward, twice backward.
    6.0 * products
}

/// Positions that one of `length` positions attends to, on average: all, or those at most half a window away.
fn attended(length: usize, window: Option<usize>) -> f64 {
    let length = length as f64;
    let reach = window.map_or(length - 1.0, |w| (w as f64 / 2.0).floor().min(length - 1.0));
    2.0 * reach + 1.0 - reach * (reach + 1.0) / length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_electra_small_are_those_counted_by_hand() {
        let config = crate::config::preset("electra-small").unwrap();
        let workload = Workload { batch: 16, length: 128, vocabulary: 30_522, lexicon_width: 16, steps: 1 };
        // 12 layers: 4 * 256^2 + 2 * 256 * 1024 + 2 * 128 * 256, and the projection 128 * 256; generator of a quarter.
        let discriminator = 12.0 * (262_144.0 + 524_288.0 + 65_536.0) + 32_768.0 + 65_536.0;
        let generator = 12.0 * (16_384.0 + 32_768.0 + 16_384.0) + 8_192.0;
        let head = 0.15 * (64.0 * 128.0 + 128.0 * 30_522.0);
        let wanted = 6.0 * 2048.0 * (discriminator + generator + head);
        assert!(
            (operations(&config, &workload) / wanted - 1.0).abs() < 1e-6,
            "{}",
            operations(&config, &workload)
        );
    }

    #[test]
    fn a_window_and_a_gate_are_counted_as_they_are() {
        // Five positions, one to either side: 2 + 3 + 3 + 3 + 2 pairs; a window that reaches everything is none.
        assert_eq!(attended(5, Some(2)), 13.0 / 5.0);
        assert_eq!(attended(5, Some(8)), 5.0);
        assert_eq!(attended(5, None), 5.0);

        let config = crate::config::preset("modern-small").unwrap();
        let workload = Workload { batch: 1, length: 4096, vocabulary: 30_522, lexicon_width: 16, steps: 1 };
        // 12 layers of 256, gates of 384; four are global, eight see 64 positions to either side.
        let windows = 2.0 * 256.0 * (129.0 - 64.0 * 65.0 / 4096.0);
        let layers = 12.0 * (262_144.0 + 3.0 * 256.0 * 384.0) + 4.0 * 2.0 * 256.0 * 4096.0 + 8.0 * windows;
        let head = 0.3 * (256.0 * 256.0 + 256.0 * 30_522.0);
        let wanted = 6.0 * 4096.0 * (layers + head);
        assert!((operations(&config, &workload) / wanted - 1.0).abs() < 1e-6);
    }
}
