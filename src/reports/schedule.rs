//! A schedule: how clients write and read it. See `docs/specification.md#schedules`. Its times are in
//! [`timing`](super::timing).
//!
//! A body is read in two steps, because parsing needs the body only and recipients need the directory. [`ScheduleForm`] is
//! the parsed body, [`resolve_recipients`] checks its recipients, and [`ScheduleForm::to_new`] or
//! [`ScheduleForm::to_changed`] combines both.

use std::collections::HashSet;
use std::str::FromStr;

use chrono::NaiveTime;
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::{Value, json};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::form::{Form, Members, parse_with, short_text};
use crate::base::ids::OrgId;
use crate::base::json::Node;
use crate::base::merge_patch;
use crate::log::activity::ActivityRecorder;
use crate::store::{NewSchedule, PendingRun, Store, StoreError, StoredSchedule};

use super::rights::{self, NotARecipient, Recipient, RecipientRules};
use super::timing::{DayOfWeek, Frequency, RunDays, Timing};

/// The most recipients of one schedule.
pub const MAX_RECIPIENTS: usize = 100;
const MEMBERS: Members = Members {
    written: &[
        "frequency",
        "at",
        "time_zone",
        "weekday",
        "day_of_month",
        "recipients",
        "bom",
        "active",
    ],
    read_only: &[
        "id",
        "report",
        "maker",
        "suspended",
        "next_run_at",
        "pending",
        "created_at",
        "updated_at",
    ],
};

/// The longest id or address of a recipient, in characters.
const MAX_RECIPIENT: usize = 320;

/// When a report is sent, to which recipients, and under which user's rights.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-00000000000c", "report": "0190a000-0000-7000-8000-00000000000b",
    "maker": {"id": "ada", "name": "Ada Obi"},
    "frequency": "monthly", "at": "08:00", "time_zone": "Europe/London", "weekday": null, "day_of_month": 31,
    "recipients": ["ada", "hal", "audit@partner.example"], "bom": true, "active": true, "suspended": null,
    "next_run_at": "2026-03-31T07:00:00.000Z", "pending": null,
    "created_at": "2026-03-02T08:30:00.000Z", "updated_at": "2026-03-02T08:30:00.000Z"
}))]
pub struct Schedule {
    /// The id in its path.
    pub id: Uuid,
    /// The id of the report that it sends.
    pub report: Uuid,
    /// The user that made it. It runs under this user's rights, as the directory has them at the run.
    pub maker: ActivityRecorder,
    /// How often it runs.
    pub frequency: Frequency,
    /// The time of day in the time zone: `HH:MM` from `00:00` to `23:59`.
    pub at: String,
    /// The time zone: an IANA name.
    pub time_zone: String,
    /// The day of the week. Null unless it is weekly.
    #[schema(required)]
    pub weekday: Option<DayOfWeek>,
    /// The day of the month, or the last day of a shorter month. Null unless it is monthly or quarterly.
    #[schema(required, minimum = 1, maximum = 31)]
    pub day_of_month: Option<u32>,
    /// The recipients: ids of users and e-mail addresses, as they were sent. The address of a user means that user.
    pub recipients: Vec<String>,
    /// Whether its CSV begins with a byte order mark, which Excel needs.
    pub bom: bool,
    /// Whether it runs at its times.
    pub active: bool,
    /// Why it was suspended. Null if it was not suspended, or was resumed.
    #[schema(required)]
    pub suspended: Option<String>,
    /// The time of its next run. Null while it is not active.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub next_run_at: Option<Timestamp>,
    /// The oldest run that has not ended. Null if no run is pending.
    #[schema(required)]
    pub pending: Option<Pending>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its current version was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// The status of a schedule, by which schedules are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ScheduleStatus {
    /// It runs at its times.
    Active,
    /// A client paused it.
    Paused,
    /// It was suspended, for the reason in `suspended`.
    Suspended,
}

impl ScheduleStatus {
    /// All values.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// The value of the parameter.
    pub fn key(self) -> &'static str {
        self.into()
    }
}

/// A run that has not ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pending {
    /// The time that the run is for. `period` and other relative parameters of the report are resolved for it.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// The number of failed attempts, of at most 6.
    pub attempts: i64,
    /// The time of the next attempt. It is in the past during an attempt.
    #[schema(value_type = String, format = DateTime)]
    pub next_attempt_at: Timestamp,
    /// Why the last attempt failed.
    #[schema(required)]
    pub reason: Option<String>,
}

impl From<PendingRun> for Pending {
    fn from(run: PendingRun) -> Self {
        Self {
            run_at: run.run_at,
            attempts: run.attempts,
            next_attempt_at: run.next_attempt_at,
            reason: run.reason,
        }
    }
}

