//! Rows of several documents: loss and gradients are those of the documents in rows of their own.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use burn::tensor::Device;
use fn_core::correct::Resources;
use fn_core::loss::{MaskedLmConfig, ReplacedTokenConfig};
use fn_core::sample::{Prediction, SampleConfig};
use fn_data::loader::MaskedBatch;
use fn_models::{Arch, EmbeddingSharing, EncoderConfig, GeneratorSettings, Pretrained, params};
use fn_train::objective::{Judging, MaskedLanguageModel, Objective, ReplacedTokenDetection, Share};
use fn_train::optim::Gradients;

const LENGTH: usize = 24;
const MOST: usize = 6;
const VOCABULARY: u32 = 40;
const CLS: u32 = 2;
const SEP: u32 = 3;
const MASK: u32 = 4;

/// Text of a document, and its masked places.
type Document = (Vec<u32>, Vec<usize>);

fn documents() -> Vec<Document> {
    let text = |length: u32, first: u32| -> Vec<u32> {
        let words = (0..length).map(|i| 5 + (first + i * 7) % (VOCABULARY - 5));
        [CLS].into_iter().chain(words).chain([SEP]).collect()
    };
    vec![(text(7, 1), vec![1, 5]), (text(11, 20), vec![2, 7, 9]), (text(14, 9), vec![4])]
}

/// A batch whose rows hold these documents one after the other.
fn batch(rows: &[Vec<Document>]) -> MaskedBatch {
    let count = rows.len();
    let mut out = MaskedBatch {
        micro_batch: 0,
        batch: count,
        length: LENGTH,
        input: vec![0; count * LENGTH],
        original: vec![0; count * LENGTH],
        token_type: vec![0; count * LENGTH],
        attention: vec![0.0; count * LENGTH],
        padded: true,
        positions: vec![0; count * MOST],
        gold: vec![0; count * MOST],
        weight: vec![0.0; count * MOST],
        documents: Some(Vec::new()),
    };
    for (row, documents) in rows.iter().enumerate() {
        let (mut at, mut slot, mut starts) = (row * LENGTH, row * MOST, Vec::new());
        for (ids, masked) in documents {
            starts.push(at - row * LENGTH);
            out.original[at..at + ids.len()].copy_from_slice(ids);
            out.input[at..at + ids.len()].copy_from_slice(ids);
            out.attention[at..at + ids.len()].fill(1.0);
            for place in masked {
                out.input[at + place] = MASK;
                out.positions[slot] = (at + place) as u32;
                out.gold[slot] = ids[*place];
                out.weight[slot] = 1.0;
                slot += 1;
            }
            at += ids.len();
        }
        out.documents.as_mut().unwrap().push(starts);
    }
    out
}

fn model(arch: Arch, device: &Device) -> Pretrained {
    let base = if arch.is_modern() { EncoderConfig::modern_tiny() } else { EncoderConfig::electra_tiny() };
    let mut encoder = EncoderConfig {
        vocab_size: VOCABULARY as usize,
        hidden_size: 16,
        embedding_size: 16,
        num_heads: 2,
        intermediate_size: 24,
        max_positions: 64,
        position_offset: arch.position_offset(0),
        hidden_dropout: 0.0,
        attention_dropout: 0.0,
        init_std: 0.3,
        ..base
    };
    if let Some(modern) = &mut encoder.modern {
        // Local layers see a part of a document.
        modern.window = 4;
    }
    let generator = GeneratorSettings { width: 1.0, depth: 0.5, sharing: EmbeddingSharing::Gdes };
    Pretrained::fresh(arch, encoder, generator, 5, device).unwrap()
}

fn objective(arch: Arch, device: &Device) -> Box<dyn Objective> {
    let resources = Resources::default();
    let judging = Judging::by(Box::new(fn_core::judge::NoJudge));
    let masked_lm = MaskedLmConfig::default().init(&resources).unwrap();
    if !arch.has_discriminator() {
        return Box::new(MaskedLanguageModel {
            device: device.clone(),
            masked_lm,
            prediction: Prediction::Argmax,
            weight: 1.0,
            asks_judge: false,
            judging,
        });
    }
    Box::new(ReplacedTokenDetection {
        device: device.clone(),
        masked_lm,
        prediction: Prediction::Argmax,
        generator_weight: 1.0,
        replaced_token: ReplacedTokenConfig { weight: 50.0, ..ReplacedTokenConfig::default() }
            .init(&resources)
            .unwrap(),
        // A temperature near 0, so that the samples do not depend on the place in the batch.
        sample: SampleConfig { temperature: 1e-3, disallow_correct: false },
        errors_only: false,
        asks_judge: [false, false],
        judging,
    })
}

/// Loss and gradients of a batch.
fn step(arch: Arch, batch: MaskedBatch) -> (f32, Vec<(String, Vec<f32>)>) {
    let device = Device::flex().autodiff();
    let (model, objective) = (model(arch, &device), objective(arch, &device));
    let micro = [batch];
    let share = Share::of(&micro).into_iter().next().unwrap();
    let loss = objective.loss(&model, &micro[0], share, 1);
    let total = params::host(loss.total.clone())[0];
    let gradients = Gradients::from_backward(&model, loss.total.backward());
    let mut named = Vec::new();
    gradients.visit(|name, values| named.push((name.to_owned(), params::host(values.clone()))));
    (total, named)
}

#[test]
fn a_packed_row_has_the_loss_and_the_gradients_of_its_documents_alone() {
    let all = documents();
    let packed = batch(&[all[..2].to_vec(), all[2..].to_vec()]);
    let alone = batch(&all.iter().map(|document| vec![document.clone()]).collect::<Vec<_>>());
    let mut across = packed.clone();
    across.documents = None;
    for arch in [Arch::Bert, Arch::Roberta, Arch::ModernBert, Arch::Electra, Arch::ModernElectra] {
        let (expected, of_documents) = step(arch, alone.clone());
        let (found, of_rows) = step(arch, packed.clone());
        assert!((found - expected).abs() < 1e-5 * expected, "{arch:?}: {found}, alone {expected}");
        assert_eq!(of_rows.len(), of_documents.len());
        for ((name, got), (_, wanted)) in of_rows.iter().zip(&of_documents) {
            let size = wanted.iter().fold(0.0f32, |size, value| size.max(value.abs()));
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((got - wanted).abs() <= 1e-4 * size.max(1e-3), "{arch:?}, {name}: {got}, {wanted}");
            }
        }
        // Read as one document, the row has another loss.
        let (other, _) = step(arch, across.clone());
        assert!((other - expected).abs() > 1e-4 * expected, "{arch:?}: {other}, {expected}");
    }
}
