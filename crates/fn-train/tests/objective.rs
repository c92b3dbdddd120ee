//! Tests of a pre-training step: gradient accumulation, and batches in which everything is shielded or nothing is masked.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use fn_core::batch::Predictions;
use fn_core::correct::detection::{BandedConfig, DetectionKind};
use fn_core::correct::{CorrectionKind, HardConfig, Level, Normalise, Resources, SoftConfig};
use fn_core::judge::{Bands, DeviceLexicon, Judge, LexiconJudge, NoJudge, Verifier};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::loss::{MaskedLmConfig, ReplacedTokenConfig};
use fn_core::sample::{Prediction, SampleConfig};
use fn_data::loader::MaskedBatch;
use fn_models::{BertConfig, BertForPreTraining, Electra, ElectraConfig, EncoderConfig, Pretrained, params};
use fn_train::objective::{
    DeviceBatch, Judging, MaskedLanguageModel, MovingAverage, Objective, Reader, ReplacedTokenDetection,
    Share,
};
use fn_train::optim::Gradients;

const LENGTH: usize = 8;
const VOCABULARY: usize = 24;
const MASK: u32 = 4;

/// Every wrong prediction is a false negative.
struct Lenient;

impl Judge for Lenient {
    fn grade(&self, predictions: &Predictions<'_>) -> Tensor<1> {
        predictions.batch.weight.ones_like().inner()
    }
}

fn encoder() -> EncoderConfig {
    EncoderConfig {
        vocab_size: VOCABULARY,
        hidden_size: 16,
        embedding_size: 16,
        num_layers: 2,
        num_heads: 2,
        intermediate_size: 32,
        max_positions: LENGTH,
        hidden_dropout: 0.0,
        attention_dropout: 0.0,
        init_std: 0.3,
        ..EncoderConfig::bert_tiny()
    }
}

/// A batch of sequences given by `(real tokens, masked positions)`, in the layout of the loader with 4 masked positions each.
fn batch(sequences: &[(usize, &[usize])], first: usize) -> MaskedBatch {
    const MOST: usize = 4;
    let n = sequences.len();
    let mut out = MaskedBatch {
        micro_batch: 0,
        batch: n,
        length: LENGTH,
        input: vec![0; n * LENGTH],
        original: vec![0; n * LENGTH],
        token_type: vec![0; n * LENGTH],
        attention: vec![0.0; n * LENGTH],
        padded: true,
        positions: vec![0; n * MOST],
        gold: vec![0; n * MOST],
        weight: vec![0.0; n * MOST],
        documents: None,
    };
    for (b, &(tokens, masked)) in sequences.iter().enumerate() {
        for l in 0..tokens {
            let id = 5 + ((first + b) * 7 + l * 3) % (VOCABULARY - 5);
            out.original[b * LENGTH + l] = id as u32;
            out.input[b * LENGTH + l] = if masked.contains(&l) { MASK } else { id as u32 };
            out.attention[b * LENGTH + l] = 1.0;
        }
        for (p, &l) in masked.iter().enumerate() {
            out.positions[b * MOST + p] = (b * LENGTH + l) as u32;
            out.gold[b * MOST + p] = out.original[b * LENGTH + l];
            out.weight[b * MOST + p] = 1.0;
        }
    }
    out
}

fn hard(normalise: Normalise) -> CorrectionKind {
    CorrectionKind::Hard(HardConfig { normalise })
}

fn bert(correction: CorrectionKind, judge: Box<dyn Judge>) -> (MaskedLanguageModel, Pretrained) {
    let device = Device::flex().autodiff();
    let model = BertForPreTraining::init(&BertConfig::new(encoder()), 3, &device).into();
    let masked_lm = MaskedLmConfig { correction, hard_negatives: 0.0 }.init(&Resources::default()).unwrap();
    let (prediction, judging) = (Prediction::Argmax, Judging::by(judge));
    (MaskedLanguageModel { device, masked_lm, prediction, weight: 1.0, asks_judge: true, judging }, model)
}

