//! Tests of files without an extension, hidden files, other encodings, and bad lines.

use super::*;
use crate::source::{LeftOut, OnBadLine};

fn skip() -> SourceOptions {
    SourceOptions { on_bad_line: OnBadLine::Skip, ..SourceOptions::default() }
}

/// The documents read with these options, and the number of skipped lines.
fn read(path: &Path, options: &SourceOptions) -> Result<(Vec<String>, u64), DataError> {
    let mut sources = Sources::open(&[path.to_owned()], options)?;
    let texts = (&mut sources).map(|d| d.map(|d| d.text)).collect::<Result<_, _>>()?;
    Ok((texts, sources.bad_lines()))
}

fn with_field(field: &str) -> SourceOptions {
    SourceOptions { json_field: field.into(), parquet_column: field.into(), ..SourceOptions::default() }
}

#[test]
fn files_without_an_extension_are_read_if_they_hold_text_and_others_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("AA/.git")).unwrap();
    let mut cut = vec![b'x'; 8191];
    cut.extend("é\n".as_bytes());
    file(&dir, "AA/wiki_00", b"zero");
    file(&dir, "AA/wiki_01.gz", &gz(b"one"));
    file(&dir, "AA/wiki_02", &cut);
    file(&dir, "AA/wiki_03", &[0xff, 0xfe, b'3', 0]);
    file(&dir, "AA/binary", b"\x7fELF\0\0");
    file(&dir, "AA/latin", b"caf\xe9");
    file(&dir, "AA/readme.md", b"# no");
    file(&dir, "AA/._wiki_00", b"\0\x05\x16\x07");
    file(&dir, "AA/._a.txt", b"\0\x05\x16\x07");
    file(&dir, "AA/.hidden.txt", b"no");
    file(&dir, "AA/.git/config.txt", b"no");
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", dir.path().join("AA/link")).unwrap();
    let sources = Sources::open(&[dir.path().to_owned()], &SourceOptions::default()).unwrap();
    let left_out: Vec<String> = sources
        .left_out()
        .iter()
        .map(|LeftOut { path, reason }| format!("{}: {reason}", path.file_name().unwrap().to_string_lossy()))
        .collect();
    let texts: Vec<String> = sources.map(|d| d.unwrap().text).collect();
    assert_eq!(texts.len(), 4);
    assert_eq!(
        (texts[0].as_str(), texts[1].as_str(), texts[2].len(), texts[3].as_str()),
        ("zero", "one", 8193, "3")
    );
    let mut expected =
        vec![("binary", "are not text"), ("latin", "are not text"), ("readme.md", ".md are not read")];
    if cfg!(unix) {
        expected.insert(2, ("link", "is a broken link"));
    }
    assert_eq!(left_out.len(), expected.len(), "{left_out:?}");
    for (found, (name, reason)) in left_out.iter().zip(expected) {
        assert!(found.starts_with(name) && found.contains(reason), "{found}");
    }
}

#[test]
fn a_file_named_by_the_user_is_read_or_its_error_states_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(texts(&[file(&dir, "wiki_00", b"zero")]).unwrap(), ["zero"]);
    assert_eq!(texts(&[file(&dir, ".hidden.txt", b"named")]).unwrap(), ["named"]);
    let error = |path: PathBuf| texts(&[path]).unwrap_err().to_string();
    assert!(error(file(&dir, "a.md", b"x")).contains("end in .md"));
    assert!(error(file(&dir, "binary", b"\0")).contains("are not text"));
    std::fs::create_dir(dir.path().join("only")).unwrap();
    file(&dir, "only/a.md", b"x");
    assert!(error(dir.path().join("only")).contains("a.md: files that end in .md"));
    #[cfg(unix)]
    assert!(error("/dev/null".into()).contains("standard input"));
}

