use super::*;
use fn_core::noise::{Stream, Use};
use proptest::prelude::*;
use std::io::Write;
use std::sync::Arc;

const DIMENSION: usize = 21;

/// A vocabulary of 300 words and some pieces that are none; the file has other words too, in another order.
struct Example {
    dir: tempfile::TempDir,
    pieces: Vec<String>,
    words: Vec<String>,
    rows: Vec<Vec<f32>>,
}

fn name(i: u64) -> String {
    let letters = |n: u64| char::from(b'a' + (n % 26) as u8);
    [letters(i / 676), letters(i / 26), letters(i)].iter().collect()
}

fn example() -> Example {
    let mut stream = Stream::new(3, 0, 0, Use::Test);
    let mut pieces: Vec<String> = ["[PAD]", "##ing", "12", "."].map(String::from).to_vec();
    pieces.extend((0..300).map(name));
    let mut words: Vec<String> = (0..400).map(name).collect();
    words.extend(["the1", "The", "##ing", "wörter"].map(String::from));
    stream.shuffle(&mut words);
    // Thirty directions with noise, so that there are neighbours; values that text can hold exactly.
    let centres: Vec<Vec<f32>> = (0..30)
        .map(|_| (0..DIMENSION).map(|_| step(&mut stream, 64)).collect())
        .collect();
    let rows = (0..words.len())
        .map(|i| {
            centres[i % 30]
                .iter()
                .map(|c| c + step(&mut stream, 24))
                .collect()
        })
        .collect();
    Example {
        dir: tempfile::tempdir().unwrap(),
        pieces,
        words,
        rows,
    }
}

fn step(stream: &mut Stream, range: u64) -> f32 {
    (stream.below(2 * range + 1) as f32 - range as f32) / 64.0
}

impl Example {
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn text(&self, header: bool) -> String {
        let mut text = if header {
            format!("{} {DIMENSION}\n", self.words.len())
        } else {
            String::new()
        };
        for (word, row) in self.words.iter().zip(&self.rows) {
            text.push_str(word);
            row.iter().for_each(|v| text.push_str(&format!(" {v}")));
            text.push_str(if header { " \r\n" } else { "\n" });
        }
        text
    }

    fn npy(&self, descr: &str, fortran: bool, version: u8) -> Vec<u8> {
        let mut header = format!(
            "{{'descr': '{descr}', 'fortran_order': {}, 'shape': ({}, {DIMENSION}), }}",
            if fortran { "True" } else { "False" },
            self.rows.len()
        );
        while !(header.len() + 13).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        let mut put = |v: f32| match descr {
            "<f4" => bytes.extend(v.to_le_bytes()),
            ">f4" => bytes.extend(v.to_be_bytes()),
            "<f8" => bytes.extend(f64::from(v).to_le_bytes()),
            ">f8" => bytes.extend(f64::from(v).to_be_bytes()),
            _ => bytes.extend(half::f16::from_f32(v).to_le_bytes()),
        };
        if fortran {
            (0..DIMENSION).for_each(|c| self.rows.iter().for_each(|row| put(row[c])));
        } else {
            self.rows.iter().flatten().for_each(|v| put(*v));
        }
        bytes
    }

