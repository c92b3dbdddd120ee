use std::path::Path;

use super::*;
use crate::error::DataError;
use crate::pack::Packing;
use crate::source::SourceOptions;
use crate::tokenise::{SPECIAL_TOKENS, TextTokenizer};

fn tokenizer() -> TextTokenizer {
    let words = (0..50).map(|i| format!("w{i}"));
    TextTokenizer::from_vocab(SPECIAL_TOKENS.iter().map(|s| (*s).to_owned()).chain(words).collect(), true)
        .unwrap()
}

fn config(dir: &Path) -> PrepareConfig {
    let text: String = (0..3_000)
        .map(|i| {
            if i % 9 == 8 {
                "\n".to_owned()
            } else {
                format!("w{} w{} w{}\n", i % 50, i * 7 % 50, i * 3 % 50)
            }
        })
        .collect();
    std::fs::write(dir.join("a.txt"), text).unwrap();
    PrepareConfig {
        sources: vec![dir.join("a.txt")],
        options: SourceOptions::default(),
        packing: Packing::Electra,
        length: 32,
        seed: 1,
        cache: dir.join("cache"),
    }
}

fn made(dir: &Path) -> PreparedData {
    prepare(&config(dir), &tokenizer(), &mut |_| {}, &Default::default()).unwrap()
}

#[test]
fn a_data_set_is_made_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = made(dir.path());
    let again = made(dir.path());
    assert!(!first.reused && again.reused);
    assert_eq!(first.manifest, again.manifest);
    let data = Dataset::open(&first.dir).unwrap();
    assert_eq!(data.len() as u64, first.manifest.rows);
    let tokens: u64 = (0..data.len()).map(|i| data.row(i).ids.len() as u64).sum();
    assert_eq!(tokens, first.manifest.tokens);
    assert_eq!(token_counts(&first.dir).unwrap().iter().sum::<u64>(), tokens);
}

#[test]
fn other_text_seed_or_length_is_another_data_set() {
    let dir = tempfile::tempdir().unwrap();
    let key = |config: &PrepareConfig| {
        prepare(config, &tokenizer(), &mut |_| {}, &Default::default()).unwrap().manifest.key
    };
    let base = config(dir.path());
    let mut keys = vec![key(&base)];
    keys.push(key(&PrepareConfig { seed: 2, ..base.clone() }));
    keys.push(key(&PrepareConfig { length: 16, ..base.clone() }));
    keys.push(key(&PrepareConfig { packing: Packing::Dense, ..base.clone() }));
    std::fs::write(dir.path().join("a.txt"), "w1 w2 w3\nw4\n").unwrap();
    keys.push(key(&base));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
}

#[test]
fn rows_do_not_depend_on_the_number_of_threads() {
    let rows = |threads: usize| {
        let dir = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let prepared = pool.install(|| made(dir.path()));
        let bytes = std::fs::read(prepared.dir.join("shard-00000.safetensors")).unwrap();
        (prepared.manifest, bytes)
    };
    assert_eq!(rows(1), rows(3));
}

#[test]
fn any_damage_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = made(dir.path());
    for name in ["manifest.json", "shard-00000.safetensors"] {
        let path = prepared.dir.join(name);
        let good = std::fs::read(&path).unwrap();
        let check = |bytes: &[u8], what: &str| {
            std::fs::write(&path, bytes).unwrap();
            match Dataset::open(&prepared.dir) {
                // A flipped bit in the file name of a shard leads to a missing file.
                Err(error) => {
                    assert!(error.to_string().contains(&prepared.dir.display().to_string()), "{error}");
                }
                // A flipped bit in an informational number of the manifest (documents, bytes of text) is harmless.
                Ok(_) => assert_eq!(name, "manifest.json", "{what} of {name} went unnoticed"),
            }
        };
        for at in (0..good.len()).step_by((good.len() / 60).max(1)) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            check(&bad, "a flipped bit");
            check(&good[..at], "a cut");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Dataset::open(&prepared.dir), Err(DataError::Missing { .. })));
        std::fs::write(&path, &good).unwrap();
        Dataset::open(&prepared.dir).unwrap();
    }
}

#[test]
fn a_path_to_a_shard_outside_of_the_folder_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = made(dir.path());
    let mut manifest = prepared.manifest.clone();
    manifest.shards[0].file = "../a.txt".to_owned();
    std::fs::write(prepared.dir.join("manifest.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
    assert!(matches!(Dataset::open(&prepared.dir), Err(DataError::Damaged { .. })));
}

#[test]
fn a_stopped_preparation_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let stop = crate::source::StopFlag::default();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = prepare(&config(dir.path()), &tokenizer(), &mut |_| {}, &stop).unwrap_err();
    assert!(matches!(error, DataError::Stopped));
    assert!(dir.path().join("cache").read_dir().into_iter().flatten().next().is_none());
}

