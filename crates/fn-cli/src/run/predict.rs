//! `fnlm predict`: predicts a test set, a file, or a sentence with a fine-tuned model.

use burn::tensor::Device;
use fn_data::task::{Example, ReadReport, Split, TaskData};
use fn_data::tokenise::TextTokenizer;
use fn_eval::finetune::{Encoded, LENGTH, SquadCard, Task, TaskCard, TaskModel, predict_squad};
use fn_eval::predictions::{self, Record};
use fn_eval::robust::is_squad;
use fn_train::stop::Stop;

use super::support;
use crate::args::{PredictArgs, SplitArg};
use crate::error::{CliError, Outcome};
use crate::{device, term};

/// Runs it.
///
/// # Errors
/// A model without a head for the task, data that cannot be read (3); nothing to predict (2).
pub fn run(args: &PredictArgs) -> Result<Outcome, CliError> {
    if let Some(out) = &args.out {
        support::may_write("--out", out, args.write)?;
    }
    let stop = support::interruptible()?;
    let tokenizer = support::tokenizer_of(&args.model, args.tokenizer.as_deref())?;
    let device = device::open(&args.device)?;
    let asked = args.task.as_deref();
    if let Some(card) = SquadCard::read(&args.model)?.filter(|_| asked.is_none_or(is_squad)) {
        return squad(args, card, &tokenizer, &device, &stop);
    }
    if asked.is_some_and(is_squad) {
        SquadCard::require(&args.model)?;
    }
    let card = TaskCard::read(&args.model)?;
    let length = card.as_ref().map_or(LENGTH, |card| card.length);
    let task = match (asked, card) {
        (Some(name), _) => Task::open(name)?,
        (None, Some(card)) => card.task()?,
        (None, None) => {
            return Err(CliError::usage(format!(
                "{} has no fnlm-task.json, so its task is not known; add --task",
                args.model.display()
            )));
        }
    };
    let data = data(args, &task)?;
    for warning in data.report.warnings() {
        term::note(false, &format!("warning: {warning}"));
    }
    let model = TaskModel::load_finetuned(&task, &args.model, &device)?;
    let encoded = Encoded::new(&task, data, &tokenizer, length)?;
    let Some(records) = model.predict(&task, &encoded, &device, &stop) else {
        return Err(support::interrupted(&stop));
    };
    write(args, &task, &records)?;
    Ok(Outcome::Done)
}

fn data(args: &PredictArgs, task: &Task) -> Result<TaskData, CliError> {
    if let Some(file) = &args.input {
        return task.read(file).map_err(CliError::input_from);
    }
    if let Some(folder) = &args.data {
        return task.load(folder, split(args.split)).map_err(CliError::input_from);
    }
    let Some(first) = args.text.first() else {
        return Err(CliError::usage("there is nothing to predict; give a text, --input FILE, or --data DIR"));
    };
    let pairs = match task {
        Task::Glue(task) => task.sentences() == 2,
        Task::Own { spec, .. } => spec.second.is_some(),
    };
    if pairs != (args.text.len() == 2) {
        let wanted = if pairs { "two texts" } else { "one text" };
        return Err(CliError::usage(format!("{} needs {wanted}, found {}", task.name(), args.text.len())));
    }
    let example =
        Example { index: 0, id: None, first: first.clone(), second: args.text.get(1).cloned(), label: None };
    Ok(TaskData { examples: vec![example], report: ReadReport::default(), places: None })
}

/// The split of the data.
pub fn split(split: SplitArg) -> Split {
    match split {
        SplitArg::Train => Split::Train,
        SplitArg::Dev => Split::Dev,
        SplitArg::Test => Split::Test,
    }
}

fn write(args: &PredictArgs, task: &Task, records: &[Record]) -> Result<(), CliError> {
    let Some(out) = &args.out else {
        let text = match args.json {
            true => predictions::json_lines(records).map_err(CliError::failed_from)?,
            false => predictions::text(records, &task.labels()),
        };
        return term::out(&text);
    };
    let written = match out.extension().is_some_and(|end| end == "tsv") {
        true => predictions::write_tsv(out, records),
        false => predictions::write(out, records),
    };
    written.map_err(CliError::failed_from)?;
    term::note(args.common.quiet, &format!("{} predictions in {}", records.len(), out.display()));
    Ok(())
}

fn squad(
    args: &PredictArgs,
    mut card: SquadCard,
    tokenizer: &TextTokenizer,
    device: &Device,
    stop: &Stop,
) -> Result<Outcome, CliError> {
    let (Some(input), Some(out)) = (&args.input, &args.out) else {
        return Err(CliError::usage("a model for SQuAD needs --input questions.json and --out FOLDER"));
    };
    card.null_threshold = args.null_threshold.or(card.null_threshold);
    match predict_squad(&args.model, tokenizer, &card, input, out, device, stop)? {
        Some(files) => {
            for file in files {
                term::note(args.common.quiet, &format!("wrote {}", file.display()));
            }
            Ok(Outcome::Done)
        }
        None => Err(support::interrupted(stop)),
    }
}
