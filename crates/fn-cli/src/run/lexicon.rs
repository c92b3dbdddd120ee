//! `fnlm lexicon build | show | stats | placebo`.

use std::path::Path;

use fn_core::lexicon::Lexicon;
use fn_data::lexicon::{
    CalibratedOptions, Inflections, Pos, Relation, VectorOptions, WordNet, WordNetOptions, WordVectors,
    build_vector_lexicon, build_wordnet_lexicon, is_word, placebo,
};
use fn_data::tokenise::{TextTokenizer, count_tokens};
use fn_eval::lexicon::{self, Shown};
use fn_study::exam;

use super::support;
use crate::args::{
    InflectionsArg, LexiconBuildArgs, LexiconCommand, LexiconPlaceboArgs, LexiconPreset, LexiconShowArgs,
    LexiconStatsArgs, PosArg, WriteArgs,
};
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs one of them.
///
/// # Errors
/// Files that are missing or damaged (3), options out of range (2).
pub fn run(command: &LexiconCommand) -> Result<Outcome, CliError> {
    match command {
        LexiconCommand::Build(args) => build(args),
        LexiconCommand::Show(args) => show(args),
        LexiconCommand::Stats(args) => stats(args),
        LexiconCommand::Placebo(args) => make_placebo(args),
    }
}

fn build(args: &LexiconBuildArgs) -> Result<Outcome, CliError> {
    check_out(&args.out, args.write)?;
    let tokenizer = support::tokenizer(&args.tokenizer)?;
    let embeddings = args.embeddings.as_ref().filter(|_| args.preset == LexiconPreset::Best);
    let lexicon = match (embeddings, &args.wordnet, &args.vectors) {
        (Some(encoder), ..) => calibrated(args, encoder, &tokenizer)?,
        (None, Some(dict), _) => from_wordnet(args, dict, &tokenizer)?,
        (None, None, Some(vectors)) => from_vectors(args, vectors, &tokenizer)?,
        (None, None, None) => {
            return Err(CliError::usage("--preset paper needs --wordnet DIR"));
        }
    };
    save(&lexicon, &args.out, args.common.quiet)
}

fn calibrated(
    args: &LexiconBuildArgs,
    encoder: &Path,
    tokenizer: &TextTokenizer,
) -> Result<Lexicon, CliError> {
    let options = CalibratedOptions {
        least: args.least,
        members: args.members,
        antonyms: args.antonyms,
        inflections: args.inflected,
    };
    options.validate().map_err(|error| CliError::usage(error.to_string()))?;
    let (wordnet, fit) = (args.wordnet.as_deref(), args.fit.as_deref());
    let mut say = |text: String| term::note(args.common.quiet, &text);
    let place = (tokenizer, &device::open("flex")?);
    Ok(exam::calibrated_lexicon(encoder, wordnet, fit, place, &options, &mut say)?)
}

fn from_wordnet(
    args: &LexiconBuildArgs,
    dict: &Path,
    tokenizer: &TextTokenizer,
) -> Result<Lexicon, CliError> {
    let mut options = WordNetOptions {
        senses: args.senses,
        inflections: match args.inflections {
            InflectionsArg::None => Inflections::None,
            InflectionsArg::BaseForms => Inflections::BaseForms,
            InflectionsArg::Matching => Inflections::Matching,
        },
        names: args.names,
        symmetric: !args.no_symmetry,
        min_length: args.min_length,
        ..WordNetOptions::default()
    };
    if !args.pos.is_empty() {
        options.pos = args
            .pos
            .iter()
            .map(|pos| match pos {
                PosArg::Noun => Pos::Noun,
                PosArg::Verb => Pos::Verb,
                PosArg::Adjective => Pos::Adjective,
                PosArg::Adverb => Pos::Adverb,
            })
            .collect();
    }
    for (wanted, relation) in [(args.similar, Relation::Similar), (args.hypernyms, Relation::Hypernyms)] {
        if wanted {
            options.relations.push(relation);
        }
    }
    options.validate().map_err(|error| CliError::usage(error.to_string()))?;
    let net = WordNet::open(dict).map_err(CliError::input_from)?;
    build_wordnet_lexicon(&net, tokenizer.spelled(), tokenizer.sha256(), &options)
        .map_err(CliError::input_from)
}