impl Schedule {
    /// The representation of a stored schedule, with the current name of its maker.
    ///
    /// # Errors
    ///
    /// A stored value that can't be read.
    pub fn new(stored: StoredSchedule, maker_name: Option<String>) -> Result<Self, StoreError> {
        let timing = Timing::from_stored(&stored.timing)?;
        let (frequency, weekday, day_of_month) = timing.days.parts();
        Ok(Self {
            id: stored.id,
            report: stored.report,
            maker: ActivityRecorder {
                id: stored.maker,
                name: maker_name,
            },
            frequency,
            at: timing.at.format("%H:%M").to_string(),
            time_zone: timing.zone.name().to_owned(),
            weekday: weekday.map(DayOfWeek::from),
            day_of_month,
            recipients: stored.recipients,
            bom: stored.bom,
            active: stored.active,
            suspended: stored.suspended,
            next_run_at: stored.next_run_at,
            pending: stored.pending.map(Pending::from),
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        })
    }
}

/// The body with which a client writes a schedule.
#[derive(Debug, Clone, ToSchema)]
#[allow(dead_code, reason = "describes the body; it is parsed as the form")]
#[schema(example = json!({
    "frequency": "weekly", "weekday": "monday", "at": "08:00", "time_zone": "Europe/London", "recipients": ["ada"]
}))]
pub struct NewScheduleBody {
    /// How often it runs.
    frequency: Frequency,
    /// The time of day in the time zone: `HH:MM` from `00:00` to `23:59`. A time that does not exist on a day becomes the
    /// first moment after the gap. A time that occurs twice is the first of the two.
    at: String,
    /// The time zone: an IANA name. Default: the organisation's.
    #[schema(required = false)]
    time_zone: String,
    /// The day of the week of a weekly schedule. Default: `monday`.
    weekday: Option<DayOfWeek>,
    /// The day of the month of a monthly or quarterly schedule. Default: 1. In a shorter month it is the last day. Quarters
    /// begin with January, April, July and October.
    #[schema(minimum = 1, maximum = 31)]
    day_of_month: Option<u32>,
    /// The recipients. Each is the id of an active user that has an e-mail address and reporting access by its role in the
    /// directory, or the address of such a user, or an address outside the directory of a domain that the server may send
    /// reports to. A recipient that is sent twice is stored once.
    #[schema(min_items = 1, max_items = 100)]
    recipients: Vec<String>,
    /// Whether its CSV begins with a byte order mark, which Excel needs. Default: `true`.
    #[schema(required = false)]
    bom: bool,
    /// Whether it runs at its times. Default: `true`.
    #[schema(required = false)]
    active: bool,
}

/// A merge patch of a schedule (RFC 7396). `null` sets a member to its default.
#[derive(Debug, Clone, ToSchema)]
#[allow(dead_code, reason = "describes the body; it is parsed as the form")]
#[schema(example = json!({"active": false}))]
pub struct SchedulePatch {
    /// The new frequency. A `weekday` or `day_of_month` that it does not have is removed.
    #[schema(required = false)]
    frequency: Frequency,
    /// The new time of day.
    #[schema(required = false)]
    at: String,
    /// The new time zone.
    time_zone: Option<String>,
    /// The new day of the week.
    weekday: Option<DayOfWeek>,
    /// The new day of the month.
    #[schema(minimum = 1, maximum = 31)]
    day_of_month: Option<u32>,
    /// All new recipients.
    #[schema(required = false, min_items = 1, max_items = 100)]
    recipients: Vec<String>,
    /// Whether its CSV begins with a byte order mark.
    bom: Option<bool>,
    /// `false` pauses the schedule. `true` resumes a paused or suspended one; missed runs are not made up.
    active: Option<bool>,
}

/// A parsed body. Its recipients are not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleForm {
    timing: Timing,
    recipients: Vec<String>,
    bom: bool,
    active: bool,
}

