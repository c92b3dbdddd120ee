//! Parses the dict files `index.*`, `data.*` and `*.exc`. They are untrusted input: every count is checked against the
//! contents.

use super::error::WordNetError;
use super::{POS, Pos, Relation, Synset, SynsetId, WordNet};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Maximum size of a file; the largest one of WordNet 3.1 has 16 MB.
const MAX_FILE: u64 = 256 << 20;
/// Maximum length of a line; the longest one of WordNet 3.1 (a synset with hundreds of pointers) has 15 KB.
const MAX_LINE: usize = 1 << 20;

/// The bytes of the dict files, in the order noun, verb, adjective, adverb.
#[derive(Debug, Clone, Default)]
pub struct WordNetFiles {
    /// `index.noun`, ...
    pub index: [Vec<u8>; 4],
    /// `data.noun`, ...
    pub data: [Vec<u8>; 4],
    /// `noun.exc`, ...; empty if a file is missing.
    pub exceptions: [Vec<u8>; 4],
}

impl WordNetFiles {
    /// Reads the files of a folder; exception lists may be missing.
    pub fn read(dir: &Path) -> Result<Self, WordNetError> {
        let mut files = WordNetFiles::default();
        for (i, pos) in POS.into_iter().enumerate() {
            files.index[i] = read(&dir.join(format!("index.{}", pos.file())))?;
            files.data[i] = read(&dir.join(format!("data.{}", pos.file())))?;
            let exceptions = dir.join(format!("{}.exc", pos.file()));
            if exceptions.exists() {
                files.exceptions[i] = read(&exceptions)?;
            }
        }
        Ok(files)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, WordNetError> {
    let failed = |source| WordNetError::Read { path: path.to_path_buf(), source };
    let found = std::fs::metadata(path).map_err(failed)?.len();
    if found > MAX_FILE {
        return Err(WordNetError::TooLarge { path: path.to_path_buf(), found, limit: MAX_FILE });
    }
    fn_core::files::read(path).map_err(failed)
}

/// A line with its number, for messages.
struct Line<'a> {
    path: &'a Path,
    number: usize,
    text: &'a str,
}

impl Line<'_> {
    fn wrong(&self, found: &str, expected: &'static str) -> WordNetError {
        WordNetError::Line {
            path: self.path.to_path_buf(),
            line: self.number,
            found: found.chars().take(60).collect(),
            expected,
        }
    }

    fn number<T>(&self, field: Option<&str>, radix: u32, expected: &'static str) -> Result<T, WordNetError>
    where
        T: TryFrom<u32>,
    {
        let field = field.ok_or_else(|| self.wrong("the end of the line", expected))?;
        let plain = !field.is_empty() && field.bytes().all(|b| b.is_ascii_hexdigit());
        plain
            .then(|| u32::from_str_radix(field, radix).ok())
            .flatten()
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| self.wrong(field, expected))
    }

    fn text<'f>(&self, field: Option<&'f str>, expected: &'static str) -> Result<&'f str, WordNetError> {
        field
            .filter(|f| !f.is_empty())
            .ok_or_else(|| self.wrong(field.unwrap_or("the end of the line"), expected))
    }
}

/// Calls `each` for every line except those of the licence (which begin with a blank) and empty ones.
fn lines(
    path: &Path,
    bytes: &[u8],
    mut each: impl FnMut(&Line) -> Result<(), WordNetError>,
) -> Result<(), WordNetError> {
    for (i, raw) in bytes.split(|b| *b == b'\n').enumerate() {
        let number = i + 1;
        if raw.len() > MAX_LINE {
            let line = Line { path, number, text: "" };
            return Err(line.wrong("a line of more than 1 MiB", "at most 1 MiB"));
        }
        let text = std::str::from_utf8(raw)
            .map_err(|_| WordNetError::NotText { path: path.to_path_buf(), line: number })?;
        if !text.starts_with(' ') && !text.trim().is_empty() {
            each(&Line { path, number, text: text.trim_end() })?;
        }
    }
    Ok(())
}

