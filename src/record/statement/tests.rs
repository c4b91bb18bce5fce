//! Tests of batches, of the canonical text, of real statements and of mutated statements.

mod refusals;

use std::io::{Read as _, Write as _};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::record::{Identifier, LanguageMap, ServerFields};

/// A statement with nearly all members.
const FULL: &str = r#"{
  "id": "01890A5D-AC96-774B-BCCE-B302099A8057",
  "actor": {"objectType": "Agent", "name": "Ada \u0041", "mbox": "mailto:ada@example.org"},
  "verb": {"id": "http://example.org/did", "display": {"en-US": "did", "de": "tat"}},
  "object": {"id": "http://example.org/quiz", "definition": {
    "name": {"en": "Quiz"}, "description": {"en": "A quiz"}, "type": "http://example.org/type",
    "moreInfo": "http://example.org/more", "interactionType": "choice", "correctResponsesPattern": ["a[,]b"],
    "choices": [{"id": "a", "description": {"en": "A"}}, {"id": "b"}],
    "extensions": {"http://example.org/e": null}}},
  "result": {"score": {"scaled": 0.12123434, "raw": 45.450, "min": 0, "max": 1E2}, "success": true,
    "completion": false, "response": "a", "duration": "PT1H0M0.1S", "extensions": {}},
  "context": {"registration": "01890a5d-ac96-774b-bcce-b302099a8058",
    "instructor": {"objectType": "Group", "member": [{"openid": "http://openid.example.org/1"}]},
    "team": {"objectType": "Group", "account": {"homePage": "http://example.org", "name": "team"}},
    "contextActivities": {"parent": {"id": "http://example.org/course"}, "other": []},
    "revision": "3", "platform": "web", "language": "en",
    "statement": {"objectType": "StatementRef", "id": "01890a5d-ac96-774b-bcce-b302099a8059"},
    "extensions": {"http://example.org/e": {"deep": [1.0, {"x": ""}]}}},
  "timestamp": "2026-01-01T12:00:00.5+02:00",
  "stored": "2020-01-01T00:00:00Z",
  "authority": {"mbox": "mailto:somebody@example.org"},
  "version": "1.0.3",
  "attachments": [{"usageType": "http://example.org/usage", "display": {"en": "File"}, "contentType": "text/plain",
    "length": 27, "sha2": "495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"}]
}"#;

const WITH_SUB_STATEMENT: &str = r#"{"actor":{"mbox":"mailto:ada@example.org"},"verb":{"id":"http://example.org/planned"},
  "object":{"objectType":"SubStatement","actor":{"mbox":"mailto:ada@example.org"},"verb":{"id":"http://example.org/v"},
    "object":{"id":"http://example.org/a"},"context":{"contextActivities":{"category":{"id":"http://example.org/c"}}}}}"#;

const WITH_CONTEXT_AGENTS: &str = r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"http://x.org/v"},"object":{"id":"http://x.org/o"},
  "context":{"contextAgents":[{"objectType":"contextAgent","agent":{"mbox":"mailto:p@b.c"},"relevantTypes":["http://x.org/r"]}],
    "contextGroups":[{"objectType":"contextGroup","group":{"objectType":"Group","mbox":"mailto:g@b.c"}}]}}"#;

fn parse(text: &str, version: Version) -> Result<Statement, Fault> {
    parse_statement(text.as_bytes(), version, &Limits::default())
}

fn parse_valid(text: &str) -> Statement {
    parse(text, Version::V1).unwrap()
}

const SERVER: ServerFields<'static> = ServerFields {
    id: StatementId(Uuid::from_u128(7)),
    stored: Timestamp::from_micros(1_767_268_800_123_456),
    authority: r#"{"mbox":"mailto:lrs@example.org"}"#,
    keep_authority: false,
    default_version: "1.0.0",
};

