//! Texts that mean harm, and the deepest that is taken.

use super::*;

#[test]
fn hostile_texts() {
    refused(
        FULL,
        Version::V1,
        &[
            (
                r#""revision": "3""#,
                r#""revision": "3\u0000""#,
                "/context/revision",
            ),
            (
                r#""revision": "3""#,
                r#""revision": "\ud800""#,
                "/context/revision",
            ),
            (
                r#""revision": "3""#,
                r#""revision": "3", "revision": "3""#,
                "/context/revision",
            ),
            (
                r#""revision": "3""#,
                r#""revision": "3", "revisi\u006fn": "3""#,
                "/context/revision",
            ),
            (
                r#"{"x": ""}"#,
                r#"{"x": "", "a\u0000": 1}"#,
                "/context/extensions/http:~1~1example.org~1e/deep/1",
            ),
        ],
    );
    for depth in [100, 1_000_000] {
        let deep = "[".repeat(depth) + &"]".repeat(depth);
        let fault = read(&FULL.replace("null", &deep), Version::V1).unwrap_err();
        assert!(
            fault
                .pointer
                .starts_with("/object/definition/extensions/http:~1~1example.org~1e/0/0"),
            "{fault}"
        );
        assert!(fault.detail.contains("deep"), "{fault}");
    }
    let broken = parse_statement(b"{\n  \"actor\": \xff}", Version::V1, &Limits::default()).unwrap_err();
    assert_eq!(
        broken.detail,
        "this is not UTF-8 at line 2, byte 12; send the text as UTF-8"
    );
    let broken = read("{\n  \"actor\" 1}", Version::V1).unwrap_err();
    assert!(
        broken.pointer.is_empty() && broken.detail.contains("line 2 column 11"),
        "{broken}"
    );
}

/// The deepest statement that is taken can be kept, although sealing makes it one level deeper.
#[test]
fn the_deepest_statement() {
    // Seven levels lie around the value of an extension of a context activity of a SubStatement.
    for (levels, taken) in [(MAX_DEPTH - 7, true), (MAX_DEPTH - 6, false)] {
        let deep = "[".repeat(levels) + &"]".repeat(levels);
        let definition = format!(r#""definition":{{"extensions":{{"http://x.org/e":{deep}}}}},"#);
        let category = r#""category":{"#;
        let body = WITHIN.replace(category, &format!("{category}{definition}"));
        let limits = Limits {
            depth: usize::MAX,
            ..Limits::default()
        };
        for body in [format!("[{body}]"), body] {
            let read = parse_statements(body.as_bytes(), Version::V1, &limits);
            let kept =
                read.map(|statements| Statement::parse_stored(&statements[0].canonicalise(&SEAL)).unwrap());
            assert_eq!(kept.is_ok(), taken, "{levels}");
        }
    }
}
