//! The judge that compares an encoder's vectors, against the same figures computed apart in `f64`.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use fn_core::batch::{Batch, Predictions};
use fn_core::judge::{Judge, Verdict};
use fn_data::lexicon::{Calibration, PAIR_RELATIONS, PairRelation, Relations, WordNet};
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::SaveOptions;
use fn_models::{BertConfig, BertForPreTraining, EncoderConfig, Inputs, Pretrained, params};
use fn_ops::Noise;
use fn_train::config::EncoderJudgeConfig;
use fn_train::objective::{EncoderCalibration, EncoderError, EncoderJudge};

const PIECES: [&str; 24] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "boat", "boats", "tub", "craft", "vessel", "box", "glass",
    "go", "went", "gone", "travel", "move", "happy", "glad", "sad", "big", "large", "##s", "stop",
];
const LENGTH: usize = 6;

fn tokenizer(pieces: &[&str]) -> TextTokenizer {
    TextTokenizer::from_vocab(pieces.iter().map(|piece| (*piece).to_owned()).collect(), true).unwrap()
}

fn model() -> Pretrained {
    let encoder = EncoderConfig {
        vocab_size: PIECES.len(),
        hidden_size: 16,
        embedding_size: 16,
        num_layers: 2,
        num_heads: 2,
        intermediate_size: 32,
        max_positions: 2 * LENGTH,
        // Must not be used: a judge reads without dropout.
        hidden_dropout: 0.5,
        attention_dropout: 0.5,
        init_std: 0.5,
        ..EncoderConfig::bert_tiny()
    };
    BertForPreTraining::init(&BertConfig::new(encoder), 5, &Device::flex()).into()
}

/// The folder of an encoder with its tokenizer.
fn folder(dir: &Path) -> PathBuf {
    model().save(dir, &SaveOptions::with_pad(0)).unwrap();
    tokenizer(&PIECES).save(dir).unwrap();
    dir.to_owned()
}

fn relations(pieces: &[&str]) -> Relations {
    let dict = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fn-data/tests/wordnet_tiny");
    Relations::new(&WordNet::open(&dict).unwrap(), pieces)
}

fn calibration(layers: usize, cosine: f64, wordnet: bool) -> EncoderCalibration {
    let relations = if wordnet { [1.0, 0.5, -3.0, -0.5, 0.25, 0.5, -5.0] } else { [0.0; 7] };
    let regression = Calibration { intercept: -1.5, cosine, relations, source: "test".into() };
    EncoderCalibration { layers, wordnet, regression }
}

fn judge(layers: usize, cosine: f64, wordnet: bool, student: &[&str]) -> EncoderJudge {
    let dir = tempfile::tempdir().unwrap();
    let all = wordnet.then(|| relations(student));
    EncoderJudge::with(
        &folder(dir.path()),
        calibration(layers, cosine, wordnet),
        all.as_ref(),
        &tokenizer(student),
        LENGTH,
        &Device::flex(),
    )
    .unwrap()
}

fn id(pieces: &[&str], word: &str) -> i32 {
    pieces.iter().position(|piece| *piece == word).unwrap() as i32
}

const ROWS: [[&str; LENGTH]; 2] =
    [["[CLS]", "happy", "boat", "went", "big", "[SEP]"], ["[CLS]", "go", "##s", "[SEP]", "[PAD]", "[PAD]"]];
/// Flat places, the words predicted there, and a last one that is padding.
const PLACES: [i32; 4] = [1, 3, 7, 7];
const PREDICTED: [&str; 4] = ["glad", "travel", "stop", "tub"];

/// The rows in a student's vocabulary.
fn batch(pieces: &[&str]) -> (Batch, Tensor<1, Int>) {
    let device = Device::flex();
    let rows: Vec<i32> = ROWS.as_flattened().iter().map(|word| id(pieces, word)).collect();
    let mut batch = Batch::new(
        Tensor::from_data(TensorData::new(rows, [2, LENGTH]), &device),
        Tensor::from_ints(PLACES, &device),
    );
    let attention: Vec<f32> =
        ROWS.as_flattened().iter().map(|word| if *word == "[PAD]" { 0.0 } else { 1.0 }).collect();
    batch.attention = Tensor::from_data(TensorData::new(attention, [2, LENGTH]), &device);
    batch.padded = true;
    batch.weight = Tensor::from_floats([1.0, 1.0, 1.0, 0.0], &device);
    (batch, Tensor::from_ints(PREDICTED.map(|word| id(pieces, word)), &device))
}

fn ask(judge: &EncoderJudge, pieces: &[&str]) -> Vec<f64> {
    let (batch, predicted) = batch(pieces);
    let predictions = Predictions::sampled(&batch, &Tensor::zeros([4, 1], &Device::flex()), predicted);
    judge.grade(&predictions).into_data().iter::<f64>().collect()
}

