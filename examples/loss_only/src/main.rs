//! Hard Correction in a project of your own: the loss crate and Burn, nothing else.
//!
//! A toy "masked language model": one vector for each of 12 contexts, one for each of 24 words. Every context stands for a
//! meaning that two words share (a happy/glad pair), and the text is lopsided: it writes the first word of the pair in three
//! of four places. Plain cross entropy takes "happy" for an error wherever "glad" was written, and so learns how often
//! each was written. With Hard Correction such a prediction teaches nothing: the loss counts what is left, and the word
//! that the model prefers is no longer held back by its synonym (the last column shows the price: the rarer one fades).
//!
//! Prints one line per correction and fails if a loss did not fall.

use std::process::ExitCode;

use burn::tensor::{Device, Distribution, Int, Tensor};
use fn_core::batch::{Batch, Predictions};
use fn_core::correct::HardConfig;
use fn_core::judge::{DeviceLexicon, LexiconJudge, THRESHOLD, Verdict};
use fn_core::lexicon::{Lexicon, LexiconError, LexiconInfo};
use fn_core::loss::MaskedLm;
use fn_core::noise::{Stream, Use};
use fn_core::sample::Prediction;
use fn_core::stats::FalseNegativeStats;

const MEANINGS: usize = 12;
const WORDS: usize = 2 * MEANINGS;
const WIDTH: usize = 16;
const ROWS: usize = 96;
const STEPS: usize = 200;
const LEARNING_RATE: f32 = 1.0;

/// What one training run shows.
struct Outcome {
    first_loss: f32,
    last_loss: f32,
    stats: FalseNegativeStats,
    /// Probability of the two words that fit, and of the rarer one of them alone; means over the contexts.
    fitting: f32,
    rarer: f32,
}

/// Contexts and written words of one step.
fn batch(step: u64, device: &Device) -> (Tensor<1, Int>, Tensor<1, Int>) {
    let mut stream = Stream::new(1, step, 0, Use::Test);
    let (mut contexts, mut words) = (Vec::new(), Vec::new());
    for _ in 0..ROWS {
        let meaning = stream.below(MEANINGS as u64) as i32;
        let rarer = i32::from(stream.unit() < 0.25);
        contexts.push(meaning);
        words.push(2 * meaning + rarer);
    }
    (Tensor::from_ints(contexts.as_slice(), device), Tensor::from_ints(words.as_slice(), device))
}

fn train(loss: &MaskedLm, lexicon: &Lexicon, device: &Device) -> Outcome {
    let judge = LexiconJudge::new(DeviceLexicon::new(lexicon, None, device));
    device.seed(7);
    let start = |shape| Tensor::<2>::random(shape, Distribution::Normal(0.0, 0.1), device).inner();
    let mut contexts = start([MEANINGS, WIDTH]);
    let mut embedding = start([WORDS, WIDTH]);
    let mut losses = Vec::new();
    let mut stats = FalseNegativeStats::default();
    for step in 0..STEPS {
        let (context, gold) = batch(step as u64, device);
        let c = contexts.clone().autodiff().require_grad();
        let e = embedding.clone().autodiff().require_grad();
        let logits = c.clone().select(0, context).matmul(e.clone().transpose());
        // Every word is masked and seen through its context alone: one sequence, all of its positions.
        let positions = Tensor::arange(0..ROWS as i64, device);
        let batch = Batch::new(gold.reshape([1, ROWS]), positions);
        let predictions = Predictions::new(&batch, &logits, Prediction::Argmax);
        let verdict = Verdict::of(&judge, &predictions, THRESHOLD);
        let out = loss.forward(&logits, &predictions, &verdict, &e);
        let total = out.parts.total();
        let gradients = total.backward();
        losses.push(total.into_scalar::<f32>());
        stats = out.counts.read();
        if let (Some(gc), Some(ge)) = (c.grad(&gradients), e.grad(&gradients)) {
            contexts = contexts - gc * LEARNING_RATE;
            embedding = embedding - ge * LEARNING_RATE;
        }
    }
    let probability =
        burn::tensor::activation::softmax(contexts.matmul(embedding.transpose()), 1).into_data();
    let probability: Vec<f32> = probability.iter::<f32>().collect();
    let mean = |word: &dyn Fn(usize) -> f32| (0..MEANINGS).map(word).sum::<f32>() / MEANINGS as f32;
    let of = |meaning: usize, which: usize| probability[meaning * WORDS + 2 * meaning + which];
    // Twenty steps at either end: one batch alone is noisy.
    let ends = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    Outcome {
        first_loss: ends(&losses[..20]),
        last_loss: ends(&losses[STEPS - 20..]),
        stats,
        fitting: mean(&|m| of(m, 0) + of(m, 1)),
        rarer: mean(&|m| of(m, 1)),
    }
}

fn run() -> Result<bool, LexiconError> {
    let device = Device::flex().autodiff();
    let pairs = (0..MEANINGS as u32).map(|meaning| (2 * meaning, vec![2 * meaning + 1]));
    let info = LexiconInfo { kind: "toy".into(), ..LexiconInfo::default() };
    let lexicon = Lexicon::from_rows(WORDS, pairs, info)?.symmetric();

    println!(
        "{:<14}{:>11}{:>10}{:>8}{:>17}{:>10}{:>13}{:>13}",
        "correction",
        "first loss",
        "last loss",
        "wrong",
        "false negatives",
        "shielded",
        "p(fitting)",
        "p(rarer)"
    );
    let mut fell = true;
    for (name, loss) in [("none", MaskedLm::default()), ("hard", MaskedLm::new(HardConfig::default().init()))]
    {
        let o = train(&loss, &lexicon, &device);
        println!(
            "{name:<14}{:>11.4}{:>10.4}{:>8}{:>17}{:>10}{:>13.3}{:>13.3}",
            o.first_loss,
            o.last_loss,
            o.stats.wrong,
            o.stats.false_negative,
            o.stats.shielded,
            o.fitting,
            o.rarer
        );
        fell &= o.last_loss.is_finite() && o.last_loss < 0.8 * o.first_loss;
    }
    Ok(fell)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a loss did not fall");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
