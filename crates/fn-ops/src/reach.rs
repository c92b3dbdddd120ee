//! Which tokens attend to which: a window, and the documents of a row.

use std::sync::Arc;

/// Which keys a query attends to, besides the mask of padding. By default all of its row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Keys that are at most this many tokens away on either side; `None`: any distance.
    pub window: Option<usize>,
    /// Keys of the query's own document; `None`: a row is one document.
    pub documents: Option<Documents>,
}

impl Reach {
    /// The keys `from..to` of a query at place `at` of its document, which is `document`.
    pub(crate) fn keys(&self, at: usize, document: (usize, usize)) -> (usize, usize) {
        match self.window {
            None => document,
            Some(window) => {
                let to = at.saturating_add(window).saturating_add(1);
                (document.0.max(at.saturating_sub(window)), document.1.min(to))
            }
        }
    }

    /// # Panics
    /// When the documents are those of another batch.
    pub(crate) fn check(&self, batch: usize, length: usize) {
        if let Some(documents) = &self.documents {
            let (rows, width) = (documents.starts.len(), documents.length);
            assert!(
                (rows, width) == (batch, length),
                "attention: documents of {rows} rows of {width} tokens for a batch of {batch} rows of {length}"
            );
        }
    }

    /// The documents of a row of `length` tokens: where each begins and ends.
    pub(crate) fn documents_of(&self, row: usize, length: usize) -> impl Iterator<Item = (usize, usize)> {
        let starts: &[usize] = self.documents.as_ref().map_or(&[0], |documents| &documents.starts[row]);
        starts.iter().enumerate().map(move |(i, &from)| (from, starts.get(i + 1).copied().unwrap_or(length)))
    }
}

/// Where the documents begin in each row of a batch, for rows that hold several documents one after the other (packing).
///
/// No token attends to another document, and positions count from the beginning of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// For each row, in ascending order; the first is 0.
    starts: Arc<Vec<Vec<usize>>>,
    length: usize,
}

impl Documents {
    /// For each of the rows, of `length` tokens each, the places at which a document begins, in ascending order. A row begins with a
    /// document whether or not its list begins with 0.
    ///
    /// # Panics
    /// When places are not ascending or not below `length`.
    pub fn new(mut starts: Vec<Vec<usize>>, length: usize) -> Self {
        for row in &mut starts {
            if row.first() != Some(&0) {
                row.insert(0, 0);
            }
            let ascending = row.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(
                ascending && row.last().is_none_or(|&last| last < length.max(1)),
                "documents begin at {row:?}, expected ascending places below {length}"
            );
        }
        Self { starts: Arc::new(starts), length }
    }

    /// The position of each token in its document, row after row: `[B * L]`.
    pub fn positions(&self) -> Vec<usize> {
        self.each(|_, (from, to)| 0..to - from)
    }

    /// The number of each token's document in its row, from 0, row after row: `[B * L]`.
    pub fn numbers(&self) -> Vec<usize> {
        self.each(|number, (from, to)| std::iter::repeat_n(number, to - from))
    }

    /// Some of the rows, in this order.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn rows(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let starts = rows.into_iter().map(|row| self.starts[row].clone()).collect();
        Self { starts: Arc::new(starts), length: self.length }
    }

    fn each<I: IntoIterator<Item = usize>>(&self, of: impl Fn(usize, (usize, usize)) -> I) -> Vec<usize> {
        let reach = Reach { window: None, documents: Some(self.clone()) };
        let mut all = Vec::with_capacity(self.starts.len() * self.length);
        for row in 0..self.starts.len() {
            for (number, document) in reach.documents_of(row, self.length).enumerate() {
                all.extend(of(number, document));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_numbers_restart_with_each_document() {
        let documents = Documents::new(vec![vec![0, 2], vec![3], vec![]], 5);
        assert_eq!(documents.positions(), [0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 2, 3, 4]);
        assert_eq!(documents.numbers(), [0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
        assert_eq!(documents.rows([1]).positions(), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_query_reaches_its_window_within_its_document() {
        let reach = Reach { window: Some(2), documents: Some(Documents::new(vec![vec![0, 4]], 9)) };
        let documents: Vec<_> = reach.documents_of(0, 9).collect();
        assert_eq!(documents, [(0, 4), (4, 9)]);
        assert_eq!(reach.keys(1, documents[0]), (0, 4));
        assert_eq!(reach.keys(3, documents[0]), (1, 4));
        assert_eq!(reach.keys(4, documents[1]), (4, 7));
        assert_eq!(Reach::default().keys(4, (0, 9)), (0, 9));
    }

    #[test]
    #[should_panic(expected = "expected ascending places below 5")]
    fn documents_do_not_begin_behind_the_row() {
        Documents::new(vec![vec![0, 5]], 5);
    }
}