/// The vectors at the places after `layers` layers, when the model reads `rows`.
fn vectors(rows: &[[&str; LENGTH]; 2], layers: usize) -> Vec<Vec<f64>> {
    let device = Device::flex();
    // Each row alone and without its padding: it must not be seen.
    let of = |at: &i32| {
        let (row, column) = (*at as usize / LENGTH, *at as usize % LENGTH);
        let ids: Vec<i32> =
            rows[row].iter().filter(|word| **word != "[PAD]").map(|word| id(&PIECES, word)).collect();
        let count = ids.len();
        let inputs = Inputs::plain(Tensor::from_data(TensorData::new(ids, [1, count]), &device));
        let hidden = model().hidden_of_layers(&inputs, &Noise::none()).swap_remove(layers);
        params::host(hidden)[column * 16..(column + 1) * 16].iter().map(|x| f64::from(*x)).collect()
    };
    PLACES.iter().map(of).collect()
}

#[test]
fn the_grade_is_that_of_the_cosine_of_both_rows_with_every_prediction_in_its_place() {
    let mut filled = ROWS;
    for (place, word) in PLACES.iter().zip(PREDICTED).take(3) {
        filled[*place as usize / LENGTH][*place as usize % LENGTH] = word;
    }
    for layers in [0, 1, 2] {
        let (before, after) = (vectors(&ROWS, layers), vectors(&filled, layers));
        let found = ask(&judge(layers, 3.0, false, &PIECES), &PIECES);
        let mut told = false;
        for p in 0..3 {
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
            let (a, b) = (&before[p], &after[p]);
            let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
            let wanted = 1.0 / (1.0 + (1.5 - 3.0 * cosine).exp());
            assert!((found[p] - wanted).abs() < 1e-5, "{layers} layers, {p}: {} {wanted}", found[p]);
            told |= cosine < 0.99;
        }
        assert!(told, "{layers} layers: nothing to tell");
    }
}

#[test]
fn relations_add_their_log_odds_and_antonyms_and_inflections_have_grade_zero() {
    // Without the cosine, only relations are left.
    let (judge, all) = (judge(1, 0.0, true, &PIECES), relations(&PIECES));
    let device = Device::flex();
    let mut seen = [0; 7];
    for word in 0..PIECES.len() as i32 {
        let batch = Batch::new(
            Tensor::full([1, PIECES.len()], word, &device),
            Tensor::arange(0..PIECES.len() as i64, &device),
        );
        // All places of one row, so at most as long as the encoder reads: in two halves.
        for half in 0..2 {
            let places = Tensor::arange(0..12, &device);
            let batch = Batch::new(batch.original.clone().slice([0..1, 0..12]), places);
            let ids: Vec<i32> = (half * 12..(half + 1) * 12).collect();
            let predicted = Tensor::from_ints(ids.as_slice(), &device);
            let predictions = Predictions::sampled(&batch, &Tensor::zeros([12, 1], &device), predicted);
            let grades: Vec<f64> = judge.grade(&predictions).into_data().iter::<f64>().collect();
            for (other, grade) in ids.into_iter().zip(grades) {
                let between = all.between(word as u32, other as u32);
                let holds = |relation: PairRelation| between[relation as usize];
                let is_word = |id: i32| PIECES[id as usize].chars().all(char::is_alphabetic);
                let wanted = match is_word(word) && is_word(other) {
                    true if holds(PairRelation::Antonym) || holds(PairRelation::Inflection) => 0.0,
                    true => calibration(1, 0.0, true).regression.grade(0.0, between),
                    false => 0.0,
                };
                let (word, other) = (PIECES[word as usize], PIECES[other as usize]);
                assert!((grade - wanted).abs() < 1e-6, "{word} {other}: {grade} {wanted}");
                PAIR_RELATIONS.iter().filter(|r| holds(**r)).for_each(|r| seen[*r as usize] += 1);
            }
        }
    }
    let wanted = [PairRelation::Synonym, PairRelation::Sister, PairRelation::Inflection];
    assert!(wanted.iter().all(|relation| seen[*relation as usize] > 0), "{seen:?}");
}

