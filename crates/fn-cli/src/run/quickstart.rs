//! `fnlm quickstart`: three arms on a generated language whose false negatives are known by construction.
//!
//! It writes what a user would bring (a corpus, a vocabulary, a lexicon, a configuration) into a folder and then runs what a
//! user would run, so the folder is also a worked example.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use fn_data::language::{Language, LanguageConfig, LexiconNoise, SlotId};
use fn_data::pack::PackedRow;
use fn_data::shard::Dataset;
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::{Table, number, percent};
use fn_train::config::{Arch, CorrectionConfig, CorrectionPreset, RunConfig, Runnable};
use fn_train::fsutil::write_atomic;
use fn_train::heldout::{Evaluation, Truth};
use fn_train::lock::RunLock;
use fn_train::session::{Planted, Session, Summary};
use fn_train::stop::Stop;

use crate::args::QuickstartArgs;
use crate::error::CliError;
use crate::progress::Progress;
use crate::run::Outcome;
use crate::term;
use fn_train::config::preset;

/// Documents of the training text for each step, so that nothing is seen twice: 16 rows of 64 ids are about 13 of them.
const DOCUMENTS_PER_STEP: u64 = 14;
/// Documents of the held-out text.
const HELD_OUT_DOCUMENTS: usize = 400;
/// Rows that are only measured on.
const HELD_OUT_ROWS: usize = 512;
/// Steps of one arm that fit three arms into about three minutes on two cores.
const STEPS: u64 = 5_000;
/// Name of the file with the figures of all arms.
pub(super) const SUMMARY: &str = "summary.json";
/// What the folder's language and lexicon were made with.
const LANGUAGE: &str = "language.toml";

/// Sets the seed of the held-out text apart from that of the training text.
const HELD_OUT: u64 = 0x0e1d;

/// The arms, in the order of the table.
const ARMS: [(&str, CorrectionPreset); 3] = [
    ("baseline", CorrectionPreset::None),
    ("hard", CorrectionPreset::Hard),
    ("soft", CorrectionPreset::Soft),
];

/// The planted truth about the held-out rows.
struct PlantedTruth {
    language: Language,
    slots: Vec<Vec<Option<SlotId>>>,
}

impl Truth for PlantedTruth {
    fn fits(&self, row: usize, position: usize, word: u32) -> bool {
        let slot = self.slots.get(row).and_then(|r| r.get(position)).copied().flatten();
        slot.is_some_and(|slot| self.language.truth_fits(slot, word))
    }
}

/// Runs the command.
pub fn run(args: &QuickstartArgs) -> Result<Outcome, CliError> {
    let described = super::support::set_values(&LanguageConfig::default(), &args.language)?;
    let language = Language::new(described, args.seed)
        .map_err(|e| CliError::Usage(format!("the generated language: {e}")))?;
    for (name, value, most) in [("coverage", args.coverage, 1.0), ("wrong", args.wrong, 100.0)] {
        if !(0.0..=most).contains(&value) {
            return Err(CliError::usage(format!("--{name} is {value}; allowed: 0 to {most}")));
        }
    }
    if let Some(name) = args.arms.iter().find(|name| ARMS.iter().all(|(arm, _)| arm != name)) {
        return Err(CliError::usage(format!("--arm {name}: no such arm; known: baseline, hard, soft")));
    }
    let config = write_inputs(args, &language)?;
    if args.prepare_only {
        let text = format!("corpus, vocabulary, lexicon and config.toml are in {}", args.out.display());
        term::note(args.common.quiet, &text);
        return Ok(Outcome::Done);
    }
    let stop = super::support::interruptible()?;
    let device = crate::device::open(&args.device)?;
    term::note(args.common.quiet, &introduction(args, &language, &config));
    let rows = language.rows(HELD_OUT_ROWS, config.data.length, args.seed ^ HELD_OUT);
    let packed = rows.iter().map(|r| PackedRow { ids: r.ids.clone(), second: r.ids.len() as u16 }).collect();
    let held_out = Arc::new(Dataset::from_rows(packed, config.data.length)?);
    let truth = PlantedTruth { slots: rows.into_iter().map(|r| r.slots).collect(), language };

    let mut arms = Vec::new();
    for (name, preset) in ARMS {
        if !args.arms.is_empty() && !args.arms.iter().any(|arm| arm == name) {
            continue;
        }
        let summary = run_arm(args, &config, name, preset, &device, &held_out, &truth, &stop)?;
        if !summary.complete {
            let step = summary.step;
            let text = format!("stopped in arm `{name}` at step {step}; the same command goes on from there");
            term::note(args.common.quiet, &text);
            return Ok(Outcome::Stopped { saved: summary.saved.is_some() });
        }
        arms.push((name, summary));
    }
    term::out(&conclusion(args, &truth.language, &arms))?;
    summarise(args, &arms)?;
    Ok(Outcome::Done)
}

