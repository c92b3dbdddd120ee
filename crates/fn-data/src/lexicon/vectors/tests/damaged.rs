use super::*;
use proptest::prelude::*;

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
    let m = e.open(&e.write("broken.txt", b"aaa 1 2\na\xffb 1 2\n"), None).unwrap_err().to_string();
    assert!(m.contains("broken.txt:2: not UTF-8"), "{m}");
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
        [&good[..8], &(header.len() as u16).to_le_bytes(), header.as_bytes(), &good[start..]].concat()
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
    let row = e.words.iter().position(|w| e.pieces.contains(w) && w.len() == 3).unwrap();
    let at = start + 4 * (row * DIMENSION + 2);
    bad[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let m = e.npy_error(&bad);
    assert!(m.contains(&format!("row {}", row + 1)) && m.contains("value 3 is NaN"), "{m}");
}

#[test]
fn matrices_need_words_and_as_many_as_rows() {
    let e = example();
    let path = e.write("v.npy", &e.npy("<f4", false, 1));
    assert!(matches!(e.open(&path, None).unwrap_err(), VectorError::WordsMissing { .. }));
    let few = e.write("few.txt", b"aaa\naab\n");
    let m = e.open(&path, Some(&few)).unwrap_err().to_string();
    assert!(m.contains("few.txt: found 2 words, expected 404"), "{m}");
    let no_parquet = e.write("no.parquet", b"PAR1 this is no parquet file PAR1");
    assert!(matches!(e.open(&path, Some(&no_parquet)).unwrap_err(), VectorError::Parquet { .. }));
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
        (r#"{"v":{"dtype":"I64","shape":[2,3],"data_offsets":[0,48]}}"#, "dtype I64"),
        (r#"{"v":{"dtype":"F32","shape":[2,3],"data_offsets":[0,48]}}"#, "bytes of values"),
        (r#"{"v":{"dtype":"F32","shape":[2,3],"data_offsets":[24,0]}}"#, "within the file"),
        (
            r#"{"v":{"dtype":"F32","shape":[2,3],"data_offsets":[18446744073709551600,18446744073709551615]}}"#,
            "within",
        ),
        (r#"{"v":{"dtype":"F32","shape":[18446744073709551615,3],"data_offsets":[0,24]}}"#, "shape"),
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
