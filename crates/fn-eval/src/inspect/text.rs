//! What was inspected, as the terminal shows it.

use super::{GAP, Inspected, Verdict};
use crate::table::thousands;

impl Inspected {
    /// The predictions as the terminal shows them; `judged`: whether a lexicon marked false negatives.
    pub fn text(&self, judged: bool) -> String {
        let mut out = format!("{}\n", self.text);
        for (number, gap) in self.gaps.iter().enumerate() {
            let source = if gap.gold_given { "given" } else { "most probable prediction" };
            out.push_str(&format!(
                "\n  {GAP} {}: gold \"{}\" ({source}), probability {:.4}, rank {}\n",
                number + 1,
                gap.gold,
                gap.gold_probability,
                thousands(gap.gold_rank as u64)
            ));
            let width = gap.predictions.iter().map(|p| p.piece.chars().count()).max().unwrap_or(0);
            for (rank, prediction) in gap.predictions.iter().enumerate() {
                let verdict = match prediction.verdict {
                    Verdict::Gold => "gold",
                    Verdict::FalseNegative => "false negative",
                    Verdict::Negative => "",
                };
                let line = format!(
                    "    {:>2}  {:<width$}  {:.4}  {verdict}",
                    rank + 1,
                    prediction.piece,
                    prediction.probability
                );
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        if !self.gaps.is_empty() && !judged {
            out.push_str("\n  (without --lexicon, false negatives are not marked)\n");
        }
        if let Some(replaced) = &self.replaced {
            out.push_str("\n  probability that a token was replaced:\n");
            let width = replaced.iter().map(|token| token.piece.chars().count()).max().unwrap_or(0);
            for token in replaced {
                let marks = "#".repeat((token.probability * 20.0).round() as usize);
                let filled = if token.filled { "  <- filled in by the generator" } else { "" };
                let line = format!("    {:<width$}  {:.3}  {marks}{filled}", token.piece, token.probability);
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        out.push('\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gap, Inspected, Prediction, Replaced, Verdict};

    #[test]
    fn what_is_shown_names_gold_and_false_negatives() {
        let prediction =
            |piece: &str, probability, verdict| Prediction { piece: piece.into(), probability, verdict };
        let found = Inspected {
            text: "she felt [MASK]".into(),
            pieces: Vec::new(),
            gaps: vec![Gap {
                position: 3,
                gold: "happy".into(),
                gold_given: true,
                gold_rank: 2,
                gold_probability: 0.25,
                predictions: vec![
                    prediction("glad", 0.5, Verdict::FalseNegative),
                    prediction("happy", 0.25, Verdict::Gold),
                    prediction("sad", 0.125, Verdict::Negative),
                ],
            }],
            replaced: Some(vec![Replaced { piece: "glad".into(), filled: true, probability: 0.5 }]),
        };
        let text = found.text(true);
        assert!(text.contains("[MASK] 1: gold \"happy\" (given), probability 0.2500, rank 2"), "{text}");
        assert!(text.contains(" 1  glad   0.5000  false negative\n"), "{text}");
        assert!(text.contains(" 2  happy  0.2500  gold\n"), "{text}");
        assert!(text.contains(" 3  sad    0.1250\n"), "{text}");
        assert!(text.contains("glad  0.500  ##########  <- filled in by the generator\n"), "{text}");
    }

    #[test]
    fn the_mask_token_of_the_tokenizer_is_a_gap() {
        let folder = |name: &str| {
            let golden =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tokenizers");
            fn_data::tokenise::TextTokenizer::load(&golden.join(name)).unwrap()
        };
        let written = super::super::with_gaps(&folder("bpe-roberta"), "a <mask> b [MASK] c");
        assert_eq!(written, "a [MASK] b [MASK] c");
        assert_eq!(super::super::with_gaps(&folder("wordpiece-cased"), "a <mask> b"), "a <mask> b");
    }
}