fn electra(correction: DetectionKind, judge: Box<dyn Judge>) -> (ReplacedTokenDetection, Pretrained) {
    let device = Device::flex().autodiff();
    let model = Electra::init(&ElectraConfig::new(encoder(), 0.5, 1.0), 3, &device).into();
    let resources = Resources::default();
    let objective = ReplacedTokenDetection {
        device,
        masked_lm: MaskedLmConfig { correction: hard(Normalise::All), hard_negatives: 0.0 }
            .init(&resources)
            .unwrap(),
        prediction: Prediction::Argmax,
        generator_weight: 1.0,
        replaced_token: ReplacedTokenConfig { correction, weight: 50.0, hard_negatives: 0.0 }
            .init(&resources)
            .unwrap(),
        // A temperature near 0, so that the samples do not depend on the position in the batch.
        sample: SampleConfig { temperature: 1e-3, disallow_correct: false },
        errors_only: false,
        asks_judge: [true, true],
        judging: Judging::by(judge),
    };
    (objective, model)
}

/// Loss and gradients of a step with these micro-batches.
fn step(objective: &dyn Objective, model: &Pretrained, micro: &[MaskedBatch]) -> (f32, Gradients) {
    let mut total = 0.0;
    let mut sum: Option<Gradients> = None;
    for (batch, share) in micro.iter().zip(Share::of(micro)) {
        let loss = objective.loss(model, batch, share, 1);
        total += params::host(loss.total.clone())[0];
        let gradients = Gradients::from_backward(model, loss.total.backward());
        match &mut sum {
            None => sum = Some(gradients),
            Some(sum) => sum.accumulate(gradients),
        }
    }
    (total, sum.unwrap())
}

fn flat(gradients: &Gradients) -> Vec<(String, Vec<f32>)> {
    let mut out = Vec::new();
    gradients.visit(|name, values| out.push((name.to_owned(), params::host(values.clone()))));
    out
}

/// Sequences with 4, 1, 0, 3, 2 and 1 masked tokens and 8 to 3 real ones.
fn accumulation_is_one_large_batch(objective: &dyn Objective, model: &Pretrained) {
    let sequences: [(usize, &[usize]); 6] =
        [(8, &[1, 2, 4, 6]), (5, &[2]), (3, &[]), (8, &[1, 3, 5]), (7, &[2, 4]), (4, &[1])];
    let (whole, expected) = step(objective, model, &[batch(&sequences, 0)]);
    let cuts: [&[usize]; 3] = [&[1, 6], &[2, 3, 6], &[1, 2, 3, 4, 5, 6]];
    for ends in cuts {
        let mut from = 0;
        let micro: Vec<MaskedBatch> = ends
            .iter()
            .map(|&end| {
                let part = batch(&sequences[from..end], from);
                from = end;
                part
            })
            .collect();
        let (loss, gradients) = step(objective, model, &micro);
        assert!((loss - whole).abs() < 1e-5 * whole.abs(), "{ends:?}: loss {loss}, in one batch {whole}");
        assert!(expected.norm() > 1e-2);
        for ((name, a), (_, b)) in flat(&expected).iter().zip(flat(&gradients)) {
            let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-5 * (1.0 + expected.norm() as f32), "{ends:?}: {name} is off by {worst}");
        }
    }
}

#[test]
fn accumulated_masked_lm_steps_equal_one_large_batch() {
    let (objective, model) = bert(CorrectionKind::None, Box::new(NoJudge));
    accumulation_is_one_large_batch(&objective, &model);
}

#[test]
fn accumulated_replaced_token_steps_equal_one_large_batch() {
    let (objective, model) = electra(DetectionKind::None, Box::new(NoJudge));
    accumulation_is_one_large_batch(&objective, &model);
}

#[test]
fn a_batch_in_which_all_positions_are_shielded_has_loss_and_gradient_zero() {
    for normalise in [Normalise::All, Normalise::Kept] {
        let (objective, model) = bert(hard(normalise), Box::new(Lenient));
        let micro = [batch(&[(8, &[1, 2]), (6, &[3])], 0)];
        // The untrained model must be wrong everywhere, otherwise a correct prediction would contribute to the loss.
        let counts = objective.loss(&model, &micro[0], Share::WHOLE, 1).counts.read();
        assert_eq!((counts.rows, counts.shielded), (3.0, 3.0), "{normalise:?}");
        let (loss, gradients) = step(&objective, &model, &micro);
        assert_eq!(loss, 0.0, "{normalise:?}");
        assert_eq!(gradients.norm(), 0.0, "{normalise:?}");
    }
}

