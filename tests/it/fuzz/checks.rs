//! Checks that apply to every body.

use rollbook::base::clock::Timestamp;
use rollbook::base::fault::{Fault, Faults, MAX_FAULTS};
use rollbook::base::ids::StatementId;
use rollbook::record::{
    Limits, Object, Preference, ServerFields, Statement, Version, definition, format, parse_statement,
    parse_statements,
};

use super::tree::{Tree, parse_string, quote};

pub const SERVER_FIELDS: ServerFields<'static> = ServerFields {
    id: StatementId(uuid::Uuid::from_u128(7)),
    stored: Timestamp::from_micros(1_767_268_800_123_456),
    authority: r#"{"mbox":"mailto:lrs@example.org"}"#,
    keep_authority: false,
    default_version: "1.0.0",
};

type CheckResult = Result<(), String>;

fn check(holds: bool, what: impl FnOnce() -> String) -> CheckResult {
    if holds { Ok(()) } else { Err(what()) }
}

/// The result for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The body is valid and has this many statements.
    Valid(usize),
    Invalid,
}

/// Checks the result of parsing a body. `tree` is the source of the body, if it has one.
pub fn check_statements(body: &[u8], tree: Option<&Tree>) -> Result<Verdict, String> {
    let limits = Limits::default();
    let [one, two] = [Version::V1, Version::V2].map(|version| parse_statements(body, version, &limits));
    if let Ok(statements) = &one {
        check(two.as_ref() == Ok(statements), || {
            "2.0 refuses or changes a statement that is valid in 1.0.3".to_owned()
        })?;
    }
    for (version, read) in [(Version::V1, &one), (Version::V2, &two)] {
        check_single(body, version, &limits, read)?;
        match read {
            Err(faults) => check_faults(faults, tree)?,
            Ok(statements) => {
                for statement in statements {
                    check_storing(statement)?;
                }
            }
        }
        if let Some(tree) = tree {
            check_elements(tree, version, &limits, read)?;
        }
    }
    if let (Ok(statements), Some(tree)) = (&two, tree) {
        let sent: Vec<&Tree> = match tree {
            Tree::Array(elements) => elements.iter().collect(),
            one => vec![one],
        };
        check(sent.len() == statements.len(), || {
            format!("{} statements are parsed, not {}", statements.len(), sent.len())
        })?;
        for (statement, sent) in statements.iter().zip(sent) {
            for keep_authority in [false, true] {
                let server_fields = ServerFields { keep_authority, ..SERVER_FIELDS };
                let (stored_text, expected) =
                    (statement.canonicalise(&server_fields), expected_text(sent, &server_fields));
                check(stored_text == expected, || {
                    format!("the stored text differs:\n{stored_text}\n{expected}")
                })?;
            }
        }
    }
    Ok(one.or(two).map_or(Verdict::Invalid, |statements| Verdict::Valid(statements.len())))
}

/// Both functions parse a single statement equally, and only one accepts an array.
fn check_single(
    body: &[u8],
    version: Version,
    limits: &Limits,
    read: &Result<Vec<Statement>, Faults>,
) -> CheckResult {
    let single = parse_statement(body, version, limits);
    let array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    match (&single, read) {
        (Ok(statement), Ok(statements)) => check(statements[..] == [statement.clone()], || {
            "the result of the single statement differs".to_owned()
        }),
        (Err(fault), Err(faults)) if !array => {
            check(faults.listed() == [fault.clone()], || format!("single: {fault:?}; array: {faults:?}"))
        }
        (Err(_), _) if array => Ok(()),
        _ => Err(format!("single: {single:?}; array: {read:?}")),
    }
}

/// Every fault has a detail and the pointer of an existing place. Each statement has at most one, in order.
fn check_faults(faults: &Faults, tree: Option<&Tree>) -> CheckResult {
    check(!faults.is_empty(), || "the body is refused without a fault".to_owned())?;
    for fault in faults {
        check(!fault.detail.is_empty() && !fault.detail.contains("panicked"), || format!("{fault:?}"))?;
        let leads = tree.is_none_or(|tree| tree.has_pointer(&fault.pointer));
        check(leads, || format!("the pointer does not exist: {fault:?}"))?;
    }
    let numbers: Vec<Option<usize>> = faults
        .iter()
        .map(|fault| fault.pointer.split('/').nth(1).and_then(|number| number.parse().ok()))
        .collect();
    let ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    check(ordered, || format!("the faults are not in order: {faults:?}"))
}

/// Each statement of an array is checked independently, except for repeated ids.
fn check_elements(
    tree: &Tree,
    version: Version,
    limits: &Limits,
    read: &Result<Vec<Statement>, Faults>,
) -> CheckResult {
    let Tree::Array(elements) = tree else {
        return Ok(());
    };
    let mut ids = Vec::new();
    let mut expected = Vec::new();
    for (number, element) in elements.iter().enumerate() {
        match parse_statement(element.text().as_bytes(), version, limits) {
            Err(fault) => expected.push(Fault { pointer: format!("/{number}{}", fault.pointer), ..fault }),
            Ok(statement) => {
                if statement.id.is_some() && ids.contains(&statement.id) {
                    expected.push(Fault { pointer: format!("/{number}/id"), detail: String::new() });
                }
                ids.push(statement.id);
            }
        }
    }
    let pointers = |faults: &[Fault]| faults.iter().map(|fault| fault.pointer.clone()).collect::<Vec<_>>();
    match read {
        Ok(_) => check(expected.is_empty(), || format!("accepted, although {expected:?} is expected")),
        // If the array is not valid JSON, no statement is checked.
        Err(faults) if faults.len() == 1 && faults.listed()[0].pointer.is_empty() => Ok(()),
        Err(faults) => {
            check(pointers(faults.listed()) == pointers(&expected[..expected.len().min(MAX_FAULTS)]), || {
                format!("{faults:?}, but single statements give {expected:?}")
            })
        }
    }
}