    fn safetensors(&self) -> Vec<u8> {
        let data: Vec<u8> = self.rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
        let shape = vec![self.rows.len(), DIMENSION];
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &data).unwrap();
        let extra =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2], &data[..8]).unwrap();
        safetensors::serialize([("vectors", view), ("a", extra)], None).unwrap()
    }

    fn words_txt(&self) -> PathBuf {
        let lines: Vec<String> = self.words.iter().map(|w| format!("{w}\t17")).collect();
        self.write("words.txt", (lines.join("\n") + "\n").as_bytes())
    }

    /// Snappy, with or without a column that says in which row the word stands (then the words are sorted).
    fn words_parquet(&self, indexed: bool) -> PathBuf {
        use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
        let schema = if indexed {
            "message m { required binary word (UTF8); required int64 idx; }"
        } else {
            "message m { required binary word (UTF8); }"
        };
        let schema = Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
        let properties = parquet::file::properties::WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .build();
        let mut all: Vec<(&str, i64)> = self
            .words
            .iter()
            .enumerate()
            .map(|(i, w)| (w.as_str(), i as i64))
            .collect();
        if indexed {
            all.sort_unstable();
        }
        let mut bytes = Vec::new();
        let mut writer =
            parquet::file::writer::SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties))
                .unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts: Vec<ByteArray> = all.iter().map(|(w, _)| ByteArray::from(*w)).collect();
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, None, None)
            .unwrap();
        column.close().unwrap();
        if indexed {
            let mut column = group.next_column().unwrap().unwrap();
            let rows: Vec<i64> = all.iter().map(|(_, i)| *i).collect();
            column
                .typed::<Int64Type>()
                .write_batch(&rows, None, None)
                .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        self.write(
            if indexed {
                "indexed.parquet"
            } else {
                "words.parquet"
            },
            &bytes,
        )
    }

    fn open(&self, path: &Path, words: Option<&Path>) -> Result<WordVectors, VectorError> {
        WordVectors::open(path, words, None, &self.pieces)
    }

    fn text_error(&self, text: &str) -> String {
        self.open(&self.write("broken.txt", text.as_bytes()), None)
            .unwrap_err()
            .to_string()
    }

    fn npy_error(&self, bytes: &[u8]) -> String {
        self.open(&self.write("broken.npy", bytes), Some(&self.words_txt()))
            .unwrap_err()
            .to_string()
    }
}

