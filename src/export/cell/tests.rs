//! Tests of cells: escaping, quoting, numbers and times.

use proptest::prelude::*;

use super::*;

fn text(text: &str, raw: bool) -> String {
    let mut out = Vec::new();
    Cell::new(
        &mut out,
        CellFormat {
            raw,
            ..CellFormat::default()
        },
    )
    .text(text);
    String::from_utf8(out).unwrap()
}

#[test]
fn formulas_are_escaped() {
    for formula in [
        "=1+1",
        "+1",
        "-5",
        "@SUM(A1)",
        "\tx",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        "=HYPERLINK",
    ] {
        assert_eq!(text(formula, false), format!("'{formula}"));
        assert_eq!(text(formula, true), formula);
    }
    assert_eq!(text("\r=1", false), "\"'\r'=1\"");
    assert_eq!(text("\n=1", false), "\"'\n'=1\"");
    assert_eq!(
        text("=cmd|' /C calc'!A0,\"x\"", false),
        "\"'=cmd|' /C calc'!A0,\"\"x\"\"\""
    );
    for harmless in ["", "a=1", "1-5", "x@y", "Ünï", "—", "−5", "a; b - c"] {
        assert_eq!(text(harmless, false), harmless);
    }
}

#[test]
fn formulas_inside_a_text_are_escaped() {
    for (original, escaped) in [
        ("Safety;=1+1", "Safety;'=1+1"),
        ("Safety\t=1+1", "Safety\t'=1+1"),
        ("Safety,=1+1", "\"Safety,'=1+1\""),
        ("Safety\n=1+1", "\"Safety\n'=1+1\""),
        ("Safety\r\n+1", "\"Safety\r\n'+1\""),
        ("say \"=1\"", "\"say \"\"'=1\"\"\""),
        ("a; \u{a0}-1; @b", "a; \u{a0}'-1; '@b"),
        ("a;;=1", "a;;'=1"),
        ("a|=1", "a|'=1"),
        (" =1", " '=1"),
        ("\u{feff}=1", "\u{feff}'=1"),
        ("'=1", "''=1"),
        ("=-1;-=1", "'=-1;'-=1"),
        ("a;﹦1", "a;'﹦1"),
    ] {
        assert_eq!(text(original, false), escaped);
    }
    assert_eq!(text("Safety;=1+1", true), "Safety;=1+1");
}

#[test]
fn numbers_are_not_escaped() {
    let mut out = Vec::new();
    let mut cell = Cell::new(&mut out, CellFormat::default());
    cell.percent(Some(Percent(-550)));
    cell.number(Some(-7));
    cell.number(None);
    cell.percent(None);
    cell.percent(Some(Percent(9_250)));
    assert_eq!(String::from_utf8(out).unwrap(), "-5.5%-792.5%");
}

#[test]
fn durations_are_written_in_words() {
    for language in Language::all() {
        for seconds in [-1, 0, 59, 60, 3_900, 86_399, 90_061, 86_400 * 400] {
            let format = CellFormat { raw: false, language };
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            Cell::new(&mut out, format).duration(seconds);
            Cell::new(&mut expected, format).text(&language.duration(seconds));
            assert_eq!(out, expected);
        }
    }
}

