//! From a text to a folder that `transformers` loads, with the library alone: a WordPiece vocabulary, a lexicon of your own synonyms,
//! a tiny ELECTRA that is pre-trained with hard correction, and what it predicts in a gap.
//! `cargo run --example own_corpus -- [folder] [steps] [text.txt synonyms.txt]`
//! Documents are separated by blank lines; each line of the synonyms holds words that may replace one another. Without files, both
//! are generated.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use true_negatives::core::lexicon::{Lexicon, LexiconError, LexiconInfo};
use true_negatives::data::language::{Language, LanguageConfig};
use true_negatives::data::source::{Document, SourceOptions, Sources};
use true_negatives::data::tokenise::TextTokenizer;
use true_negatives::data::wordpiece::{WordPieceOptions, train_wordpiece};
use true_negatives::eval::inspect::{GAP, Inspector};
use true_negatives::models::Pretrained;
use true_negatives::train::config::{CorrectionConfig, CorrectionPreset, Runnable, preset};
use true_negatives::train::report::{PlainLines, Reporters};
use true_negatives::train::session::Session;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = PathBuf::from(args.next().unwrap_or("runs/own-corpus".into()));
    let steps = args.next().map_or(Ok(40), |steps| steps.parse())?;
    let files = args.next().zip(args.next()).map(|(text, synonyms)| (text.into(), synonyms.into()));
    std::fs::create_dir_all(&out)?;
    let (text, synonyms): (PathBuf, PathBuf) = files.map_or_else(|| generate(&out), Ok)?;

    // A vocabulary of at most 2,000 pieces (BERT has 30,522), and the lexicon in its ids.
    let documents = Sources::open(std::slice::from_ref(&text), &SourceOptions::default())?;
    let documents = documents.collect::<Result<Vec<Document>, _>>()?;
    let first = documents.first().ok_or("the text is empty")?.text.clone();
    let pieces = WordPieceOptions { size: 2_000, lowercase: true, limit_alphabet: None };
    let tokenizer = train_wordpiece(documents.into_iter(), &pieces)?.tokenizer;
    tokenizer.save(&out.join("tokenizer"))?;
    let lexicon = lexicon(&std::fs::read_to_string(synonyms)?, &tokenizer)?;
    lexicon.save(&out.join("lexicon.safetensors"))?;

    // A preset with changes; the keys are those of a configuration file.
    let mut config = preset("electra-tiny")?;
    (config.data.train, config.data.tokenizer) = (vec![text], out.join("tokenizer"));
    config.data.cache = Some(out.join("shards"));
    config.lexicon.path = Some(out.join("lexicon.safetensors"));
    config.correction = CorrectionConfig::preset(CorrectionPreset::Hard);
    (config.train.steps, config.schedule.warmup) = (steps, steps / 10);

    // Prepares the shards; trains, or goes on from the newest checkpoint of an earlier call; writes the folder `run/model`.
    let device = Device::flex();
    let session = Session::start(Runnable::of(config)?, &out.join("run"), &device)?;
    let summary = session.run(&mut Reporters::new().with(PlainLines::new(std::io::stdout(), steps)), None)?;
    let folder = summary.model.ok_or("the run was stopped before its last step")?;

    // What a user of the folder would do.
    let (model, _) = Pretrained::open_masked_lm(&folder, &device)?;
    let mut words: Vec<&str> = first.split_whitespace().take(9).collect();
    let place = words.len() / 2;
    let gold = std::mem::replace(&mut words[place], GAP);
    let inspector = Inspector { tokenizer: &tokenizer, lexicon: Some(&lexicon), device: &device, top: 5 };
    let found = inspector.inspect(&model, &words.join(" "), &mut tokenizer.id(gold).into_iter())?;
    println!("{} says of: {} ({GAP} was {gold})", folder.display(), found.text);
    for prediction in found.gaps.iter().flat_map(|gap| &gap.predictions) {
        println!("  {:<12} {:.3} {:?}", prediction.piece, prediction.probability, prediction.verdict);
    }
    Ok(())
}

/// Words that are no single piece are left out.
fn lexicon(synonyms: &str, tokenizer: &TextTokenizer) -> Result<Lexicon, LexiconError> {
    let rows = synonyms.lines().flat_map(|line| {
        let ids: Vec<u32> = line.split_whitespace().filter_map(|word| tokenizer.id(word)).collect();
        ids.clone().into_iter().map(move |id| (id, ids.clone()))
    });
    let (kind, vocabulary_sha256) = ("list".into(), tokenizer.sha256().into());
    Lexicon::from_rows(tokenizer.size(), rows, LexiconInfo { kind, vocabulary_sha256, ..Default::default() })
}

/// Text of an artificial language, and its synonyms.
fn generate(out: &Path) -> std::io::Result<(PathBuf, PathBuf)> {
    let language = Language::new(LanguageConfig::default(), 0).map_err(std::io::Error::other)?;
    let documents: Vec<String> = language.documents(300, 0).collect();
    let word = |id| language.word(id).unwrap_or_default();
    let pairs = language.true_pairs().into_iter().map(|(a, b)| format!("{} {}\n", word(a), word(b)));
    let (text, synonyms) = (out.join("text.txt"), out.join("synonyms.txt"));
    std::fs::write(&text, documents.join("\n\n"))?;
    std::fs::write(&synonyms, pairs.collect::<String>())?;
    Ok((text, synonyms))
}
