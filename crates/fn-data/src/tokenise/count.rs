//! Counts the pieces in a text.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::TextTokenizer;
use crate::error::DataError;
use crate::source::{SourceOptions, Sources};

/// Number of occurrences of each piece of the vocabulary in files and folders of text.
///
/// # Errors
/// Text that cannot be read; [`DataError::Stopped`].
pub fn count_tokens(
    text: &[PathBuf],
    options: &SourceOptions,
    tokenizer: &TextTokenizer,
) -> Result<Vec<u64>, DataError> {
    let mut counts = vec![0_u64; tokenizer.size()];
    for document in Sources::open(text, options)? {
        for line in document?.text.lines() {
            if options.stop.load(Ordering::Relaxed) {
                return Err(DataError::Stopped);
            }
            for id in tokenizer.encode(line) {
                if let Some(count) = counts.get_mut(id as usize) {
                    *count += 1;
                }
            }
        }
    }
    Ok(counts)
}
