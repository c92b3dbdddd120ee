//! The losses forward and backward, with and without correction, on every backend that is compiled in; membership in the
//! look-up sets; sampling of replacements. One element is one masked row (or token).

#![allow(clippy::expect_used, missing_docs)] // a bench that cannot be set up has nothing to say

mod common;

use burn::tensor::{Bool, Device, Distribution, Int, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput};
use fn_core::batch::{Batch, Predictions};
use fn_core::correct::detection::{BandedConfig, DetectionKind, SoftDetectionConfig};
use fn_core::correct::{
    CorrectionKind, HardConfig, LabelSmoothingConfig, Normalise, Resources, SoftConfig, SynonymTargetConfig,
};
use fn_core::judge::{DeviceLexicon, LexiconJudge, THRESHOLD, Verdict};
use fn_core::loss::{MaskedLmConfig, ReplacedTokenConfig};
use fn_core::sample::{Prediction, SampleConfig, argmax_ids, gumbel_sample};

/// Masked rows of a batch of 16 x 128 at 15 %.
const ROWS: usize = 304;
const WIDTH: usize = 128;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn ids<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::random(shape, Distribution::Uniform(5.0, common::VOCABULARY as f64), device)
}

fn read<const D: usize>(value: Tensor<D>) {
    let _ = value.into_data();
}

fn masked_lm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loss/masked-lm");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    let soft = |prediction| CorrectionKind::Soft(SoftConfig { prediction, ..SoftConfig::default() });
    let hard = |normalise| CorrectionKind::Hard(HardConfig { normalise });
    // Name, correction, weight of hard negatives.
    let arms = [
        ("none", CorrectionKind::None, 0.0),
        ("hard", hard(Normalise::All), 0.0),
        ("hard-kept", hard(Normalise::Kept), 0.0),
        ("hard-negatives", hard(Normalise::All), 1.0),
        ("soft-argmax", soft(Prediction::Argmax), 0.0),
        ("soft-expected", soft(Prediction::Expected), 0.0),
        ("label-smoothing", CorrectionKind::LabelSmoothing(LabelSmoothingConfig::default()), 0.0),
        ("synonym-target", CorrectionKind::SynonymTarget(SynonymTargetConfig::default()), 0.0),
        ("random-shield", CorrectionKind::RandomShield, 0.0),
    ];
    for (name, device) in common::devices() {
        let device = device.autodiff();
        let plain = device.clone().inner();
        let lexicon = DeviceLexicon::new(&common::lexicon(common::VOCABULARY, 16), None, &plain);
        let judge = LexiconJudge::new(lexicon.clone());
        let resources = Resources { lexicon: Some(lexicon), ..Resources::default() };
        let positions = Tensor::<1, Int>::arange(0..ROWS as i64, &plain);
        for (arm, correction, hard_negatives) in &arms {
            let config = MaskedLmConfig { correction: correction.clone(), hard_negatives: *hard_negatives };
            let loss = config.init(&resources).expect("a loss");
            let logits = random([ROWS, common::VOCABULARY], &device).require_grad();
            let embedding = random([common::VOCABULARY, WIDTH], &device).require_grad();
            let batch = Batch::new(ids([1, ROWS], &plain), positions.clone());
            group.bench_function(BenchmarkId::new(name, arm), |bencher| {
                bencher.iter(|| {
                    let predictions = Predictions::new(&batch, &logits, Prediction::Argmax);
                    let verdict = Verdict::of(&judge, &predictions, THRESHOLD);
                    let total = loss.forward(&logits, &predictions, &verdict, &embedding).parts.total();
                    let gradients = total.backward();
                    read(logits.grad(&gradients).expect("a gradient").slice([0..1, 0..1]));
                });
            });
        }
    }
    group.finish();
}

fn replaced_token(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loss/replaced-token");
    let shape = [16, 128];
    group.sample_size(20).throughput(Throughput::Elements(16 * 128));
    let arms = [
        ("none", DetectionKind::None),
        ("drop", DetectionKind::Drop),
        ("relabel", DetectionKind::Relabel),
        ("banded", DetectionKind::Banded(BandedConfig::default())),
        ("weight", DetectionKind::Weight),
        ("soft", DetectionKind::Soft(SoftDetectionConfig::default())),
    ];
    for (name, device) in common::devices() {
        let device = device.autodiff();
        let plain = device.clone().inner();
        let logits = random(shape, &device).require_grad();
        let embedding = random([common::VOCABULARY, WIDTH], &device).require_grad();
        // Every token is masked; about one in six is replaced, with all grades.
        let tokens = shape[0] * shape[1];
        let batch = Batch::new(ids(shape, &plain), Tensor::arange(0..tokens as i64, &plain));
        let masked: Tensor<2, Bool> = random(shape, &plain).greater_scalar(1.0);
        let corrupted = batch.original.clone().mask_where(masked, ids(shape, &plain));
        let sampled = corrupted.clone().reshape([tokens]);
        // No correction here reads the generator's logits.
        let replacements = Predictions::sampled(&batch, &Tensor::zeros([tokens, 1], &plain), sampled);
        let grade = random([tokens], &plain).clamp(0.0, 1.0);
        let verdict = Verdict { false_negative: grade.clone().greater_equal_scalar(THRESHOLD as f32), grade };
        for (arm, correction) in &arms {
            let config =
                ReplacedTokenConfig { correction: correction.clone(), ..ReplacedTokenConfig::default() };
            let loss = config.init(&Resources::default()).expect("a loss");
            group.bench_function(BenchmarkId::new(name, arm), |bencher| {
                bencher.iter(|| {
                    let out = loss.forward(&logits, &replacements, &corrupted, &verdict, &embedding);
                    let gradients = out.parts.total().backward();
                    read(logits.grad(&gradients).expect("a gradient").slice([0..1, 0..1]));
                });
            });
        }
    }
    group.finish();
}

fn membership(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lexicon/contains");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, device) in common::devices() {
        let (gold, predicted) = (ids([ROWS], &device), ids([ROWS], &device));
        for width in [8, 16, 32, 64, 128] {
            let lexicon = DeviceLexicon::new(&common::lexicon(common::VOCABULARY, width), None, &device);
            group.bench_function(BenchmarkId::new(name, width), |bencher| {
                bencher.iter(|| lexicon.contains(&gold, &predicted).into_data());
            });
        }
    }
    group.finish();
}

fn sampling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sampling");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    for (name, device) in common::devices() {
        let logits = random([ROWS, common::VOCABULARY], &device);
        let gold = ids([ROWS], &device);
        let disallow = SampleConfig { disallow_correct: true, ..SampleConfig::default() };
        group.bench_function(BenchmarkId::new(name, "argmax"), |bencher| {
            bencher.iter(|| argmax_ids(logits.clone()).into_data());
        });
        for (arm, config) in [("gumbel", SampleConfig::default()), ("gumbel-disallow-correct", disallow)] {
            group.bench_function(BenchmarkId::new(name, arm), |bencher| {
                bencher.iter(|| gumbel_sample(logits.clone(), &gold, &config).into_data());
            });
        }
    }
    group.finish();
}

fn main() {
    common::on_pool(&[masked_lm, replaced_token, membership, sampling]);
}
