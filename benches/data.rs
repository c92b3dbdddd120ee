//! The host's side of a step: corruption, the loader with 0 to 4 workers, tokenising, and building look-up sets. One element
//! is one token, unless the group says otherwise.

#![allow(clippy::expect_used, missing_docs)] // a bench that cannot be set up has nothing to say

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fn_core::corrupt::{CorruptionConfig, Corruptor, Key, Scheme, Unit};
use fn_data::language::{Language, LanguageConfig, LexiconNoise};
use fn_data::loader::{Growth, Loader, LoaderConfig, Part};
use fn_data::shard::Dataset;
use fn_data::tokenise::TextTokenizer;
use std::sync::Arc;

const LENGTH: usize = 128;

fn corruption(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("corrupt");
    let rows = common::rows(64, LENGTH, common::VOCABULARY);
    group.throughput(Throughput::Elements((rows.len() * LENGTH) as u64));
    for scheme in [Scheme::Bert, Scheme::Electra] {
        for unit in [Unit::Token, Unit::WholeWord, Unit::Span] {
            let config = CorruptionConfig { scheme, unit, ..CorruptionConfig::default() };
            let corruptor = Corruptor::new(config, common::vocabulary(common::VOCABULARY)).expect("valid");
            group.bench_function(BenchmarkId::new(format!("{scheme:?}"), format!("{unit:?}")), |bencher| {
                bencher.iter(|| {
                    let mut hidden = 0;
                    for (row, packed) in rows.iter().enumerate() {
                        let key = Key { seed: 1, step: 2, row: row as u64 };
                        hidden += corruptor.corrupt(&packed.ids, key).positions.len();
                    }
                    hidden
                });
            });
        }
    }
    group.finish();
}

fn loader(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loader");
    let rows = common::rows(4096, LENGTH, common::VOCABULARY);
    let data = Arc::new(Dataset::from_rows(rows, LENGTH).expect("rows of one length"));
    group.throughput(Throughput::Elements((16 * LENGTH) as u64));
    for workers in [0, 1, 2, 4] {
        let config = LoaderConfig {
            batch: 16,
            seed: 1,
            steps: Growth::constant(1),
            part: Part::ALL,
            mask_rate: None,
            workers,
        };
        let corruptor = common::corruptor(common::VOCABULARY);
        let mut loader = Loader::new(data.clone(), corruptor, config, 0).expect("a loader");
        group.bench_function(BenchmarkId::new("workers", workers), |bencher| {
            bencher.iter(|| loader.next().expect("a batch").positions.len());
        });
    }
    group.finish();
}

fn text(criterion: &mut Criterion) {
    let language = Language::new(LanguageConfig::default(), 1).expect("the default language");
    let tokenizer = TextTokenizer::from_vocab(language.vocabulary(), true).expect("its tokenizer");
    let documents: Vec<String> = language.documents(200, 1).collect();
    let bytes: usize = documents.iter().map(String::len).sum();

    let mut group = criterion.benchmark_group("text (bytes)");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("tokenise", |bencher| {
        bencher.iter(|| documents.iter().map(|d| tokenizer.encode(d).len()).sum::<usize>());
    });
    group.bench_function("generate", |bencher| {
        bencher.iter(|| language.documents(200, 1).map(|d| d.len()).sum::<usize>());
    });
    group.finish();

    let mut group = criterion.benchmark_group("lexicon (words)");
    group.throughput(Throughput::Elements(language.size() as u64));
    group.bench_function("planted", |bencher| {
        bencher.iter(|| language.lexicon("", LexiconNoise::default()).expect("a lexicon").entries());
    });
    group.finish();
}

/// WordNet is nobody's to commit: name its folder in FNLM_WORDNET and a vocab.txt in FNLM_VOCAB, or this is left out.
fn wordnet(criterion: &mut Criterion) {
    let path = |name| std::env::var_os(name).map(std::path::PathBuf::from);
    let (Some(folder), Some(vocab)) = (path("FNLM_WORDNET"), path("FNLM_VOCAB")) else {
        println!("lexicon/wordnet: left out, FNLM_WORDNET and FNLM_VOCAB are not set");
        return;
    };
    let tokenizer = TextTokenizer::load(&vocab).expect("FNLM_VOCAB");
    let mut group = criterion.benchmark_group("lexicon (words)");
    group.sample_size(10).throughput(Throughput::Elements(tokenizer.size() as u64));
    group.bench_function("wordnet", |bencher| {
        bencher.iter(|| {
            let net = fn_data::lexicon::wordnet::WordNet::open(&folder).expect("FNLM_WORDNET");
            let options = fn_data::lexicon::WordNetOptions::default();
            let built = fn_data::lexicon::build_wordnet_lexicon(
                &net,
                tokenizer.pieces(),
                tokenizer.sha256(),
                &options,
            );
            built.expect("a lexicon").entries()
        });
    });
    group.finish();
}

criterion_group!(benches, corruption, loader, text, wordnet);
criterion_main!(benches);