#[test]
fn if_all_replacements_are_dropped_the_discriminator_learns_from_the_originals() {
    let (objective, model) = electra(DetectionKind::Drop, Box::new(Lenient));
    let (loss, gradients) = step(&objective, &model, &[batch(&[(8, &[1, 2]), (6, &[3])], 0)]);
    assert!(loss.is_finite() && loss > 0.0 && gradients.norm() > 0.0 && gradients.norm().is_finite());
}

#[test]
fn a_batch_without_masked_positions_has_a_finite_loss() {
    let micro = [batch(&[(8, &[]), (2, &[])], 0)];
    let (objective, model) = bert(CorrectionKind::None, Box::new(NoJudge));
    let (loss, gradients) = step(&objective, &model, &micro);
    assert_eq!((loss, gradients.norm()), (0.0, 0.0));
    let (objective, model) = electra(DetectionKind::Drop, Box::new(Lenient));
    let (loss, gradients) = step(&objective, &model, &micro);
    assert!(loss.is_finite() && loss > 0.0 && gradients.norm().is_finite());
}

/// The sentence distance: the loss without the cross-entropy.
fn sentence_distance(prediction: Prediction) -> (f32, Vec<(String, Vec<f32>)>) {
    let correction =
        CorrectionKind::Soft(SoftConfig { level: Level::Sentence, prediction, ..SoftConfig::default() });
    let (objective, model) = bert(correction, Box::new(NoJudge));
    let micro = batch(&[(8, &[1, 2]), (6, &[3])], 0);
    let loss = objective.loss(&model, &micro, Share::WHOLE, 1);
    let (_, term) = loss.terms.into_iter().find(|(name, _)| *name == "sentence_distance").unwrap();
    let value = params::host(term.clone())[0];
    (value, flat(&Gradients::from_backward(&model, term.backward())))
}

#[test]
fn the_sentence_distance_has_a_gradient_for_the_logits_only_with_expected_predictions() {
    let bias = |gradients: &[(String, Vec<f32>)]| {
        let found = gradients.iter().find(|(name, _)| name == "head.bias").map(|(_, g)| g.clone());
        found.unwrap_or_default().iter().map(|g| g.abs()).fold(0.0, f32::max)
    };
    let (hard, of_ids) = sentence_distance(Prediction::Argmax);
    let (soft, of_mixtures) = sentence_distance(Prediction::Expected);
    assert!(hard > 1e-4 && soft > 1e-4 && hard < 2.0 && soft < 2.0, "{hard} {soft}");
    assert_eq!(bias(&of_ids), 0.0);
    assert!(bias(&of_mixtures) > 1e-6);
}

#[test]
fn the_gradient_of_the_expected_sentence_distance_agrees_with_finite_differences() {
    let correction = CorrectionKind::Soft(SoftConfig {
        level: Level::Sentence,
        prediction: Prediction::Expected,
        lambda: 3.0,
        ..SoftConfig::default()
    });
    let (objective, model) = bert(correction, Box::new(NoJudge));
    let micro = batch(&[(8, &[1, 2]), (6, &[3])], 0);
    let names: Vec<String> = params::shapes(&model).into_iter().map(|(name, _)| name).collect();
    let term = |model: &Pretrained| {
        let loss = objective.loss(model, &micro, Share::WHOLE, 1);
        loss.terms.into_iter().find(|(name, _)| *name == "sentence_distance").unwrap().1
    };
    let gradients = Gradients::from_backward(&model, term(&model).backward());
    let shifted = |at: &str, by: f32| {
        let weights: Vec<_> = params::collect(&model);
        let moved = params::load(model.clone(), &mut |name: &str, _: &[usize]| {
            let mut values = weights.iter().find(|t| t.name == name).unwrap().data.clone();
            if name == at {
                values[1] += by;
            }
            Ok::<_, std::convert::Infallible>(Some(values))
        });
        params::host(term(&moved.unwrap()))[0]
    };
    let mut checked = 0;
    for name in names.iter().filter(|n| n.starts_with("head.") && !n.ends_with("norm.bias")) {
        let found = gradients.get(name).map(|g| params::host(g.clone())[1]).unwrap();
        let slope = (shifted(name, 1e-2) - shifted(name, -1e-2)) / 2e-2;
        assert!((found - slope).abs() < 2e-4 + 0.03 * slope.abs(), "{name}: {found}, by differences {slope}");
        checked += 1;
    }
    assert!(checked >= 3, "{names:?}");
}