#[test]
fn utf_16_with_a_byte_order_mark_is_read_in_all_formats() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("one é\r\ntwo 𝄞 日本\r\n\r\n{}", "long ".repeat(10_000));
    let utf16 = |text: &str, big: bool| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    };
    let expected = ["one é\ntwo 𝄞 日本".to_owned(), "long ".repeat(10_000)];
    for big in [false, true] {
        let bytes = utf16(&text, big);
        assert_eq!(texts(&[file(&dir, "a.txt", &bytes)]).unwrap(), expected);
        assert_eq!(texts(&[file(&dir, "a.txt.gz", &gz(&bytes))]).unwrap(), expected);
        let json = utf16("{\"text\": \"ü\"}\n", big);
        assert_eq!(texts(&[file(&dir, "a.jsonl", &json)]).unwrap(), ["ü"]);
    }
    // A surrogate pair at every possible position relative to the border between two chunks.
    for before in 8_185..8_200 {
        let text = "x".repeat(before) + "𝄞";
        assert_eq!(texts(&[file(&dir, "b.txt", &utf16(&text, false))]).unwrap(), [text]);
    }
    for bad in
        [&[0xff, 0xfe, b'a', 0, 0x00, 0xd8][..], &[0xff, 0xfe, b'a'], &[0xff, 0xfe, 0x00, 0xdc, b'a', 0]]
    {
        let error = texts(&[file(&dir, "c.txt", bad)]).unwrap_err();
        assert!(matches!(error, DataError::NotUtf8 { line: 1, .. }), "{bad:?}: {error}");
    }
    let utf32 = [0xff, 0xfe, 0, 0, b'a', 0, 0, 0];
    assert!(matches!(texts(&[file(&dir, "d.txt", &utf32)]), Err(DataError::NotUtf8 { .. })));
    // Without a mark: zeros are UTF-8, so that the text would be read with its letters apart. A single one among text is read.
    for big in [false, true] {
        let bytes = &utf16("waa wab\nwac\n", big)[2..];
        for name in ["e.txt", "e.jsonl"] {
            let error = texts(&[file(&dir, name, bytes)]).unwrap_err();
            assert!(matches!(error, DataError::NotUtf8 { line: 1, .. }), "{error}");
        }
    }
    assert_eq!(texts(&[file(&dir, "f.txt", b"one\0 two three")]).unwrap(), ["one\0 two three"]);
}

#[test]
fn null_is_skipped_and_fields_may_be_nested() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.jsonl", b"{\"text\":null}\n{\"text\":\"one\"}\n");
    assert_eq!(read(&path, &SourceOptions::default()).unwrap(), (vec!["one".to_owned()], 0));
    let nested = "{\"meta\":{\"text\":\"in\"}}\n{\"meta\":null}\n{\"meta\":{\"text\":null}}\n{\"meta.text\":\"flat\"}\n";
    let path = file(&dir, "b.jsonl", nested.as_bytes());
    assert_eq!(read(&path, &with_field("meta.text")).unwrap().0, ["in", "flat"]);
    let error = read(&path, &SourceOptions::default()).unwrap_err().to_string();
    assert!(error.contains("no field `text`, only meta") && error.contains("data.json_field"), "{error}");
    let path = file(&dir, "c.jsonl", b"{\"meta\":{\"body\":\"x\"}}\n");
    assert!(read(&path, &with_field("meta.text")).unwrap_err().to_string().contains("no field `meta.text`"));
}

#[test]
fn bad_lines_are_errors_or_are_skipped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(lines::MAX_LINE as usize + 5);
    for (name, bytes, first, bad) in [
        ("a.txt", b"one\n\nbad \xff\n\ntwo\n".to_vec(), "line 3", 1),
        (
            "b.jsonl",
            b"{\"text\":\"one\"}\n{\n{\"text\":\"\\ud800\"}\n[]\n{}\n{\"text\":\"two\"}\n".to_vec(),
            "line 2",
            4,
        ),
        ("c.txt", format!("one\n\n{long}\n\ntwo\n").into_bytes(), "line 3", 1),
    ] {
        let path = file(&dir, name, &bytes);
        let error = read(&path, &SourceOptions::default()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(first), "{error}");
        assert_eq!(read(&path, &skip()).unwrap(), (vec!["one".to_owned(), "two".to_owned()], bad), "{name}");
    }
    let within = file(&dir, "w.txt", b"one\nbad \xff\ntwo\n\xff\n");
    assert_eq!(read(&within, &skip()).unwrap(), (vec!["one\ntwo".to_owned()], 2));
    // An error of the whole file is not skipped.
    let cut = gz(&b"one\n".repeat(9_000));
    assert!(read(&file(&dir, "d.txt.gz", &cut[..cut.len() / 2]), &skip()).is_err());
    let all = file(&dir, "e.jsonl", b"{}\n{}\n");
    assert!(matches!(read(&all, &skip()), Err(DataError::Empty { .. })));
}

