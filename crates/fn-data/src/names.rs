//! Names that people type: the one that was meant, offered in messages.

/// `; did you mean `MRPC`?`, or nothing where no known name is similar. Upper and lower case count as equal.
pub fn did_you_mean(name: &str, known: &[&str]) -> String {
    let lower: Vec<String> = known.iter().map(|known| known.to_lowercase()).collect();
    let meant = nearest(&name.to_lowercase(), lower.iter().map(String::as_str));
    let at = meant.and_then(|meant| lower.iter().position(|known| known == meant));
    at.map_or_else(String::new, |at| format!("; did you mean `{}`?", known[at]))
}

/// A message that lists the names that a value may have, as those of serde and of the kinds of judges and corrections do, with the one that was
/// meant; any other message as it is.
pub fn with_nearest(message: String) -> String {
    let found = ["unknown variant `", "unknown field `", "of kind `"].iter().find_map(|before| {
        let (name, rest) = message.split_once(before)?.1.split_once('`')?;
        let list =
            ["expected one of ", "known are ", "expected "].iter().find_map(|before| rest.split_once(before));
        Some((name, list?.1))
    });
    let Some((name, list)) = found else { return message };
    let list = list.lines().next().unwrap_or_default();
    let known: Vec<&str> = list.split(", ").flat_map(|part| part.split(" or ")).collect();
    let known: Vec<&str> = known.iter().map(|name| name.trim_matches('`')).collect();
    let meant = did_you_mean(name, &known);
    message + &meant
}

/// The candidate that is most similar to `name`, if it is similar enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.55)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A message of the TOML reader: for a key or section that stands twice, also what to do; for an unknown name, the one that was meant.
pub fn explained(message: &str) -> String {
    match message.contains("duplicate key") {
        true => format!(
            "{message}: a key or [section] stands in the file twice; put all keys of a section under one header"
        ),
        false => with_nearest(message.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_answered_with_the_right_one() {
        assert_eq!(did_you_mean("mprc", &["RTE", "MRPC", "QNLI"]), "; did you mean `MRPC`?");
        assert_eq!(did_you_mean("harrd", &["baseline", "hard"]), "; did you mean `hard`?");
        assert_eq!(did_you_mean("xyz", &["baseline", "hard"]), "");
    }

    #[test]
    fn a_name_that_a_message_lists_is_offered() {
        for (message, meant) in [
            ("unknown variant `liner`, expected one of `electra`, `linear`, `wsd`", "linear"),
            ("unknown variant `f16`, expected `f32` or `bf16`", "bf16"),
            ("line 4\nunknown field `sedes`, expected one of `name`, `seeds`", "seeds"),
            ("there is no judge of kind `lexicn`; known are none, lexicon, all", "lexicon"),
        ] {
            assert_eq!(with_nearest(message.into()), format!("{message}; did you mean `{meant}`?"));
        }
        for message in [
            "unknown variant `qqqqq`, expected `f32` or `bf16`",
            "invalid type: string \"a\", expected a number",
        ] {
            assert_eq!(with_nearest(message.into()), message);
        }
    }

    #[test]
    fn what_stands_twice_is_explained() {
        assert!(explained("duplicate key").contains("put all keys of a section under one header"));
        assert_eq!(explained("something else"), "something else");
    }
}
