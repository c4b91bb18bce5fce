//! A change of a report, and what it means for schedules: see `docs/specification.md#widening` and
//! `docs/specification.md#handing-a-report-over`.
//!
//! [`ChangePlan::prepare`] asks the directory before the transaction of the change. [`ChangePlan::change`] compares the
//! report with its stored state in the transaction.

use std::collections::HashSet;

use chrono_tz::Tz;
use serde_json::Value;

use crate::access::ReportAccess;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::ids::{OrgId, UserId};
use crate::export::ColumnSet;
use crate::store::{Handover, ReportChange, Store, StoreError, StoredReport, Widening};

use super::report::{ReportForm, query_of_filter};
use super::rights;

/// When a report is changed, and the organisation's time zone.
#[derive(Debug, Clone, Copy)]
pub struct ChangeContext {
    /// The time of the request.
    pub now: Timestamp,
    /// The organisation's time zone.
    pub zone: Tz,
}

/// What is known about a change before its transaction.
#[derive(Debug)]
pub struct ChangePlan {
    context: ChangeContext,
    handover: Option<Handover>,
    widening: Widening,
}

impl ChangePlan {
    /// Prepares a change of the report `stored` to `form`. `owner` is the user to which it is handed over.
    ///
    /// # Errors
    ///
    /// The store fails. The inner error: `owner` may not have reports.
    pub async fn prepare(
        store: &Store,
        access: &ReportAccess,
        context: ChangeContext,
        stored: &StoredReport,
        form: &ReportForm,
        owner: Option<UserId>,
    ) -> Result<Result<Self, Faults>, StoreError> {
        let mut plan = Self {
            context,
            handover: None,
            widening: Widening {
                reason: String::new(),
                users: HashSet::new(),
            },
        };
        // The transaction refuses the change of a caller that may not make it. Such a caller learns nothing here.
        if !access.may_change(&stored.owner) {
            return Ok(Ok(plan));
        }
        let org = access.org();
        if let Some(owner) = owner {
            let Ok(new) = rights::find_rights(store, org, &owner).await? else {
                let detail =
                    "name an active user of the directory that has reporting access by its role there";
                return Ok(Err(Place::Root.member("owner").fault(detail).into()));
            };
            let (caller, before) = (
                caller_name(store, access).await?,
                user_name(store, org, &stored.owner).await?,
            );
            let reason = format!(
                "{caller} handed the report over from {before} to {new}; check the recipients, and resume the schedule",
                new = new.name
            );
            plan.handover = Some(Handover { owner, reason });
        }
        if widens(stored, form, context) {
            let caller = caller_name(store, access).await?;
            plan.widening.reason = widening_reason(&caller);
            let recipients = store.find_recipients_of_others(access, stored.key).await?;
            // Ids without an `@` are no addresses.
            for recipient in recipients.into_iter().filter(|text| text.contains('@')) {
                if is_user(store, org, &recipient).await? {
                    plan.widening.users.insert(recipient);
                }
            }
        }
        Ok(Ok(plan))
    }

    /// The change of a stored report to `form`.
    pub fn change(self, stored: &StoredReport, form: ReportForm) -> ReportChange {
        let Self {
            context,
            handover,
            mut widening,
        } = self;
        if widening.reason.is_empty() {
            // Another change came between, and only compared with it this one widens the report.
            widening.reason = widening_reason("a user");
        }
        ReportChange {
            widening: widens(stored, &form, context).then_some(widening),
            handover,
            content: form.into(),
        }
    }
}

fn widening_reason(caller: &str) -> String {
    format!(
        "{caller} changed the report, which can show more rows or columns now, and a recipient is an address outside the \
         directory; check the report, and resume the schedule"
    )
}

/// Whether the report can show more rows or columns after the change than before. True if that is not known.
fn widens(stored: &StoredReport, form: &ReportForm, context: ChangeContext) -> bool {
    let ChangeContext { now, zone } = context;
    let rank = |columns: ColumnSet| ColumnSet::ALL.iter().position(|other| *other == columns);
    let more_columns = stored
        .columns
        .parse()
        .map_or(true, |columns| rank(form.columns) > rank(columns));
    let before = query_of_filter(&stored.filter, now, zone);
    let after = query_of_filter(form.filter.as_str(), now, zone);
    let more_rows = match (before, after) {
        (Ok(before), Ok(after)) => !after.is_within(&before, now),
        _ => true,
    };
    more_columns || more_rows
}

