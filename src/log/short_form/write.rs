//! Making the record of a [`ShortForm`]: a valid xAPI statement and its envelope.
//!
//! The statement says what xAPI has words for; who recorded it, the device, answers to single
//! questions and the certificate stand in the envelope, which Rollbook keeps and never takes from a
//! statement (product text, section 6).

use std::fmt::Write as _;

use chrono::SecondsFormat;

use super::{Did, ShortForm, ShortResult};
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::base::json::quoted;
use crate::catalogue::{ContentKind, ContentType, kind};
use crate::log::action::Action;
use crate::record::{ActorKind, Envelope, Identifier, Score};

/// What directory and catalogue make of a short form's user and content.
#[derive(Debug, Clone)]
pub struct Resolved<'a> {
    /// The statement's id: the sender's, else a new one.
    pub id: StatementId,
    /// How the statement names the user: the account of an id, the mbox of an e-mail address, the
    /// identifier of an agent. The same short form must always give the same one.
    pub actor: &'a Identifier,
    /// The name that the statement gives the user.
    pub actor_name: Option<&'a str>,
    /// The content; `None` where none was sent.
    pub content: Option<ResolvedContent<'a>>,
    /// The platform's own IRI, which the statement is about where it has no content: the
    /// organisation's `account_home_page`.
    pub platform: &'a str,
    /// When it happened: what was sent, else the moment of the request.
    pub happened_at: Timestamp,
}

/// A content as a statement names it.
#[derive(Debug, Clone, Copy)]
pub struct ResolvedContent<'a> {
    /// Its IRI.
    pub iri: &'a str,
    /// Its title.
    pub title: Option<&'a str>,
    /// Its type.
    pub kind: Option<ContentType>,
    /// How an item is consumed.
    pub content_type: Option<ContentKind>,
}

impl ShortForm {
    /// The JSON text of the statement.
    ///
    /// Titles are written under `und`: nobody said in which language they are.
    pub fn to_statement(&self, resolved: &Resolved<'_>) -> String {
        let actor = resolved
            .actor
            .to_actor_json(ActorKind::Agent, resolved.actor_name);
        let mut text = format!(
            "{{\"id\":\"{}\",\"actor\":{actor},\"verb\":{},",
            resolved.id,
            verb(&self.did)
        );
        let object = match &resolved.content {
            Some(content) => object(content),
            None => activity(resolved.platform, ""),
        };
        // Writing into a String has no way to fail.
        let _ = write!(text, "\"object\":{object},");
        let result = result(&self.result);
        if !result.is_empty() {
            let _ = write!(text, "\"result\":{{{result}}},");
        }
        if let Some(registration) = self.registration {
            let _ = write!(text, "\"context\":{{\"registration\":\"{registration}\"}},");
        }
        let _ = write!(text, "\"timestamp\":\"{}\"}}", exact(resolved.happened_at));
        text
    }

    /// What Rollbook knows of the record besides its statement: what was sent, else what `base` has. The
    /// caller gives in `base` the origin, the device and the recorder where none is sent, and whether
    /// definitions may touch the catalogue.
    pub fn envelope(&self, base: Envelope) -> Envelope {
        Envelope {
            device_type: self.device_type.clone().or(base.device_type),
            recorded_by: self.recorded_by.clone().or(base.recorded_by),
            comment: self.comment.clone().or(base.comment),
            source: self.source.clone().or(base.source),
            expired_at: self.expired_at.or(base.expired_at),
            certificate: self.certificate.clone().or(base.certificate),
            responses: if self.responses.is_empty() {
                base.responses
            } else {
                self.responses.clone()
            },
            ..base
        }
    }
}

fn verb(did: &Did) -> String {
    let id = quoted(&did.verb());
    match did {
        Did::Action(action) if *action != Action::Other => {
            format!(
                "{{\"id\":{id},\"display\":{{\"en\":{}}}}}",
                quoted(action.label())
            )
        }
        _ => format!("{{\"id\":{id}}}"),
    }
}

fn object(content: &ResolvedContent<'_>) -> String {
    let name = content
        .title
        .map(|title| format!("\"name\":{{\"und\":{}}}", quoted(title)));
    let type_ = kind::to_activity_type(content.kind, content.content_type);
    let type_ = type_.map(|iri| format!("\"type\":{}", quoted(iri)));
    let definition: Vec<String> = name.into_iter().chain(type_).collect();
    activity(content.iri, &definition.join(","))
}

fn activity(iri: &str, definition: &str) -> String {
    let id = quoted(iri);
    if definition.is_empty() {
        format!("{{\"objectType\":\"Activity\",\"id\":{id}}}")
    } else {
        format!("{{\"objectType\":\"Activity\",\"id\":{id},\"definition\":{{{definition}}}}}")
    }
}

/// The members of the result; the empty text where it has none.
fn result(result: &ShortResult) -> String {
    let members = [
        result
            .score
            .as_ref()
            .map(|score| format!("\"score\":{{{}}}", score_members(score))),
        result.success.map(|success| format!("\"success\":{success}")),
        result
            .completion
            .map(|completion| format!("\"completion\":{completion}")),
        result
            .response
            .as_ref()
            .map(|response| format!("\"response\":{}", quoted(response))),
        result
            .total_time
            .as_ref()
            .map(|time| format!("\"duration\":{}", quoted(time.as_str()))),
    ];
    members.into_iter().flatten().collect::<Vec<_>>().join(",")
}

fn score_members(score: &Score) -> String {
    let Score {
        scaled,
        raw,
        min,
        max,
    } = *score;
    let members = [("scaled", scaled), ("raw", raw), ("min", min), ("max", max)];
    // Rust prints a number with the fewest digits that read back as the same one, never with an exponent.
    let written = members
        .iter()
        .filter_map(|(key, value)| Some(format!("\"{key}\":{}", (*value)?)));
    written.collect::<Vec<_>>().join(",")
}

/// The moment as RFC 3339 with at least three digits of its second, and six where it is finer.
fn exact(at: Timestamp) -> String {
    let digits = if at.micros() % 1_000 == 0 {
        SecondsFormat::Millis
    } else {
        SecondsFormat::Micros
    };
    at.to_datetime().to_rfc3339_opts(digits, true)
}
