//! A schedule: what a client writes and reads of it (product text, section 9). When it runs is the matter of
//! [`timing`](super::timing).
//!
//! Reading a body and finding out who its recipients are is apart: the first needs the body alone, the second the
//! directory. So a schedule is written in two steps: [`ScheduleForm`] is read, [`settle`] turns what it says of recipients into
//! ids and addresses, and [`ScheduleForm::made`] or [`ScheduleForm::changed`] put both together.

use std::collections::HashSet;

use chrono::{NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::form::{Form, parse_with, short_text};
use crate::base::ids::OrgId;
use crate::base::json::Node;
use crate::base::merge_patch;
use crate::log::activity::ActivityRecorder;
use crate::store::{KeptSchedule, NewSchedule, PendingRun, Store, StoreError};

use super::rights::{self, NotARecipient, Recipient, RecipientRules};
use super::timing::{Frequency, RunDays, Timing, WEEKDAYS, weekday_key};

/// The most recipients of one schedule.
pub const MAX_RECIPIENTS: usize = 100;
/// The longest id or address of a recipient, in characters.
const MAX_RECIPIENT: usize = 320;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "they are the days of the week")]
pub enum DayOfWeek {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// When a report is sent, to whom, and under whose rights.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-00000000000c", "report": "0190a000-0000-7000-8000-00000000000b",
    "maker": {"id": "ada", "name": "Ada Obi"},
    "frequency": "monthly", "at": "08:00", "time_zone": "Europe/London", "weekday": null, "day_of_month": 31,
    "recipients": ["ada", "hal", "audit@partner.example"], "active": true, "suspended": null,
    "next_run_at": "2026-03-31T07:00:00.000Z", "pending": null,
    "created_at": "2026-03-02T08:30:00.000Z", "updated_at": "2026-03-02T08:30:00.000Z"
}))]
pub struct Schedule {
    /// Names it in addresses.
    pub id: Uuid,
    /// The id of the report that it sends.
    pub report: Uuid,
    /// Who made it: it runs under their rights, as the directory has them at that moment.
    pub maker: ActivityRecorder,
    /// How often it runs.
    pub frequency: Frequency,
    /// The time of day, `HH:MM` from `00:00` to `23:59`, by clocks of the time zone.
    pub at: String,
    /// The time zone: an IANA name.
    pub time_zone: String,
    /// On which day of the week; null unless it is weekly.
    #[schema(required, value_type = Option<DayOfWeek>)]
    pub weekday: Option<&'static str>,
    /// On which day of the month, or its last one where the month is shorter; null unless it is monthly or quarterly.
    #[schema(required, minimum = 1, maximum = 31)]
    pub day_of_month: Option<u32>,
    /// Who receives it: ids of users, and addresses, as they were sent. An address that a user has is that user.
    pub recipients: Vec<String>,
    /// Whether it runs by itself.
    pub active: bool,
    /// Why it stands still, where it was suspended: its maker may not open the report any more. Null else, and once it is
    /// resumed.
    #[schema(required)]
    pub suspended: Option<String>,
    /// When it runs next; null while it is not active.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub next_run_at: Option<Timestamp>,
    /// The run that is under way or tried again; null where there is none. If there are several, the oldest.
    #[schema(required)]
    pub pending: Option<Pending>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When what it says now was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A run that has not ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pending {
    /// The moment that it is for: `period` and whatever else is relative in the report's filter is resolved at it.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// Attempts that have failed so far, of at most 6.
    pub attempts: i64,
    /// When it is tried, or tried again; in the past where that is being done.
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
    /// A kept schedule, with the name that the directory has for its maker now.
    ///
    /// # Errors
    ///
    /// Where what is kept can't be read.
    pub fn new(kept: KeptSchedule, maker_name: Option<String>) -> Result<Self, StoreError> {
        let timing = Timing::from_kept(&kept.timing)?;
        let (frequency, weekday, day_of_month) = timing.days.parts();
        Ok(Self {
            id: kept.id,
            report: kept.report,
            maker: ActivityRecorder {
                id: kept.maker,
                name: maker_name,
            },
            frequency,
            at: timing.at.format("%H:%M").to_string(),
            time_zone: timing.zone.name().to_owned(),
            weekday: weekday.map(weekday_key),
            day_of_month,
            recipients: kept.recipients,
            active: kept.active,
            suspended: kept.suspended,
            next_run_at: kept.next_run_at,
            pending: kept.pending.map(Pending::from),
            created_at: kept.created_at,
            updated_at: kept.updated_at,
        })
    }
}

/// What a client writes of a schedule.
#[derive(Debug, Clone, ToSchema)]
#[allow(dead_code, reason = "read as the form that it makes; this describes it")]
#[schema(example = json!({
    "frequency": "weekly", "weekday": "monday", "at": "08:00", "time_zone": "Europe/London", "recipients": ["ada"]
}))]
pub struct NewScheduleBody {
    /// How often it runs.
    frequency: Frequency,
    /// The time of day, `HH:MM` from `00:00` to `23:59`, by clocks of the time zone. On a day on which clocks leave it out
    /// it runs at the first moment after the gap; where they show it twice it runs at the first.
    at: String,
    /// The time zone, an IANA name: the organisation's unless given.
    #[schema(required = false)]
    time_zone: String,
    /// On which day of the week, of a weekly one: `monday` unless given.
    weekday: Option<DayOfWeek>,
    /// On which day of the month, of a monthly or quarterly one: 1 unless given. In a month that is shorter it is the last
    /// day. Quarters begin with January, April, July and October.
    #[schema(minimum = 1, maximum = 31)]
    day_of_month: Option<u32>,
    /// Who receives it. Each is the id of a user who is active and has reporting access by their role in the directory and an
    /// e-mail address there, or an e-mail address: that user's, or one outside the directory whose domain the server may
    /// send reports to. Who is named twice is there once.
    #[schema(min_items = 1, max_items = 100)]
    recipients: Vec<String>,
    /// Whether it runs by itself: `true` unless given.
    #[schema(required = false)]
    active: bool,
}

