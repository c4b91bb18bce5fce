//! What there is to learn in the demo: 60 contents of every type and content type.
//!
//! They stand in `contents.ndjson`, each as a client would send it to `/v1/contents/batch`; what depends on
//! the day on which the demo is made is added here.

use serde_json::{Value, json};

use crate::base::clock::Timestamp;

use super::DAY;

const CONTENTS: &str = include_str!("contents.ndjson");

/// Contents that were archived, and how many days ago.
const ARCHIVED: [(&str, i64); 5] = [
    ("remote-work-policy-2023", 400),
    ("anti-bribery-2022", 520),
    ("event-town-hall-2024", 300),
    ("quiz-summer", 45),
    ("press-kit", 120),
];

/// Contents whose pass mark was raised a year ago, and what it was before.
const RAISED: [(&str, f64); 3] = [
    ("fire-safety", 70.0),
    ("quiz-forklift", 75.0),
    ("quiz-code-of-conduct", 80.0),
];

/// The catalogue as it was at first, with the pass marks of then.
pub(super) fn first(now: Timestamp) -> Vec<Value> {
    let mut contents = read();
    for content in &mut contents {
        let mark = RAISED
            .iter()
            .find(|(id, _)| content["id"] == **id)
            .map(|(_, mark)| *mark);
        if let Some(mark) = mark {
            content["pass_mark"] = json!(mark);
        }
        content["effective_from"] = json!(ago(now, 3 * 365));
    }
    contents
}

/// What has changed since: raised pass marks, archived contents.
pub(super) fn changes(now: Timestamp) -> Vec<Value> {
    let mut changed = Vec::new();
    for mut content in read() {
        let raised = RAISED.iter().any(|(id, _)| content["id"] == **id);
        let archived = ARCHIVED.iter().find(|(id, _)| content["id"] == **id);
        if raised {
            content["effective_from"] = json!(ago(now, 365));
        }
        if let Some((_, days)) = archived {
            content["archived_at"] = json!(ago(now, *days));
        }
        if raised || archived.is_some() {
            changed.push(content);
        }
    }
    changed
}

fn read() -> Vec<Value> {
    // The file is part of the program, and a test reads every line of it.
    CONTENTS
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn ago(now: Timestamp, days: i64) -> Timestamp {
    Timestamp::from_micros((now.micros() / DAY - days) * DAY)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::keyed::parse_batch;
    use crate::catalogue::{ContentDraft, ContentFormat, LearningType};

    #[test]
    fn there_are_sixty_contents_of_every_type_and_content_type() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        for (contents, count) in [(first(now), 60), (changes(now), RAISED.len() + ARCHIVED.len())] {
            assert_eq!(contents.len(), count);
            let texts: Vec<String> = contents.iter().map(Value::to_string).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let drafts = parse_batch::<ContentDraft>(&texts, 8).unwrap();
            if count == 60 {
                let types: BTreeSet<_> = drafts.iter().map(|draft| draft.learning_type).collect();
                let kinds: BTreeSet<_> = drafts.iter().filter_map(|draft| draft.content_type).collect();
                assert_eq!(
                    (types.len(), kinds.len()),
                    (LearningType::ALL.len(), ContentFormat::ALL.len())
                );
            }
        }
        assert_eq!(CONTENTS.lines().count(), 60);
    }
}
