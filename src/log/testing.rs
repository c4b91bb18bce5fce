//! Sample rows and lookups for the tests of this module.

use crate::base::ids::{ContentId, StatementId, UserId};
pub(super) use crate::base::testing::parse_time;
use crate::catalogue::{ContentFormat, LearningType};
use crate::record::Origin;

use super::action::Action;
use super::projection::{Projected, Score};
use super::row::{
    ContentDetails, ContentKey, PersonDetails, PersonKey, Row, UserDetails, VerbDetails, VerbKey,
};

pub(super) fn projected() -> Projected {
    Projected {
        happened_at: parse_time("2026-03-01T09:00:00Z"),
        part: None,
        action: Action::Completed,
        success: None,
        completion: None,
        completed: true,
        score: Score::default(),
        response: None,
        seconds: None,
        time_limit: None,
        expired_at: None,
        certificate: None,
        registration: None,
        session: None,
        device_type: None,
        origin: Origin::Api,
        recorded_by: None,
        comment: None,
        source: None,
        import: None,
    }
}

pub(super) fn row(projected: Projected) -> Row {
    Row {
        id: StatementId("0190a000-0000-7000-8000-000000000001".parse().unwrap()),
        seq: 7,
        stored_at: parse_time("2026-03-01T09:00:01Z"),
        person: PersonKey(1),
        verb: VerbKey(1),
        content: Some(ContentKey(1)),
        projected,
    }
}

pub(super) fn person(id: &str) -> PersonDetails {
    let user = UserDetails {
        first_name: Some("Bob".to_owned()),
        last_name: Some("Lee".to_owned()),
        email: Some("bob@acme.example".to_owned()),
        ..UserDetails::new(UserId::new(id).unwrap())
    };
    PersonDetails {
        key: PersonKey(1),
        user: Some(user),
        name: None,
        identifier: None,
        group: None,
    }
}

pub(super) fn content(id: &str, title: &str) -> ContentDetails {
    ContentDetails {
        key: ContentKey(1),
        id: ContentId::new(id).unwrap(),
        iri: format!("https://acme.example/{id}"),
        title: Some(title.to_owned()),
        learning_type: Some(LearningType::Item),
        content_type: Some(ContentFormat::Course),
        archived_at: None,
        tags: vec!["safety".to_owned()],
        cpd_labels: vec!["health".to_owned()],
        source: Some("library".to_owned()),
        url: None,
    }
}

pub(super) fn verb(iri: &str, display: Option<&str>) -> VerbDetails {
    VerbDetails {
        key: VerbKey(1),
        iri: iri.to_owned(),
        display: display.map(str::to_owned),
    }
}
