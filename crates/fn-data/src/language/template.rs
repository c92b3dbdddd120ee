//! Sentence templates: the sequence of parts of speech.

/// The noun of a sentence (of up to three) to which a part belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Subject = 0,
    Object = 1,
    Place = 2,
}

/// One position of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Determiner(Role),
    Adjective(Role),
    Noun(Role),
    Verb,
    Adverb,
    Preposition,
    Comma,
    Stop,
}

impl Part {
    fn parse(text: &str) -> Option<Part> {
        let role = |letter: &str| match letter {
            "s" => Some(Role::Subject),
            "o" => Some(Role::Object),
            "p" => Some(Role::Place),
            _ => None,
        };
        Some(match text {
            "V" => Part::Verb,
            "B" => Part::Adverb,
            "P" => Part::Preposition,
            "," => Part::Comma,
            "." => Part::Stop,
            _ => match text.split_at_checked(1)? {
                ("D", rest) => Part::Determiner(role(rest)?),
                ("A", rest) => Part::Adjective(role(rest)?),
                ("N", rest) => Part::Noun(role(rest)?),
                _ => return None,
            },
        })
    }
}

/// Parses e.g. `"Ds As Ns V Do No ."`; the error describes the problem.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    for word in text.split_whitespace() {
        parts.push(Part::parse(word).ok_or_else(|| format!("`{word}` is not a part"))?);
    }
    if parts.last() != Some(&Part::Stop) {
        return Err("a template ends in `.`".into());
    }
    for needed in [Part::Noun(Role::Subject), Part::Verb] {
        if !parts.contains(&needed) {
            return Err("a template needs a subject `Ns` and a verb `V`".into());
        }
    }
    for (i, part) in parts.iter().enumerate() {
        let twice = !matches!(part, Part::Comma | Part::Stop) && parts[..i].contains(part);
        if twice || (*part == Part::Stop && i + 1 != parts.len()) {
            return Err(format!("part {} occurs twice", i + 1));
        }
        if let Part::Determiner(role) | Part::Adjective(role) = part
            && !parts.contains(&Part::Noun(*role))
        {
            return Err(format!("part {} belongs to a noun that is missing", i + 1));
        }
    }
    Ok(parts)
}
