//! What must hold of every body, good or bad.

use rollbook::base::Fault;
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::StatementId;
use rollbook::record::{
    Limits, Object, Preference, ServerFields, Statement, Version, definition, format, parse_statement,
    parse_statements,
};

use super::tree::{Tree, meaning, quoted};

pub const SEAL: ServerFields<'static> = ServerFields {
    id: StatementId(uuid::Uuid::from_u128(7)),
    stored: Timestamp::from_micros(1_767_268_800_123_456),
    authority: r#"{"mbox":"mailto:lrs@example.org"}"#,
    keep_authority: false,
    default_version: "1.0.0",
};

type Judgement = Result<(), String>;

fn must(holds: bool, what: impl FnOnce() -> String) -> Judgement {
    if holds { Ok(()) } else { Err(what()) }
}

/// What was said of a body, for whoever counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// By these rules, so many statements of it are good.
    Good(usize),
    Bad,
}

/// Judges what is said of a body; `tree` is what it was written from, where it was written from one.
pub fn judge(body: &[u8], tree: Option<&Tree>) -> Result<Verdict, String> {
    let limits = Limits::default();
    let [one, two] = [Version::V1, Version::V2].map(|version| parse_statements(body, version, &limits));
    if let Ok(statements) = &one {
        must(two.as_ref() == Ok(statements), || {
            "2.0 refuses, or reads otherwise, what 1.0.3 allows".to_owned()
        })?;
    }
    for (version, read) in [(Version::V1, &one), (Version::V2, &two)] {
        agrees_with_single(body, version, &limits, read)?;
        match read {
            Err(faults) => faults_lead(faults, tree)?,
            Ok(statements) => {
                for statement in statements {
                    kept_and_given_back(statement)?;
                }
            }
        }
        if let Some(tree) = tree {
            agrees_with_its_elements(tree, version, &limits, read)?;
        }
    }
    if let (Ok(statements), Some(tree)) = (&two, tree) {
        let sent: Vec<&Tree> = match tree {
            Tree::Array(elements) => elements.iter().collect(),
            one => vec![one],
        };
        must(sent.len() == statements.len(), || {
            format!("{} statements are read of {}", statements.len(), sent.len())
        })?;
        for (statement, sent) in statements.iter().zip(sent) {
            for keep_authority in [false, true] {
                let seal = ServerFields { keep_authority, ..SEAL };
                let (sealed, expected) = (statement.canonicalise(&seal), sealed(sent, &seal));
                must(sealed == expected, || format!("what is kept is not what came:\n{sealed}\n{expected}"))?;
            }
        }
    }
    Ok(one.or(two).map_or(Verdict::Bad, |statements| Verdict::Good(statements.len())))
}

/// A body of one statement is read alike by both doors; a body of several is refused by one of them.
fn agrees_with_single(
    body: &[u8],
    version: Version,
    limits: &Limits,
    read: &Result<Vec<Statement>, Vec<Fault>>,
) -> Judgement {
    let single = parse_statement(body, version, limits);
    let array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    match (&single, read) {
        (Ok(statement), Ok(statements)) => {
            must(statements[..] == [statement.clone()], || "read otherwise alone".to_owned())
        }
        (Err(fault), Err(faults)) if !array => {
            must(faults[..] == [fault.clone()], || format!("alone: {fault:?}; else {faults:?}"))
        }
        (Err(_), _) if array => Ok(()),
        _ => Err(format!("alone: {single:?}; else {read:?}")),
    }
}

/// Every fault says what and where: at most one a statement, in their order, at a place that is there.
fn faults_lead(faults: &[Fault], tree: Option<&Tree>) -> Judgement {
    must(!faults.is_empty(), || "refused without a fault".to_owned())?;
    for fault in faults {
        must(!fault.detail.is_empty() && !fault.detail.contains("panicked"), || format!("{fault:?}"))?;
        let leads = tree.is_none_or(|tree| tree.leads(&fault.pointer));
        must(leads, || format!("leads nowhere: {fault:?}"))?;
    }
    let numbers: Vec<Option<usize>> = faults
        .iter()
        .map(|fault| fault.pointer.split('/').nth(1).and_then(|number| number.parse().ok()))
        .collect();
    let ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    must(ordered, || format!("out of order: {faults:?}"))
}

/// Each statement of an array is good or bad by itself, whatever its neighbours are; but no id is there twice.
fn agrees_with_its_elements(
    tree: &Tree,
    version: Version,
    limits: &Limits,
    read: &Result<Vec<Statement>, Vec<Fault>>,
) -> Judgement {
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
        Ok(_) => must(expected.is_empty(), || format!("taken with {expected:?}")),
        // Where the array is no JSON at all, no single one is looked at.
        Err(faults) if faults.len() == 1 && faults[0].pointer.is_empty() => Ok(()),
        Err(faults) => {
            must(pointers(faults) == pointers(&expected), || format!("{faults:?}, one by one {expected:?}"))
        }
    }
}

