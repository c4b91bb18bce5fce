//! Sentences in each language.

use super::*;

fn describe(tag: &str, activity: &Projected, content: Option<&ContentDetails>) -> Description {
    let language = Language::find(tag).unwrap();
    let (person, verb) = (testing::person("bo"), testing::verb("urn:x:verb", Some("did")));
    let ada = Recorder {
        id: UserId::new("ada").unwrap(),
        name: Some("Ada Obi".to_owned()),
    };
    Description::new(activity, &person, content, &verb, Some(&ada), language)
}

fn failed() -> Projected {
    let mut failed = Projected {
        success: Some(false),
        seconds: Some(2 * 3_600 + 60),
        part: Some("question 3".to_owned()),
        ..done(Action::Failed)
    };
    failed.score.percent = Some(Percent(4_550));
    failed
}

#[test]
fn sentence_is_natural_in_each_language() {
    let archived = ContentDetails {
        archived_at: Some(Timestamp::from_micros(0)),
        ..fire_safety()
    };
    for (tag, failure, completion) in [
        (
            "en",
            "Failed question 3 in Forklift Quiz scoring 45.5% in 2 hours 1 minute",
            "Completed Fire Safety (Archived), marked complete by Ada Obi",
        ),
        (
            "de",
            "Frage 3 in Forklift Quiz nicht bestanden, Ergebnis: 45,5\u{a0}%, Dauer: 2 Stunden 1 Minute",
            "Fire Safety (archiviert) abgeschlossen, als abgeschlossen markiert von Ada Obi",
        ),
        (
            "fr",
            "A échoué à la question 3 dans Forklift Quiz avec un score de 45,5\u{a0}% en 2 heures 1 minute",
            "A terminé Fire Safety (archivé), achèvement indiqué par Ada Obi",
        ),
        (
            "es",
            "No ha superado la pregunta 3 en Forklift Quiz con una puntuación del 45,5\u{a0}% en 2 horas 1 minuto",
            "Ha completado Fire Safety (archivado), finalización indicada por Ada Obi",
        ),
        (
            "nl",
            "Niet geslaagd voor vraag 3 in Forklift Quiz met een score van 45,5% in 2 uur 1 minuut",
            "Fire Safety (gearchiveerd) afgerond, als afgerond gemarkeerd door Ada Obi",
        ),
        (
            "pt",
            "Não passou em pergunta 3 em Forklift Quiz com uma pontuação de 45,5% em 2 horas 1 minuto",
            "Concluiu Fire Safety (arquivado), conclusão indicada por Ada Obi",
        ),
        (
            "pl",
            "Nie zaliczono: pytanie 3 – Forklift Quiz, wynik: 45,5%, czas: 2 godziny 1 minuta",
            "Ukończono: Fire Safety (w archiwum), ukończenie oznacza: Ada Obi",
        ),
    ] {
        assert_eq!(describe(tag, &failed(), Some(&quiz())).to_string(), failure);
        let completed = describe(tag, &done(Action::Completed), Some(&archived));
        assert_eq!(completed.to_string(), completion);
    }
}

#[test]
fn phrase_on_both_sides_of_the_content_has_its_key_in_each_part() {
    let parts = |action, content: Option<&ContentDetails>| {
        let activity = Projected {
            seconds: Some(60),
            ..done(action)
        };
        serde_json::to_value(describe("de", &activity, content).parts()).unwrap()
    };
    let expected = serde_json::json!([
        {"text": "Für ", "key": "enrolled_for"}, {"text": "Fire Safety", "content": "fire-safety"},
        {"text": " angemeldet", "key": "enrolled_for"}, {"text": ", Dauer: 1 Minute"},
    ]);
    assert_eq!(parts(Action::EnrolledFor, Some(&fire_safety())), expected);
    let expected = serde_json::json!([
        {"text": "Angemeldet", "key": "enrolled_for"}, {"text": ", Dauer: 1 Minute"},
    ]);
    assert_eq!(parts(Action::EnrolledFor, None), expected);
    let expected = serde_json::json!([
        {"text": "Did: ", "key": "other"}, {"text": "Fire Safety", "content": "fire-safety"},
        {"text": ", Dauer: 1 Minute"},
    ]);
    assert_eq!(parts(Action::Other, Some(&fire_safety())), expected);
}

#[test]
fn key_of_the_phrase_is_the_same_in_all_languages() {
    let passed = Projected {
        success: Some(true),
        ..done(Action::Completed)
    };
    for language in Language::all() {
        for action in Action::ALL {
            let sentence = describe(language.tag(), &done(*action), Some(&fire_safety()));
            let keys: Vec<&str> = sentence.parts().iter().filter_map(|part| part.key).collect();
            assert!(
                !keys.is_empty() && keys.iter().all(|key| *key == action.key()),
                "{keys:?}"
            );
            let text = sentence.to_string();
            assert!(text.contains("Fire Safety") && text.trim() == text, "{text}");
            assert!(text.chars().next().is_some_and(char::is_uppercase), "{text}");
        }
        let sentence = describe(language.tag(), &passed, Some(&fire_safety()));
        assert!(sentence.parts().iter().any(|part| part.key == Some("passed")));
        for (iri, _) in VERBS {
            let label = label(Action::Other, &testing::verb(iri, None), language);
            assert!(!label.is_empty(), "{iri}");
        }
    }
}

#[test]
fn certificate_is_named_once_in_its_language() {
    let received = done(Action::ReceivedCertificateFor);
    for (tag, title, expected) in [
        ("de", "Zertifikat Ersthelfer", "Zertifikat Ersthelfer erhalten"),
        ("de", "Certificate 4711", "Certificate 4711 erhalten"),
        ("de", "Erste Hilfe", "Zertifikat für Erste Hilfe erhalten"),
        ("pl", "Certyfikat BHP", "Otrzymano: Certyfikat BHP"),
        (
            "en",
            "Zertifikat Ersthelfer",
            "Received certificate for Zertifikat Ersthelfer",
        ),
    ] {
        let content = testing::content("c", title);
        assert_eq!(describe(tag, &received, Some(&content)).to_string(), expected);
    }
}

#[test]
fn each_part_of_a_content_has_words_in_each_language() {
    for language in Language::all().skip(1) {
        for words in crate::log::placement::part_words() {
            let part = crate::log::placement::translate_part(words, language);
            assert_ne!(part, words, "{words} in {language}");
        }
        let title = crate::log::placement::translate_part("\"Why?\"", language);
        assert!(title.contains("Why?") && !title.contains('"'), "{title}");
    }
}
