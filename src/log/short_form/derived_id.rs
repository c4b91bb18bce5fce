//! The id of a short form that has none, from its content. So the same row of two files is the same record.

use uuid::Builder;

use super::{ActionOrVerb, ContentName, ContentRef, ShortForm, UserRef};
use crate::base::Fingerprint;
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;

impl ShortForm {
    /// The id that follows from the members that [`ShortForm::difference`] compares. The title and the type of a content are
    /// not among them.
    pub fn derived_id(&self) -> StatementId {
        let parts = self.compared_parts();
        let fingerprint = Fingerprint::from_parts(parts.iter().map(String::as_str));
        // Many clients accept the UUIDs of RFC 4122 only, so it looks like one that was made of a name.
        StatementId(Builder::from_sha1_bytes(*fingerprint.as_bytes()).into_uuid())
    }

    /// The compared members as texts. The order and the number never change: the ids of stored records depend on them.
    fn compared_parts(&self) -> Vec<String> {
        let result = &self.result;
        vec![
            self.user.identity(),
            self.action.identity(),
            self.content
                .as_ref()
                .map_or_else(String::new, ContentRef::identity),
            time(self.happened_at),
            optional(result.success.as_ref(), bool::to_string),
            optional(result.completion.as_ref(), bool::to_string),
            optional(result.score.as_ref(), |score| {
                format!(
                    "{:?} {:?} {:?} {:?}",
                    score.scaled, score.raw, score.min, score.max
                )
            }),
            optional(result.total_time.as_ref(), |duration| {
                format!("{:?}", duration.hundredths())
            }),
            optional(result.response.as_ref(), |text| format!("={text}")),
            serde_json::to_string(&self.responses).unwrap_or_default(),
            optional(self.certificate.as_ref(), |certificate| {
                format!("{:?} {}", certificate.name, time(certificate.expires_at))
            }),
            time(self.expired_at),
            optional(self.device_type.as_ref(), |text| format!("={text}")),
            optional(self.source.as_ref(), |text| format!("={text}")),
            optional(self.registration.as_ref(), uuid::Uuid::to_string),
            optional(self.recorded_by.as_ref(), |user| format!("={user}")),
            optional(self.comment.as_ref(), |text| format!("={text}")),
        ]
    }
}

impl UserRef {
    fn identity(&self) -> String {
        match self {
            Self::Id(id) => format!("id {id}"),
            Self::Email { identifier, .. } | Self::Agent { identifier, .. } => {
                format!("{} {}", identifier.kind_code(), identifier.lookup_key())
            }
        }
    }
}

impl ActionOrVerb {
    fn identity(&self) -> String {
        match self {
            Self::Action(action) => format!("action {action}"),
            Self::Verb(iri) => format!("verb {}", iri.as_str()),
        }
    }
}

impl ContentRef {
    fn identity(&self) -> String {
        match self {
            Self::Id(id)
            | Self::Described {
                name: ContentName::Id(id),
                ..
            } => format!("id {id}"),
            Self::Described {
                name: ContentName::Iri(iri),
                ..
            } => format!("iri {}", iri.as_str()),
        }
    }
}

fn optional<T>(value: Option<&T>, text: impl Fn(&T) -> String) -> String {
    value.map(text).unwrap_or_default()
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.whole_millisecond().micros().to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::short_form::ShortFormRules;

    fn id(text: &str) -> StatementId {
        let rules = ShortFormRules {
            recorder: true,
            depth: 64,
            now: Timestamp::from_micros(2_000_000_000_000_000),
        };
        ShortForm::parse(text, &rules).expect(text).derived_id()
    }

    #[test]
    fn same_row_in_another_notation_has_the_same_id() {
        let first = r#"{"user":{"email":"Bo@Example.com"},"action":"completed","content":"c","happened_at":"2026-01-02T03:04:05Z","result":{"score":90}}"#;
        let second = r#"{"result":{"score":90.0,"success":null},"content":{"id":"c","title":"C"},"action":"completed","user":{"mbox":"mailto:bo@example.com"},"happened_at":"2026-01-02T04:04:05.000+01:00"}"#;
        assert_eq!(id(first), id(second));
        assert_eq!(id(first).0.get_version_num(), 5);
    }

    #[test]
    fn each_compared_member_changes_the_id() {
        let mut ids = std::collections::HashSet::new();
        for members in [
            "",
            r#","content":"c""#,
            r#","content":{"iri":"urn:c"}"#,
            r#","happened_at":"2026-01-02T03:04:05Z""#,
            r#","result":{"success":true}"#,
            r#","result":{"completion":true}"#,
            r#","result":{"score":90}"#,
            r#","result":{"total_time":"PT5M"}"#,
            r#","result":{"response":"a"}"#,
            r#","responses":[{"question":"q","response":"a"}]"#,
            r#","certificate":{}"#,
            r#","expired_at":"2027-01-02T03:04:05Z""#,
            r#","device_type":"a""#,
            r#","source":"a""#,
            r#","registration":"0190a000-0000-7000-8000-000000000001""#,
            r#","recorded_by":"a""#,
            r#","comment":"a""#,
        ] {
            let text = format!(r#"{{"user":"bo","action":"viewed"{members}}}"#);
            assert!(ids.insert(id(&text)), "{text}");
        }
    }
}
