//! Where look-up sets `V(w)` come from. The table itself is [`fn_core::lexicon::Lexicon`].
//!
//! - [`wordnet`] reads WordNet's dict files; [`build`] turns it into look-up sets (the default of the method);
//! - [`relations`] says how WordNet relates two words of a vocabulary;
//! - [`calibrated`] grades with both what people would call a good substitute;
//! - [`vectors`] takes the nearest neighbours among word vectors;
//! - [`mod@placebo`] keeps the sizes of another lexicon and draws its members at random (a control).
//!
//! All readers treat their files as hostile: limits before allocation, typed errors with file and line, no panics.

pub mod build;
pub mod calibrated;
pub mod logistic;
pub mod placebo;
pub mod relations;
pub mod vectors;
pub mod wordnet;

pub use build::{Explanation, Inflections, WordNetOptions, build_wordnet_lexicon, is_word};
pub use calibrated::{CalibratedError, CalibratedOptions, Calibration, build_calibrated_lexicon};
pub use placebo::{PlaceboError, placebo};
pub use relations::{PAIR_RELATIONS, PairRelation, Relations};
pub use vectors::{VectorError, VectorOptions, WordVectors, build_vector_lexicon};
pub use wordnet::{Pos, Relation, WordNet, WordNetError};