#[test]
fn a_verifier_sees_the_context_but_not_the_token_that_it_judges() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/bert_tiny");
    let model = Reader::load(&folder, &Device::flex()).unwrap();
    assert!(model.vocab_size() >= VOCABULARY);
    let verifier = Judging::by(Box::new(Verifier::new(model, MASK, Bands { low: 0.9, high: 1.1 })));
    let device = Device::flex().autodiff();
    let verdicts = |batch: &MaskedBatch| -> Vec<bool> {
        let batch = DeviceBatch::new(batch, &device).batch;
        let logits = Tensor::zeros([batch.gold.dims()[0], 1], &device);
        let of = |word: i32| {
            let ids = Tensor::full(batch.gold.dims(), word, &device);
            verifier.judge(&Predictions::sampled(&batch, &logits, ids), 0).verdict.false_negative
        };
        (5..VOCABULARY as i32)
            .flat_map(|word| of(word).into_data().iter::<bool>().collect::<Vec<_>>())
            .collect()
    };
    let plain = batch(&[(8, &[1, 4]), (6, &[3])], 0);
    let expected = verdicts(&plain);
    assert!(expected.contains(&true) && expected.contains(&false), "{expected:?}");
    // A selected position that was kept or got a random word is masked for the verifier as well.
    let mut left = plain.clone();
    left.input[1] = left.original[1];
    left.input[LENGTH + 3] = 7;
    assert_eq!(verdicts(&left), expected);
    let mut other = plain.clone();
    for (place, word) in [(2, 9), (5, 17)] {
        (other.original[place], other.input[place]) = (word, word);
    }
    assert_ne!(verdicts(&other), expected);
}

#[test]
fn a_judge_of_contexts_drives_both_corrections_of_an_electra() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/bert_tiny");
    let (mut objective, model) = electra(DetectionKind::Banded(BandedConfig::default()), Box::new(NoJudge));
    let micro = batch(&[(8, &[1, 2, 4]), (6, &[3, 5])], 0);
    let shielded = |objective: &ReplacedTokenDetection| {
        objective.loss(&model, &micro, Share::WHOLE, 1).counts.read().shielded
    };
    assert_eq!(shielded(&objective), 0.0);
    let verifier = |low| {
        let model = Reader::load(&folder, &Device::flex()).unwrap();
        Judging::by(Box::new(Verifier::new(model, MASK, Bands { low, high: 1e6 })))
    };
    objective.judging = verifier(1e-6);
    let all = shielded(&objective);
    assert!(all > 0.0, "a ratio of a millionth shields every error");
    objective.judging = verifier(1e6);
    assert_eq!(shielded(&objective), 0.0);
}

