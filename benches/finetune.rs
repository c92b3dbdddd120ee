//! One step of fine-tuning a classifier of MiniLM's size, on every backend that is compiled in; windows of SQuAD on one core and on
//! all. Throughput is in examples and in questions.

#![allow(clippy::expect_used, missing_docs)] // a bench that cannot be set up has nothing to say

mod common;

use std::fmt::Write as _;

use burn::tensor::{Int, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput};
use fn_data::language::{Language, LanguageConfig};
use fn_data::task::squad::{Problems, WindowOptions, read, windows};
use fn_data::tokenise::TextTokenizer;
use fn_eval::finetune::fit::{Sequence, TaskBatch};
use fn_models::{BertConfig, BertForPreTraining, hf};
use fn_ops::Noise;
use fn_train::optim::{AdamW, AdamWConfig, Gradients, Groups};

const BATCH: usize = 32;

/// Six layers of 384, as MiniLM-L6 has.
fn config() -> BertConfig {
    let mut config = BertConfig::bert_base().with_vocab_size(common::VOCABULARY);
    let encoder = &mut config.encoder;
    (encoder.num_layers, encoder.hidden_size, encoder.embedding_size) = (6, 384, 384);
    (encoder.num_heads, encoder.intermediate_size) = (12, 1536);
    config
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("finetune/minilm");
    group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    let dir = tempfile::tempdir().expect("a folder");
    for (name, device) in common::devices() {
        let encoder = BertForPreTraining::init(&config(), 1, &device);
        hf::save_bert(dir.path(), &encoder, &config()).expect("a folder that can be written");
        let device = device.autodiff();
        for length in [32, 64, 128] {
            let sequences: Vec<Sequence> = common::rows(BATCH, length, common::VOCABULARY)
                .into_iter()
                .map(|row| Sequence { token_type: vec![0; row.ids.len()], ids: row.ids })
                .collect();
            let batch = TaskBatch::new(sequences.iter(), &device);
            let gold: Vec<i32> = (0..BATCH as i32).map(|i| i % 2).collect();
            let gold = Tensor::<1, Int>::from_ints(gold.as_slice(), &device);
            let (model, ..) = hf::load_classifier(dir.path(), 2, 1, &device).expect("what was just written");
            let mut model = Some(model);
            let mut optimizer = AdamW::new(AdamWConfig::default(), Groups::default());
            let mut seed = 0;
            group.bench_function(BenchmarkId::new(name, length), |bencher| {
                bencher.iter(|| {
                    seed += 1;
                    let current = model.take().expect("the model is put back after each step");
                    let logits = current.forward(&batch.inputs, &Noise::new(seed));
                    let loss = fn_ops::cross_entropy_rows(logits, gold.clone()).mean();
                    let gradients = Gradients::from_backward(&current, loss.backward());
                    let (next, update) = optimizer.step(current, gradients, 1e-5);
                    model = Some(next);
                    update.grad_norm
                });
            });
        }
    }
    group.finish();
}

/// Paragraphs of 400 words of a generated language with five questions each.
fn squad(criterion: &mut Criterion) {
    let language = Language::new(LanguageConfig::default(), 1).expect("the default language");
    let tokenizer = TextTokenizer::from_vocab(language.vocabulary(), true).expect("a vocabulary");
    let words: Vec<String> = language
        .documents(400, 1)
        .flat_map(|d| d.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut json = r#"{"version":"1.1","data":[{"title":"t","paragraphs":["#.to_owned();
    let paragraphs = (words.len() / 400).min(40);
    for number in 0..paragraphs {
        let context = words[400 * number..400 * (number + 1)].join(" ");
        let comma = if number > 0 { "," } else { "" };
        let _ = write!(json, "{comma}{{\"context\":{context:?},\"qas\":[");
        for question in 0..5 {
            let comma = if question > 0 { "," } else { "" };
            let answer = words[400 * number].as_str();
            let _ = write!(
                json,
                "{comma}{{\"id\":\"{number}-{question}\",\"question\":\"{answer}\",\"answers\":[{{\"text\":\"{answer}\",\
                 \"answer_start\":0}}]}}"
            );
        }
        json.push_str("]}");
    }
    json.push_str("]}]}");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("squad.json");
    std::fs::write(&path, json).expect("a file");
    let data = read(&path, Problems::Refuse).expect("questions");

    let mut group = criterion.benchmark_group("finetune/squad-windows");
    group.throughput(Throughput::Elements(data.report.questions));
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, all] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
            bencher.iter(|| {
                pool.install(|| windows(&data, &tokenizer, &WindowOptions::default()).expect("windows").len())
            });
        });
    }
    group.finish();
}

fn main() {
    common::on_pool(&[step, squad]);
}
