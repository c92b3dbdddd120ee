//! Tests of synthetic batches before text: the batches of text are the same as without them.

use fn_core::corrupt::CorruptionConfig;
use fn_core::vocab::{SpecialIds, VocabFacts};

use super::*;
use crate::pack::PackedRow;
use crate::synthetic::{SyntheticConfig, SyntheticKind};

const SPECIAL: SpecialIds = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };
const BORDER: u64 = 7;

fn data() -> Arc<Dataset> {
    let row = |r: u32| {
        let mut ids: Vec<u32> = (0..8 + r % 9).map(|i| 5 + (r * 31 + i * 7) % 90).collect();
        ids[0] = SPECIAL.cls;
        PackedRow { second: 4, ids }
    };
    Arc::new(Dataset::from_rows((0..37).map(row).collect(), 16).unwrap())
}

fn corruptor() -> Arc<Corruptor> {
    Arc::new(Corruptor::new(CorruptionConfig::default(), VocabFacts::plain(100, SPECIAL)).unwrap())
}

fn stage(kind: SyntheticKind) -> Stage {
    let config = SyntheticConfig { kind, k: 10, ..SyntheticConfig::default() };
    let rows = Synthetic::new(&config, corruptor().vocab(), 5).unwrap().unwrap();
    Stage { rows: Arc::new(rows), batches: BORDER }
}

fn config(batch: usize, workers: usize) -> LoaderConfig {
    LoaderConfig { batch, seed: 5, steps: Growth::constant(2), part: Part::ALL, mask_rate: None, workers }
}

/// Batches `start..end`.
fn take(config: LoaderConfig, stage: Option<Stage>, start: u64, end: u64) -> Vec<MaskedBatch> {
    let mut loader = Loader::staged(data(), corruptor(), config, start, stage).unwrap();
    let out = (start..end).map(|_| loader.next().unwrap()).collect();
    assert_eq!(loader.position(), end);
    out
}

#[test]
fn text_begins_as_it_would_without_the_stage() {
    for kind in [SyntheticKind::ShuffleDyck, SyntheticKind::LinearRnn] {
        for workers in [0, 1, 4] {
            let staged = take(config(4, workers), Some(stage(kind)), 0, BORDER + 30);
            let plain = take(config(4, workers), None, 0, 30);
            for (mut text, expected) in staged[BORDER as usize..].iter().cloned().zip(plain) {
                // Only the number differs, so that dropout masks are not repeated.
                assert_eq!(text.micro_batch, expected.micro_batch + BORDER);
                text.micro_batch = expected.micro_batch;
                assert_eq!(text, expected, "{kind:?}, {workers} workers");
            }
        }
    }
}

#[test]
fn synthetic_batches_hold_the_generated_rows_masked_like_text() {
    let stage = stage(SyntheticKind::ShuffleDyck);
    let plain = take(config(4, 0), None, 0, BORDER);
    for (step, batch) in take(config(4, 0), Some(stage.clone()), 0, BORDER).into_iter().enumerate() {
        assert_eq!((batch.micro_batch, batch.padded), (step as u64, false));
        assert!(batch.token_type.iter().all(|t| *t == 0) && batch.attention.iter().all(|a| *a == 1.0));
        for (b, row) in batch.original.chunks(16).enumerate() {
            assert_eq!(row, stage.rows.row((step * 4 + b) as u64, 16).ids);
        }
        // 15 % of 14 positions.
        assert_eq!(batch.weight.iter().filter(|w| **w == 1.0).count(), 4 * 2);
        let hidden = batch.positions.iter().zip(&batch.gold).zip(&batch.weight).filter(|(_, w)| **w == 1.0);
        for ((&flat, &gold), _) in hidden {
            assert_eq!(batch.original[flat as usize], gold);
            assert!(!corruptor().vocab().is_special[gold as usize]);
        }
        assert_ne!(batch.positions, plain[step].positions, "the masked positions are those of text");
    }
}

#[test]
fn every_start_and_number_of_threads_makes_the_same_batches() {
    let stage = stage(SyntheticKind::LinearRnn);
    let end = BORDER + 9;
    let all = take(config(4, 0), Some(stage.clone()), 0, end);
    for start in 0..end {
        for workers in [0, 1, 4] {
            let resumed = take(config(4, workers), Some(stage.clone()), start, end);
            assert_eq!(resumed, all[start as usize..], "from {start}, {workers} workers");
        }
    }
}

