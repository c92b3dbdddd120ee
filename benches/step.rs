//! One optimiser step of pre-training of every preset, with and without hard correction, on every backend that is compiled in.
//! Rows of 128 tokens; 16 of them where a step of the preset takes less than seconds. Throughput is in tokens.

#![allow(clippy::expect_used, missing_docs)] // a bench that cannot be set up has nothing to say

mod common;

use burn::tensor::Device;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use fn_core::correct::Resources;
use fn_core::judge::DeviceLexicon;
use fn_data::loader::MaskedBatch;
use fn_models::Pretrained;
use fn_train::config::{CorrectionConfig, CorrectionPreset, RunConfig};
use fn_train::objective::{self, Judging, Objective, Share};
use fn_train::optim::{AdamW, Gradients, Groups};

const LENGTH: usize = 128;
/// Preset and rows of a step.
const PRESETS: [(&str, usize); 10] = [
    ("electra-tiny", 16),
    ("electra-mini", 16),
    ("electra-small", 16),
    ("electra-base", 4),
    ("electra-large", 1),
    ("bert-tiny", 16),
    ("bert-tiny-continued", 16),
    ("bert-small", 16),
    ("bert-base", 4),
    ("bert-large", 1),
];

fn run(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    objective: &dyn Objective,
    model: Pretrained,
    batch: &MaskedBatch,
    config: &RunConfig,
) {
    let mut model = Some(model);
    let mut optimizer = AdamW::new(config.optimizer.clone(), Groups::default());
    let mut seed = 0;
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            seed += 1;
            let current = model.take().expect("the model is put back after each step");
            let loss = objective.loss(&current, batch, Share::WHOLE, seed);
            let gradients = Gradients::from_backward(&current, loss.total.backward());
            let (next, update) = optimizer.step(current, gradients, 1e-4);
            model = Some(next);
            update.grad_norm
        });
    });
}

fn of_preset(criterion: &mut Criterion, preset: &str, rows: usize, name: &str, device: &Device) {
    let mut group = criterion.benchmark_group(format!("step/{preset}"));
    group.sample_size(10).throughput(Throughput::Elements((rows * LENGTH) as u64));
    let config = fn_train::config::preset(preset).expect("a preset");
    let batch = common::batch(rows, LENGTH, common::VOCABULARY);
    for (arm, correction) in [("baseline", CorrectionPreset::None), ("hard", CorrectionPreset::Hard)] {
        let lexicon = DeviceLexicon::new(&common::lexicon(common::VOCABULARY, 16), None, device);
        let judging = Judging::by_lexicon(lexicon.clone());
        let resources = Resources { lexicon: Some(lexicon), ..Resources::default() };
        let config = RunConfig { correction: CorrectionConfig::preset(correction), ..config.clone() };
        let device = device.clone().autodiff();
        let encoder = config.model.encoder(common::VOCABULARY, 0);
        let (arch, generator) = (config.model.arch, config.model.generator());
        let model = Pretrained::fresh(arch, encoder, generator, 1, &device).expect("a model");
        let objective = objective::build(&config, &resources, judging, device).expect("an objective");
        run(&mut group, BenchmarkId::new(name, arm), &*objective, model, &batch, &config);
    }
    group.finish();
}

fn step(criterion: &mut Criterion) {
    for (name, device) in common::devices() {
        for (preset, rows) in PRESETS {
            of_preset(criterion, preset, rows, name, &device);
        }
    }
}

fn main() {
    common::on_pool(&[step]);
}