/// The new owner in a patch: an id, or an object with the member `id`. `None` if the owner stays.
///
/// # Errors
///
/// Another value, also `null`: a report always has an owner.
pub fn parse_owner(stored: &StoredReport, patch: &Value) -> Result<Option<UserId>, Fault> {
    let place = Place::Root.member("owner");
    let id = match patch.get("owner") {
        None => return Ok(None),
        Some(Value::Object(owner)) => owner.get("id").and_then(Value::as_str),
        Some(owner) => owner.as_str(),
    };
    let id = id.ok_or_else(|| place.fault("write the id of the user that gets the report"))?;
    let owner = UserId::new(id).map_err(|error| place.fault(error.to_string()))?;
    Ok((owner != stored.owner).then_some(owner))
}

/// Whether a recipient of a schedule is a user, now or earlier, and not an address outside the directory.
async fn is_user(store: &Store, org: &OrgId, recipient: &str) -> Result<bool, StoreError> {
    if let Ok(id) = UserId::new(recipient)
        && store.contact(org, &id).await?.is_some()
    {
        return Ok(true);
    }
    Ok(store.contact_by_email(org, recipient).await?.is_some())
}

async fn caller_name(store: &Store, access: &ReportAccess) -> Result<String, StoreError> {
    match access.user() {
        Some(user) => user_name(store, access.org(), user).await,
        None => Ok("a user".to_owned()),
    }
}

/// The name of a user, or the id of one that the directory does not have.
async fn user_name(store: &Store, org: &OrgId, user: &UserId) -> Result<String, StoreError> {
    let contact = store.contact(org, user).await?;
    Ok(contact.map_or_else(|| user.to_string(), |contact| contact.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn stored(filter: &str, columns: &str) -> StoredReport {
        StoredReport {
            key: 1,
            id: Uuid::nil(),
            owner: UserId::new("ada").unwrap(),
            name: "Fire".to_owned(),
            shared: true,
            filter: filter.to_owned(),
            columns: columns.to_owned(),
            version: 1,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    #[test]
    fn more_rows_or_more_columns_widen_a_report() {
        let context = ChangeContext {
            now: Timestamp::default(),
            zone: Tz::UTC,
        };
        let widens = |body: Value| {
            let form = ReportForm::parse(&body.to_string(), 8).unwrap();
            widens(&stored(r#"{"tag":["a","b"]}"#, "elearning"), &form, context)
        };
        for (body, expected) in [
            (json!({"name": "x", "filter": {"tag": ["b", "a"]}}), false),
            (
                json!({"name": "x", "filter": {"tag": "a"}, "columns": "standard"}),
                false,
            ),
            (
                json!({"name": "x", "filter": {"tag": ["a", "b"]}, "columns": "full"}),
                true,
            ),
            (json!({"name": "x", "filter": {"tag": ["a", "c"]}}), true),
            (json!({"name": "x"}), true),
        ] {
            assert_eq!(widens(body.clone()), expected, "{body}");
        }
    }

    #[test]
    fn owner_is_an_id_or_an_object_with_one() {
        let owner = |patch: Value| parse_owner(&stored("{}", "full"), &patch);
        for (patch, expected) in [
            (json!({}), None),
            (json!({"owner": "ada"}), None),
            (json!({"owner": {"id": "ada", "name": "Ada Obi"}}), None),
            (json!({"owner": "bo"}), Some("bo")),
            (json!({"owner": {"id": "bo"}}), Some("bo")),
        ] {
            let found = owner(patch.clone()).unwrap();
            assert_eq!(found.as_ref().map(UserId::as_str), expected, "{patch}");
        }
        for patch in [
            json!({"owner": null}),
            json!({"owner": 7}),
            json!({"owner": {}}),
            json!({"owner": ""}),
        ] {
            assert_eq!(owner(patch.clone()).unwrap_err().pointer, "/owner", "{patch}");
        }
    }
}