#[test]
fn all_formats_give_the_same_vectors() {
    let e = example();
    let expected = e
        .open(&e.write("plain.txt", e.text(false).as_bytes()), None)
        .unwrap();
    assert_eq!(
        (expected.len(), expected.dimension(), expected.rows()),
        (300, DIMENSION, 404)
    );
    let header = e
        .open(&e.write("word2vec.vec", e.text(true).as_bytes()), None)
        .unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(e.text(false).as_bytes()).unwrap();
    let gz = e
        .open(&e.write("plain.txt.gz", &packed.finish().unwrap()), None)
        .unwrap();
    let txt = e.words_txt();
    let mut all = vec![header, gz];
    for (i, (descr, fortran, version)) in [
        ("<f4", false, 1),
        ("<f4", true, 1),
        ("<f8", false, 2),
        ("<f8", true, 3),
        (">f4", false, 1),
        (">f8", true, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let path = e.write(&format!("{i}.npy"), &e.npy(descr, fortran, version));
        all.push(e.open(&path, Some(&txt)).unwrap());
        all.push(e.open(&path, Some(&e.words_parquet(i % 2 == 0))).unwrap());
    }
    // These values fit into 16 bits.
    all.push(
        e.open(&e.write("half.npy", &e.npy("<f2", false, 1)), Some(&txt))
            .unwrap(),
    );
    let path = e.write("v.safetensors", &e.safetensors());
    all.push(e.open(&path, Some(&txt)).unwrap());
    all.push(WordVectors::open(&path, Some(&txt), Some("vectors"), &e.pieces).unwrap());
    for (i, mut vectors) in all.into_iter().enumerate() {
        vectors.source = expected.source.clone();
        assert_eq!(vectors, expected, "format {i}");
    }
}

#[test]
fn neighbours_are_those_of_a_search_by_brute_force() {
    let e = example();
    let vectors = e
        .open(&e.write("plain.txt", e.text(false).as_bytes()), None)
        .unwrap();
    let direction = |word: &str| -> Vec<f64> {
        let row = &e.rows[e.words.iter().position(|w| w == word).unwrap()];
        row.iter().map(|v| f64::from(*v)).collect()
    };
    let cosine = |a: &[f64], b: &[f64]| -> f64 {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(p, q)| p * q).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let found = vectors.neighbours(5, 0.7);
    assert_eq!(found.len(), 300);
    let mut entries = 0;
    for (w, near) in found {
        let own = direction(&e.pieces[w as usize]);
        let mut expected: Vec<(f64, u32)> = (4..304u32)
            .filter(|r| *r != w)
            .map(|r| (cosine(&own, &direction(&e.pieces[r as usize])), r))
            .filter(|(c, _)| *c >= 0.7)
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        expected.truncate(5);
        let ids = |n: &[(u32, f32)]| n.iter().map(|(r, _)| *r).collect::<Vec<_>>();
        assert_eq!(
            ids(&near),
            expected.iter().map(|(_, r)| *r).collect::<Vec<_>>(),
            "{}",
            e.pieces[w as usize]
        );
        assert!(
            near.iter()
                .zip(&expected)
                .all(|(a, b)| (f64::from(a.1) - b.0).abs() < 1e-5)
        );
        entries += near.len();
    }
    assert!(entries > 600, "{entries}");
}

#[test]
fn the_lexicon_keeps_to_its_options() {
    let e = example();
    let vectors = e
        .open(&e.write("plain.txt", e.text(false).as_bytes()), None)
        .unwrap();
    let build = |options: VectorOptions| build_vector_lexicon(&vectors, &e.pieces, "sha", &options);
    let lexicon = build(VectorOptions {
        top_k: 3,
        threshold: 0.7,
        ..Default::default()
    })
    .unwrap();
    assert_eq!(lexicon.width(), 3);
    assert!(
        lexicon
            .rows()
            .all(|(w, row)| w >= 4 && row.iter().all(|r| *r >= 4 && *r != w))
    );
    let closed = build(VectorOptions {
        top_k: 3,
        threshold: 0.7,
        symmetric: true,
        ..Default::default()
    })
    .unwrap();
    assert_eq!(closed.fingerprint(), lexicon.symmetric().fingerprint());
    assert!(
        build(VectorOptions {
            threshold: 1.0,
            ..Default::default()
        })
        .unwrap()
        .entries()
            < 10
    );
    assert_eq!(
        build(VectorOptions {
            min_length: 4,
            ..Default::default()
        })
        .unwrap()
        .entries(),
        0
    );
    for bad in [
        VectorOptions {
            top_k: 0,
            ..Default::default()
        },
        VectorOptions {
            threshold: f64::NAN,
            ..Default::default()
        },
    ] {
        assert!(matches!(build(bad).unwrap_err(), VectorError::Option { .. }));
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let e = example();
    let vectors = e
        .open(&e.write("plain.txt", e.text(false).as_bytes()), None)
        .unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| vectors.neighbours(8, 0.5))
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn a_damaged_text_file_is_an_error_with_its_line() {
    let e = example();
    let m = e.text_error("aaa 1 2 3\naab 1 2\n");
    assert!(m.contains("broken.txt:2: found 2 values, expected 3"), "{m}");
    let m = e.text_error("aaa 1 2 3\naab 1 2 3 4\n");
    assert!(m.contains("broken.txt:2: found 4 values, expected 3"), "{m}");
    let m = e.text_error("2 3\naaa 1 2 3\n");
    assert!(m.contains("found 1 vectors, expected 2"), "{m}");
    let m = e.text_error("1 4\naaa 1 2 3\n");
    assert!(m.contains("broken.txt:2: found 3 values, expected 4"), "{m}");
    let m = e.text_error("aaa 1 x 3\n");
    assert!(m.contains("broken.txt:1: value 2 is \"x\""), "{m}");
    let m = e.text_error("aaa 1 2 3\naab 1 NaN 3\n");
    assert!(m.contains("row 2 (word \"aab\"): value 2 is NaN"), "{m}");
    let m = e.text_error("aaa 1 2 1e60\n");
    assert!(m.contains("value 3 is inf"), "{m}");
    for nothing in ["", "\n\n"] {
        let m = e.text_error(nothing);
        assert!(m.contains("found 0 vectors"), "{m}");
    }
    let m = e.text_error("Haus 1 2 3\nBaum 3 2 1\n");
    assert!(m.contains("none of its 2 words"), "{m}");
    let m = e.text_error("word\n");
    assert!(m.contains("found 0 values"), "{m}");
    let m = e.text_error("5 0\n");
    assert!(m.contains("dimension 0"), "{m}");
    let m = e.text_error(&"9".repeat((1 << 20) + 1));
    assert!(m.contains("broken.txt:1: the line is longer"), "{m}");
    let m = e
        .open(&e.write("broken.txt", b"aaa 1 2\na\xffb 1 2\n"), None)
        .unwrap_err()
        .to_string();
    assert!(m.contains("broken.txt:2: not UTF-8"), "{m}");
}

#[test]
fn words_with_blanks_are_passed_over_and_the_first_vector_of_a_word_counts() {
    let e = example();
    let text = "aaa 1 0 0\n. . . 0 1 0\nat name 1 2 3\naaa 0 0 1\naab 1 0 0\n";
    let vectors = e.open(&e.write("blanks.txt", text.as_bytes()), None).unwrap();
    assert_eq!((vectors.len(), vectors.rows()), (2, 5));
    assert_eq!(vectors.neighbours(1, 0.99)[0].1, [(5, 1.0)]);
}

#[test]
fn a_word_without_direction_has_no_neighbours_and_huge_values_do_not_overflow() {
    let e = example();
    let text = "aaa 0 0\naab 1e30 1e30\naac 1e-30 1e-30\n";
    let vectors = e.open(&e.write("scale.txt", text.as_bytes()), None).unwrap();
    assert_eq!(vectors.len(), 2);
    let near = vectors.neighbours(3, 0.9);
    assert_eq!((near[0].0, near[0].1.len()), (5, 1));
    assert!((near[0].1[0].1 - 1.0).abs() < 1e-6);
}

#[test]
fn a_damaged_npy_file_is_an_error() {
    let e = example();
    let good = e.npy("<f4", false, 1);
    let start = good.iter().position(|b| *b == b'\n').unwrap() + 1;
    let m = e.npy_error(&good[..good.len() - 4]);
    assert!(m.contains("bytes of values") && m.contains("expected"), "{m}");
    let m = e.npy_error(&[&good[..], &[0; 4]].concat());
    assert!(m.contains("bytes of values"), "{m}");
    let edit = |from: &str, to: &str| {
        let header = String::from_utf8_lossy(&good[10..start]).replace(from, to);
        [
            &good[..8],
            &(header.len() as u16).to_le_bytes(),
            header.as_bytes(),
            &good[start..],
        ]
        .concat()
    };
    for (from, to, message) in [
        ("<f4", "<i4", "descr \"<i4\""),
        ("<f4", "|O", "descr \"|O\""),
        ("404, 21", "404", "shape [404]"),
        ("404, 21", "0, 21", "shape [0, 21]"),
        ("404, 21", "99999999999999999999, 21", "no shape"),
        ("404, 21", "268435456, 65536", "bytes of values"),
        ("404, 21", "403, 21", "bytes of values"),
        ("fortran_order", "order", "fortran_order"),
    ] {
        let m = e.npy_error(&edit(from, to));
        assert!(m.contains(message), "{to}: {m}");
    }
    let mut bad = good.clone();
    bad[0] = 0;
    assert!(e.npy_error(&bad).contains("magic bytes"));
    bad = good.clone();
    bad[6] = 9;
    assert!(e.npy_error(&bad).contains("format version 9"));
    assert!(e.npy_error(b"").contains("broken.npy"));
    let big = [b"\x93NUMPY\x02\x00".as_slice(), &u32::MAX.to_le_bytes()].concat();
    assert!(e.npy_error(&big).contains("a header of 4294967295 bytes"));
    // A value that is no number, in a row that is wanted.
    bad = good;
    let row = e
        .words
        .iter()
        .position(|w| e.pieces.contains(w) && w.len() == 3)
        .unwrap();
    let at = start + 4 * (row * DIMENSION + 2);
    bad[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let m = e.npy_error(&bad);
    assert!(
        m.contains(&format!("row {}", row + 1)) && m.contains("value 3 is NaN"),
        "{m}"
    );
}

#[test]
fn matrices_need_words_and_as_many_as_rows() {
    let e = example();
    let path = e.write("v.npy", &e.npy("<f4", false, 1));
    assert!(matches!(
        e.open(&path, None).unwrap_err(),
        VectorError::WordsMissing { .. }
    ));
    let few = e.write("few.txt", b"aaa\naab\n");
    let m = e.open(&path, Some(&few)).unwrap_err().to_string();
    assert!(m.contains("few.txt: found 2 words, expected 404"), "{m}");
    let no_parquet = e.write("no.parquet", b"PAR1 this is no parquet file PAR1");
    assert!(matches!(
        e.open(&path, Some(&no_parquet)).unwrap_err(),
        VectorError::Parquet { .. }
    ));
    let m = e.open(&e.write("v.bin", b""), None).unwrap_err().to_string();
    assert!(m.contains("unknown format"), "{m}");
    let m = e.open(Path::new("absent.txt"), None).unwrap_err().to_string();
    assert!(m.contains("absent.txt"), "{m}");
}

#[test]
fn a_damaged_safetensors_file_is_an_error() {
    let e = example();
    let words = e.words_txt();
    let good = e.safetensors();
    let of = |bytes: &[u8], tensor: Option<&str>| {
        WordVectors::open(&e.write("b.safetensors", bytes), Some(&words), tensor, &e.pieces)
            .unwrap_err()
            .to_string()
    };
    assert!(of(&good[..good.len() - 1], None).contains("data_offsets"));
    assert!(of(&good[..7], None).contains("b.safetensors"));
    assert!(of(&good, Some("none")).contains("0 tensors"));
    assert!(of(&good, Some("a")).contains("shape [2]"));
    let header = |json: &str| [&(json.len() as u64).to_le_bytes(), json.as_bytes(), &[0; 64]].concat();
    for (json, message) in [
        ("[]", "JSON object"),
        (
            r#"{"v":{"dtype":"I64","shape":[2,3],"data_offsets":[0,48]}}"#,
            "dtype I64",
        ),
        (
            r#"{"v":{"dtype":"F32","shape":[2,3],"data_offsets":[0,48]}}"#,
            "bytes of values",
        ),
        (
            r#"{"v":{"dtype":"F32","shape":[2,3],"data_offsets":[24,0]}}"#,
            "within the file",
        ),
        (
            r#"{"v":{"dtype":"F32","shape":[2,3],"data_offsets":[18446744073709551600,18446744073709551615]}}"#,
            "within",
        ),
        (
            r#"{"v":{"dtype":"F32","shape":[18446744073709551615,3],"data_offsets":[0,24]}}"#,
            "shape",
        ),
        (r#"{"v":{"shape":[2,3]}}"#, "dtype"),
    ] {
        let m = of(&header(json), None);
        assert!(m.contains(message), "{json}: {m}");
    }
    assert!(of(&u64::MAX.to_le_bytes(), None).contains("a header of"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "([a-z0-9.eE+-]{1,4}[ \n]){0,40}") {
        let pieces = ["a", "b", "e"];
        let mut collector = Collector::new(&pieces);
        let _ = text::read(Path::new("x"), text.as_bytes(), &mut collector);
    }

    #[test]
    fn flipped_bytes_in_headers_never_panic(kind in 0usize..3, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let e = example();
        let (mut bytes, name) = match kind {
            0 => (e.npy("<f4", true, 1), "f.npy"),
            1 => (e.safetensors(), "f.safetensors"),
            _ => (std::fs::read(e.words_parquet(true)).unwrap(), "w.parquet"),
        };
        // Headers at the beginning; Parquet's is at the end.
        let place = at.index(bytes.len().min(160));
        let place = if kind == 2 { bytes.len() - 1 - place } else { place };
        bytes[place] = byte;
        let path = e.write(name, &bytes);
        if kind == 2 {
            let matrix = e.write("g.npy", &e.npy("<f4", false, 1));
            let _ = e.open(&matrix, Some(&path));
        } else {
            let _ = e.open(&path, Some(&e.words_txt()));
        }
    }
}
