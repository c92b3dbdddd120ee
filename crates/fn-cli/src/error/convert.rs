//! Which class of error the errors of the libraries are.

use fn_core::lexicon::LexiconError;
use fn_data::DataError;
use fn_eval::EvalError;
use fn_eval::finetune::FinetuneError;
use fn_eval::glue::submission::SubmissionError;
use fn_eval::inspect::InspectError;
use fn_eval::robust::RobustError;
use fn_models::hf::HfError;
use fn_study::RecordError;
use fn_study::dose::DoseError;
use fn_study::exam::ExamError;
use fn_study::lease::LeaseError;
use fn_study::probe::ProbeError;
use fn_study::process::ProcessError;
use fn_study::quickstart::QuickstartError;
use fn_study::study::StudyError;
use fn_study::sweep::SweepError;
use fn_study::truth::TruthError;
use fn_train::TrainError;
use fn_train::checkpoint::CheckpointError;
use fn_train::collective::{CollectiveError, JoinError};
use fn_train::config::{ConfigError, SetError};
use fn_train::device::DeviceError;
use fn_train::report::ReportError;
use fn_train::rundir::RundirError;

use super::CliError;
use crate::run::support::signal;

/// `Type => |error| what it is;`
macro_rules! convert {
    ($($type:ty => |$error:ident| $class:expr;)*) => {$(
        impl From<$type> for CliError {
            fn from($error: $type) -> Self {
                $class
            }
        }
    )*};
}

