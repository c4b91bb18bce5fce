//! Request bodies of the model's facts: users, contents, short-form activities, statements.

use serde_json::{Value, json};

use super::Tenant;
use crate::support::builders::{self, Body};
use crate::v1::model::derivation::ACTIONS;
use crate::v1::model::question::rfc3339;
use crate::v1::model::world::{Actor, Below, Content, Months, Record, Score, User};

/// The extension with the session id of cmi5.
const SESSION_ID: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";

impl Tenant {
    pub(super) fn short_form(&self, record: &Record) -> Value {
        let user = match &record.actor {
            Actor::Account { home_page, name } if *home_page == self.facts.home_page() => json!(name),
            Actor::Mbox(address) => json!({"email": address}),
            actor => agent(actor),
        };
        let content =
            record.content.as_deref().map(|iri| self.facts.content(iri).map_or(iri, |content| &content.id));
        let action = ACTIONS.iter().find(|(_, verbs)| verbs[0] == record.verb).map(|(action, _)| *action);
        let mut body = Body::default()
            .set("id", json!(record.id))
            .set("user", user)
            .set("happened_at", rfc3339(record.happened_at))
            .set_option("content", content)
            .set_option("expired_at", record.expired_at.map(rfc3339))
            .set_option("device_type", record.device_type.clone())
            .set_option("source", record.source.clone())
            .set_option("registration", record.registration.map(|registration| registration.to_string()))
            .set_option("result.success", record.success)
            .set_option("result.completion", record.completion)
            .set_option("result.total_time", record.seconds.map(|seconds| format!("PT{seconds}S")));
        body = match action {
            Some(action) => body.set("action", action),
            None => body.set("verb", record.verb.clone()),
        };
        if let Some((name, expires_at)) = &record.certificate {
            body = body
                .set("certificate.name", name.clone())
                .set_option("certificate.expires_at", expires_at.map(rfc3339));
        }
        match record.score {
            // A plain number is a percentage.
            Some(Score::Scaled(units)) if units % 2 == 0 && units >= 0 => {
                body.set("result.score", exact_decimal(units, 2)).into()
            }
            Some(score) => body.set("result.score", score_object(score)).into(),
            None => body.into(),
        }
    }

    pub(super) fn statement(&self, record: &Record) -> Value {
        let object = match (&record.voids, &record.content) {
            (Some(target), _) => json!({"objectType": "StatementRef", "id": target}),
            (None, Some(iri)) => match record.below {
                None => json!({"objectType": "Activity", "id": iri}),
                Some(below) => object_below(iri, below),
            },
            (None, None) => json!({"id": self.facts.home_page()}),
        };
        let mut body = Body::default()
            .set("id", json!(record.id))
            .set("actor", agent(&record.actor))
            .set("verb", json!({"id": record.verb}))
            .set("object", object)
            .set("timestamp", rfc3339(record.happened_at))
            .set_option("result.success", record.success)
            .set_option("result.completion", record.completion)
            .set_option("result.score", record.score.map(score_object))
            .set_option("result.duration", record.seconds.map(|seconds| format!("PT{seconds}S")));
        body = body.set_option(
            "context.registration",
            record.registration.map(|registration| registration.to_string()),
        );
        if let Some(session) = &record.session {
            body = body.set("context.extensions", json!({SESSION_ID: session}));
        }
        let name = record.defines.as_ref().map(|title| json!({"en": title}));
        let (Some(below), Some(iri)) = (record.below, &record.content) else {
            return body.set_option("object.definition.name", name).into();
        };
        let content = Body::default().set("id", iri.clone()).set_option("definition.name", name);
        body = match below {
            Below::Question | Below::Attempt => {
                body.set("context.contextActivities.parent", json!([content]))
            }
            Below::QuestionInGrouping => {
                body.set("context.contextActivities.grouping", json!([content, {"id": "urn:only-mentioned"}]))
            }
        };
        body.into()
    }
}

/// The object of a statement that belongs to a content.
fn object_below(iri: &str, below: Below) -> Value {
    let (name, activity_type) = match below {
        Below::Question | Below::QuestionInGrouping => ("question/3", "cmi.interaction"),
        Below::Attempt => ("attempt/7", "attempt"),
    };
    json!({
        "id": format!("{iri}/{name}"),
        "definition": {"type": format!("http://adlnet.gov/expapi/activities/{activity_type}")},
    })
}

/// The decimal number `units / 10^digits` without rounding.
fn exact_decimal(units: i64, digits: usize) -> Value {
    let sign = if units < 0 { "-" } else { "" };
    let text = format!("{:0width$}", units.abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    serde_json::from_str(&format!("{sign}{whole}.{fraction}")).expect("a decimal number is JSON")
}

fn score_object(score: Score) -> Value {
    match score {
        Score::Scaled(units) => json!({"scaled": exact_decimal(units, 4)}),
        Score::Raw { raw, min, max } => {
            Body::default().set("raw", raw).set_option("min", min).set_option("max", max).into()
        }
    }
}

pub fn agent(actor: &Actor) -> Value {
    match actor {
        Actor::Mbox(address) => builders::mailbox(address),
        Actor::MboxSha1(sum) => json!({"mbox_sha1sum": sum}),
        Actor::Account { home_page, name } => json!({"account": {"homePage": home_page, "name": name}}),
    }
}

pub(super) fn user_body(user: &User) -> Body {
    let custom: serde_json::Map<String, Value> =
        user.custom.iter().map(|(field, value)| (field.clone(), json!(value))).collect();
    Body::default()
        .set("id", user.id.clone())
        .set("first_name", user.first_name.clone())
        .set("last_name", user.last_name.clone())
        .set_option("email", user.email.clone())
        .set("role", user.role)
        .set_option("location", user.location.clone())
        .set_option("manager", user.manager.clone())
        .set_option("primary_team", user.primary_team.clone())
        .set("teams", user.teams.clone())
        .set("groups", user.groups.clone())
        .set("active", user.active)
        .set_option("deactivated_at", user.deactivated_at.map(rfc3339))
        .set("identifiers", user.identifiers.iter().map(agent).collect::<Vec<_>>())
        .set("custom", custom)
}

pub(super) fn content_body(content: &Content) -> Body {
    let change = content.demands.last();
    let from = change.filter(|change| change.with_time).map(|change| rfc3339(change.from));
    let demands = change.map(|change| change.demands.clone()).unwrap_or_default();
    let duration = |months: Months| format!("P{}M", months.0);
    let certificate = demands.certificate.map(|(name, good_for)| {
        Body::default().set("name", name).set_option("expires_after", good_for.map(duration))
    });
    Body::default()
        .set("id", content.id.clone())
        .set("iri", content.iri.clone())
        .set_option("title", content.title.clone())
        .set_option("type", content.kind.clone())
        .set_option("content_type", content.content_type.clone())
        .set("tags", content.tags.clone())
        .set("cpd_labels", content.cpd_labels.clone())
        .set_option("source", content.source.clone())
        .set_option("archived_at", content.archived.then_some("2025-01-01T00:00:00Z"))
        .set_option("pass_mark", demands.pass_mark)
        .set_option("expires_after", demands.expires_after.map(duration))
        .set_option("certificate", certificate)
        .set_option("effective_from", from)
}