fn from_vectors(
    args: &LexiconBuildArgs,
    path: &Path,
    tokenizer: &TextTokenizer,
) -> Result<Lexicon, CliError> {
    let options = VectorOptions {
        top_k: args.top,
        threshold: args.threshold,
        symmetric: !args.no_symmetry,
        min_length: args.min_length,
    };
    options.validate().map_err(|error| CliError::usage(error.to_string()))?;
    let vectors = WordVectors::open(path, args.words.as_deref(), args.tensor.as_deref(), tokenizer.spelled())
        .map_err(CliError::input_from)?;
    term::note(args.common.quiet, &lexicon::vectors_line(&vectors));
    build_vector_lexicon(&vectors, tokenizer.spelled(), tokenizer.sha256(), &options)
        .map_err(CliError::input_from)
}

fn make_placebo(args: &LexiconPlaceboArgs) -> Result<Outcome, CliError> {
    check_out(&args.out, args.write)?;
    let stop = support::interruptible()?;
    let tokenizer = support::tokenizer(&args.tokenizer)?;
    let lexicon = support::lexicon(&args.lexicon, &tokenizer)?;
    let options = support::source_options(&args.reading, &stop);
    let counts =
        count_tokens(&args.text, &options, &tokenizer).map_err(|error| support::input_error(&stop, error))?;
    let candidate = |id: u32| is_word(&tokenizer.piece(id));
    let made = placebo(&lexicon, &counts, candidate, args.seed).map_err(CliError::input_from)?;
    save(&made, &args.out, args.common.quiet)
}

/// Refuses a name that nothing would recognise later, before an hour of work.
fn check_out(out: &Path, write: WriteArgs) -> Result<(), CliError> {
    if out.extension().is_some_and(|extension| extension == "safetensors") {
        return support::may_write("--out", out, write);
    }
    Err(CliError::usage(format!(
        "--out {}: a lexicon is a .safetensors file; write --out {}",
        out.display(),
        out.with_extension("safetensors").display()
    )))
}

fn save(lexicon: &Lexicon, out: &Path, quiet: bool) -> Result<Outcome, CliError> {
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, error))?;
    }
    lexicon.save(out).map_err(CliError::failed_from)?;
    if !quiet {
        term::out(&format!("{}\n{}", out.display(), lexicon::describe(lexicon, &lexicon.stats(None))))?;
    }
    Ok(Outcome::Done)
}

fn show(args: &LexiconShowArgs) -> Result<Outcome, CliError> {
    let tokenizer = support::tokenizer(&args.tokenizer)?;
    let lexicon = support::lexicon(&args.lexicon, &tokenizer)?;
    let shown = Shown::new(&lexicon, &tokenizer, &args.words);
    // A word that is not a single piece does not keep the others from being shown, but nothing to show is an error.
    for error in &shown.unknown {
        term::note(shown.found.is_empty(), error);
    }
    if let Some(error) = shown.unknown.last().filter(|_| shown.found.is_empty()) {
        return Err(CliError::usage(error.as_str()));
    }
    term::out(&if args.json { format!("{:#}\n", shown.json()) } else { shown.text() })?;
    Ok(Outcome::Done)
}

fn stats(args: &LexiconStatsArgs) -> Result<Outcome, CliError> {
    let tokenizer = args.tokenizer.as_deref().map(support::tokenizer).transpose()?;
    let lexicon = match &tokenizer {
        Some(tokenizer) => support::lexicon(&args.lexicon, tokenizer)?,
        None => Lexicon::load(&args.lexicon).map_err(CliError::input_from)?,
    };
    let counts = match (&tokenizer, args.text.is_empty()) {
        (Some(tokenizer), false) => {
            let stop = support::interruptible()?;
            let options = support::source_options(&args.reading, &stop);
            Some(
                count_tokens(&args.text, &options, tokenizer)
                    .map_err(|error| support::input_error(&stop, error))?,
            )
        }
        _ => None,
    };
    let stats = lexicon.stats(counts.as_deref());
    let json = || format!("{:#}\n", lexicon::described_json(&lexicon, &stats));
    term::out(&if args.json { json() } else { lexicon::describe(&lexicon, &stats) })?;
    Ok(Outcome::Done)
}
