use std::io::Write;
use std::sync::Arc;

use super::*;

mod inputs;

const TEXT: &str = "one\ntwo\n\n\nthree é\n \nfour";

fn texts(paths: &[PathBuf]) -> Result<Vec<String>, DataError> {
    Sources::open(paths, &SourceOptions::default())?.map(|d| d.map(|d| d.text)).collect()
}

fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn parquet_file(path: &Path, texts: &[&str]) {
    use ::parquet::data_type::{ByteArray, ByteArrayType};
    let schema = ::parquet::schema::parser::parse_message_type(
        "message m { REQUIRED INT64 id; REQUIRED BYTE_ARRAY text (UTF8); }",
    )
    .unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer =
        ::parquet::file::writer::SerializedFileWriter::new(file, Arc::new(schema), Default::default())
            .unwrap();
    for chunk in texts.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let ids: Vec<i64> = (0..chunk.len() as i64).collect();
        column.typed::<::parquet::data_type::Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = chunk.iter().map(|t| ByteArray::from(*t)).collect();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn every_format_gives_the_same_documents() {
    let dir = tempfile::tempdir().unwrap();
    let expected = ["one\ntwo", "three é", "four"];
    let json: String =
        expected.iter().map(|t| format!("{}\n", serde_json::json!({"n": 1, "text": t}))).collect();
    let table = dir.path().join("a.parquet");
    parquet_file(&table, &expected);
    let table_bytes = std::fs::read(&table).unwrap();
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let paths = [
        file(&dir, "a.txt", TEXT.as_bytes()),
        file(&dir, "windows.txt", format!("\u{feff}{}", TEXT.replace('\n', "\r\n")).as_bytes()),
        file(&dir, "a.txt.gz", &gz(TEXT.as_bytes())),
        file(&dir, "a.txt.zst", &zst(TEXT.as_bytes())),
        file(&dir, "a.txt.xz", &xz(TEXT.as_bytes())),
        file(&dir, "a.jsonl", json.as_bytes()),
        file(&dir, "a.jsonl.gz", &gz(json.as_bytes())),
        table,
        file(&dir, "b.parquet.zst", &zst(&table_bytes)),
    ];
    for path in paths {
        assert_eq!(texts(std::slice::from_ref(&path)).unwrap(), expected, "{}", path.display());
    }
}

#[test]
fn folders_are_walked_in_the_order_of_names_and_other_files_ignored() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("b")).unwrap();
    file(&dir, "c.txt", b"3");
    file(&dir, "a.txt", b"1");
    file(&dir, "b/x.txt", b"2");
    file(&dir, "picture.png", b"\xff");
    assert_eq!(texts(&[dir.path().to_owned()]).unwrap(), ["1", "2", "3"]);
}

#[test]
fn cut_compressed_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let long: String = (0..20_000u32).map(|i| format!("{}\n", i.wrapping_mul(2_654_435_761))).collect();
    for (name, bytes) in [
        ("a.txt.gz", gz(long.as_bytes())),
        ("a.txt.zst", zstd::encode_all(long.as_bytes(), 1).unwrap()),
        ("a.txt.xz", xz(long.as_bytes())),
    ] {
        for keep in [bytes.len() / 2, bytes.len() - 1, 20] {
            let path = file(&dir, name, &bytes[..keep]);
            let error = texts(&[path]).unwrap_err();
            assert!(matches!(error, DataError::Truncated { .. }), "{name} cut at {keep}: {error}");
        }
        let path = file(&dir, name, b"no compressed data at all");
        assert!(
            matches!(texts(&[path]).unwrap_err(), DataError::Truncated { .. } | DataError::Io { .. }),
            "{name}"
        );
    }
}

#[test]
fn bad_input_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let message = |path: PathBuf| texts(&[path]).unwrap_err().to_string();
    assert!(message(file(&dir, "a.txt", b"fine\nbad \xff\n")).contains("a.txt: line 2"));
    assert!(message(file(&dir, "e.txt", b" \n\n")).contains("e.txt: contains no text"));
    assert!(message(file(&dir, "a.jsonl", b"{\"text\":\"x\"}\n{\"text\":")).contains("line 2"));
    assert!(message(file(&dir, "b.jsonl", b"{\"body\":\"x\"}")).contains("no field `text`"));
    assert!(message(file(&dir, "c.jsonl", b"[1]")).contains("not an object"));
    assert!(message(file(&dir, "a.doc", b"x")).contains("not read"));
    assert!(message(file(&dir, "a.parquet", b"PAR1 nothing PAR1")).contains("a.parquet"));
    assert!(message(dir.path().join("gone.txt")).contains("no such file"));
    let table = dir.path().join("t.parquet");
    parquet_file(&table, &["x"]);
    let options = SourceOptions { parquet_column: "body".into(), ..SourceOptions::default() };
    let error = Sources::open(&[table], &options).unwrap().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("id, text") && error.contains("body"), "{error}");
}

