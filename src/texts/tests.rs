//! Each file is complete, and its texts fit where they are used.

use std::collections::{BTreeMap, BTreeSet};

use fluent_syntax::ast::Entry;
use fluent_syntax::parser;

use super::*;

/// The texts of a file with the values that they use. The optional texts of phrases are left out.
fn texts_of(source: &'static str) -> BTreeMap<String, BTreeSet<&'static str>> {
    let parsed = parser::parse(source).unwrap_or_else(|(_, faults)| panic!("{faults:?}"));
    let mut texts = BTreeMap::new();
    let mut add =
        |id: String, values| assert_eq!(texts.insert(id.clone(), values), None, "{id} is there twice");
    for entry in &parsed.body {
        let Entry::Message(message) = entry else {
            assert!(!matches!(entry, Entry::Term(_) | Entry::Junk { .. }), "{entry:?}");
            continue;
        };
        let id = message.id.name;
        if let Some(pattern) = &message.value {
            add(id.to_owned(), bundle::variables(pattern));
        }
        for attribute in &message.attributes {
            let key = attribute.id.name;
            let values = bundle::variables(&attribute.value);
            if id.starts_with("phrase-") {
                assert!(
                    matches!(key, "label" | "alone") && values.is_empty(),
                    "{id}.{key}"
                );
            } else {
                add(format!("{id}.{key}"), values);
            }
        }
    }
    texts
}

#[test]
fn each_language_has_every_text_with_the_same_values() {
    let (_, english) = SOURCES[0];
    let english = texts_of(english);
    assert!(english.len() > 200 && SOURCES[0].0 == "en");
    for (tag, source) in SOURCES {
        let texts = texts_of(source);
        for (id, values) in &english {
            assert_eq!(texts.get(id), Some(values), "`{id}` in `{tag}`");
        }
        for id in texts.keys() {
            assert!(english.contains_key(id), "`{id}` of `{tag}` is not in `en`");
        }
    }
    let tags: Vec<&str> = Language::all().map(Language::tag).collect();
    assert_eq!(tags, ["en", "de", "es", "fr", "nl", "pl", "pt"]);
}

#[test]
fn phrases_name_their_object_once_and_labels_stand_alone() {
    for language in Language::all() {
        let texts = language.texts();
        for (key, phrase) in texts.phrases() {
            let places = phrase.with_object.pieces().iter();
            let objects = places.filter(|piece| **piece == Piece::Place("object".to_owned()));
            assert_eq!(objects.count(), 1, "{key} in {language}");
            for text in [&phrase.label, &phrase.alone] {
                assert!(
                    text.chars().next().is_some_and(char::is_uppercase),
                    "{key} in {language}: {text}"
                );
                assert!(
                    !text.contains([',', '"', '{']) && text.trim() == text,
                    "{key} in {language}: {text}"
                );
            }
        }
        for (group, labels) in texts.labels().filter(|(group, _)| !is_inside_sentences(group)) {
            for (key, label) in labels {
                let is_plain = !label.is_empty() && label.trim() == label && !label.contains([',', '"', ';']);
                assert!(
                    is_plain && !label.starts_with(['=', '+', '-', '@']),
                    "{group}.{key} in {language}: {label}"
                );
            }
        }
    }
}

/// Whether the labels of the group are parts of sentences only.
fn is_inside_sentences(group: &str) -> bool {
    matches!(
        group,
        "number" | "mail-sentence" | "period" | "window" | "recipients" | "every" | "part"
    )
}

#[test]
fn labels_of_a_group_are_different() {
    for language in Language::all() {
        for group in [
            "type",
            "content-type",
            "role",
            "origin",
            "state",
            "heading",
            "month",
        ] {
            let labels = language.texts().labels().find(|(name, _)| *name == group);
            let labels = labels.map(|(_, labels)| labels).into_iter().flatten();
            let mut seen = BTreeMap::new();
            for (key, label) in labels {
                let other = seen.insert(label.to_lowercase(), key);
                assert_eq!(other, None, "{group}.{key} in {language}: {label}");
            }
        }
    }
}

#[test]
fn text_that_no_file_has_is_empty() {
    let english = Language::ENGLISH;
    assert_eq!(english.label("type", "nothing"), "");
    assert_eq!(english.find_label("nothing", "item"), None);
    assert_eq!(english.phrase("nothing"), &Phrase::default());
    assert_eq!(english.template("nothing").fill(&[]), "");
    assert_eq!(english.format("nothing", []), "");
}

#[test]
fn key_of_a_heading_follows_from_its_english_text() {
    assert_eq!(heading_key("E-learning / Quiz result"), "e-learning-quiz-result");
    assert_eq!(
        heading_key("Status (at time of export)"),
        "status-at-time-of-export"
    );
    assert_eq!(Language::ENGLISH.heading("Content Type"), "Content Type");
    let german = Language::find("de").unwrap();
    assert_eq!(german.heading("First name"), "Vorname");
    assert_eq!(german.heading("No such heading"), "No such heading");
}