#[test]
fn columns_of_structs_are_named_by_their_path() {
    use ::parquet::data_type::{ByteArray, ByteArrayType};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    for compression in [
        ::parquet::basic::Compression::LZ4_RAW,
        ::parquet::basic::Compression::LZ4,
        ::parquet::basic::Compression::BROTLI(Default::default()),
        ::parquet::basic::Compression::SNAPPY,
        ::parquet::basic::Compression::GZIP(Default::default()),
        ::parquet::basic::Compression::ZSTD(Default::default()),
    ] {
        let schema = "message s { OPTIONAL GROUP m { OPTIONAL BYTE_ARRAY text (UTF8); } }";
        let schema = ::parquet::schema::parser::parse_message_type(schema).unwrap();
        let properties =
            ::parquet::file::properties::WriterProperties::builder().set_compression(compression).build();
        let out = std::fs::File::create(&path).unwrap();
        let mut writer =
            ::parquet::file::writer::SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))
                .unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values = ["one", "two"].map(ByteArray::from);
        // The struct is null, its text is null, both are there.
        column.typed::<ByteArrayType>().write_batch(&values, Some(&[2, 0, 1, 2]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let found = read(&path, &with_field("m.text")).unwrap().0;
        assert_eq!(found, ["one", "two"], "{compression:?}");
    }
    let error = read(&path, &with_field("text")).unwrap_err().to_string();
    assert!(error.contains("it has m.text"), "{error}");
}

#[test]
fn a_value_longer_than_the_limit_is_an_error_before_it_is_decoded() {
    use ::parquet::data_type::{ByteArray, ByteArrayType};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let schema =
        ::parquet::schema::parser::parse_message_type("message s { REQUIRED BYTE_ARRAY text; }").unwrap();
    let properties = ::parquet::file::properties::WriterProperties::builder()
        .set_compression(::parquet::basic::Compression::ZSTD(Default::default()))
        .set_dictionary_enabled(false)
        .build();
    let out = std::fs::File::create(&path).unwrap();
    let mut writer =
        ::parquet::file::writer::SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))
            .unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let zeros = ByteArray::from(vec![b'0'; lines::MAX_LINE as usize + 1]);
    column.typed::<ByteArrayType>().write_batch(&[zeros], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 100_000);
    let error = texts(&[path]).unwrap_err().to_string();
    assert!(error.contains("at most 16777216 bytes a value"), "{error}");
}

#[test]
fn the_error_for_a_window_above_the_limit_names_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(b"a line\n").unwrap();
    let bytes = encoder.finish().unwrap();
    for name in ["a.txt.zst", "a.jsonl.zst", "a.parquet.zst", "a.zst"] {
        let error = texts(&[file(&dir, name, &bytes)]).unwrap_err().to_string();
        assert!(error.contains("128 MiB") && error.contains("zstd -d --long=31"), "{name}: {error}");
    }
}

#[test]
fn patterns_are_expanded_as_a_shell_does() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a/1.txt", "a/12.txt", "a/.3.txt", "b/1.txt", "b/x.md", "[c]/1.txt"] {
        std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(name), format!("{name}\n")).unwrap();
    }
    let texts = |pattern: &str| -> Result<Vec<String>, DataError> {
        let sources = Sources::open(&[dir.path().join(pattern)], &SourceOptions::default())?;
        sources.map(|document| Ok(document?.text)).collect()
    };
    assert_eq!(texts("a/*.txt").unwrap(), ["a/1.txt", "a/12.txt"]);
    assert_eq!(texts("?/1.txt").unwrap(), ["a/1.txt", "b/1.txt"]);
    assert_eq!(texts("*/1*2*").unwrap(), ["a/12.txt"]);
    assert_eq!(texts("a/.*.txt").unwrap(), ["a/.3.txt"]);
    // A folder is walked, an existing name is itself.
    assert_eq!(texts("[c*").unwrap(), ["[c]/1.txt"]);
    // As for a file that the user names: what is not read is an error.
    assert!(matches!(texts("b/*"), Err(DataError::Unsupported { .. })));
    assert!(texts("a/*.json").is_err());
    assert!(matching(&dir.path().join("a/1.txt")).is_empty());
    // Many stars do not take forever.
    let long = "a".repeat(200);
    std::fs::write(dir.path().join(&long), "x").unwrap();
    assert!(matching(&dir.path().join(format!("{}b", "*a".repeat(40)))).is_empty());
}
