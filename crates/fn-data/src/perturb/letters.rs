//! Changes within a word: typos, swapped letters, OCR errors, capitals.

use fn_core::noise::Stream;

use super::text::pick;

/// Adjacent keys of a QWERTY keyboard.
const NEIGHBOURS: [(char, &str); 26] = [
    ('a', "qwsz"),
    ('b', "vghn"),
    ('c', "xdfv"),
    ('d', "serfcx"),
    ('e', "wsdr"),
    ('f', "drtgvc"),
    ('g', "ftyhbv"),
    ('h', "gyujnb"),
    ('i', "ujko"),
    ('j', "huikmn"),
    ('k', "jiolm"),
    ('l', "kop"),
    ('m', "njk"),
    ('n', "bhjm"),
    ('o', "iklp"),
    ('p', "ol"),
    ('q', "wa"),
    ('r', "edft"),
    ('s', "awedxz"),
    ('t', "rfgy"),
    ('u', "yhji"),
    ('v', "cfgb"),
    ('w', "qase"),
    ('x', "zsdc"),
    ('y', "tghu"),
    ('z', "asx"),
];

/// Pairs that OCR confuses, in both directions.
const CONFUSED: [(&str, &str); 14] = [
    ("l", "1"),
    ("i", "1"),
    ("I", "l"),
    ("O", "0"),
    ("o", "0"),
    ("rn", "m"),
    ("cl", "d"),
    ("vv", "w"),
    ("S", "5"),
    ("B", "8"),
    ("Z", "2"),
    ("e", "c"),
    ("h", "b"),
    ("n", "ri"),
];

/// Replaces a letter by one of an adjacent key. Words of one letter stay, because nothing of them would be left.
pub(super) fn typo(word: &str, stream: &mut Stream) -> Option<String> {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() < 2 {
        return None;
    }
    let places: Vec<usize> = (0..letters.len()).filter(|&i| letters[i].is_ascii_alphabetic()).collect();
    let &place = pick(&places, stream)?;
    let old = letters[place];
    let (_, near) = NEIGHBOURS.iter().find(|(c, _)| *c == old.to_ascii_lowercase())?;
    let new = *pick(&near.chars().collect::<Vec<_>>(), stream)?;
    letters[place] = if old.is_ascii_uppercase() { new.to_ascii_uppercase() } else { new };
    Some(letters.into_iter().collect())
}

/// Swaps two different adjacent letters.
pub(super) fn swap(word: &str, stream: &mut Stream) -> Option<String> {
    let mut letters: Vec<char> = word.chars().collect();
    let differ = |i: &usize| {
        let (a, b) = (letters[*i], letters[*i + 1]);
        a != b && a.is_alphabetic() && b.is_alphabetic()
    };
    let places: Vec<usize> = (0..letters.len().saturating_sub(1)).filter(differ).collect();
    let &place = pick(&places, stream)?;
    letters.swap(place, place + 1);
    Some(letters.into_iter().collect())
}

/// One OCR confusion.
pub(super) fn ocr(word: &str, stream: &mut Stream) -> Option<String> {
    let both = CONFUSED.iter().flat_map(|&(a, b)| [(a, b), (b, a)]);
    let places: Vec<(usize, &str, &str)> =
        both.flat_map(|(from, to)| word.match_indices(from).map(move |(at, _)| (at, from, to))).collect();
    let &(at, from, to) = pick(&places, stream)?;
    Some(format!("{}{to}{}", &word[..at], &word[at + from.len()..]))
}

/// Upper case.
pub(super) fn upper(word: &str, _: &mut Stream) -> Option<String> {
    Some(word.to_uppercase())
}
