//! A model, a task, some seeds: scores, predictions and fine-tuned models in a folder.
//!
//! ```text
//! out/
//!   finetune.toml            settings; a folder holds one set of them
//!   results.json             all seeds so far
//!   seed-1/
//!     result.json            scores; written last: a seed that has it is done and is not computed again
//!     dev-RTE.jsonl          what was predicted for each example
//!     test-RTE.jsonl         the same for the test set, if there is one
//!     model/                 Hugging Face layout
//!     checkpoints/           of a seed that was stopped
//! ```

mod card;
mod course;
mod entities;
mod error;
pub mod fit;
mod model;
pub mod results;
mod seed;
pub mod settings;
mod squad;
mod task;

pub use error::FinetuneError;

/// Longest sequence of a fine-tuned model that does not say what it was trained with, in ids.
pub const LENGTH: usize = 128;
pub use model::{Encoded, TaskModel};
pub use results::{Results, SeedResult};
pub use seed::{Event, OneSeed, Prepared, Setup, TaskCard, prepare, run_seed, run_seeds};
pub use settings::Settings;
pub use squad::{
    SquadCard, SquadOptions, SquadPrepared, SquadSetup, predict_squad, prepare_squad, run_squad_seed,
    squad_recipe,
};
pub use task::{Kind, Task, TaskScores};