#[test]
fn all_members_are_parsed() {
    let statement = parse_valid(FULL);
    assert_eq!(
        statement.id.unwrap().to_string(),
        "01890a5d-ac96-774b-bcce-b302099a8057"
    );
    assert_eq!(statement.actor.name.as_deref(), Some("Ada A"));
    assert_eq!(
        statement.actor.identifier,
        Identifier::from_email("ada@example.org")
    );
    assert_eq!(statement.verb.display.pick_english_first(), Some("did"));
    let Object::Activity(quiz) = &statement.object else {
        panic!("not an activity")
    };
    let definition = quiz.definition.as_ref().unwrap();
    assert_eq!(definition.name.get("EN"), Some("Quiz"));
    assert_eq!(definition.type_.as_deref(), Some("http://example.org/type"));
    assert_eq!(definition.correct_responses, ["a[,]b"]);
    assert_eq!(
        definition.components[0].components[1].description,
        LanguageMap::default()
    );
    assert!(definition.text.starts_with(r#"{"name":{"en":"Quiz"},"#));
    let result = statement.result.as_ref().unwrap();
    assert_eq!(result.score.unwrap().max, Some(100.0));
    assert_eq!((result.success, result.completion), (Some(true), Some(false)));
    assert_eq!(result.duration.as_ref().unwrap().hundredths(), 360_010);
    let context = statement.context.as_ref().unwrap();
    assert_eq!(context.parent[0].id.as_str(), "http://example.org/course");
    assert_eq!(context.activities().count(), 1);
    assert_eq!(
        context.extensions.as_deref(),
        Some(r#"{"http://example.org/e":{"deep":[1.0,{"x":""}]}}"#)
    );
    assert_eq!(
        statement.timestamp.unwrap().to_string(),
        "2026-01-01T10:00:00.500Z"
    );
    assert_eq!(statement.attachments[0].length, 27);
    assert_eq!(statement.voids(), None);
}

#[test]
fn batch_returns_the_first_fault_of_every_invalid_statement() {
    let valid = WITH_SUB_STATEMENT;
    let deep = "[".repeat(70) + &"]".repeat(70);
    let bodies = [
        valid.to_owned(),
        valid.replace(r#""mbox""#, r#""Mbox""#),
        valid.replace("planned", "\\u0000"),
        "7".to_owned(),
        valid.replacen(r#""verb":"#, r#""verb":1,"verb":"#, 1),
        format!(r#"{{"actor":{deep}}}"#),
        valid.to_owned(),
    ];
    let faults = parse_statements(
        format!("[{}]", bodies.join(",")).as_bytes(),
        Version::V1,
        &Limits::default(),
    )
    .unwrap_err();
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers[..4], ["/1/actor/Mbox", "/2/verb/id", "/3", "/4/verb"]);
    assert!(pointers[4].starts_with("/5/actor/0/0"), "{pointers:?}");
    assert_eq!(pointers.len(), 5);
}

#[test]
fn batch_has_limits_and_distinct_ids() {
    let limits = Limits {
        batch: 2,
        ..Limits::default()
    };
    let two = format!("[{WITH_SUB_STATEMENT},{WITH_SUB_STATEMENT}]");
    assert_eq!(
        parse_statements(two.as_bytes(), Version::V1, &limits)
            .unwrap()
            .len(),
        2
    );
    let three = format!("[{WITH_SUB_STATEMENT},{WITH_SUB_STATEMENT},{WITH_SUB_STATEMENT}]");
    assert_eq!(
        parse_statements(three.as_bytes(), Version::V1, &limits)
            .unwrap_err()
            .listed()[0]
            .pointer,
        ""
    );
    assert!(parse_statements(b"[]", Version::V1, &limits).unwrap().is_empty());
    let twice = format!("[{FULL},{}]", FULL.replace("01890A5D", "01890a5d"));
    assert_eq!(
        parse_statements(twice.as_bytes(), Version::V2, &limits)
            .unwrap_err()
            .listed()[0]
            .pointer,
        "/1/id"
    );
    let members = Limits {
        group_members: 0,
        ..Limits::default()
    };
    let fault = parse_statement(FULL.as_bytes(), Version::V1, &members).unwrap_err();
    assert_eq!(fault.pointer, "/context/instructor/member");
}

#[test]
fn canonical_text_adds_missing_members() {
    let canonical = parse_valid(WITH_SUB_STATEMENT).canonicalise(&SERVER);
    let expected = concat!(
        r#"{"id":"00000000-0000-0000-0000-000000000007","actor":{"mbox":"mailto:ada@example.org"},"#,
        r#""verb":{"id":"http://example.org/planned"},"object":{"objectType":"SubStatement","#,
        r#""actor":{"mbox":"mailto:ada@example.org"},"verb":{"id":"http://example.org/v"},"#,
        r#""object":{"id":"http://example.org/a"},"#,
        r#""context":{"contextActivities":{"category":[{"id":"http://example.org/c"}]}}},"#,
        r#""timestamp":"2026-01-01T12:00:00.123Z","stored":"2026-01-01T12:00:00.123Z","#,
        r#""authority":{"mbox":"mailto:lrs@example.org"},"version":"1.0.0"}"#,
    );
    assert_eq!(canonical, expected);
}

#[test]
fn canonical_text_keeps_source_texts_and_order() {
    let canonical = parse_valid(FULL).canonicalise(&SERVER);
    for expected in [
        r#"{"id":"01890A5D-AC96-774B-BCCE-B302099A8057","actor":{"objectType":"Agent","name":"Ada \u0041","#,
        r#""score":{"scaled":0.12123434,"raw":45.450,"min":0,"max":1E2}"#,
        r#""contextActivities":{"parent":[{"id":"http://example.org/course"}],"other":[]}"#,
        r#""timestamp":"2026-01-01T12:00:00.5+02:00","stored":"2026-01-01T12:00:00.123Z","#,
        r#""authority":{"mbox":"mailto:lrs@example.org"},"version":"1.0.3","attachments":[{"#,
    ] {
        assert!(canonical.contains(expected), "{expected}\n{canonical}");
    }
    let trusted = parse_valid(FULL).canonicalise(&ServerFields {
        keep_authority: true,
        ..SERVER
    });
    assert!(trusted.contains(r#""authority":{"mbox":"mailto:somebody@example.org"}"#));
}

/// The lines of a file of real statements. `ROLLBOOK_TEST_DATA` names the folder of the file.
///
/// `None` if the variable is not set. A folder without the file is an error.
fn read_real_statements(name: &str) -> Option<Vec<String>> {
    let Some(folder) = std::env::var_os("ROLLBOOK_TEST_DATA") else {
        // Not `eprintln!`: the test harness would hide its output.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: ROLLBOOK_TEST_DATA is not set, so {name} is not read"
        );
        return None;
    };
    let bytes = std::fs::read(Path::new(&folder).join(name)).unwrap();
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(&*bytes)
            .read_to_string(&mut text)
            .unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn real_statements_of_a_mooc_are_accepted() {
    let Some(lines) = read_real_statements("fun-mooc-statements.jsonl.gz") else {
        return;
    };
    assert_eq!(lines.len(), 22_000);
    for line in &lines {
        let statement = parse_valid(line);
        let stored = Statement::parse_stored(&statement.canonicalise(&SERVER)).unwrap();
        assert!(statement.same_as(&stored), "{line}");
    }
}

/// The lines 145, 151 and 155 are questions without their `choices`, which the specification allows (Data 2.4.4.1).
#[test]
fn real_statements_of_a_moodle_are_accepted() {
    let Some(lines) = read_real_statements("moodle-statements.jsonl") else {
        return;
    };
    assert_eq!(lines.len(), 190);
    for (number, line) in (1..).zip(&lines) {
        let statement = parse(line, Version::V1).unwrap_or_else(|fault| panic!("line {number}: {fault}"));
        assert!(
            statement.same_as(&Statement::parse_stored(&statement.canonicalise(&SERVER)).unwrap()),
            "line {number}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A statement with changed bytes is either parsed or refused. If it is parsed, it can be stored.
    #[test]
    fn mutations_never_panic(
        which in 0..3_usize,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..12_usize, 0..16_usize), 1..4),
    ) {
        let pieces = [
            "", "\"", "{", "}", "[", "]", ",", ":", "null", "0", "-1e999", "\\u0000", "\\", "é", "\"id\":1,", "\u{0}",
        ];
        let mut body = [FULL, WITH_SUB_STATEMENT, WITH_CONTEXT_AGENTS][which].as_bytes().to_vec();
        for (at, length, piece) in cuts {
            let at = at.index(body.len() + 1);
            let end = (at + length).min(body.len());
            body.splice(at..end, pieces[piece].bytes());
        }
        let limits = Limits::default();
        let as_batch = parse_statements(&body, Version::V2, &limits);
        if let Ok(statement) = parse_statement(&body, Version::V2, &limits) {
            prop_assert!(as_batch.is_ok());
            let canonical = statement.canonicalise(&SERVER);
            let stored = Statement::parse_stored(&canonical).unwrap();
            prop_assert!(statement.same_as(&stored));
            prop_assert_eq!(stored.canonicalise(&SERVER), canonical);
        }
    }
}