convert! {
    DataError => |error| match error {
        DataError::Stopped => CliError::Interrupted(signal()),
        error => CliError::input_from(error),
    };
    LexiconError => |error| CliError::input_from(error);
    ExamError => |error| CliError::input_from(error);
    std::io::Error => |error| CliError::failed_from(error);
    ReportError => |error| TrainError::from(error).into();
    ConfigError => |error| match error.is_input() {
        true => CliError::input_from(error),
        false => CliError::Usage(error.to_string()),
    };
    RundirError => |error| match error {
        RundirError::Io { action, path, source } => CliError::io(action, &path, source),
        RundirError::Config(inner) => inner.into(),
        RundirError::IsFile { .. }
        | RundirError::AllTaken { .. }
        | RundirError::Foreign { .. }
        | RundirError::OtherConfiguration { .. } => CliError::Usage(error.to_string()),
        error => CliError::input_from(error),
    };
    TrainError => |error| match error {
        TrainError::Data(inner) => inner.into(),
        TrainError::Diverged { .. } => CliError::Diverged(error.to_string()),
        TrainError::Checkpoint(inner) if inner.is_out_of_space() => CliError::resources_from(inner),
        TrainError::Report(inner) if inner.is_out_of_space() => CliError::resources_from(inner),
        TrainError::Checkpoint(inner @ (CheckpointError::Io { .. } | CheckpointError::Gone { .. })) => CliError::failed_from(inner),
        TrainError::Report(inner @ ReportError::Io { .. }) => CliError::failed_from(inner),
        TrainError::Config(inner) => inner.into(),
        TrainError::Core(_)
        | TrainError::Shape(_)
        | TrainError::Range(_)
        | TrainError::NoBf16 { .. }
        | TrainError::Collective(CollectiveError::Micro { .. } | CollectiveError::TaskMicro { .. } | CollectiveError::Rows { .. })
        | TrainError::OutputInUse { .. }
        | TrainError::InUse { .. } => CliError::Usage(error.to_string()),
        TrainError::Io { .. }
        | TrainError::Collective(CollectiveError::Timeout { .. } | CollectiveError::Silent { .. } | CollectiveError::Gone { .. } | CollectiveError::Failed { .. }) => {
            CliError::failed_from(error)
        }
        other => CliError::input_from(other),
    };
    FinetuneError => |error| match error {
        FinetuneError::Train(inner) => inner.into(),
        FinetuneError::Data(inner) => inner.into(),
        FinetuneError::UnknownTask { .. }
        | FinetuneError::NoTraining { .. }
        | FinetuneError::Recipe { .. }
        | FinetuneError::OtherSettings { .. }
        | FinetuneError::ForeignFolder { .. }
        | FinetuneError::Model(HfError::Fit { .. }) => CliError::Usage(error.to_string()),
        FinetuneError::Io { .. } => CliError::failed_from(error),
        other => CliError::input_from(other),
    };
    EvalError => |error| CliError::input_from(error);
    SubmissionError => |error| match error {
        SubmissionError::Folder { path, source } => CliError::io("read", &path, source),
        SubmissionError::Results(inner) => inner.into(),
        SubmissionError::InTwoFolders { .. } => CliError::Usage(error.to_string()),
        error => CliError::input_from(error),
    };
    RobustError => |error| match error {
        RobustError::Stopped => CliError::Interrupted(signal()),
        RobustError::Finetune(inner) => inner.into(),
        RobustError::Io { action, path, source } => CliError::io(action, &path, source),
        error if error.is_usage() => CliError::Usage(error.to_string()),
        error => CliError::input_from(error),
    };
    InspectError => |error| match error {
        InspectError::TooLong { .. } => CliError::Usage(error.to_string()),
        error => CliError::input_from(error),
    };
    LeaseError => |error| match error {
        LeaseError::Io { action, path, source } => CliError::io(action, &path, source),
        LeaseError::Lock(inner) => inner.into(),
        error => CliError::failed_from(error),
    };
    ProcessError => |error| match error {
        ProcessError::Io { action, path, source } => CliError::io(action, &path, source),
        ProcessError::Record { .. } => CliError::input_from(error),
        error => CliError::failed_from(error),
    };
    StudyError => |error| match error {
        StudyError::Finetune(inner) => inner.into(),
        StudyError::Ranks(inner) => inner.into(),
        StudyError::Config(inner) => inner.into(),
        StudyError::Lease(inner) => inner.into(),
        StudyError::Process(inner) => inner.into(),
        StudyError::Write { path, source } => CliError::io("write", &path, source),
        StudyError::Stopped => CliError::Interrupted(signal()),
        StudyError::Probe { .. } => CliError::failed_from(error),
        StudyError::Wrong { .. }
        | StudyError::Arm { .. }
        | StudyError::Part { .. }
        | StudyError::NoArm { .. }
        | StudyError::Recipe { .. }
        | StudyError::SetsSeed { .. } => CliError::Usage(error.to_string()),
        error => CliError::input_from(error),
    };
    QuickstartError => |error| match error {
        QuickstartError::Io { action, path, source } => CliError::io(action, &path, source),
        QuickstartError::Config(inner) => inner.into(),
        QuickstartError::Data(inner) => inner.into(),
        QuickstartError::Train(inner) => inner.into(),
        error if error.is_usage() => CliError::Usage(error.to_string()),
        error => CliError::input_from(error),
    };
    TruthError => |error| match error {
        TruthError::Quickstart(inner) => inner.into(),
        TruthError::Process(inner) => inner.into(),
        TruthError::Config(inner) => inner.into(),
        TruthError::OtherSteps { .. } => CliError::Usage(error.to_string()),
        error => CliError::failed_from(error),
    };
    DoseError => |error| match error {
        DoseError::Config(inner) => inner.into(),
        DoseError::Train(inner) => inner.into(),
        error if error.is_usage() => CliError::Usage(error.to_string()),
        error => CliError::failed_from(error),
    };
    SweepError => |error| match error {
        SweepError::Usage(message) => CliError::Usage(message),
        SweepError::Process(inner) => inner.into(),
        SweepError::Io { action, path, source } => CliError::io(action, &path, source),
        SweepError::Data(inner) => inner.into(),
        SweepError::Stopped => CliError::Interrupted(signal()),
        error => CliError::failed_from(error),
    };
    JoinError => |error| CliError::Usage(error.to_string());
    DeviceError => |error| CliError::Usage(error.to_string());
    SetError => |error| CliError::Usage(error.to_string());
    RecordError => |error| CliError::input_from(error);
    ProbeError => |error| match error {
        ProbeError::Stopped => CliError::Interrupted(signal()),
        ProbeError::Data(inner) => inner.into(),
        ProbeError::Core(inner) => CliError::failed_from(inner),
        ProbeError::NoJudge | ProbeError::NoText | ProbeError::TwoModels => {
            CliError::Usage(error.to_string())
        }
        error => CliError::input_from(error),
    };
}