impl ScheduleForm {
    /// Parses the body of a new schedule, with at most `depth` nested objects and arrays. `zone` is the default time zone.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse(text: &str, depth: usize, zone: Tz) -> Result<Self, Faults> {
        parse_body(text, depth, |node, _, faults| {
            Self::parse_node(node, &MEMBERS.written_only(), zone, faults)
        })
    }

    /// Parses the body of a PUT. It may be the representation that the client has read.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse_put(text: &str, depth: usize, zone: Tz) -> Result<Self, Faults> {
        parse_body(text, depth, |node, _, faults| {
            Self::parse_node(node, &MEMBERS, zone, faults)
        })
    }

    /// The stored schedule after a patch.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer in the patch.
    pub fn patched(stored: &StoredSchedule, patch: &Value, depth: usize, zone: Tz) -> Result<Self, Faults> {
        let mut after = merge_patch(to_body(stored), patch);
        let frequency = after["frequency"].as_str().and_then(parse_key::<Frequency>);
        if let (Some(frequency), Some(members)) = (frequency, after.as_object_mut()) {
            // The day of the old frequency is removed, unless the patch sets it.
            for (member, has) in [
                ("weekday", frequency.has_weekday()),
                ("day_of_month", frequency.has_day_of_month()),
            ] {
                if !has && patch.get(member).is_none() {
                    members.remove(member);
                }
            }
        }
        Self::parse(&after.to_string(), depth, zone)
    }

    fn parse_node(node: &Node<'_>, members: &Members, zone: Tz, faults: &mut Faults) -> Option<Self> {
        let mut form = Form::from_resource(node, &Place::Root, "a schedule", members, faults)?;
        let frequency = parse_required(&mut form, "frequency", FREQUENCIES, parse_key);
        let at = parse_required(&mut form, "at", TIMES_OF_DAY, parse_time_of_day);
        let zone = form
            .read("time_zone", |node, place| {
                parse_with(node, place, TIME_ZONES, |text| text.parse().ok())
            })
            .unwrap_or(zone);
        let days = parse_days(&mut form, frequency);
        let recipients = parse_recipients(&mut form);
        let bom = form.flag("bom").unwrap_or(true);
        let active = form.flag("active").unwrap_or(true);
        Some(Self {
            timing: Timing {
                days: days?,
                at: at?,
                zone,
            },
            recipients,
            bom,
            active,
        })
    }

    /// The recipients as they were sent, for [`resolve_recipients`].
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// A new schedule with checked recipients.
    pub fn to_new(&self, recipients: Vec<String>, now: Timestamp) -> NewSchedule {
        NewSchedule {
            timing: self.timing.to_stored(),
            recipients,
            bom: self.bom,
            active: self.active,
            suspended: None,
            next_run_at: self.active.then(|| self.timing.next_after(now)),
        }
    }

    /// The new content of a stored schedule, with checked recipients. Its next run stays if its times stay. A resumed
    /// schedule runs at the first time after `now`.
    pub fn to_changed(
        &self,
        stored: &StoredSchedule,
        recipients: Vec<String>,
        now: Timestamp,
    ) -> NewSchedule {
        let new = self.to_new(recipients, now);
        let keeps_next_run = new.active && stored.active && new.timing == stored.timing;
        NewSchedule {
            suspended: stored.suspended.clone().filter(|_| !new.active),
            next_run_at: stored.next_run_at.filter(|_| keeps_next_run).or(new.next_run_at),
            ..new
        }
    }
}

impl Frequency {
    const fn has_weekday(self) -> bool {
        matches!(self, Self::Weekly)
    }

    const fn has_day_of_month(self) -> bool {
        matches!(self, Self::Monthly | Self::Quarterly)
    }
}

/// A stored schedule as the body that a client would send.
fn to_body(stored: &StoredSchedule) -> Value {
    let timing = &stored.timing;
    let weekday = Timing::from_stored(timing)
        .ok()
        .and_then(|timing| timing.days.parts().1);
    json!({
        "frequency": timing.frequency,
        "at": format!("{:02}:{:02}", timing.at_minute / 60, timing.at_minute % 60),
        "time_zone": timing.time_zone,
        "weekday": weekday.map(DayOfWeek::from),
        "day_of_month": timing.day_of_month,
        "recipients": stored.recipients,
        "bom": stored.bom,
        "active": stored.active,
    })
}

/// The allowed values of members, for faults.
const FREQUENCIES: &str = "one of `daily`, `weekly`, `monthly`, `quarterly`";
const TIMES_OF_DAY: &str = "a time of day from `00:00` to `23:59`";
const TIME_ZONES: &str = "the IANA name of a time zone, such as `Europe/London`";
const DAYS_OF_WEEK: &str = "a day of the week: `monday` to `sunday`";

/// Parses the key of an enum.
fn parse_key<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Parses a required text.
fn parse_required<T>(
    form: &mut Form<'_, '_, '_>,
    key: &str,
    allowed: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if form.get(key).is_none() {
        form.add_fault(key, format!("a schedule needs this: {allowed}"));
    }
    form.read(key, |node, place| parse_with(node, place, allowed, parse))
}

