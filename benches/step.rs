//! One optimiser step of pre-training (batch 16 x 128, dropout 0.1), with and without hard correction, on every backend that
//! is compiled in. Throughput is in tokens.

#![allow(clippy::expect_used, missing_docs)] // a bench that cannot be set up has nothing to say

mod common;

use burn::module::Module;
use burn::tensor::Device;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fn_core::correct::{Correction, DiscriminatorCorrection, Normalise};
use fn_core::judge::{DeviceLexicon, LexiconJudge};
use fn_core::sample::{Prediction, SampleConfig};
use fn_models::{Electra, ElectraConfig};
use fn_train::objective::{Detection, Objective, ReplacedTokenDetection, Share};
use fn_train::optim::{AdamW, AdamWConfig, Gradients, Groups};

const BATCH: usize = 16;
const LENGTH: usize = 128;

fn objective(device: &Device, hard: bool) -> ReplacedTokenDetection {
    let lexicon = DeviceLexicon::new(&common::lexicon(common::VOCABULARY, 16), None, device);
    let (correction, discriminator) = if hard {
        (Correction::Hard { normalise: Normalise::All }, DiscriminatorCorrection::Drop)
    } else {
        (Correction::None, DiscriminatorCorrection::None)
    };
    ReplacedTokenDetection {
        device: device.clone().autodiff(),
        correction,
        prediction: Prediction::Argmax,
        generator_weight: 1.0,
        detection: Detection { correction: discriminator, weight: 50.0, sample: SampleConfig::default() },
        judge: Box::new(LexiconJudge::new(lexicon.clone())),
        lexicon: Some(lexicon),
    }
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step/electra-small");
    group.sample_size(10).throughput(Throughput::Elements((BATCH * LENGTH) as u64));
    let batch = common::batch(BATCH, LENGTH, common::VOCABULARY);
    for (name, device) in common::devices() {
        for (arm, hard) in [("baseline", false), ("hard", true)] {
            let objective = objective(&device, hard);
            let config = ElectraConfig::electra_small().with_vocab_size(common::VOCABULARY);
            let mut model = Some(Electra::init(&config, 1, &objective.device));
            let mut optimizer = AdamW::new(AdamWConfig::default(), Groups::default());
            let mut seed = 0;
            group.bench_function(BenchmarkId::new(name, arm), |bencher| {
                bencher.iter(|| {
                    seed += 1;
                    let current = model.take().expect("the model is put back after each step");
                    let loss = objective.loss(&current, &batch, Share::WHOLE, seed);
                    let gradients = Gradients::from_backward(&current, loss.total.backward());
                    let (next, update) = optimizer.step(current, gradients, 1e-4);
                    model = Some(next);
                    update.grad_norm
                });
            });
            drop(model.map(Module::into_record));
        }
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