/// What a client changes of a schedule, by a merge patch (RFC 7396). `null` puts a member to what it is unless given.
#[derive(Debug, Clone, ToSchema)]
#[allow(dead_code, reason = "read as the form that it makes; this describes it")]
#[schema(example = json!({"active": false}))]
pub struct SchedulePatch {
    /// How often it runs from now on. A `weekday` or `day_of_month` that has no meaning any more goes by itself.
    #[schema(required = false)]
    frequency: Frequency,
    /// The time of day from now on.
    #[schema(required = false)]
    at: String,
    /// The time zone from now on.
    time_zone: Option<String>,
    /// On which day of the week from now on.
    weekday: Option<DayOfWeek>,
    /// On which day of the month from now on.
    #[schema(minimum = 1, maximum = 31)]
    day_of_month: Option<u32>,
    /// Who receives it from now on: all of them.
    #[schema(required = false, min_items = 1, max_items = 100)]
    recipients: Vec<String>,
    /// `false` pauses it; `true` resumes one that was paused or suspended. Runs missed meanwhile are not made up.
    active: Option<bool>,
}

/// A schedule as a client writes it; its recipients are not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleForm {
    timing: Timing,
    recipients: Vec<String>,
    active: bool,
}

impl ScheduleForm {
    /// Reads a body, at most `depth` objects and arrays deep. `zone` counts where it names none.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse(text: &str, depth: usize, zone: Tz) -> Result<Self, Vec<Fault>> {
        parse_body(text, depth, |node, _, faults| Self::read(node, zone, faults))
    }

    /// What the patch makes of a kept schedule.
    ///
    /// # Errors
    ///
    /// Every fault, at its place in the patch.
    pub fn patched(kept: &KeptSchedule, patch: &Value, depth: usize, zone: Tz) -> Result<Self, Vec<Fault>> {
        let mut after = merge_patch(representation(kept), patch);
        let frequency = after["frequency"].as_str().and_then(Frequency::from_key);
        if let (Some(frequency), Some(members)) = (frequency, after.as_object_mut()) {
            // What belonged to another frequency goes along with it, unless it is asked for.
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

    fn read(node: &Node<'_>, zone: Tz, faults: &mut Vec<Fault>) -> Option<Self> {
        let known = [
            "frequency",
            "at",
            "time_zone",
            "weekday",
            "day_of_month",
            "recipients",
            "active",
        ];
        let mut form = Form::from_node(node, &Place::Root, "a schedule", &known, faults)?;
        let frequency = needed(
            &mut form,
            "frequency",
            "one of `daily`, `weekly`, `monthly`, `quarterly`",
            Frequency::from_key,
        );
        let at = needed(
            &mut form,
            "at",
            "a time of day from `00:00` to `23:59`",
            time_of_day,
        );
        let zone = form
            .read("time_zone", |node, place| {
                parse_with(
                    node,
                    place,
                    "the IANA name of a time zone, such as `Europe/London`",
                    |text| text.parse().ok(),
                )
            })
            .unwrap_or(zone);
        let weekday = form.read("weekday", |node, place| {
            parse_with(node, place, "a day of the week: `monday` to `sunday`", weekday_of)
        });
        let day_of_month = form.read("day_of_month", day_of_month);
        if let Some(frequency) = frequency {
            if !frequency.has_weekday() && form.get("weekday").is_some() {
                form.add_fault("weekday", "only a weekly schedule has a day of the week");
            }
            if !frequency.has_day_of_month() && form.get("day_of_month").is_some() {
                form.add_fault(
                    "day_of_month",
                    "only a monthly or quarterly schedule has a day of the month",
                );
            }
        }
        let recipients = recipients(&mut form);
        let active = form.flag("active").unwrap_or(true);
        let day = day_of_month.unwrap_or(1);
        let days = match frequency? {
            Frequency::Daily => RunDays::Daily,
            Frequency::Weekly => RunDays::Weekly(weekday.unwrap_or(Weekday::Mon)),
            Frequency::Monthly => RunDays::Monthly(day),
            Frequency::Quarterly => RunDays::Quarterly(day),
        };
        Some(Self {
            timing: Timing { days, at: at?, zone },
            recipients,
            active,
        })
    }

    /// Who is to receive it, as it was sent: for [`settle`].
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// A new schedule, for the `recipients` that were settled.
    pub fn made(&self, recipients: Vec<String>, now: Timestamp) -> NewSchedule {
        NewSchedule {
            timing: self.timing.to_kept(),
            recipients,
            active: self.active,
            suspended: None,
            next_run_at: self.active.then(|| self.timing.next_after(now)),
        }
    }

    /// What becomes of a kept schedule, for the `recipients` that were settled. It goes on to its next moment unless that
    /// has become another one; one that is resumed begins with the next moment after `now`.
    pub fn changed(&self, kept: &KeptSchedule, recipients: Vec<String>, now: Timestamp) -> NewSchedule {
        let new = self.made(recipients, now);
        let goes_on = new.active && kept.active && new.timing == kept.timing;
        NewSchedule {
            suspended: kept.suspended.clone().filter(|_| !new.active),
            next_run_at: kept.next_run_at.filter(|_| goes_on).or(new.next_run_at),
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

/// A kept schedule as a client would write it.
fn representation(kept: &KeptSchedule) -> Value {
    let timing = &kept.timing;
    let weekday = timing.weekday.and_then(|day| usize::try_from(day - 1).ok());
    let weekday = weekday.and_then(|place| WEEKDAYS.get(place)).map(|(key, _)| *key);
    json!({
        "frequency": timing.frequency,
        "at": format!("{:02}:{:02}", timing.at_minute / 60, timing.at_minute % 60),
        "time_zone": timing.time_zone,
        "weekday": weekday,
        "day_of_month": timing.day_of_month,
        "recipients": kept.recipients,
        "active": kept.active,
    })
}

/// A text that must be there and mean something.
fn needed<T>(
    form: &mut Form<'_, '_, '_>,
    key: &str,
    what: &str,
    of: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if form.get(key).is_none() {
        form.add_fault(key, format!("a schedule needs this: {what}"));
    }
    form.read(key, |node, place| parse_with(node, place, what, of))
}

/// `HH:MM` and nothing else: two digits each, and no midnight at the end of the day.
fn time_of_day(text: &str) -> Option<NaiveTime> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| {
        let both = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        both.then(|| digits.parse().ok()).flatten()
    };
    NaiveTime::from_hms_opt(two(hour)?, two(minute)?, 0)
}

fn weekday_of(text: &str) -> Option<Weekday> {
    let found = WEEKDAYS.iter().find(|(key, _)| *key == text);
    found.map(|(_, day)| *day)
}

fn day_of_month(node: &Node<'_>, place: &Place<'_>) -> Result<u32, Fault> {
    let day = node.as_i64().and_then(|day| u32::try_from(day).ok());
    day.filter(|day| (1..=31).contains(day))
        .ok_or_else(|| place.fault("write a whole number from 1 to 31"))
}

/// The recipients at their own places, repeats included, so that each can still be pointed to.
fn recipients(form: &mut Form<'_, '_, '_>) -> Vec<String> {
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

/// The recipients as they are kept: users' ids and addresses, as they were sent, in that order. Somebody who was named by
/// several of them is there once, as they were named first.
///
/// # Errors
///
/// Where the store fails; and, within, a fault for each who can't be one, in the same words whatever the reason.
pub async fn settle(
    store: &Store,
    org: &OrgId,
    recipients: &[String],
    rules: &RecipientRules,
) -> Result<Result<Vec<String>, Vec<Fault>>, StoreError> {
    let (mut settled, mut faults) = (Vec::with_capacity(recipients.len()), Vec::new());
    let mut seen = HashSet::new();
    let place = Place::Root.member("recipients");
    for (index, text) in recipients.iter().enumerate() {
        let Ok(recipient) = rights::recipient(store, org, text, rules).await? else {
            let fault = NotARecipient::NoAccess.to_string();
            faults.push(place.element(index).fault(fault));
            continue;
        };
        let kept = recipient.kept(text);
        let who = match recipient {
            Recipient::User(rights) => (Some(rights.user), None),
            Recipient::Address(address) => (None, Some(address)),
        };
        if seen.insert(who) {
            settled.push(kept);
        }
    }
    Ok(if faults.is_empty() {
        Ok(settled)
    } else {
        Err(faults)
    })
}

#[cfg(test)]
mod tests;