#[test]
fn a_moving_average_is_updated_with_the_model_and_restored_from_a_checkpoint() {
    let (mut objective, model) = bert(hard(Normalise::All), Box::new(NoJudge));
    let average = || {
        let average = Arc::new(MovingAverage::new(0.75));
        let judge = Verifier::new(average.clone(), MASK, Bands::default());
        Judging { average: Some(average), ..Judging::by(Box::new(judge)) }
    };
    objective.judging = average();
    assert!(objective.extra_tensors().is_empty());
    objective.follow(&model);
    let start = params::collect(&model);
    let named = |tensors: &[params::NamedTensor]| -> Vec<(String, Vec<f32>)> {
        tensors.iter().map(|t| (t.name.clone(), t.data.clone())).collect()
    };
    let carried = objective.extra_tensors();
    assert_eq!(carried.len(), start.len());
    for (a, b) in carried.iter().zip(&start) {
        assert_eq!((&a.name, &a.data), (&format!("verifier.{}", b.name), &b.data));
    }
    let moved = params::load(model.clone(), &mut |name: &str, _: &[usize]| {
        let old = start.iter().find(|t| t.name == name).unwrap();
        Ok::<_, std::convert::Infallible>(Some(old.data.iter().map(|x| x + 1.0).collect()))
    })
    .unwrap();
    objective.follow(&moved);
    for (a, b) in objective.extra_tensors().iter().zip(&start) {
        let worst = a.data.iter().zip(&b.data).map(|(a, b)| (a - b - 0.25).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{}: {worst}", a.name);
    }
    // In another process: the average is restored, and tensors that do not belong to it are kept.
    let mut tensors = objective.extra_tensors();
    tensors.push(params::NamedTensor { name: "m.head.bias".into(), shape: vec![1], data: vec![7.0] });
    let (mut other, _) = bert(hard(Normalise::All), Box::new(NoJudge));
    other.judging = average();
    other.restore(&model, &mut tensors);
    assert_eq!(named(&other.extra_tensors()), named(&objective.extra_tensors()));
    assert_eq!(tensors.len(), 1);
    let micro = batch(&[(8, &[1, 2]), (6, &[3])], 0);
    let shielded =
        |objective: &MaskedLanguageModel| objective.loss(&moved, &micro, Share::WHOLE, 1).counts.read();
    assert_eq!(shielded(&other), shielded(&objective));
}

#[test]
fn a_judge_that_excuses_everything_is_kept_from_it_by_cap_and_warm_up() {
    let (mut objective, model) = bert(hard(Normalise::All), Box::new(Lenient));
    let mut micro = batch(&[(8, &[1, 2, 4]), (6, &[3, 5])], 0);
    let shielded = |objective: &MaskedLanguageModel, micro: &MaskedBatch| {
        let loss = objective.loss(&model, micro, Share::WHOLE, 1);
        let counts = loss.counts.read();
        assert!(counts.wrong >= 4.0, "{counts:?}");
        (counts.shielded, counts.wrong, params::host(loss.excused.unwrap())[0])
    };
    let (all, wrong, share) = shielded(&objective, &micro);
    assert_eq!((all, share), (wrong, 1.0));
    objective.judging.cap = 0.5;
    let (half, _, share) = shielded(&objective, &micro);
    assert_eq!((half, share), ((wrong / 2.0).floor(), 1.0), "the share is that before the cap");
    objective.judging.warmup = 3;
    micro.micro_batch = 2;
    assert_eq!(shielded(&objective, &micro), (0.0, wrong, 0.0));
    micro.micro_batch = 3;
    assert_eq!(shielded(&objective, &micro).0, half);
    objective.asks_judge = false;
    assert!(objective.loss(&model, &micro, Share::WHOLE, 1).excused.is_none());
}

#[test]
fn replacements_are_drawn_from_what_does_not_fit() {
    // Every word but 7 fits in the place of every other.
    let all = |w: u32| (w, (0..VOCABULARY as u32).filter(|&v| v != 7 && v != w).collect::<Vec<_>>());
    let lexicon =
        Lexicon::from_rows(VOCABULARY, (0..VOCABULARY as u32).map(all), LexiconInfo::default()).unwrap();
    let judge = LexiconJudge::new(DeviceLexicon::new(&lexicon, None, &Device::flex()));
    let (mut objective, model) = electra(DetectionKind::Drop, Box::new(judge));
    objective.sample.temperature = 1.0;
    objective.sample.disallow_correct = true;
    let micro = batch(&[(8, &[1, 2, 4]), (6, &[3, 5])], 0);
    // What is dropped was a replacement that fits.
    objective.asks_judge = [false, true];
    let excused = |objective: &ReplacedTokenDetection| {
        let loss = objective.loss(&model, &micro, Share::WHOLE, 1);
        params::host(loss.excused.unwrap())[0]
    };
    assert!(excused(&objective) > 0.5);
    objective.errors_only = true;
    assert_eq!(excused(&objective), 0.0);
}
