//! The 60 contents of the demo, of all types and content types.
//!
//! The file `contents.ndjson` has the bodies that a client would send to `/v1/contents/batch`. This file adds the dates, which
//! depend on the day on which the demo is created.

use serde_json::{Value, json};

use crate::base::clock::Timestamp;

use super::DAY;

const CONTENTS: &str = include_str!("contents.ndjson");

/// The archived contents, with the number of days since then.
const ARCHIVED: [(&str, i64); 5] = [
    ("remote-work-policy-2023", 400),
    ("anti-bribery-2022", 520),
    ("event-town-hall-2024", 300),
    ("quiz-summer", 45),
    ("press-kit", 120),
];

/// The contents with a pass mark that was raised a year ago, with the earlier pass mark.
const RAISED: [(&str, f64); 3] = [
    ("fire-safety", 70.0),
    ("quiz-forklift", 75.0),
    ("quiz-code-of-conduct", 80.0),
];

/// The first state of the catalogue, with the earlier pass marks. Its demands cover the whole past.
pub(super) fn first() -> Vec<Value> {
    let mut contents = parse_contents();
    for content in &mut contents {
        let mark = RAISED
            .iter()
            .find(|(id, _)| content["id"] == **id)
            .map(|(_, mark)| *mark);
        if let Some(mark) = mark {
            content["pass_mark"] = json!(mark);
        }
    }
    contents
}

/// The changes since then: raised pass marks, archived contents.
pub(super) fn changes(now: Timestamp) -> Vec<Value> {
    let mut changed = Vec::new();
    for mut content in parse_contents() {
        let raised = RAISED.iter().any(|(id, _)| content["id"] == **id);
        let archived = ARCHIVED.iter().find(|(id, _)| content["id"] == **id);
        if raised {
            content["effective_from"] = json!(days_ago(now, 365));
        }
        if let Some((_, days)) = archived {
            content["archived_at"] = json!(days_ago(now, *days));
        }
        if raised || archived.is_some() {
            changed.push(content);
        }
    }
    changed
}

fn parse_contents() -> Vec<Value> {
    // The file is part of the program, and a test parses each line.
    CONTENTS
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn days_ago(now: Timestamp, days: i64) -> Timestamp {
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
        for (contents, count) in [(first(), 60), (changes(now), RAISED.len() + ARCHIVED.len())] {
            assert_eq!(contents.len(), count);
            let texts: Vec<String> = contents.iter().map(Value::to_string).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let drafts = parse_batch::<ContentDraft>(&texts, 8)
                .parsed
                .into_values()
                .unwrap();
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
