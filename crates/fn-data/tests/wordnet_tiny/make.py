"""Writes the tiny dict files of this folder: a toy dictionary in the format of wndb(5WN), offsets are real byte offsets.

Run: python3 make.py   (standard library only; overwrites the files beside it)
"""

import os

HERE = os.path.dirname(os.path.abspath(__file__))
LICENCE = "  1 A toy dictionary for tests, part of this repository.\n  2 Licence: that of the repository.\n"

# pos -> [(key, type, [words], [(symbol, target key, target pos)], gloss)]
SYNSETS = {
    "noun": [
        ("thing", "n", ["thing"], [], "whatever there is"),
        ("vessel", "n", ["vessel", "Craft"], [("@", "thing", "n")], "it floats; \"the vessel sank\""),
        ("boat", "n", ["boat", "tub", "row_boat"], [("@", "vessel", "n")], "a small vessel"),
        ("bath", "n", ["tub", "bath"], [("@", "thing", "n")], "to wash in"),
        ("month", "n", ["May"], [("@i", "thing", "n")], "a name, always with a capital"),
        ("may", "n", ["may", "bloom"], [("@", "thing", "n")], "a white flower"),
        ("glass", "n", ["glass", "box"], [("@", "vessel", "n")], "to drink from"),
        ("man", "n", ["boatman", "sailor"], [("@", "thing", "n")], "who rows"),
        ("wolf", "n", ["wolf", "ax"], [("@", "thing", "n")], "irregular in the plural"),
        ("axis", "n", ["axis", "pole"], [("@", "thing", "n")], "the other singular of axes"),
    ],
    "verb": [
        ("go", "v", ["go", "travel", "move"], [], "to change place"),
        ("leave", "v", ["leave", "go", "part"], [("@", "go", "v")], "to go away"),
        ("stop", "v", ["stop", "halt"], [], "not to go on"),
        ("try", "v", ["try", "essay"], [], "to make an attempt"),
    ],
    "adj": [
        ("glad", "a", ["glad(p)", "happy"], [("&", "merry", "a")], "pleased"),
        ("merry", "s", ["merry", "gay"], [("&", "glad", "a")], "a satellite"),
        ("left", "a", ["left"], [], "not right"),
        ("big", "a", ["big", "large"], [], "of some size"),
    ],
    "adv": [
        ("well", "r", ["well", "good"], [], "in a good way"),
        ("fast", "r", ["fast", "quick"], [], "with speed"),
    ],
}
# The order of senses where it is not that of the synsets: the most frequent first.
SENSES = {("noun", "tub"): ["bath", "boat"]}
EXCEPTIONS = {
    "noun": ["axes ax axis", "wolves wolf"],
    "verb": ["gone go", "left leave", "stopped stop", "went go", "geese goose"],
    "adj": ["bigger big", "biggest big"],
    "adv": ["better well", "best well"],
}
LETTER = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def line(offset, entry, offsets, pos):
    _, kind, words, pointers, gloss = entry
    parts = ["%08d" % offset, "03", kind, "%02x" % len(words)]
    for word in words:
        parts += [word, "0"]
    parts.append("%03d" % len(pointers))
    for symbol, target, letter in pointers:
        parts += [symbol, "%08d" % offsets.get((letter, target), 0), letter, "0000"]
    if pos == "verb":
        parts += ["01", "+", "02", "00"]
    return " ".join(parts) + " | " + gloss + "  \n"


def main():
    offsets = {}
    for pos, entries in SYNSETS.items():
        at = len(LICENCE)
        for entry in entries:
            offsets[(LETTER[pos], entry[0])] = at
            at += len(line(at, entry, {}, pos))
    for pos, entries in SYNSETS.items():
        text = LICENCE
        for entry in entries:
            assert len(text) == offsets[(LETTER[pos], entry[0])]
            text += line(len(text), entry, offsets, pos)
        open(os.path.join(HERE, "data." + pos), "w", newline="\n").write(text)
        senses = {}
        for key, _, words, pointers, _ in entries:
            for word in words:
                senses.setdefault(word.split("(")[0].lower(), []).append((key, [p[0] for p in pointers]))
        text = LICENCE
        for lemma, found in sorted(senses.items()):
            order = SENSES.get((pos, lemma), [key for key, _ in found])
            symbols = sorted({symbol for _, all_symbols in found for symbol in all_symbols})
            parts = [lemma, LETTER[pos], str(len(order)), str(len(symbols)), *symbols, str(len(order)), "0"]
            parts += ["%08d" % offsets[(LETTER[pos], key)] for key in order]
            text += " ".join(parts) + "  \n"
        open(os.path.join(HERE, "index." + pos), "w", newline="\n").write(text)
        exceptions = "".join(e + "\n" for e in sorted(EXCEPTIONS[pos]))
        open(os.path.join(HERE, pos + ".exc"), "w", newline="\n").write(exceptions)


main()