fn run_arm(
    args: &QuickstartArgs,
    config: &RunConfig,
    name: &str,
    preset: CorrectionPreset,
    device: &Device,
    held_out: &Arc<Dataset>,
    truth: &PlantedTruth,
    stop: &Stop,
) -> Result<Summary, CliError> {
    let mut config = config.clone();
    config.correction = CorrectionConfig::preset(preset);
    let config = Runnable::of(config)?;
    let dir = args.out.join(name);
    let held = RunLock::take(&dir)?;
    fn_train::rundir::write(&dir, &config, &super::doctor::program())?;
    let mut progress = Progress::new(&dir, name, &config, args.common.quiet)?;
    let session = Session::open(config, &dir, device, stop, held, &mut |p| progress.preparing(p))?;
    let planted = Planted { data: held_out.clone(), truth };
    Ok(session.run(&mut progress, Some(planted))?)
}

/// Writes corpus, vocabulary, lexicon and configuration; keeps what an earlier quickstart with the same arguments wrote.
fn write_inputs(args: &QuickstartArgs, language: &Language) -> Result<RunConfig, CliError> {
    let out = &args.out;
    let mut config = configuration(args)?;
    let path = out.join("config.toml");
    let made_of = toml::to_string(&Made { seed: args.seed, noise: noise(args), language: language.config() })
        .map_err(CliError::failed_from)?;
    if path.exists() {
        let earlier = fn_train::config::read(&path)?;
        let same = std::fs::read_to_string(out.join(LANGUAGE)).is_ok_and(|text| text == made_of);
        if earlier != config || !same {
            return Err(CliError::Usage(format!(
                "{} holds a quickstart with other arguments; remove it or give another --out",
                out.display()
            )));
        }
        return Ok(config);
    }
    if out.read_dir().is_ok_and(|mut d| d.next().is_some()) {
        return Err(CliError::Usage(format!(
            "{} is not empty and holds no quickstart; give another --out",
            out.display()
        )));
    }
    let tokenizer = TextTokenizer::from_vocab(language.vocabulary(), true)?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| CliError::Io { path, source }
    };
    std::fs::create_dir_all(out).map_err(io(out))?;
    tokenizer.save(&out.join("tokenizer"))?;
    let documents = DOCUMENTS_PER_STEP * config.train.steps.clamp(100, 10 * STEPS);
    let corpus: Vec<String> = language.documents(documents as usize, args.seed).collect();
    let text = out.join("corpus.txt");
    std::fs::write(&text, corpus.join("\n\n")).map_err(io(&text))?;
    // For runs of one's own with this configuration: quickstart itself measures on rows whose truth it knows.
    let corpus: Vec<String> = language.documents(HELD_OUT_DOCUMENTS, args.seed ^ HELD_OUT).collect();
    let text = out.join("held-out.txt");
    std::fs::write(&text, corpus.join("\n\n")).map_err(io(&text))?;
    language.lexicon(tokenizer.sha256(), noise(args))?.save(&out.join("lexicon.safetensors"))?;
    let described = out.join(LANGUAGE);
    std::fs::write(&described, made_of).map_err(io(&described))?;
    config.data.held_out = Vec::new();
    fn_train::config::write(&path, &config)?;
    Ok(config)
}

/// Everything that decides what is generated.
#[derive(serde::Serialize)]
struct Made<'a> {
    seed: u64,
    noise: LexiconNoise,
    language: &'a LanguageConfig,
}

fn noise(args: &QuickstartArgs) -> LexiconNoise {
    LexiconNoise { coverage: args.coverage, wrong: args.wrong }
}

/// The preset `quickstart` with the paths of this folder.
fn configuration(args: &QuickstartArgs) -> Result<RunConfig, CliError> {
    let mut config = preset("quickstart")?;
    let out = &args.out;
    if args.bert {
        config.model.arch = Arch::Bert;
        config.model.embedding_size = config.model.hidden_size;
        config.corruption.scheme = fn_core::corrupt::Scheme::Bert;
    }
    config.seed = args.seed;
    config.train.steps = args.steps.unwrap_or(STEPS);
    config.train.device = args.device.clone();
    config.schedule.warmup = config.schedule.warmup.min(config.train.steps / 10);
    config.data.train = vec![out.join("corpus.txt")];
    config.data.tokenizer = out.join("tokenizer");
    config.data.cache = Some(out.join("cache"));
    config.lexicon.path = Some(out.join("lexicon.safetensors"));
    Ok(config)
}

