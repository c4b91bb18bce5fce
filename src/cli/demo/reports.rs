//! The demo's saved reports, their schedules, and one run that is sent at the first start.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::{Person, Principal, ReportAccess};
use crate::base::ids::OrgId;
use crate::reports::report::ReportForm;
use crate::reports::timing::{RunDays, Timing};
use crate::store::{NewSchedule, Store};

use super::seed::{CastMember, DEPTH, SeedError};

/// A saved report of the demo, for the guide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DemoReport {
    /// The shell variable of its id: `FAILED_REPORT`.
    pub variable: String,
    /// Its id.
    pub id: Uuid,
}

/// A report to save, and its schedule. Users are shell variables of the cast.
struct Plan {
    variable: &'static str,
    owner: &'static str,
    body: Value,
    days: RunDays,
    recipients: &'static [&'static str],
    /// Whether it is also sent at once.
    at_once: bool,
}

fn plans() -> [Plan; 2] {
    [
        Plan {
            variable: "TRAINING_REPORT",
            owner: "HR",
            body: json!({
                "name": "Mandatory training, last quarter", "visibility": "shared",
                "filter": {"content": ["fire-safety", "quiz-forklift"], "completed": true, "period": "previous_quarter"}
            }),
            days: RunDays::Quarterly(1),
            recipients: &["HR", "MANAGER"],
            at_once: false,
        },
        Plan {
            variable: "FAILED_REPORT",
            owner: "MANAGER",
            body: json!({
                "name": "Failed quizzes of my people", "visibility": "private",
                "filter": {
                    "scope": "managed", "include_sub_managers": true, "type": "quiz", "result": "failed",
                    "period": "last_30_days"
                }
            }),
            days: RunDays::Weekly(chrono::Weekday::Mon),
            recipients: &["MANAGER"],
            at_once: true,
        },
    ]
}

/// Saves the reports, each in its owner's name.
pub(super) async fn save(
    store: &Store,
    org: &OrgId,
    cast: &[CastMember],
) -> Result<Vec<DemoReport>, SeedError> {
    let part = |variable: &str| cast.iter().find(|part| part.variable == variable);
    let mut saved = Vec::new();
    for plan in plans() {
        let Some(owner) = part(plan.owner) else {
            continue;
        };
        let owner = Person::from_directory(org.clone(), owner.user.clone(), owner.role);
        let Some(access) = ReportAccess::for_caller(&Principal::from(owner)) else {
            continue;
        };
        let form = ReportForm::parse(&plan.body.to_string(), DEPTH)?;
        let report = store.add_report(&access, form.into()).await?;
        let report = report.map_err(|refusal| refused("/reports", &refusal))?;

        let timing = Timing {
            days: plan.days,
            at: chrono::NaiveTime::from_hms_opt(8, 0, 0).unwrap_or_default(),
            zone: chrono_tz::Europe::London,
        };
        let recipients = plan.recipients.iter().filter_map(|variable| part(variable));
        let schedule = NewSchedule {
            timing: timing.to_stored(),
            recipients: recipients.map(|part| part.user.to_string()).collect(),
            bom: true,
            active: true,
            suspended: None,
            next_run_at: Some(timing.next_after(store.clock().now())),
        };
        let schedule = store.add_schedule(&access, report.id, schedule).await?;
        let schedule = schedule.map_err(|refusal| refused("/schedules", &refusal))?;
        if plan.at_once {
            let queued = store.queue_run_now(&access, schedule.id).await?;
            queued.map_err(|refusal| refused("/schedules", &refusal))?;
        }
        saved.push(DemoReport {
            variable: plan.variable.to_owned(),
            id: report.id,
        });
    }
    Ok(saved)
}

fn refused(pointer: &str, refusal: &dyn std::error::Error) -> SeedError {
    SeedError::Refused {
        pointer: pointer.to_owned(),
        detail: refusal.to_string(),
    }
}
