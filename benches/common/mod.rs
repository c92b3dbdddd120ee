//! What the benches share: the compiled backends, and batches of random ids.
#![allow(dead_code, clippy::expect_used)] // each bench uses its own part

use burn::tensor::Device;
use criterion::Criterion;
use fn_core::corrupt::{CorruptionConfig, Corruptor, Scheme};
use fn_core::lexicon::{Lexicon, LexiconInfo};
use fn_core::noise::{Stream, Use};
use fn_core::vocab::{SpecialIds, VocabFacts};
use fn_data::loader::{MaskedBatch, fixed_batches};
use fn_data::pack::PackedRow;
use fn_data::shard::Dataset;
use std::sync::Arc;

/// Size of the uncased BERT vocabulary.
pub const VOCABULARY: usize = 30_522;

/// Every backend that is compiled in and has a device here, by the name that `--device` takes.
pub fn devices() -> Vec<(&'static str, Device)> {
    ["flex", "cuda", "vulkan", "metal", "wgpu", "rocm"]
        .into_iter()
        .filter_map(|name| fn_cli::device::open(name).ok().map(|device| (name, device)))
        .collect()
}

/// Runs the groups on the pool, as the program runs; Criterion itself must be made there.
pub fn on_pool(groups: &[fn(&mut Criterion)]) {
    fn_cli::device::on_pool(None, || {
        let mut criterion = Criterion::default().configure_from_args();
        groups.iter().for_each(|group| group(&mut criterion));
        criterion.final_summary();
    });
}

/// Facts about a vocabulary of `size` whole words.
pub fn vocabulary(size: usize) -> VocabFacts {
    VocabFacts::plain(size, SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 })
}

/// Full rows of random words.
pub fn rows(count: usize, length: usize, size: usize) -> Vec<PackedRow> {
    (0..count as u64)
        .map(|row| {
            let mut draw = Stream::new(7, 0, row, Use::Test);
            let mut ids: Vec<u32> = (0..length).map(|_| 5 + draw.below(size as u64 - 5) as u32).collect();
            ids[0] = 2;
            ids[length - 1] = 3;
            PackedRow { second: ids.len() as u16, ids }
        })
        .collect()
}

/// The corruption of ELECTRA over `size` words.
pub fn corruptor(size: usize) -> Arc<Corruptor> {
    let config = CorruptionConfig { scheme: Scheme::Electra, ..CorruptionConfig::default() };
    Arc::new(Corruptor::new(config, vocabulary(size)).expect("a valid corruption"))
}

/// One corrupted batch of full rows.
pub fn batch(batch: usize, length: usize, size: usize) -> MaskedBatch {
    let data = Arc::new(Dataset::from_rows(rows(batch, length, size), length).expect("rows of one length"));
    fixed_batches(data, corruptor(size), batch, 7, 1).next().expect("one batch")
}

/// Look-up sets of `width` random words for every word.
pub fn lexicon(size: usize, width: usize) -> Lexicon {
    let rows = (5..size as u32).map(|word| {
        let mut draw = Stream::new(11, 0, u64::from(word), Use::Test);
        (word, (0..width).map(|_| 5 + draw.below(size as u64 - 5) as u32).collect())
    });
    let info = LexiconInfo { kind: "random".into(), ..LexiconInfo::default() };
    Lexicon::from_rows(size, rows, info).expect("ids in range")
}