fn introduction(args: &QuickstartArgs, language: &Language, config: &RunConfig) -> String {
    let arch = if args.bert { "BERT" } else { "ELECTRA" };
    let times = match args.arms.len() {
        0 => "three times".to_owned(),
        _ => format!("({})", args.arms.join(", ")),
    };
    format!(
        "A generated language of {} words, some of them interchangeable by construction.\n\
         Pre-training a {}-layer {arch} of width {} {times} for {} steps (5,000 of all three take about {} minutes on two cores).\n",
        language.size(),
        config.model.num_layers,
        config.model.hidden_size,
        config.train.steps,
        if args.bert { "one and a half" } else { "three" }
    )
}

/// The comparison, and what it says; the table alone with `--quiet`.
fn conclusion(args: &QuickstartArgs, language: &Language, arms: &[(&str, Summary)]) -> String {
    let get = |summary: &Summary, metric: &str| {
        summary.evaluation.as_ref().and_then(|e: &Evaluation| e.get(metric))
    };
    let mut headings = vec!["held out", "exact", "fitting", "wrong", "of them false neg."];
    if !args.bert {
        headings.extend(["detector AUC", "true AUC"]);
    }
    headings.push("ms/step");
    let mut table = Table::new(headings);
    for (name, summary) in arms {
        let mut cells = vec![
            (*name).to_owned(),
            percent(get(summary, "masked_accuracy")),
            percent(get(summary, "fitting_accuracy")),
            percent(get(summary, "wrong_share")),
            percent(get(summary, "predicted_true_false_negative_share")),
        ];
        if !args.bert {
            cells.push(number(get(summary, "detector_auc"), 3));
            cells.push(number(get(summary, "detector_true_auc"), 3));
        }
        cells.push(number(Some(summary.seconds_per_step * 1e3), 0));
        table.row(cells);
    }
    if args.common.quiet {
        return table.to_text();
    }
    let mut text = format!(
        "\n{}\nexact: the hidden word itself was predicted; fitting: it or a word planted as interchangeable with it.\n",
        table.to_text()
    );
    if !args.bert {
        text.push_str("true AUC: replacements that fit count as original.\n");
    }
    if let Some((_, hard)) = arms.iter().find(|(name, _)| *name == "hard") {
        text.push_str(&format!(
            "The lexicon's verdicts on wrong predictions, against the planted truth: precision {}, recall {}.\n",
            percent(get(hard, "predicted_detection_precision")),
            percent(get(hard, "predicted_detection_recall")),
        ));
    }
    text.push_str(&format!(
        "One seed shows how it works, not which arm is better. Runs, curves and models: {}\n",
        args.out.display()
    ));
    if let Some((name, _)) = arms.iter().find(|(name, _)| *name == "hard").or(arms.first()) {
        text.push_str(&format!(
            "Next: fnlm inspect --model {} --lexicon {} \"{}\"\n",
            args.out.join(name).join("model").display(),
            args.out.join("lexicon.safetensors").display(),
            question(language, args.seed)
        ));
    }
    text
}

/// Everything that was measured at the end, for programs.
fn summarise(args: &QuickstartArgs, arms: &[(&str, Summary)]) -> Result<(), CliError> {
    let of = |summary: &Summary| -> BTreeMap<String, f64> {
        let all = summary.evaluation.iter().flat_map(|found| &found.metrics);
        all.filter(|(_, value)| value.is_finite()).cloned().collect()
    };
    let figures: BTreeMap<&str, _> = arms.iter().map(|(name, summary)| (*name, of(summary))).collect();
    let path = args.out.join(SUMMARY);
    let text = serde_json::to_string_pretty(&figures).map_err(CliError::failed_from)?;
    write_atomic(&path, text.as_bytes()).map_err(|error| CliError::io("write", &path, error))
}

/// A sentence of the language with a content word left out, as `fnlm inspect` takes it.
fn question(language: &Language, seed: u64) -> String {
    let row = language.row(0, 16, seed ^ HELD_OUT);
    let mut out = Vec::new();
    let mut hidden = false;
    for (&id, slot) in row.ids.iter().zip(&row.slots) {
        let word = language.word(id).unwrap_or_default();
        match word {
            "[CLS]" | "[SEP]" => continue,
            _ if slot.is_some() && out.len() > 3 && !hidden => {
                hidden = true;
                out.push("[MASK]");
            }
            _ => out.push(word),
        }
        if word == "." {
            break;
        }
    }
    out.join(" ")
}
