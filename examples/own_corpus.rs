//! From a text file to a folder that `transformers` loads, with the library alone: a WordPiece vocabulary, a tiny ELECTRA
//! pre-trained with hard correction (a moving average of the model itself flags the false negatives), and a gap that it fills.
//! `cargo run --example own_corpus -- [text.txt] [folder] [steps]`; without a text, or with `-`, one is generated.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use true_negatives::data::language::{Language, LanguageConfig};
use true_negatives::data::source::{Document, SourceOptions, Sources};
use true_negatives::data::train::train_wordpiece;
use true_negatives::eval::inspect::{GAP, Inspector};
use true_negatives::models::Pretrained;
use true_negatives::train::config::{CorrectionConfig, CorrectionPreset, Runnable, preset};
use true_negatives::train::report::{PlainLines, Reporters};
use true_negatives::train::session::Session;

/// Pieces of the vocabulary; BERT has 30,522.
const PIECES: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let text = args.next().filter(|text| text != "-");
    let out = PathBuf::from(args.next().unwrap_or("runs/own-corpus".into()));
    let steps = args.next().map_or(Ok(40), |steps| steps.parse())?;
    std::fs::create_dir_all(&out)?;
    let text = text.map_or_else(|| generated(&out), |text| Ok(PathBuf::from(text)))?;

    // Documents are separated by blank lines. The text is read twice: here for the vocabulary, below for the shards.
    let documents = Sources::open(&[text.clone()], &SourceOptions::default())?;
    let documents = documents.collect::<Result<Vec<Document>, _>>()?;
    let first = documents.first().ok_or("the text is empty")?.text.clone();
    let tokenizer = train_wordpiece(documents.into_iter(), PIECES, true)?;
    tokenizer.save(&out.join("tokenizer"))?;
    println!("{}: a vocabulary of {} pieces", text.display(), tokenizer.size());

    // A preset with changes: the keys are those of a configuration file.
    let mut config = preset("electra-tiny")?;
    config.data.train = vec![text];
    config.data.tokenizer = out.join("tokenizer");
    config.data.cache = Some(out.join("shards"));
    config.train.steps = steps;
    config.schedule.warmup = steps / 10;
    config.correction = CorrectionConfig::preset(CorrectionPreset::Hard);
    config.correction.verifier.decay = 0.9;

    // Prepares the shards; trains, or goes on from the newest checkpoint of an earlier call; writes the folder `run/model`.
    let device = Device::flex();
    let session = Session::start(Runnable::of(config)?, &out.join("run"), &device)?;
    let mut reporters = Reporters::new().with(PlainLines::new(std::io::stdout(), steps));
    let summary = session.run(&mut reporters, None)?;
    let folder = summary.model.ok_or("the run was stopped before its last step")?;

    // What a user of the folder would do.
    let (model, _) = Pretrained::open_masked_lm(&folder, &device)?;
    let mut words: Vec<&str> = first.split_whitespace().take(9).collect();
    let place = words.len() / 2;
    let gold = std::mem::replace(&mut words[place], GAP);
    let inspector = Inspector { tokenizer: &tokenizer, lexicon: None, device: &device, top: 5 };
    let found = inspector.inspect(&model, &words.join(" "), &mut std::iter::empty())?;
    println!("{} says of: {} ({GAP} was {gold})", folder.display(), found.text);
    for prediction in found.gaps.iter().flat_map(|gap| &gap.predictions) {
        println!("  {:<12} {:.3}", prediction.piece, prediction.probability);
    }
    Ok(())
}

/// Text of a small artificial language.
fn generated(out: &Path) -> std::io::Result<PathBuf> {
    let language = Language::new(LanguageConfig::default(), 0).map_err(std::io::Error::other)?;
    let documents: Vec<String> = language.documents(300, 0).collect();
    let path = out.join("text.txt");
    std::fs::write(&path, documents.join("\n\n"))?;
    Ok(path)
}
