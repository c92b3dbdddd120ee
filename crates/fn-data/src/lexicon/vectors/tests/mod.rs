mod damaged;

use super::*;
use fn_core::noise::{Stream, Use};
use std::io::Write;
use std::sync::Arc;

const DIMENSION: usize = 21;

/// A vocabulary of 300 words and some pieces that are not words; the file also has other words, in another order.
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
    let centres: Vec<Vec<f32>> =
        (0..30).map(|_| (0..DIMENSION).map(|_| step(&mut stream, 64)).collect()).collect();
    let rows = (0..words.len())
        .map(|i| centres[i % 30].iter().map(|c| c + step(&mut stream, 24)).collect())
        .collect();
    Example { dir: tempfile::tempdir().unwrap(), pieces, words, rows }
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
        let mut text = if header { format!("{} {DIMENSION}\n", self.words.len()) } else { String::new() };
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

    /// A Parquet file with Snappy compression, with or without a column of row numbers (with it, the words are sorted).
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
        let mut all: Vec<(&str, i64)> =
            self.words.iter().enumerate().map(|(i, w)| (w.as_str(), i as i64)).collect();
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
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        if indexed {
            let mut column = group.next_column().unwrap().unwrap();
            let rows: Vec<i64> = all.iter().map(|(_, i)| *i).collect();
            column.typed::<Int64Type>().write_batch(&rows, None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        self.write(if indexed { "indexed.parquet" } else { "words.parquet" }, &bytes)
    }

    fn open(&self, path: &Path, words: Option<&Path>) -> Result<WordVectors, VectorError> {
        WordVectors::open(path, words, None, &self.pieces)
    }

    fn text_error(&self, text: &str) -> String {
        self.open(&self.write("broken.txt", text.as_bytes()), None).unwrap_err().to_string()
    }

    fn npy_error(&self, bytes: &[u8]) -> String {
        self.open(&self.write("broken.npy", bytes), Some(&self.words_txt())).unwrap_err().to_string()
    }
}

#[test]
fn all_formats_give_the_same_vectors() {
    let e = example();
    let expected = e.open(&e.write("plain.txt", e.text(false).as_bytes()), None).unwrap();
    assert_eq!((expected.len(), expected.dimension(), expected.rows()), (300, DIMENSION, 404));
    let header = e.open(&e.write("word2vec.vec", e.text(true).as_bytes()), None).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(e.text(false).as_bytes()).unwrap();
    let gz = e.open(&e.write("plain.txt.gz", &packed.finish().unwrap()), None).unwrap();
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
    all.push(e.open(&e.write("half.npy", &e.npy("<f2", false, 1)), Some(&txt)).unwrap());
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
    let vectors = e.open(&e.write("plain.txt", e.text(false).as_bytes()), None).unwrap();
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
        assert!(near.iter().zip(&expected).all(|(a, b)| (f64::from(a.1) - b.0).abs() < 1e-5));
        entries += near.len();
    }
    assert!(entries > 600, "{entries}");
}

#[test]
fn the_lexicon_respects_its_options() {
    let e = example();
    let vectors = e.open(&e.write("plain.txt", e.text(false).as_bytes()), None).unwrap();
    let build = |options: VectorOptions| build_vector_lexicon(&vectors, &e.pieces, "sha", &options);
    let lexicon = build(VectorOptions { top_k: 3, threshold: 0.7, ..Default::default() }).unwrap();
    assert_eq!(lexicon.width(), 3);
    assert!(lexicon.rows().all(|(w, row)| w >= 4 && row.iter().all(|r| *r >= 4 && *r != w)));
    let closed =
        build(VectorOptions { top_k: 3, threshold: 0.7, symmetric: true, ..Default::default() }).unwrap();
    assert_eq!(closed.fingerprint(), lexicon.symmetric().fingerprint());
    assert!(build(VectorOptions { threshold: 1.0, ..Default::default() }).unwrap().entries() < 10);
    assert_eq!(build(VectorOptions { min_length: 4, ..Default::default() }).unwrap().entries(), 0);
    for bad in [
        VectorOptions { top_k: 0, ..Default::default() },
        VectorOptions { threshold: f64::NAN, ..Default::default() },
    ] {
        assert!(matches!(build(bad).unwrap_err(), VectorError::Option { .. }));
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let e = example();
    let vectors = e.open(&e.write("plain.txt", e.text(false).as_bytes()), None).unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| vectors.neighbours(8, 0.5))
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn words_with_blanks_are_skipped_and_the_first_vector_of_a_word_is_used() {
    let e = example();
    let text = "aaa 1 0 0\n. . . 0 1 0\nat name 1 2 3\naaa 0 0 1\naab 1 0 0\n";
    let vectors = e.open(&e.write("blanks.txt", text.as_bytes()), None).unwrap();
    assert_eq!((vectors.len(), vectors.rows()), (2, 5));
    assert_eq!(vectors.neighbours(1, 0.99)[0].1, [(5, 1.0)]);
}

#[test]
fn a_zero_vector_has_no_neighbours_and_huge_values_do_not_overflow() {
    let e = example();
    let text = "aaa 0 0\naab 1e30 1e30\naac 1e-30 1e-30\n";
    let vectors = e.open(&e.write("scale.txt", text.as_bytes()), None).unwrap();
    assert_eq!(vectors.len(), 2);
    let near = vectors.neighbours(3, 0.9);
    assert_eq!((near[0].0, near[0].1.len()), (5, 1));
    assert!((near[0].1[0].1 - 1.0).abs() < 1e-6);
}