#[test]
fn a_line_that_never_ends_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.txt", &vec![b'x'; lines::MAX_LINE as usize + 2]);
    assert!(matches!(texts(&[path]).unwrap_err(), DataError::LineTooLong { line: 1, .. }));
}

#[test]
fn long_documents_are_cut_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let line = "x".repeat(1 << 10) + "\n";
    let text = line.repeat(9 << 10);
    let path = file(&dir, "a.txt", text.as_bytes());
    let mut sources = Sources::open(&[path], &SourceOptions::default()).unwrap();
    let kept: usize = (&mut sources).map(|d| d.unwrap().text.lines().count()).sum();
    assert_eq!(kept, 9 << 10);
    assert_eq!(sources.split_documents(), 2);
    let json = file(&dir, "a.jsonl", format!("{}\n", serde_json::json!({"text": text})).as_bytes());
    let documents = texts(&[json]).unwrap();
    assert_eq!(documents.iter().map(|d| d.lines().count()).sum::<usize>(), 9 << 10);
    assert!(documents.iter().all(|d| d.len() <= MAX_DOCUMENT));
}

#[test]
fn a_damaged_table_is_an_error_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("a.parquet");
    parquet_file(&table, &["one", "two", "three", "four", "five"]);
    let good = std::fs::read(&table).unwrap();
    for at in (0..good.len()).step_by(3) {
        for bad in [0x01, 0xff].map(|flip| good[at] ^ flip) {
            let mut bytes = good.clone();
            bytes[at] = bad;
            // Pages have no checksums, so damaged text may be read; but nothing may panic.
            let _ = texts(&[file(&dir, "b.parquet", &bytes)]);
        }
        assert!(texts(&[file(&dir, "b.parquet", &good[..at])]).is_err(), "cut at {at}");
    }
}

#[test]
fn rows_of_a_table_that_hold_no_text_are_skipped_or_named() {
    use ::parquet::data_type::{ByteArray, ByteArrayType};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let write = |values: &[&[u8]], levels: &[i16]| {
        let schema =
            ::parquet::schema::parser::parse_message_type("message m { OPTIONAL BYTE_ARRAY text; }").unwrap();
        let out = std::fs::File::create(&path).unwrap();
        let mut writer =
            ::parquet::file::writer::SerializedFileWriter::new(out, Arc::new(schema), Default::default())
                .unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = values.iter().map(|v| ByteArray::from(v.to_vec())).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    };
    write(&[b"one", b" ", b"two"], &[0, 1, 0, 1, 1]);
    assert_eq!(texts(std::slice::from_ref(&path)).unwrap(), ["one", "two"]);
    write(&[b"one", b"\xff"], &[1, 0, 1]);
    assert!(texts(std::slice::from_ref(&path)).unwrap_err().to_string().contains("row 3 is not UTF-8"));
    let options = SourceOptions { parquet_column: "id".into(), ..SourceOptions::default() };
    parquet_file(&path, &["x"]);
    let error = Sources::open(std::slice::from_ref(&path), &options)
        .unwrap()
        .next()
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(error.contains("INT64"), "{error}");
    let many: Vec<String> = (0..500).map(|i| format!("text {i}")).collect();
    write(&many.iter().map(|t| t.as_bytes()).collect::<Vec<_>>(), &[1; 500]);
    assert_eq!(texts(&[path]).unwrap(), many);
}

#[cfg(unix)]
#[test]
fn links_in_a_folder_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("links")).unwrap();
    let real = file(&dir, "real.txt", b"1");
    std::os::unix::fs::symlink(real, dir.path().join("links/a.txt")).unwrap();
    assert_eq!(texts(&[dir.path().join("links")]).unwrap(), ["1"]);
}

#[test]
fn an_error_of_the_operating_system_is_not_reported_as_a_damaged_file() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5)) // EIO
        }
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(compressed::open(dir.path(), &Counters::default()), Err(DataError::Io { .. })));
    let line = lines::Lines::new(dir.path(), Box::new(std::io::BufReader::new(Broken))).next();
    assert!(matches!(line, Some(Err(DataError::Io { .. }))));
}

#[test]
fn a_stop_ends_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.txt", TEXT.as_bytes());
    let options = SourceOptions::default();
    let mut sources = Sources::open(&[path], &options).unwrap();
    assert!(sources.next().unwrap().is_ok());
    options.stop.store(true, Ordering::Relaxed);
    assert!(matches!(sources.next(), Some(Err(DataError::Stopped))));
    assert!(sources.next().is_none());
}

#[test]
fn progress_counts_compressed_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let packed = gz(TEXT.as_bytes());
    let path = file(&dir, "a.txt.gz", &packed);
    let mut sources = Sources::open(&[path], &SourceOptions::default()).unwrap();
    assert_eq!(sources.total_bytes(), Some(packed.len() as u64));
    assert_eq!((&mut sources).count(), 3);
    assert_eq!(sources.bytes_read(), packed.len() as u64);
}