/// A good statement can be kept, read again, compared and given back in every format.
fn kept_and_given_back(statement: &Statement) -> Judgement {
    must(statement.same_as(statement), || "it is not the same as itself".to_owned())?;
    let sealed = statement.canonicalise(&SEAL);
    let stored = Statement::parse_stored(&sealed)
        .map_err(|fault| format!("what is kept can't be read: {fault:?}\n{sealed}"))?;
    must(stored.canonicalise(&SEAL) == sealed, || {
        format!("it is kept otherwise the second time:\n{sealed}")
    })?;
    must(statement.same_as(&stored) && stored.same_as(&stored), || {
        format!("it is not the same as what is kept:\n{sealed}")
    })?;
    must(stored.voids() == statement.voids(), || format!("it voids something else:\n{sealed}"))?;
    let (asked, found) = (statement.mentions(), stored.mentions());
    let same = (asked.direct, asked.related, asked.activities.len())
        == (found.direct, found.related, found.activities.len());
    must(same, || format!("it mentions others:\n{sealed}"))?;
    for preference in ["", "de", "zh, *;q=0"] {
        let preference = Preference::parse(preference);
        let shown = |text: &str| format::to_canonical(text, &preference);
        given_back(&sealed, shown)?;
    }
    given_back(&sealed, format::to_ids)?;
    let own = match &statement.object {
        Object::Activity(activity) => Some(activity),
        _ => None,
    };
    for activity in statement.mentions().activities.into_iter().chain(own) {
        let Some(said) = activity.definition.as_ref().map(|definition| definition.text.as_str()) else {
            continue;
        };
        let Some(merged) = definition::merge(None, said) else {
            continue;
        };
        must(definition::merge(Some(&merged), said).is_none(), || {
            format!("merging {said} again changes {merged}")
        })?;
    }
    Ok(())
}

/// A format is a statement like any other, and to shorten it again changes nothing.
fn given_back(sealed: &str, shown: impl Fn(&str) -> Result<String, Fault>) -> Judgement {
    let text = shown(sealed).map_err(|fault| format!("no format of it: {fault:?}"))?;
    Statement::parse_stored(&text)
        .map_err(|fault| format!("its format is no statement: {fault:?}\n{text}"))?;
    must(shown(&text).as_ref() == Ok(&text), || format!("its format changes again:\n{text}"))
}

/// What is kept of a statement, made from what was sent: the members as they came, single context activities as
/// lists, and what the store adds.
fn sealed(sent: &Tree, seal: &ServerFields<'_>) -> String {
    let Tree::Object(members) = sent else {
        return String::new();
    };
    let mut kept: Vec<(String, Tree)> = Vec::new();
    let scalar = |text: &str| Tree::Scalar(text.to_owned());
    for (key, value) in members {
        let key = meaning(key).unwrap_or_default();
        let value = match key.as_str() {
            "stored" => scalar(&quoted(&seal.stored.to_string())),
            "authority" if !seal.keep_authority => scalar(seal.authority),
            "context" => with_lists(value),
            "object" if value.get("objectType").and_then(Tree::as_str).as_deref() == Some("SubStatement") => {
                changed(value, "context", with_lists)
            }
            _ => value.clone(),
        };
        kept.push((key, value));
    }
    let has = |kept: &[(String, Tree)], name: &str| kept.iter().any(|(key, _)| key == name);
    if !has(&kept, "id") {
        kept.insert(0, ("id".to_owned(), Tree::string(&seal.id.to_string())));
    }
    for (name, value) in [
        ("timestamp", Tree::string(&seal.stored.to_string())),
        ("stored", Tree::string(&seal.stored.to_string())),
        ("authority", scalar(seal.authority)),
        ("version", Tree::string(seal.default_version)),
    ] {
        if !has(&kept, name) {
            kept.push((name.to_owned(), value));
        }
    }
    Tree::Object(kept.into_iter().map(|(key, value)| (quoted(&key), value)).collect()).text()
}

fn with_lists(context: &Tree) -> Tree {
    changed(context, "contextActivities", |activities| {
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

/// An object with the member of that name changed.
fn changed(object: &Tree, name: &str, change: impl Fn(&Tree) -> Tree) -> Tree {
    let Tree::Object(members) = object else {
        return object.clone();
    };
    let member = |(key, value): &(String, Tree)| {
        let named = meaning(key).as_deref() == Some(name);
        (key.clone(), if named { change(value) } else { value.clone() })
    };
    Tree::Object(members.iter().map(member).collect())
}
