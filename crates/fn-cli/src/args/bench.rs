//! `fnlm bench` as it can be typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fn_train::collective::Link;

use super::Common;

/// Number format of matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DtypeArg {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of 32; weights and optimiser stay f32.
    Bf16,
}

impl DtypeArg {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// `fnlm bench`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  fnlm bench                                        ELECTRA-small, with and without hard correction
  fnlm bench electra-base bert-base --batch 8       other presets
  fnlm bench --device cuda:0 --batch 128 --json > machine.json
  fnlm bench --sweep length=32,64,128,256 --plot growth         time and memory of a step by sequence length
  mpirun -n 2 fnlm bench --world -s optimizer.shard=true        several processes (a build with MPI)
  fnlm bench --corpus 10,100,1000                   preparing and reading text")]
pub struct BenchArgs {
    /// Presets to measure.
    #[arg(value_name = "PRESET", default_value = "electra-small")]
    pub presets: Vec<String>,
    /// Sequences per step.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Sequence length in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub length: usize,
    /// Size of the vocabulary.
    #[arg(long, value_name = "N", default_value_t = 30_522)]
    pub vocabulary: usize,
    /// Words in each look-up set.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub lexicon_width: usize,
    /// Set one key of the preset, e.g. --set model.num_layers=6 (repeatable).
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Measure the first preset for several values of batch, length, vocabulary, lexicon-width or any key of the configuration.
    #[arg(long, value_name = "KEY=A,B,...")]
    pub sweep: Option<String>,
    /// In place of a step, measure how fast generated text of these sizes, in megabytes, is prepared and read. The temporary folder
    /// needs room for twice the largest.
    #[arg(long, value_name = "A,B,...", conflicts_with = "sweep")]
    pub corpus: Option<String>,
    /// In one or, under mpirun, several processes: measure what each computes, waits and sends in a step of which it has --batch sequences.
    #[arg(long, conflicts_with_all = ["sweep", "corpus"])]
    pub world: bool,
    /// With --world: emulate a network of this bandwidth and latency between the ranks, e.g. 1gbit,1ms.
    #[arg(long, value_name = "RATE,TIME", requires = "world")]
    pub link: Option<Link>,
    /// Draw the sweep, or the sizes of the corpus, as SVG into this folder.
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
    /// Steps that are timed, after two that are not.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub steps: usize,
    /// Number format of the operands of matrix products.
    #[arg(long, value_enum, default_value_t)]
    pub dtype: DtypeArg,
    /// flex, vulkan, vulkan:0, cuda:1, ...
    #[arg(long, short, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// Processor threads of the flex device. [default: all]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Output flags.
    #[command(flatten)]
    pub common: Common,
}

super::flags!(BenchArgs, threads: threads);