#[test]
fn several_values_are_joined_in_one_cell() {
    let list = |values: &[&str]| {
        let mut out = Vec::new();
        Cell::new(&mut out, CellFormat::default())
            .list(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        String::from_utf8(out).unwrap()
    };
    assert_eq!(list(&[]), "");
    assert_eq!(list(&["safety"]), "safety");
    assert_eq!(list(&["safety", "fire"]), "safety; fire");
    assert_eq!(list(&["=a", "-b,c"]), "\"'=a; '-b,c\"");
}

#[test]
fn extreme_times_are_written_like_display() {
    for (micros, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
        (1_772_355_600_123_999, "2026-03-01T09:00:00.123Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000_000, "9999-12-31T23:59:59.999Z"),
        (-62_167_219_200_000_000, "0000-01-01T00:00:00.000Z"),
        (-62_167_219_200_000_001, "0000-01-01T00:00:00.000Z"),
    ] {
        let mut out = Vec::new();
        write_time(&mut out, Timestamp::from_micros(micros));
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{micros}");
    }
}

proptest! {
    #[test]
    fn escaped_text_is_restored(original in "['=+@,;\\t\\n a\u{ff1d}-]{0,12}") {
        let mut out = Vec::new();
        let mut written = 0;
        for position in escape_positions(&original) {
            out.extend_from_slice(&original.as_bytes()[written..position]);
            out.push(b'\'');
            written = position;
        }
        out.extend_from_slice(&original.as_bytes()[written..]);
        prop_assert_eq!(restore_text(std::str::from_utf8(&out).unwrap()), original);
    }

    /// Compares with the calendar of chrono for all years that it supports.
    #[test]
    fn every_time_is_written_like_display(micros in -8_000_000_000_000_000_000i64..8_000_000_000_000_000_000) {
        let at = Timestamp::from_micros(micros);
        let mut out = Vec::new();
        write_time(&mut out, at);
        prop_assert_eq!(String::from_utf8(out).unwrap(), at.to_string());
    }

    /// Compares with the calendar of chrono for years with four digits.
    #[test]
    fn common_times_are_written_like_display(micros in -62_200_000_000_000_000i64..253_500_000_000_000_000) {
        let at = Timestamp::from_micros(micros);
        let mut out = Vec::new();
        write_time(&mut out, at);
        prop_assert_eq!(String::from_utf8(out).unwrap(), at.to_string());
    }

    #[test]
    fn numbers_are_written_like_display(number in any::<i64>(), small in -20_000i64..20_000) {
        let mut out = Vec::new();
        let mut expected = String::new();
        for number in [number, small, i64::MIN, i64::MAX, 0] {
            write_integer(&mut out, number);
            expected += &number.to_string();
        }
        for percent in [Percent(small), Percent(number)] {
            write_percent(&mut out, percent);
            expected += &percent.to_string();
        }
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    /// The `csv` crate writes the same bytes and reads the same text.
    #[test]
    fn text_is_quoted_as_rfc_4180_requires(cells in prop::collection::vec("[a-c=;',\"\r\n\t ü-]{0,6}", 2..5)) {
        let mut out = Vec::new();
        for (index, text) in cells.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            Cell::new(&mut out, CellFormat { raw: true, ..CellFormat::default() }).text(text);
        }
        out.extend_from_slice(b"\r\n");
        let mut expected = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        expected.write_record(&cells).unwrap();
        prop_assert_eq!(&out, &expected.into_inner().unwrap());
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_slice());
        let record = reader.records().next().unwrap().unwrap();
        prop_assert_eq!(record.iter().collect::<Vec<_>>(), cells);
    }

    /// No cell is a formula, whatever the separator and whether the reader knows quotes. The documented way back
    /// gives the original text.
    #[test]
    fn escaped_text_has_no_formula_and_can_be_restored(original in "[=+@\t\r\n＝'\",;| ab-]{0,8}") {
        let line = text(&original, false);
        let file = format!("x,{line}\r\n");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file.as_bytes());
        let cell = reader.records().next().unwrap().unwrap()[1].to_owned();
        for part in line.split([',', ';', '\t', '\r', '\n', '"', '|']).chain([cell.as_str()]) {
            let begins_formula = part.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
            prop_assert!(!begins_formula, "{part} in {line}");
        }
        prop_assert_eq!(restore(&cell), original);
    }
}

/// The way back as the specification describes it.
fn restore(cell: &str) -> String {
    let rest = cell.strip_prefix('\'');
    let cell = match rest {
        Some(rest) if rest.trim_start_matches('\'').starts_with(['\t', '\r', '\n']) => rest,
        _ => cell,
    };
    let mut restored = String::new();
    for character in cell.chars() {
        if "=+-@＝＋－＠".contains(character) && restored.ends_with('\'') {
            restored.pop();
        }
        restored.push(character);
    }
    restored
}