enum Kind {
    Relation(Relation),
    /// Between words of the two synsets, counted from 0.
    Antonym(usize, usize),
}

/// A pointer whose target may not have been read yet.
struct Pending {
    from: SynsetId,
    kind: Kind,
    pos: Pos,
    offset: u32,
    line: usize,
}

/// Builds the tables. `dir` is used in messages only.
pub(super) fn parse(dir: &Path, files: &WordNetFiles) -> Result<WordNet, WordNetError> {
    let mut net = WordNet {
        synsets: Vec::new(),
        index: Default::default(),
        exceptions: Default::default(),
        source: dir.to_path_buf(),
    };
    let mut by_offset: [HashMap<u32, SynsetId>; 4] = Default::default();
    let mut pending = Vec::new();
    let path = |stem: &str, pos: Pos| dir.join(format!("{stem}.{}", pos.file()));
    for (i, pos) in POS.into_iter().enumerate() {
        lines(&path("data", pos), &files.data[i], |line| {
            let id = SynsetId(net.synsets.len() as u32);
            let (offset, synset) = data_line(line, pos, id, &mut pending)?;
            if by_offset[i].insert(offset, id).is_some() {
                return Err(WordNetError::Twice { path: line.path.to_path_buf(), line: line.number, offset });
            }
            net.synsets.push(synset);
            Ok(())
        })?;
    }
    let find = |pos: Pos, offset: u32, path: PathBuf, line: usize| {
        by_offset[pos as usize].get(&offset).copied().ok_or_else(|| WordNetError::Dangling {
            path,
            line,
            offset,
            target: format!("data.{}", pos.file()),
        })
    };
    for p in pending {
        let from = p.from.0 as usize;
        let target = find(p.pos, p.offset, path("data", net.synsets[from].pos), p.line)?;
        match p.kind {
            Kind::Relation(relation) => net.synsets[from].pointers.push((relation, target)),
            Kind::Antonym(here, there) => {
                let has = |id: usize, word: usize| word < net.synsets[id].words.len();
                if !(has(from, here) && has(target.0 as usize, there)) {
                    return Err(WordNetError::Line {
                        path: path("data", net.synsets[from].pos),
                        line: p.line,
                        found: format!("! {:08} between words {} and {}", p.offset, here + 1, there + 1),
                        expected: "a pointer between words that the synsets have",
                    });
                }
                net.synsets[from].antonyms.push((here, target, there));
            }
        }
    }
    for (i, pos) in POS.into_iter().enumerate() {
        lines(&path("index", pos), &files.index[i], |line| {
            let (lemma, offsets) = index_line(line, pos)?;
            let synsets = offsets
                .into_iter()
                .map(|offset| find(pos, offset, line.path.to_path_buf(), line.number))
                .collect::<Result<Vec<_>, _>>()?;
            net.index[i].entry(lemma.into()).or_default().extend(synsets);
            Ok(())
        })?;
        lines(&dir.join(format!("{}.exc", pos.file())), &files.exceptions[i], |line| {
            let mut fields = line.text.split_ascii_whitespace();
            let inflected = line.text(fields.next(), "an inflected form")?;
            let bases: Vec<Box<str>> = fields.map(Box::from).collect();
            if bases.is_empty() {
                return Err(line.wrong(line.text, "an inflected form and at least one base form"));
            }
            net.exceptions[i].entry(inflected.into()).or_default().extend(bases);
            Ok(())
        })?;
    }
    Ok(net)
}