#[test]
fn a_student_with_the_same_words_under_other_ids_gets_the_same_grades_and_unknown_words_none() {
    let mut student = PIECES;
    student[5..].reverse();
    let same = ask(&judge(2, 3.0, true, &PIECES), &PIECES);
    let other = ask(&judge(2, 3.0, true, &student), &student);
    assert_eq!(same, other);
    // A word that the encoder does not know is read as [UNK] and never excused; the others of the row are judged on.
    let replaced = student.map(|piece| if piece == "glad" { "merry" } else { piece });
    let judge = judge(2, 3.0, false, &replaced);
    let (batch, mut predicted) = batch(&replaced.map(|piece| if piece == "merry" { "glad" } else { piece }));
    let ask = |predicted: Tensor<1, Int>| -> Vec<f64> {
        let predictions = Predictions::sampled(&batch, &Tensor::zeros([4, 1], &Device::flex()), predicted);
        judge.grade(&predictions).into_data().iter::<f64>().collect()
    };
    let grades = ask(predicted.clone());
    assert!(grades[0] == 0.0 && grades[1] > 0.0 && grades[2] > 0.0, "{grades:?}");
    predicted = predicted.slice_fill(1..2, id(&replaced, "##s"));
    assert_eq!(ask(predicted)[1], 0.0, "a piece that is no word");
}

#[test]
fn a_verdict_takes_no_gradient_and_leaves_right_predictions_out() {
    let judge = judge(2, 3.0, true, &PIECES);
    let device = Device::flex().autodiff();
    let rows: Vec<i32> = ROWS[0].iter().map(|word| id(&PIECES, word)).collect();
    let batch = Batch::new(
        Tensor::from_data(TensorData::new(rows, [1, LENGTH]), &device),
        Tensor::from_ints([1, 2], &device),
    );
    let logits = Tensor::zeros([2, 1], &device);
    let predicted = Tensor::from_ints([id(&PIECES, "happy"), id(&PIECES, "tub")], &device);
    let verdict = Verdict::of(&judge, &Predictions::sampled(&batch, &logits, predicted), 1e-3);
    let flags: Vec<bool> = verdict.false_negative.into_data().iter::<bool>().collect();
    assert_eq!(flags, [false, true]);
}

#[test]
fn what_cannot_judge_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = folder(dir.path());
    let device = Device::flex();
    let open = |config: &EncoderJudgeConfig, pieces: &[&str], length: usize| {
        EncoderJudge::open(config, &tokenizer(pieces), length, &device).err().unwrap()
    };
    let file = |name: &str, text: &str| {
        let file = path.join(name);
        std::fs::write(&file, text).unwrap();
        Some(file)
    };
    let written = |calibration: &EncoderCalibration| serde_json::to_string(calibration).unwrap();
    let config = |layers: usize, calibration: Option<PathBuf>| EncoderJudgeConfig {
        model: Some(path.clone()),
        layers,
        wordnet: None,
        calibration,
    };
    let three = file("three.json", &written(&calibration(3, 1.0, false)));
    let error = open(&config(3, three.clone()), &PIECES, LENGTH);
    assert!(matches!(error, EncoderError::Layers { found: 2, asked: 3, .. }), "{error}");
    assert!(error.to_string().contains("set `layers` to 2 or fewer"));
    let error = open(&config(2, three), &PIECES, LENGTH).to_string();
    assert!(error.contains("three.json: it was fitted after 3 layers, and the judge reads 2"), "{error}");
    let with = file("with.json", &written(&calibration(2, 1.0, true)));
    let error = open(&config(2, with), &PIECES, LENGTH).to_string();
    assert!(error.contains("fitted with WordNet, and the judge works without"), "{error}");
    let error = open(&config(2, None), &PIECES, LENGTH).to_string();
    assert!(
        error.contains("needs a calibration") && error.contains("--layers 2 --wordnet DICT --fit"),
        "{error}"
    );
    let error = open(&config(2, file("bad.json", "{}")), &PIECES, LENGTH).to_string();
    assert!(error.contains("bad.json: missing field") && error.contains("fnlm probe judge"), "{error}");
    let infinite = written(&calibration(2, 1.0, false)).replace("-1.5", "1e999");
    assert!(matches!(
        open(&config(2, file("inf.json", &infinite)), &PIECES, LENGTH),
        EncoderError::Calibration { .. }
    ));
    let error = open(&config(2, Some(path.join("none.json"))), &PIECES, LENGTH).to_string();
    assert!(error.contains("none.json: cannot read"), "{error}");
    let two = file("two.json", &written(&calibration(2, 1.0, false)));
    let error = open(&config(2, two.clone()), &PIECES, 13);
    assert!(matches!(error, EncoderError::Length { positions: 12, length: 13, .. }), "{error}");
    let foreign = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "haus", "boot"];
    let error = open(&config(2, two), &foreign, LENGTH);
    assert!(matches!(error, EncoderError::Vocabulary { student: 7, encoder: 24, .. }), "{error}");
    assert!(error.to_string().contains("same language"));
    let more: Vec<&str> = PIECES.iter().copied().chain(["extra"]).collect();
    tokenizer(&more).save(&path).unwrap();
    let two = file("two.json", &written(&calibration(2, 1.0, false)));
    let error = open(&config(2, two), &PIECES, LENGTH);
    assert!(matches!(error, EncoderError::Table { rows: 24, pieces: 25, .. }), "{error}");
}