#[test]
fn parts_together_make_the_batches_of_one_process() {
    let stage = stage(SyntheticKind::ShuffleDyck);
    let whole = take(config(4, 0), Some(stage.clone()), 0, 2 * BORDER);
    for first in 0..2 {
        let mine = LoaderConfig { part: Part { rank: first, world: 2 }, ..config(4, 1) };
        let mut loader = Loader::staged(data(), corruptor(), mine, 0, Some(stage.clone())).unwrap();
        for batch in whole.iter().skip(first as usize).step_by(2) {
            assert_eq!(loader.next().unwrap(), *batch);
        }
    }
}

#[test]
fn a_mixture_resumes_anywhere_and_its_parts_are_the_batches_of_one_process() {
    let other = (0..5).map(|r| PackedRow { ids: vec![SPECIAL.cls, 90 + r, SPECIAL.sep], second: 3 });
    let other = Arc::new(Dataset::from_rows(other.collect(), 16).unwrap());
    let mixed = Mixture::new(vec![(data(), 1.0), (other, 2.0)]).unwrap();
    let take = |config: LoaderConfig, start: u64, n: usize| -> Vec<MaskedBatch> {
        let mut loader = Loader::new(mixed.clone(), corruptor(), config, start).unwrap();
        (0..n).map(|_| loader.next().unwrap()).collect()
    };
    let all = take(config(4, 0), 0, 24);
    // Two thirds of the rows are the short ones of the second source.
    let short = |batch: &MaskedBatch| batch.original.chunks(16).filter(|row| row[3] == SPECIAL.pad).count();
    let drawn: usize = all.iter().map(short).sum();
    assert!((50..78).contains(&drawn), "{drawn} of 96");
    for (start, workers) in [(1, 2), (11, 1)] {
        assert_eq!(take(config(4, workers), start, 9), all[start as usize..start as usize + 9]);
    }
    for rank in 0..2 {
        let mine = take(LoaderConfig { part: Part { rank, world: 2 }, ..config(4, 1) }, 0, 12);
        assert!(mine.iter().zip(all.iter().skip(rank as usize).step_by(2)).all(|(a, b)| a == b));
    }
    // A mixture of one source is that source.
    let alone = Mixture::new(vec![(data(), 0.7)]).unwrap();
    let mut loader = Loader::new(alone, corruptor(), config(4, 0), 0).unwrap();
    let plain = self::take(config(4, 0), None, 0, 10);
    assert!(plain.iter().all(|batch| loader.next().unwrap() == *batch));
}

#[test]
fn a_stage_of_no_batches_is_no_stage() {
    let empty = Stage { batches: 0, ..stage(SyntheticKind::ShuffleDyck) };
    assert_eq!(take(config(4, 0), Some(empty), 0, 10), take(config(4, 0), None, 0, 10));
}

#[test]
fn batches_say_where_documents_begin_where_rows_separate_them() {
    let row = |ids: &[u32]| PackedRow { ids: ids.to_vec(), second: ids.len() as u16 };
    let rows = vec![row(&[2, 9, 3, 2, 8, 7, 3]), row(&[2, 5, 6, 7, 3])];
    let data = |separate: bool| {
        let data = Dataset::from_rows(rows.clone(), 16).unwrap();
        Arc::new(if separate { data.of_documents() } else { data })
    };
    for separate in [false, true] {
        let expected = separate.then(|| vec![vec![0, 3], vec![0]]);
        let mut fixed = fixed_batches(data(separate), corruptor(), 2, 1, 1);
        assert_eq!(fixed.next().unwrap().documents, expected);
        let mut loader = Loader::new(data(separate), corruptor(), config(2, 0), 0).unwrap();
        let drawn = loader.next().unwrap().documents;
        let mut drawn = drawn.map(|mut starts| {
            starts.sort();
            starts
        });
        assert_eq!(drawn.as_mut().map(|starts| starts.len()), expected.as_ref().map(Vec::len));
        assert_eq!(drawn.is_some(), separate);
    }
}
