//! Fine-tunes a model on a task with several seeds; scores, predictions and fine-tuned models are written to a folder.
//!
//! ```text
//! out/
//!   finetune.toml            settings of all runs in the folder; a run with other settings is an error
//!   results.json             results of all finished seeds
//!   seed-1/
//!     result.json            scores; written last: a seed with this file is finished and is not computed again
//!     dev-RTE.jsonl          the prediction for each example
//!     test-RTE.jsonl         the same for the test set, if there is one
//!     model/                 Hugging Face layout
//!     checkpoints/           of a seed that was stopped, to resume it
//! ```

mod alike;
mod card;
mod course;
mod entities;
mod error;
pub mod fit;
mod model;
pub mod results;
mod seed;
pub mod settings;
mod spread;
mod squad;
mod task;
mod warnings;

pub use alike::Alike;
pub use error::FinetuneError;

/// Maximum sequence length, in tokens, of a fine-tuned model whose folder does not state the one it was trained with.
pub const LENGTH: usize = 128;
pub use model::{Encoded, TaskModel};
pub use results::{Results, SeedResult};
pub use seed::{Event, OneSeed, Prepared, Setup, TaskCard, prepare, run_seed, run_seeds};
pub use settings::Settings;
pub use spread::{all_together, spread};
pub use squad::{
    SquadCard, SquadOptions, SquadPrepared, SquadSetup, predict_squad, prepare_squad, run_squad_seed,
    squad_recipe,
};
pub use task::{Kind, Task, TaskScores};
