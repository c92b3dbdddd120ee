//! Compares with `tests/golden/probe.json` and `sentences.json`, made by `make_probe.py` and `make_sentences.py` beside them from
//! transformers, torch and scikit-learn.
#![allow(clippy::unwrap_used)] // a failed setup should fail the test

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_data::tokenise::TextTokenizer;
use fn_models::{hf, params};
use fn_study::babylm::{Asked, measure};
use fn_study::probe::pairs::Cosines;
use fn_study::probe::substitution::gap;
use fn_study::probe::{Cloze, GAP, Prober, Scorer};
use fn_train::stop::Stop;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn fixture() -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden("probe.json")).unwrap()).unwrap()
}

fn tokenizer(fixture: &Value) -> TextTokenizer {
    let pieces = fixture["vocabulary"].as_array().unwrap();
    let pieces = pieces.iter().map(|piece| piece.as_str().unwrap().to_owned()).collect();
    TextTokenizer::from_vocab(pieces, true).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn close(what: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-5, "{what}: {found}, expected {expected}");
}

#[test]
fn scores_of_choices_match_transformers() {
    let fixture = fixture();
    let cases = fixture["cases"].as_array().unwrap();
    for (model, scorers) in [
        ("bert_tiny", &[(Scorer::MaskedLm, "masked_lm")][..]),
        ("electra_tiny", &[(Scorer::Generator, "generator"), (Scorer::Discriminator, "discriminator")]),
    ] {
        let (prober, _) = Prober::load(&golden(model), tokenizer(&fixture), &Device::flex()).unwrap();
        assert_eq!(prober.scorers(), scorers.iter().map(|(scorer, _)| *scorer).collect::<Vec<_>>());
        let cloze = |case: &Value| {
            let stem = case["stem"].as_str().unwrap().split_once(GAP).unwrap();
            let choices = case["choices"].as_array().unwrap();
            let choices: Vec<String> = choices.iter().map(|c| c.as_str().unwrap().to_owned()).collect();
            prober.cloze(stem, &choices, (Path::new("stems"), 1)).unwrap()
        };
        let clozes: Vec<Cloze> = cases.iter().map(cloze).collect();
        for &(scorer, name) in scorers {
            // All in one batch: texts of different lengths are padded here, but were not in the reference.
            let found = prober.scores(&clozes, scorer, &Stop::new()).unwrap();
            for (case, scores) in cases.iter().zip(found) {
                let expected = floats(&case[name]);
                assert_eq!(scores.len(), expected.len());
                for (score, expected) in scores.into_iter().zip(expected) {
                    close(&format!("{name} {}", case["stem"]), score, expected);
                }
            }
        }
        let stop = Stop::new();
        stop.request();
        assert!(prober.scores(&clozes, scorers[0].0, &stop).is_err());
    }
}

#[test]
fn scores_of_sentences_match_transformers() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(golden("sentences.json")).unwrap()).unwrap();
    let texts: Vec<&str> = expected["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|pair| pair.as_array().unwrap().iter().map(|text| text.as_str().unwrap()))
        .collect();
    for (model, count) in [("bert_tiny", 2), ("electra_tiny", 3)] {
        let (prober, _) = Prober::load(&golden(model), tokenizer(&fixture()), &Device::flex()).unwrap();
        let pieces: Vec<Vec<u32>> = texts.iter().map(|text| prober.tokenizer().encode(text)).collect();
        let lengths: Vec<u64> = pieces.iter().map(|pieces| pieces.len() as u64).collect();
        assert_eq!(expected["pieces"], Value::from(lengths));
        let kinds = prober.likelihoods();
        assert_eq!(kinds.len(), count);
        let mut done = Vec::new();
        let found =
            prober.log_likelihoods(&pieces, &Stop::new(), &mut |sentences| done.push(sentences)).unwrap();
        assert_eq!(done.last(), Some(&texts.len()));
        for ((text, scores), expected) in texts.iter().zip(found).zip(expected[model].as_array().unwrap()) {
            assert_eq!(scores.len(), expected.as_object().unwrap().len());
            for (kind, score) in kinds.iter().zip(scores) {
                let expected = expected[kind.name()].as_f64().unwrap();
                // A sum over up to 14 tokens.
                assert!((score - expected).abs() <= 5e-5, "{model}, {kind:?}, {text}: {score}, {expected}");
            }
        }
        let stop = Stop::new();
        stop.request();
        assert!(prober.log_likelihoods(&pieces, &stop, &mut |_| ()).is_err());
    }
}

#[test]
fn a_folder_with_one_head_has_one_scorer() {
    let fixture = fixture();
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden("electra_tiny").join(file), dir.path().join(file)).unwrap();
    }
    let load = |dir: &Path| Prober::load(dir, tokenizer(&fixture), &Device::flex()).unwrap().0;
    assert_eq!(load(dir.path()).scorers(), [Scorer::Discriminator]);
    assert_eq!(load(&golden("electra_tiny/generator")).scorers(), [Scorer::Generator]);
}

