//! Tests of malicious texts and of the limit of nesting.

use super::*;

#[test]
fn malicious_texts_are_refused() {
    assert_refused(
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
        let fault = parse(&FULL.replace("null", &deep), Version::V1).unwrap_err();
        assert!(
            fault
                .pointer
                .starts_with("/object/definition/extensions/http:~1~1example.org~1e/0/0"),
            "{fault}"
        );
        assert!(fault.detail.contains("deep"), "{fault}");
    }
    let invalid = parse_statement(b"{\n  \"actor\": \xff}", Version::V1, &Limits::default()).unwrap_err();
    assert_eq!(
        invalid.detail,
        "this is not UTF-8 at line 2, byte 12; send the text as UTF-8"
    );
    let invalid = parse("{\n  \"actor\" 1}", Version::V1).unwrap_err();
    assert!(
        invalid.pointer.is_empty() && invalid.detail.contains("line 2 column 11"),
        "{invalid}"
    );
}

/// The canonical text of a statement may be one level deeper than the statement.
#[test]
fn deepest_accepted_statement_can_be_stored() {
    // The value of an extension of a context activity of a SubStatement is nested in seven levels.
    for (levels, is_accepted) in [(MAX_DEPTH - 7, true), (MAX_DEPTH - 6, false)] {
        let deep = "[".repeat(levels) + &"]".repeat(levels);
        let definition = format!(r#""definition":{{"extensions":{{"http://x.org/e":{deep}}}}},"#);
        let category = r#""category":{"#;
        let body = WITH_SUB_STATEMENT.replace(category, &format!("{category}{definition}"));
        let limits = Limits {
            depth: usize::MAX,
            ..Limits::default()
        };
        for body in [format!("[{body}]"), body] {
            let parsed = parse_statements(body.as_bytes(), Version::V1, &limits);
            let stored = parsed
                .map(|statements| Statement::parse_stored(&statements[0].canonicalise(&SERVER)).unwrap());
            assert_eq!(stored.is_ok(), is_accepted, "{levels}");
        }
    }
}