/// `offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] p_cnt [ptr...] [frames...] | gloss`
fn data_line(
    line: &Line,
    pos: Pos,
    id: SynsetId,
    pending: &mut Vec<Pending>,
) -> Result<(u32, Synset), WordNetError> {
    let (head, gloss) = line.text.split_once(" | ").unwrap_or((line.text, ""));
    let mut fields = head.split_ascii_whitespace();
    let offset = line.number(fields.next(), 10, "a synset offset")?;
    line.number::<u32>(fields.next(), 10, "a lexicographer file number")?;
    let kind = line.text(fields.next(), "a synset type: n, v, a, s or r")?;
    if Pos::from_letter(kind) != Some(pos) {
        return Err(line.wrong(kind, "the synset type of this file: n, v, a or s, r"));
    }
    let count: u8 = line.number(fields.next(), 16, "a number of words, two hexadecimal digits")?;
    if count == 0 {
        return Err(line.wrong("00", "at least one word"));
    }
    let mut words = Vec::new();
    for _ in 0..count {
        let word = line.text(fields.next(), "a word")?;
        line.number::<u32>(fields.next(), 16, "a lex_id")?;
        // Adjectives may have a syntactic marker: "awake(p)".
        let bare = match word.strip_suffix(')').and_then(|w| w.rsplit_once('(')) {
            Some((bare, _)) if pos == Pos::Adjective && !bare.is_empty() => bare,
            _ => word,
        };
        words.push(Box::from(bare));
    }
    let pointers: u32 = line.number(fields.next(), 10, "a number of pointers")?;
    for _ in 0..pointers {
        let symbol = line.text(fields.next(), "a pointer symbol")?;
        let target: u32 = line.number(fields.next(), 10, "the synset offset of a pointer")?;
        let letter = line.text(fields.next(), "the part of speech of a pointer")?;
        let target_pos = Pos::from_letter(letter)
            .ok_or_else(|| line.wrong(letter, "a part of speech: n, v, a, s or r"))?;
        let between: u32 = line.number(fields.next(), 16, "source and target of a pointer")?;
        let kind = match symbol {
            "&" => Kind::Relation(Relation::Similar),
            "@" | "@i" => Kind::Relation(Relation::Hypernyms),
            // Word numbers, counted from 1; antonyms are relations between single words.
            "!" => match ((between >> 8) as usize, (between & 0xff) as usize) {
                (0, _) | (_, 0) => continue,
                (here, there) => Kind::Antonym(here - 1, there - 1),
            },
            _ => continue,
        };
        pending.push(Pending { from: id, kind, pos: target_pos, offset: target, line: line.number });
    }
    // Verb frames follow; they are not used.
    Ok((
        offset,
        Synset { pos, words, pointers: Vec::new(), antonyms: Vec::new(), gloss: gloss.trim().into() },
    ))
}

/// `lemma pos synset_cnt p_cnt [symbol...] sense_cnt tagsense_cnt offset [offset...]`
fn index_line<'a>(line: &Line<'a>, pos: Pos) -> Result<(&'a str, Vec<u32>), WordNetError> {
    let mut fields = line.text.split_ascii_whitespace();
    let lemma = line.text(fields.next(), "a lemma")?;
    let letter = line.text(fields.next(), "a part of speech")?;
    if Pos::from_letter(letter) != Some(pos) {
        return Err(line.wrong(letter, "the part of speech of this file: n, v, a or r"));
    }
    let count: u32 = line.number(fields.next(), 10, "a number of synsets")?;
    let symbols: u32 = line.number(fields.next(), 10, "a number of pointer symbols")?;
    for _ in 0..symbols {
        line.text(fields.next(), "a pointer symbol")?;
    }
    line.number::<u32>(fields.next(), 10, "a number of senses")?;
    line.number::<u32>(fields.next(), 10, "a number of tagged senses")?;
    let mut offsets = Vec::new();
    for _ in 0..count {
        offsets.push(line.number(fields.next(), 10, "a synset offset for each sense")?);
    }
    if let Some(more) = fields.next() {
        return Err(line.wrong(more, "the end of the line"));
    }
    Ok((lemma, offsets))
}