#[test]
fn too_long_texts_and_choices_without_tokens_are_errors_with_file_and_line() {
    let tokenizer = tokenizer(&fixture());
    let (prober, _) = Prober::load(&golden("bert_tiny"), tokenizer.clone(), &Device::flex()).unwrap();
    let ask = |before: &str, choice: &str| {
        prober.cloze((before, ""), &[choice.to_owned()], (Path::new("q.jsonl"), 7)).map_err(|e| e.to_string())
    };
    assert!(ask(&"very ".repeat(13), "hot").is_ok());
    let long = ask(&"very ".repeat(13), "smaller").unwrap_err();
    assert!(long.starts_with("q.jsonl: line 7: found 17 tokens, expected at most 16"), "{long}");
    let empty = ask("a", " ").unwrap_err();
    assert!(empty.contains("line 7: found the choice \" \""), "{empty}");

    let more: Vec<String> =
        tokenizer.pieces().iter().cloned().chain((0..9).map(|i| format!("q{i}"))).collect();
    let more = TextTokenizer::from_vocab(more, true).unwrap();
    let error = Prober::load(&golden("bert_tiny"), more, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("the model's token table has only 56 rows"), "{error}");
    // Fine-tuned models have no pre-training head.
    for model in ["task_tiny/bert_classifier", "task_tiny/electra_classifier"] {
        let tokenizer = TextTokenizer::from_vocab(tokenizer.pieces()[..24].to_vec(), true).unwrap();
        let error = Prober::load(&golden(model), tokenizer, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("no weights of a masked-LM head"), "{error}");
    }
}

#[test]
fn cosines_match_torch_and_areas_match_scikit_learn() {
    let fixture = fixture();
    let table = hf::load_bert(&golden("bert_tiny"), &Device::flex()).unwrap().0.word_embedding();
    let [_, width] = table.dims();
    let table = params::host(table);
    let of = |name: &str| {
        let all = fixture["pairs"][name].as_array().unwrap().iter();
        let pairs = all.map(|pair| (pair[0].as_u64().unwrap() as u32, pair[1].as_u64().unwrap() as u32));
        Cosines::of(&pairs.collect(), &table, width)
    };
    let expected = &fixture["geometry"];
    for name in ["synonyms", "antonyms", "random", "random_antonyms"] {
        close(name, of(name).mean(), expected["mean"][name].as_f64().unwrap());
        close(name, of(name).standard_error(), expected["error"][name].as_f64().unwrap());
    }
    for (name, above, below) in [
        ("auc_random", "synonyms", "random"),
        ("auc_antonyms", "synonyms", "antonyms"),
        ("auc_antonyms_random", "antonyms", "random_antonyms"),
    ] {
        close(name, of(above).area_over(&of(below)), expected[name].as_f64().unwrap());
    }
}

#[test]
fn substitutes_are_ranked_as_transformers_and_scikit_learn_rank_them() {
    let fixture = fixture();
    let expected = &fixture["substitution"];
    let rows = |name: &str| expected[name].as_array().unwrap().clone();
    let mut text = "sentence\tstart\tword\tsubstitute\tlabel\n".to_owned();
    for row in rows("rows").iter().chain(&rows("skipped")) {
        let word = |at: usize| row[at].as_str().unwrap();
        let label = if row[4] == 1 { "TRUE" } else { "FALSE" };
        text.push_str(&format!("{}\t{}\t{}\t{}\t{label}\n", word(0), row[1], word(2), word(3)));
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("people.tsv");
    std::fs::write(&file, text).unwrap();
    let files = [file];
    let mut heads = Vec::new();
    for model in ["bert_tiny", "electra_tiny"] {
        let (prober, _) = Prober::load(&golden(model), tokenizer(&fixture), &Device::flex()).unwrap();
        let asked = Asked { blimp: &[], supplement: &[], substitution: &files, pairs: None, out: None };
        let report = measure(&prober, &asked, &Stop::new()).unwrap();
        assert_eq!(report.figures().len(), report.substitution.len());
        for (found, (name, figure)) in report.substitution.iter().zip(report.figures()) {
            let head = found.scorer.name();
            assert_eq!((name, figure), (format!("people.tsv, {head}"), found.average_precision));
            let expected = &expected["scores"][head];
            assert_eq!(found.pairs, rows("rows").len());
            close(head, found.average_precision, expected["average_precision"].as_f64().unwrap());
            close(head, found.at_recall.unwrap().precision, expected["precision"].as_f64().unwrap());
            assert_eq!(report.json()["substitution"][0]["head"], report.substitution[0].scorer.name());
            assert!(report.tables(false).contains(head) && !report.tables(true).contains("likelihood"));
            heads.push(head);
        }
    }
    assert_eq!(heads, ["masked LM", "generator", "discriminator"]);
}

#[test]
fn gap_of_weights_0_and_1_is_average_precision() {
    for case in fixture()["average_precision"].as_array().unwrap() {
        let ranked = floats(&case["ranked"]);
        close("average precision", gap(&ranked, &ranked), case["value"].as_f64().unwrap());
    }
}
