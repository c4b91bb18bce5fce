//! A row and its cards for this room's tests.

use crate::catalogue::{ContentKind, ContentType};
use crate::clock::Timestamp;
use crate::ids::{ContentId, StatementId, UserId};
use crate::log::{
    Action, Certificate, ContentCard, ContentKey, Percent, PersonCard, PersonKey, Projected, Row, Score,
    UserCard, VerbCard, VerbKey,
};
use crate::record::Origin;

/// 2026-03-01T09:00:00.123Z.
pub(super) const AT: Timestamp = Timestamp::from_micros(1_772_355_600_123_456);

/// A row that has something in every column.
pub(super) fn row() -> Row {
    Row {
        id: StatementId("0190a000-0000-7000-8000-000000000001".parse().unwrap()),
        seq: 7,
        stored_at: AT,
        person: PersonKey(1),
        verb: VerbKey(1),
        content: Some(ContentKey(1)),
        projected: Projected {
            happened_at: AT,
            action: Action::Failed,
            success: Some(false),
            completion: None,
            completed: false,
            score: Score {
                percent: Some(Percent(4_550)),
                ..Score::default()
            },
            response: None,
            seconds: Some(3_900),
            time_limit: None,
            expired_at: Some(AT),
            certificate: Some(Certificate {
                name: Some("Fire, warden".to_owned()),
                expires_at: Some(AT),
            }),
            registration: Some("0190a000-0000-7000-8000-00000000000a".parse().unwrap()),
            device_type: Some("mobile".to_owned()),
            origin: Origin::Api,
            recorded_by: Some(UserId::new("ada").unwrap()),
            comment: None,
            source: None,
            import: None,
        },
    }
}

/// A user with everything that a directory may know.
pub(super) fn person() -> PersonCard {
    let text = |text: &str| Some(text.to_owned());
    let user = UserCard {
        first_name: text("Bo"),
        last_name: text("Lee \"B\""),
        email: text("bo@acme.example"),
        role: text("learning_designer"),
        job_title: text("-5"),
        language: text("en"),
        location: text("Leeds"),
        joined_on: text("2021-04-01"),
        manager_name: text("Ada Obi"),
        primary_team: text("Sales"),
        secondary_teams: vec!["North".to_owned(), "Safety".to_owned()],
        active: false,
        deactivated_at: Some(AT),
        custom: vec![
            ("Cost centre".to_owned(), "4711".to_owned()),
            ("Grade".to_owned(), "=A1".to_owned()),
        ],
        ..UserCard::new(UserId::new("bo").unwrap())
    };
    PersonCard {
        key: PersonKey(1),
        user: Some(user),
        name: None,
        identifier: None,
    }
}

pub(super) fn content() -> ContentCard {
    ContentCard {
        key: ContentKey(1),
        id: ContentId::new("fire").unwrap(),
        iri: "https://acme.example/fire".to_owned(),
        title: Some("Fire, \"Safety\"".to_owned()),
        kind: Some(ContentType::Quiz),
        content_type: Some(ContentKind::Video),
        archived_at: None,
        tags: vec!["safety".to_owned(), "fire".to_owned()],
        cpd_labels: vec!["health".to_owned()],
        source: Some("library".to_owned()),
        url: None,
    }
}

pub(super) fn verb() -> VerbCard {
    let iri = "http://adlnet.gov/expapi/verbs/failed".to_owned();
    VerbCard {
        key: VerbKey(1),
        iri,
        display: Some("=failed".to_owned()),
    }
}