/// A valid statement can be stored, parsed again, compared, and written in every format.
fn check_storing(statement: &Statement) -> CheckResult {
    check(statement.same_as(statement), || "the statement does not equal itself".to_owned())?;
    let stored_text = statement.canonicalise(&SERVER_FIELDS);
    let stored = Statement::parse_stored(&stored_text)
        .map_err(|fault| format!("the stored text cannot be parsed: {fault:?}\n{stored_text}"))?;
    check(stored.canonicalise(&SERVER_FIELDS) == stored_text, || {
        format!("the stored text changes when it is stored again:\n{stored_text}")
    })?;
    check(statement.same_as(&stored) && stored.same_as(&stored), || {
        format!("the statement does not equal its stored text:\n{stored_text}")
    })?;
    check(stored.voids() == statement.voids(), || {
        format!("the stored text voids another statement:\n{stored_text}")
    })?;
    let (mentions, found) = (statement.mentions(), stored.mentions());
    let same = (mentions.direct, mentions.related, mentions.activities.len())
        == (found.direct, found.related, found.activities.len());
    check(same, || format!("the stored text mentions others:\n{stored_text}"))?;
    for preference in ["", "de", "zh, *;q=0"] {
        let preference = Preference::parse(preference);
        let format = |text: &str| format::to_canonical(text, &preference);
        check_format(&stored_text, format)?;
    }
    check_format(&stored_text, format::to_ids)?;
    let object_activity = match &statement.object {
        Object::Activity(activity) => Some(activity),
        _ => None,
    };
    for activity in statement.mentions().activities.into_iter().chain(object_activity) {
        let Some(definition_text) = activity.definition.as_ref().map(|definition| definition.text.as_str())
        else {
            continue;
        };
        let Some(merged) = definition::merge(None, definition_text) else {
            continue;
        };
        check(definition::merge(Some(&merged), definition_text).is_none(), || {
            format!("merging {definition_text} again changes {merged}")
        })?;
    }
    Ok(())
}

/// A format is a valid statement, and applying it again changes nothing.
fn check_format(stored_text: &str, format: impl Fn(&str) -> Result<String, Fault>) -> CheckResult {
    let text = format(stored_text).map_err(|fault| format!("the format fails: {fault:?}"))?;
    Statement::parse_stored(&text)
        .map_err(|fault| format!("the format is not a valid statement: {fault:?}\n{text}"))?;
    check(format(&text).as_ref() == Ok(&text), || {
        format!("the format changes when it is applied again:\n{text}")
    })
}

/// The expected stored text: the sent members, context activities as lists, and the members that the server
/// adds.
fn expected_text(sent: &Tree, server_fields: &ServerFields<'_>) -> String {
    let Tree::Object(members) = sent else {
        return String::new();
    };
    let mut stored_members: Vec<(String, Tree)> = Vec::new();
    let scalar = |text: &str| Tree::Scalar(text.to_owned());
    for (key, value) in members {
        let key = parse_string(key).unwrap_or_default();
        let value = match key.as_str() {
            "stored" => scalar(&quote(&server_fields.stored.to_string())),
            "authority" if !server_fields.keep_authority => scalar(server_fields.authority),
            "context" => with_lists(value),
            "object" if value.get("objectType").and_then(Tree::as_str).as_deref() == Some("SubStatement") => {
                with_changed_member(value, "context", with_lists)
            }
            _ => value.clone(),
        };
        stored_members.push((key, value));
    }
    let has =
        |stored_members: &[(String, Tree)], name: &str| stored_members.iter().any(|(key, _)| key == name);
    if !has(&stored_members, "id") {
        stored_members.insert(0, ("id".to_owned(), Tree::string(&server_fields.id.to_string())));
    }
    for (name, value) in [
        ("timestamp", Tree::string(&server_fields.stored.to_string())),
        ("stored", Tree::string(&server_fields.stored.to_string())),
        ("authority", scalar(server_fields.authority)),
        ("version", Tree::string(server_fields.default_version)),
    ] {
        if !has(&stored_members, name) {
            stored_members.push((name.to_owned(), value));
        }
    }
    Tree::Object(stored_members.into_iter().map(|(key, value)| (quote(&key), value)).collect()).text()
}

fn with_lists(context: &Tree) -> Tree {
    with_changed_member(context, "contextActivities", |activities| {
        let Tree::Object(members) = activities else {
            return activities.clone();
        };
        let list = |(key, value): &(String, Tree)| match value {
            Tree::Object(_) => (key.clone(), Tree::Array(vec![value.clone()])),
            value => (key.clone(), value.clone()),
        };
        Tree::Object(members.iter().map(list).collect())
    })
}

/// The object with one changed member.
fn with_changed_member(object: &Tree, name: &str, change: impl Fn(&Tree) -> Tree) -> Tree {
    let Tree::Object(members) = object else {
        return object.clone();
    };
    let member = |(key, value): &(String, Tree)| {
        let named = parse_string(key).as_deref() == Some(name);
        (key.clone(), if named { change(value) } else { value.clone() })
    };
    Tree::Object(members.iter().map(member).collect())
}
