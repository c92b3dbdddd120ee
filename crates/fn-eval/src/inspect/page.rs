//! An HTML page of texts in which each token is coloured by its role in training.

use std::fmt::Write as _;

use fn_core::noise::{Stream, Use};
use fn_models::Pretrained;

use super::{InspectError, Inspector};
use crate::page::{CLOSE, escape, open};

const STYLE: &str = "
.text { line-height: 2.4; max-width: none; margin-bottom: .2rem; }
details { border-bottom: 1px solid var(--line); padding-bottom: .6rem; } summary { color: var(--soft); cursor: pointer; }
.t { border-radius: 4px; }
.right, .caught, .missed, .excused { padding: .1rem .25rem; }
.right { background: #cfe3f7; color: #0b2b4a; } .caught { background: #cdebcf; color: #0f3d14; }
.missed { background: #f6cdc9; color: #561209; } .excused { background: #f8e3a3; color: #4a3600; }
.alarm { text-decoration: underline wavy #c33; text-underline-offset: .25em; }
.t s { font-size: .85em; } .t sub { font-size: .65em; line-height: 1; margin-left: .2em; font-variant-numeric: tabular-nums; }
";

/// Role of a token in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not masked.
    Kept,
    /// Not masked, but predicted as replaced.
    FalseAlarm,
    /// Masked, and predicted correctly.
    Right,
    /// Replaced and detected; for BERT: masked and predicted wrongly.
    Caught,
    /// Replaced, but predicted as original.
    Missed,
    /// Replaced by a word that the lexicon lists as plausible in place of the gold word.
    FalseNegative,
}

impl Fate {
    const ALL: [Self; 6] =
        [Self::Kept, Self::Right, Self::Caught, Self::Missed, Self::FalseNegative, Self::FalseAlarm];

    fn class(self) -> &'static str {
        match self {
            Self::Kept => "",
            Self::FalseAlarm => "alarm",
            Self::Right => "right",
            Self::Caught => "caught",
            Self::Missed => "missed",
            Self::FalseNegative => "excused",
        }
    }

    fn name(self, detects: bool) -> &'static str {
        match self {
            Self::Kept => "original",
            Self::FalseAlarm => "original, but called replaced",
            Self::Right => "masked, predicted right",
            Self::Caught if detects => "replaced and caught",
            Self::Caught => "predicted wrong",
            Self::Missed => "replaced and missed",
            Self::FalseNegative => "false negative: another word that fits",
        }
    }
}

struct Token {
    /// The token in the discriminator's input.
    piece: String,
    /// The original token, if it is a different one.
    gold: Option<String>,
    fate: Fate,
    /// Probability of the predicted token, at masked positions.
    predicted: Option<f64>,
    /// The discriminator's probability that the token was replaced; None for BERT.
    replaced: Option<f64>,
}

/// How texts are corrupted.
#[derive(Debug, Clone, Copy)]
pub struct Corruption {
    /// Share of the tokens that is masked; at least one in each text.
    pub rate: f64,
    /// Seed of masked positions and of sampled replacements.
    pub seed: u64,
}

/// Makes the page. For ELECTRA, the generator samples replacements and the discriminator detects them; BERT predicts the masked
/// tokens.
///
/// # Errors
/// As [`Inspector::inspect`].
pub fn page(
    inspector: &Inspector,
    model: &Pretrained,
    texts: &[String],
    corruption: &Corruption,
) -> Result<String, InspectError> {
    let detects = model.has_discriminator();
    let mut rows = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        rows.push(tokens(inspector, model, text, number, corruption)?);
    }
    Ok(render(&rows, detects, inspector.lexicon.is_some(), corruption))
}

fn tokens(
    inspector: &Inspector,
    model: &Pretrained,
    text: &str,
    number: usize,
    corruption: &Corruption,
) -> Result<Vec<Token>, InspectError> {
    let tokenizer = inspector.tokenizer;
    let facts = tokenizer.facts();
    let frame = tokenizer.frame();
    let most = model.encoder().max_positions.saturating_sub(frame.added_to_single());
    let mut text = tokenizer.encode(text);
    text.truncate(most);
    let (ids, _) = frame.single(&text);
    let mut stream = Stream::new(corruption.seed, number as u64, 0, Use::Positions);
    let mut places: Vec<usize> = (1..ids.len() - 1).filter(|&at| facts.maskable(ids[at])).collect();
    stream.shuffle(&mut places);
    let count = ((places.len() as f64 * corruption.rate).round() as usize).max(1).min(places.len());
    places.truncate(count);
    places.sort_unstable();

    let (mut masked, mut filled) = (ids.clone(), ids.clone());
    let mut chosen = vec![None; ids.len()];
    places.iter().for_each(|&at| masked[at] = facts.special.mask);
    if !places.is_empty() {
        let samples = model.generator().is_some();
        for (&at, row) in places.iter().zip(inspector.predict(model, &masked, &places)?) {
            let id = if samples { draw(&row, stream.unit()) } else { super::best(&row) }.unwrap_or(ids[at]);
            filled[at] = id;
            chosen[at] = row.get(id as usize).copied();
        }
    }
    let detected = inspector.detect(model, &filled, &places);
    let piece = |id| tokenizer.piece(id);
    let token = |at: usize| {
        let (gold, id) = (ids[at], filled[at]);
        let replaced = detected.as_ref().map(|found| found[at].probability);
        let fate = match (chosen[at].is_some(), id == gold) {
            (false, _) if replaced.is_some_and(|p| p > 0.5) => Fate::FalseAlarm,
            (false, _) => Fate::Kept,
            (true, true) => Fate::Right,
            (true, false) if inspector.lexicon.is_some_and(|l| l.contains(gold, id)) => Fate::FalseNegative,
            (true, false) if replaced.is_some_and(|p| p <= 0.5) => Fate::Missed,
            (true, false) => Fate::Caught,
        };
        let gold = (id != gold).then(|| piece(gold));
        Token { piece: piece(id), gold, fate, predicted: chosen[at], replaced }
    };
    Ok((1..ids.len() - 1).map(token).collect())
}

