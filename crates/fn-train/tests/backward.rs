//! A backward pass in parts has the gradients of a whole one, bit for bit: for every architecture and correction.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::sync::Arc;

use burn::tensor::Device;
use fn_core::correct::detection::{DetectionKind, SoftDetectionConfig};
use fn_core::correct::{CorrectionKind, Level, Resources, SoftConfig};
use fn_core::corrupt::{CorruptionConfig, Corruptor};
use fn_core::judge::{DeviceLexicon, LexiconJudge};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::sample::Prediction;
use fn_core::vocab::{SpecialIds, VocabFacts};
use fn_data::loader::{MaskedBatch, fixed_batches};
use fn_data::pack::PackedRow;
use fn_data::shard::Dataset;
use fn_models::{Arch, Cuts, EmbeddingSharing, params};
use fn_train::collective::Buckets;
use fn_train::config::{CorrectionConfig, CorrectionPreset, RunConfig};
use fn_train::model;
use fn_train::objective::{self, Judging, Share};
use fn_train::optim::{Backward, Gradients, parameters};

const VOCABULARY: usize = 40;
const LENGTH: usize = 12;

fn config(arch: Arch) -> RunConfig {
    let mut run = RunConfig::default();
    run.model.arch = arch;
    run.model.hidden_size = 16;
    run.model.embedding_size = if arch == Arch::Electra { 8 } else { 16 };
    run.model.num_layers = 3;
    run.model.num_heads = 2;
    run.model.intermediate_size = 32;
    run.model.max_positions = LENGTH;
    run.model.generator_width = if arch.is_modern() { 1.0 } else { 0.5 };
    run.model.init_std = 0.3;
    run.data.length = LENGTH;
    run.train.overlap = true;
    run
}