/// Parses the day of the week or of the month. A day that the frequency does not have is a fault.
fn parse_days(form: &mut Form<'_, '_, '_>, frequency: Option<Frequency>) -> Option<RunDays> {
    let weekday = form.read("weekday", |node, place| {
        parse_with(node, place, DAYS_OF_WEEK, parse_key::<DayOfWeek>)
    });
    let day_of_month = form.read("day_of_month", parse_day_of_month);
    let frequency = frequency?;
    if !frequency.has_weekday() && form.get("weekday").is_some() {
        form.add_fault("weekday", "only a weekly schedule has a day of the week");
    }
    if !frequency.has_day_of_month() && form.get("day_of_month").is_some() {
        form.add_fault(
            "day_of_month",
            "only a monthly or quarterly schedule has a day of the month",
        );
    }
    let day_of_month = day_of_month.unwrap_or(1);
    Some(match frequency {
        Frequency::Daily => RunDays::Daily,
        Frequency::Weekly => RunDays::Weekly(weekday.unwrap_or(DayOfWeek::Monday).into()),
        Frequency::Monthly => RunDays::Monthly(day_of_month),
        Frequency::Quarterly => RunDays::Quarterly(day_of_month),
    })
}

/// Parses `HH:MM`: two digits each, from `00:00` to `23:59`.
fn parse_time_of_day(text: &str) -> Option<NaiveTime> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |digits: &str| {
        let valid = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        valid.then(|| digits.parse().ok()).flatten()
    };
    NaiveTime::from_hms_opt(two_digits(hour)?, two_digits(minute)?, 0)
}

fn parse_day_of_month(node: &Node<'_>, place: &Place<'_>) -> Result<u32, Fault> {
    let day = node.as_whole_number().and_then(|day| u32::try_from(day).ok());
    day.filter(|day| (1..=31).contains(day))
        .ok_or_else(|| place.fault("write a whole number from 1 to 31"))
}

/// Parses the recipients. Repeated ones stay, so that faults of the next step have the right pointers.
fn parse_recipients(form: &mut Form<'_, '_, '_>) -> Vec<String> {
    let place = form.place().member("recipients");
    let elements = form.get("recipients").map(|node| node.as_array());
    let elements = match elements {
        Some(Some(elements)) if (1..=MAX_RECIPIENTS).contains(&elements.len()) => elements,
        _ => {
            form.add_fault(
                "recipients",
                format!("a schedule needs this: an array of 1 to {MAX_RECIPIENTS} recipients"),
            );
            return Vec::new();
        }
    };
    let mut recipients = Vec::with_capacity(elements.len());
    for (index, node) in elements.iter().enumerate() {
        match short_text(node, &place.element(index), MAX_RECIPIENT) {
            Ok(text) => recipients.push(text),
            Err(fault) => form.faults().push(fault),
        }
    }
    recipients
}

/// Checks recipients with the directory and the rules. Returns users' ids and addresses as they were sent, in the same order,
/// without repeated recipients. Those in `existing`, which the schedule has already, are never refused.
///
/// With `disclosed`, only these texts are checked with the directory. Any other text is accepted if it can be an id or an
/// address, so that the answer does not show which users exist. Each run checks it.
///
/// # Errors
///
/// The store fails. The inner error: a fault for each invalid recipient, with the same text for each reason.
pub async fn resolve_recipients(
    store: &Store,
    org: &OrgId,
    recipients: &[String],
    existing: &[String],
    disclosed: Option<&HashSet<String>>,
    rules: &RecipientRules,
) -> Result<Result<Vec<String>, Faults>, StoreError> {
    let (mut resolved, mut faults) = (Vec::with_capacity(recipients.len()), Faults::new());
    let mut identities = HashSet::new();
    let place = Place::Root.member("recipients");
    for (index, text) in recipients.iter().enumerate() {
        if disclosed.is_some_and(|disclosed| !disclosed.contains(text)) {
            match rights::to_unchecked(text) {
                Some(stored) if resolved.contains(&stored) => {}
                Some(stored) => resolved.push(stored),
                None => faults.push(place.element(index).fault(NotARecipient::NoAccess.to_string())),
            }
            continue;
        }
        let Ok(recipient) = rights::find_recipient(store, org, text, rules).await? else {
            if existing.contains(text) {
                if !resolved.contains(text) {
                    resolved.push(text.clone());
                }
                continue;
            }
            let fault = NotARecipient::NoAccess.to_string();
            faults.push(place.element(index).fault(fault));
            continue;
        };
        let stored = recipient.to_stored(text);
        let identity = match recipient {
            Recipient::User(rights) => (Some(rights.user), None),
            Recipient::Address(address) => (None, Some(address)),
        };
        if identities.insert(identity) {
            resolved.push(stored);
        }
    }
    Ok(if faults.is_empty() {
        Ok(resolved)
    } else {
        Err(faults)
    })
}

#[cfg(test)]
mod tests;
