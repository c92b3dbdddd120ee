//! Plain text: a blank line ends a document.

use super::lines::Lines;
use super::{Counters, Document, MAX_DOCUMENT};
use crate::error::DataError;

pub(super) fn documents(
    mut lines: Lines,
    counters: &Counters,
) -> impl Iterator<Item = Result<Document, DataError>> + Send + use<> {
    let counters = counters.clone();
    // Kept between calls: if a bad line is skipped, the document continues after it.
    let mut text = String::new();
    std::iter::from_fn(move || {
        loop {
            match lines.next() {
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(line)) if !line.trim().is_empty() => {
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(&line);
                    if text.len() >= MAX_DOCUMENT {
                        counters.split();
                        return Some(Ok(Document { text: std::mem::take(&mut text) }));
                    }
                }
                // A blank line or the end of the file.
                other => {
                    if !text.is_empty() {
                        return Some(Ok(Document { text: std::mem::take(&mut text) }));
                    }
                    other.as_ref()?;
                }
            }
        }
    })
}