fn batches() -> Vec<MaskedBatch> {
    let row = |r: u32| {
        let used = 6 + r % (LENGTH as u32 - 5);
        let mut ids: Vec<u32> = (0..used).map(|i| 5 + (r * 13 + i * i * 3) % 35).collect();
        ids[0] = 2;
        ids[used as usize - 1] = 3;
        PackedRow { second: (used / 2) as u16, ids }
    };
    let data = Arc::new(Dataset::from_rows((0..12).map(row).collect(), LENGTH).unwrap());
    let facts = VocabFacts::plain(VOCABULARY, SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
    let corruptor = Arc::new(Corruptor::new(CorruptionConfig::default(), facts).unwrap());
    fixed_batches(data, corruptor, 4, 7, 3).collect()
}

type Bits = Vec<(String, Option<Vec<u32>>)>;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Gradients of three micro-batches, added like `0 + (1 + 2)`, the last of which is differentiated in parts or not; and how many parts.
fn gradients(config: &RunConfig, device: &Device, in_parts: Option<usize>) -> (Bits, usize) {
    let plain = device.clone().inner();
    let pairs = (5..VOCABULARY as u32 - 1).map(|w| (w, vec![w + 1]));
    let lexicon = Lexicon::from_rows(VOCABULARY, pairs, LexiconInfo::default()).unwrap();
    let lexicon = DeviceLexicon::new(&lexicon, None, &plain);
    let judging = Judging::by(Box::new(LexiconJudge::new(lexicon.clone())));
    let resources = Resources { lexicon: Some(lexicon), ..Resources::default() };
    let objective = objective::build(config, &resources, judging, device.clone()).unwrap();
    let (model, _) = model::initial(&config.model, VOCABULARY, 0, 3, device).unwrap();
    let share = Share { rows: 0.3, tokens: 0.4 };
    let batches = batches();
    let of = |batch: &MaskedBatch| {
        let loss = objective.loss(&model, batch, share, 11);
        Gradients::from_backward(&model, loss.total.backward())
    };
    let (mut first, mut second) = (of(&batches[0]), of(&batches[1]));
    let parameters = parameters(&model);
    let Some(least) = in_parts else {
        second.accumulate(of(&batches[2]));
        first.accumulate(second);
        let found = |p: &fn_train::optim::Parameter| {
            (p.path.clone(), first.get(&p.path).map(|g| bits(&params::host(g.clone()))))
        };
        return (parameters.iter().map(found).collect(), 1);
    };
    let cuts = Cuts::default();
    let loss = objective.loss_cut(&model, &batches[2], share, 11, &cuts);
    let backward = Backward::new(&model, loss.total, &cuts, vec![first, second]);
    let buckets = Buckets::of_at_least(least, &parameters, 2);
    let mut found: Bits = parameters.iter().map(|p| (p.path.clone(), None)).collect();
    let mut order = Vec::new();
    let reached = backward.run(&buckets, |index, flat| {
        let bucket = &buckets.all()[index];
        for (place, member) in bucket.parameters.iter().enumerate() {
            found[*member].1 = Some(bits(&flat[bucket.slices.tensor(place)]));
        }
        order.push(index);
        true
    });
    for (reached, (_, gradient)) in reached.into_iter().zip(&mut found) {
        gradient.take_if(|_| !reached);
    }
    // All but embeddings and heads are complete before the end.
    assert_eq!(order, (0..buckets.all().len()).collect::<Vec<_>>());
    (found, order.len())
}

/// What differs.
fn differing(config: &RunConfig, device: &Device, what: &str) -> Vec<String> {
    let mut all = Vec::new();
    let (whole, _) = gradients(config, device, None);
    assert!(whole.iter().filter(|(_, gradient)| gradient.is_some()).count() > 15, "{what}");
    let stacks = if config.model.arch.has_discriminator() { 2 } else { 1 };
    for (least, buckets) in [(0, 3 * stacks + 1), (1 << 20, stacks + 1)] {
        let (parts, found) = gradients(config, device, Some(least));
        assert_eq!(found, buckets, "{what}");
        let differ = whole.iter().zip(&parts).filter(|(a, b)| a != b);
        all.extend(differ.map(|(a, _)| format!("{what}, buckets of {least}: {}", a.0)));
    }
    all
}

/// One test, because the generator of random numbers is one per process.
#[test]
fn gradients_of_a_backward_pass_in_parts_have_the_bits_of_a_whole_one() {
    let mut differ = Vec::new();
    let device = Device::flex().autodiff();
    for arch in
        [Arch::Bert, Arch::Electra, Arch::Roberta, Arch::DistilBert, Arch::ModernBert, Arch::ModernElectra]
    {
        let mut config = config(arch);
        config.correction = CorrectionConfig::preset(CorrectionPreset::Hard);
        differ.extend(differing(&config, &device, arch.name()));
    }
    for sharing in [EmbeddingSharing::Gdes, EmbeddingSharing::None] {
        let mut config = config(Arch::Electra);
        config.model.embedding_sharing = sharing;
        differ.extend(differing(&config, &device, sharing.name()));
    }
    // Without the kernels of Flex.
    let checkpointing = Device::flex().autodiff().gradient_checkpointing();
    for arch in [Arch::Bert, Arch::Electra, Arch::ModernBert] {
        differ.extend(differing(&config(arch), &checkpointing, "gradient checkpointing"));
    }
    // Corrections whose gradients reach the token table and the layers once more.
    for arch in [Arch::Bert, Arch::Electra] {
        for level in [Level::Word, Level::Sentence] {
            for prediction in [Prediction::Argmax, Prediction::Expected] {
                let mut config = config(arch);
                config.correction.preset = CorrectionPreset::Custom;
                config.correction.masked_lm =
                    CorrectionKind::Soft(SoftConfig { level, prediction, ..SoftConfig::default() });
                if arch.has_discriminator() {
                    config.correction.discriminator = DetectionKind::Soft(SoftDetectionConfig::default());
                }
                assert_eq!(config.overlaps(), !arch.has_discriminator());
                if !config.overlaps() {
                    continue;
                }
                differ.extend(differing(
                    &config,
                    &device,
                    &format!("{} {level:?} {prediction:?}", arch.name()),
                ));
            }
        }
    }
    assert_eq!(differ, [""; 0]);
}