#[test]
fn files_of_a_killed_process_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let key = made(dir.path()).manifest.key;
    let cache = dir.path().join("cache");
    std::fs::remove_dir_all(cache.join(&key)).unwrap();
    let left = cache.join(format!(".{key}.tmp"));
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("shard-00099.safetensors"), "half").unwrap();
    let again = made(dir.path());
    assert!(!again.reused && !left.exists() && !again.dir.join("shard-00099.safetensors").exists());
    Dataset::open(&again.dir).unwrap();
}

#[test]
fn concurrent_preparations_of_the_same_data_set_do_the_work_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let prepared: Vec<PreparedData> = std::thread::scope(|scope| {
        let one = || prepare(&config, &tokenizer(), &mut |_| {}, &Default::default()).unwrap();
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(prepared.iter().filter(|p| !p.reused).count(), 1);
    assert!(prepared.iter().all(|p| p.manifest == prepared[0].manifest));
    Dataset::open(&prepared[0].dir).unwrap();
}

#[test]
fn a_folder_without_manifest_is_an_error_and_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let first = made(dir.path());
    std::fs::remove_file(first.dir.join("manifest.json")).unwrap();
    let error = prepare(&config(dir.path()), &tokenizer(), &mut |_| {}, &Default::default()).unwrap_err();
    assert!(matches!(&error, DataError::Damaged { path, .. } if path.ends_with("manifest.json")), "{error}");
}

#[test]
fn cased_and_uncased_text_of_one_vocabulary_are_two_data_sets() {
    let dir = tempfile::tempdir().unwrap();
    let cased = TextTokenizer::from_vocab(tokenizer().pieces().to_vec(), false).unwrap();
    let other = prepare(&config(dir.path()), &cased, &mut |_| {}, &Default::default()).unwrap();
    assert_ne!(other.manifest.key, made(dir.path()).manifest.key);
}

#[test]
fn one_long_document_fills_rows_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let text: String = (0..60_000).map(|i| format!("w{} w{}\n", i % 50, i * 7 % 50)).collect();
    std::fs::write(&config.sources[0], text).unwrap();
    for packing in [Packing::Electra, Packing::Bert, Packing::Dense] {
        let config = PrepareConfig { packing, ..config.clone() };
        let prepared = prepare(&config, &tokenizer(), &mut |_| {}, &Default::default()).unwrap();
        assert!(prepared.manifest.tokens > 110_000, "{packing:?}: {}", prepared.manifest.tokens);
    }
}

#[test]
fn special_tokens_that_are_written_in_the_text_are_ordinary_text_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(made(dir.path()).manifest.literal_special_tokens, 0);
    let config = config(dir.path());
    let text = "w1 [MASK] w2 [SEP]\n[CLS][CLS] w3 [mask]\n".repeat(10);
    std::fs::write(&config.sources[0], text).unwrap();
    let prepared = prepare(&config, &tokenizer(), &mut |_| {}, &Default::default()).unwrap();
    assert_eq!(prepared.manifest.literal_special_tokens, 40);
    let counts = token_counts(&prepared.dir).unwrap();
    let special = tokenizer().special();
    assert_eq!(counts[special.mask as usize], 0);
    // One [CLS] begins each row.
    assert_eq!(counts[special.cls as usize], prepared.manifest.rows);
}

#[test]
fn rows_of_whole_documents_say_so_when_they_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    assert!(!Dataset::open(&made(dir.path()).dir).unwrap().separates_documents());
    let text: String =
        (0..400).map(|i| format!("w{} w{}\n{}\n", i % 50, i * 7 % 50, "\n".repeat(i % 2))).collect();
    std::fs::write(&config.sources[0], text).unwrap();
    let config = PrepareConfig { packing: Packing::Documents, ..config };
    let prepared = prepare(&config, &tokenizer(), &mut |_| {}, &Default::default()).unwrap();
    let data = Dataset::open(&prepared.dir).unwrap();
    assert!(data.separates_documents());
    let first = tokenizer().special().cls;
    let begun: usize = (0..data.len()).map(|row| data.row(row).document_starts(first).len()).sum();
    assert_eq!(begun as u64, prepared.manifest.documents);
    assert!(prepared.manifest.rows < prepared.manifest.documents);
}