/// Samples an id by inverting the cumulative distribution at `unit`, a number from 0 to 1.
fn draw(probabilities: &[f64], unit: f64) -> Option<u32> {
    let mut sum = 0.0;
    let at = probabilities.iter().position(|p| {
        sum += p;
        sum > unit
    });
    u32::try_from(at.unwrap_or(probabilities.len().checked_sub(1)?)).ok()
}

fn render(rows: &[Vec<Token>], detects: bool, judged: bool, corruption: &Corruption) -> String {
    let mut out = open("What training sees", STYLE);
    let (who, what) = if detects {
        ("the generator sampled a replacement", "was replaced, says the discriminator")
    } else {
        ("the model predicted the word", "belongs there, says the model")
    };
    let _ = writeln!(
        out,
        "<p class=\"soft\">{:.0} % of the pieces were masked (seed {}) and {who}. The small number is the probability that the \
         token {what}; the tables have all probabilities.</p>",
        100.0 * corruption.rate,
        corruption.seed
    );
    if !judged {
        out.push_str("<p class=\"soft\">Without a lexicon no false negatives are known.</p>\n");
    }
    out.push_str("<div class=\"wide\"><table>\n<tr><th>token</th><th>number</th></tr>\n");
    for fate in Fate::ALL {
        let count = rows.iter().flatten().filter(|token| token.fate == fate).count();
        if count > 0 {
            let (class, name) = (fate.class(), fate.name(detects));
            let _ =
                writeln!(out, "<tr><td><span class=\"t {class}\">{name}</span></td><td>{count}</td></tr>");
        }
    }
    out.push_str("</table></div>\n");
    for row in rows {
        out.push_str("<p class=\"text\">");
        for token in row {
            let joined = token.piece.strip_prefix("##");
            if joined.is_none() {
                out.push(' ');
            }
            out.push_str(&span(token, joined.unwrap_or(&token.piece)));
        }
        out.push_str("</p>\n");
        out.push_str(&details(row, detects));
    }
    out.push_str(CLOSE);
    out
}

/// A coloured token; those that are not kept are followed by their probability.
fn span(token: &Token, piece: &str) -> String {
    let gold = token.gold.as_ref().map_or(String::new(), |gold| format!(" <s>{}</s>", escape(gold)));
    let number = token.replaced.or(token.predicted).filter(|_| token.fate != Fate::Kept);
    let number = number.map_or(String::new(), |p| format!("<sub>{p:.2}</sub>"));
    format!("<span class=\"t {}\">{}{gold}{number}</span>", token.fate.class(), escape(piece))
}

/// A collapsed table of all tokens of a text with their probabilities.
fn details(row: &[Token], detects: bool) -> String {
    let probability = |p: Option<f64>| p.map_or(String::new(), |p| format!("{p:.3}"));
    let mut out =
        "<details><summary>every token</summary><div class=\"wide\"><table>\n<tr><th>token</th><th>was</th>\
                   <th>predicted with</th><th>replaced with probability</th><th>so it is</th></tr>\n"
            .to_owned();
    for token in row {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&token.piece),
            escape(token.gold.as_deref().unwrap_or("")),
            probability(token.predicted),
            probability(token.replaced),
            token.fate.name(detects)
        );
    }
    out + "</table></div></details>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_follows_the_probabilities() {
        let p = [0.25, 0.0, 0.75];
        assert_eq!([0.0, 0.2, 0.25, 0.99, 1.0].map(|unit| draw(&p, unit)), [0, 0, 2, 2, 2].map(Some));
        assert_eq!(draw(&[], 0.5), None);
    }

    #[test]
    fn tokens_are_coloured_counted_and_escaped() {
        let token = |piece: &str, gold: Option<&str>, fate| Token {
            piece: piece.to_owned(),
            gold: gold.map(ToOwned::to_owned),
            fate,
            predicted: gold.map(|_| 0.5),
            replaced: Some(0.25),
        };
        let rows = [vec![
            token("<b>", None, Fate::Kept),
            token("glad", Some("happy"), Fate::FalseNegative),
            token("##ly", None, Fate::Right),
            token("sad", Some("happy"), Fate::Missed),
        ]];
        let page = render(&rows, true, true, &Corruption { rate: 0.15, seed: 1 });
        assert!(page.contains("&lt;b&gt;</span>") && !page.contains("<b>"), "{page}");
        // No `title` attributes: they need a mouse, and the page must be readable on a phone.
        assert!(
            page.contains(
                "<span class=\"t excused\">glad <s>happy</s><sub>0.25</sub></span><span class=\"t right\""
            ),
            "{page}"
        );
        assert!(page.contains("<span class=\"t \">&lt;b&gt;</span>") && !page.contains("title="), "{page}");
        let row = "<tr><td>glad</td><td>happy</td><td>0.500</td><td>0.250</td><td>false negative: another word that fits</td></tr>";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("replaced and missed</span></td><td>1</td>"), "{page}");
        assert!(!page.contains("replaced and caught</span></td>") && page.contains("15 %"), "{page}");
    }
}
