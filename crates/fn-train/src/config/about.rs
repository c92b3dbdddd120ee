//! One line on every key, for `fnlm config new`. After the doc comments of the configuration's types.

/// What a key means, if there is a line for it.
pub fn about(key: &str) -> Option<&'static str> {
    ABOUT.iter().find(|(known, _)| *known == key).map(|(_, about)| *about)
}

/// Keys in the order of the configuration.
pub const ABOUT: &[(&str, &str)] = &[
    ("seed", "of every random choice"),
    ("model.arch", "electra or bert"),
    ("model.init", "Hugging Face folder to go on from; its sizes win over those here"),
    ("model.hidden_size", "width of a layer"),
    ("model.embedding_size", "width of the token table; BERT: hidden_size"),
    ("model.num_layers", "layers"),
    ("model.num_heads", "attention heads; divides hidden_size"),
    ("model.intermediate_size", "width inside the feed-forward block"),
    ("model.max_positions", "longest row that the position table knows"),
    ("model.type_vocab", "kinds of segments"),
    ("model.hidden_dropout", "after embeddings, attention and feed-forward"),
    ("model.attention_dropout", "on attention weights"),
    ("model.generator_width", "share of the discriminator's width"),
    ("model.generator_depth", "share of the discriminator's depth"),
    ("model.init_std", "standard deviation of the first weights"),
    ("model.layer_norm_eps", "added to the variance in LayerNorm"),
    ("model.vocab_size", "rows of the token table; default: the tokenizer's size"),
    ("data.train", "files, folders or \"-\": .txt, .jsonl, .parquet, also .gz, .zst, .xz"),
    ("data.held_out", "text that is only measured on; none: no evaluation"),
    ("data.tokenizer", "tokenizer.json, vocab.txt or a folder with one"),
    ("data.cache", "folder of prepared rows; default: fnlm-cache"),
    ("data.length", "tokens of a row"),
    ("data.packing", "electra, bert or dense"),
    ("data.json_field", "field of a .jsonl line that holds the text"),
    ("data.parquet_column", "column of a .parquet file that holds the text"),
    ("data.workers", "loader threads; batches are the same with any number"),
    ("data.synthetic.kind", "artificial rows before text: none, shuffle-dyck or linear-rnn"),
    ("data.synthetic.steps", "optimiser steps that take them"),
    ("data.synthetic.k", "types of brackets; the rows have 2 k symbols"),
    ("data.synthetic.p", "probability that a bracket opens (shuffle-dyck)"),
    ("data.synthetic.depth", "brackets open at once, at most (shuffle-dyck)"),
    ("data.synthetic.dim", "width of the hidden state (linear-rnn)"),
    ("corruption.scheme", "electra: 85/0/15, bert: 80/10/10 (mask, random word, unchanged)"),
    ("corruption.unit", "what is hidden as a whole: token, whole-word or span"),
    ("corruption.rate", "share of the tokens that is hidden"),
    ("corruption.max_predictions", "hidden tokens of a row at most; default: int((rate + 0.005) x length)"),
    ("corruption.span_mean", "mean length of a span"),
    ("corruption.span_max", "longest span"),
    ("lexicon.path", "look-up sets made by `fnlm lexicon build`"),
    ("lexicon.wordnet", "or a WordNet dict folder, to build them from when the run starts"),
    ("lexicon.max_width", "words of a set at most; default: all"),
    ("correction.preset", "none, hard or soft; docs/method.md has the keys of generator and discriminator"),
    ("correction.prediction", "which prediction is judged: argmax or sample"),
    ("correction.hard_negatives", "above 0: errors that look right weigh more"),
    ("correction.verifier.model", "Hugging Face folder of a masked LM that judges in place of the lexicon"),
    ("correction.verifier.decay", "or a moving average of the model itself, e.g. 0.999"),
    ("correction.verifier.low", "from this p(r) / p(w) on an error is a false negative"),
    ("correction.verifier.high", "and from this on as right as the original"),
    ("train.steps", "optimiser steps"),
    ("train.batch", "rows of a micro-batch"),
    ("train.accumulation", "micro-batches of a step"),
    ("train.discriminator_weight", "of the discriminator's loss"),
    ("train.generator_weight", "of the generator's or BERT's loss"),
    ("train.temperature", "of the generator's sampling"),
    ("train.disallow_correct", "never sample the original token"),
    ("train.dtype", "f32, or bf16 for the operands of matrix products"),
    ("train.device", "flex, vulkan:0, cuda:1, ..."),
    ("train.threads", "processor threads of the flex device; default: all"),
    ("train.max_skipped", "end after so many steps in a row that are not finite"),
    ("optimizer.beta1", "AdamW"),
    ("optimizer.beta2", "AdamW"),
    ("optimizer.epsilon", "AdamW"),
    ("optimizer.weight_decay", "not of biases and LayerNorm"),
    ("optimizer.bias_correction", "AdamW as published has it, ELECTRA has not"),
    ("optimizer.clip_norm", "global norm of the gradient"),
    ("schedule.kind", "electra, linear, cosine or constant"),
    ("schedule.lr", "highest learning rate"),
    ("schedule.warmup", "steps of warm-up"),
    ("schedule.total", "step at which the decay ends; 0: train.steps"),
    ("schedule.end_factor", "last learning rate, as a share of the highest"),
    ("checkpoint.every", "optimiser steps between two checkpoints"),
    ("checkpoint.keep_last", "how many of the newest are kept"),
    ("checkpoint.keep_best", "also keep the best by eval.metric"),
    ("eval.every", "optimiser steps between two measurements; 0: only at the end"),
    ("eval.batches", "batches of a measurement; 0: all"),
    ("eval.metric", "what says which checkpoint is best"),
    ("eval.lexicon", "lexicon of the held-out figures; default: that of the run"),
    ("log.every", "optimiser steps between two lines of metrics.jsonl"),
    ("log.tensorboard", "also write TensorBoard event files"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::known_keys;

    #[test]
    fn no_line_is_about_a_key_that_does_not_exist() {
        for (key, _) in ABOUT {
            assert!(known_keys().iter().any(|known| known == key), "{key}");
        }
    }
}
