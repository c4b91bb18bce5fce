//! Runs a year of schedules: the clock moves from run to run, and the messages are compared with the
//! expected times of [`super::calendar`].

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, TimeDelta, Utc};
use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use super::calendar::{Plan, all_plans};
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Mail, Outbox, deliveries, path, quick, report, schedule, sender};
use crate::support::server::START;
use crate::support::{TestServer, apply, both_databases};

/// A time as in the file names of the outbox.
fn file_time(moment: DateTime<Utc>) -> String {
    moment.format("%Y%m%dT%H%M%SZ").to_string()
}

/// A time as in JSON.
fn rfc3339(moment: DateTime<Utc>) -> Value {
    json!(moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// Creates the admin Ada with an address, the maker and recipient of the schedules.
pub async fn create_ada(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let ada = user("ada").set("email", "ada@example.org").set("role", "admin");
    admin.put("/v1/users/ada", &ada).await.expect(201);
    server.person("admin", "ada")
}

/// Saves the report of the plan and its schedule.
pub async fn create_schedule(ada: &Caller, plan: &Plan) -> (String, Value) {
    let filter = json!({"period": plan.period(), "tz": plan.zone.name()});
    let report = report(ada, &plan.name(), filter).await;
    let schedule = schedule(ada, &report, plan.timing(), &["ada"]).await;
    (report, schedule)
}

/// Creates an activity at noon (UTC) of each day after `first` and up to `until`.
async fn create_activities(ada: &Caller, first: DateTime<Utc>, until: DateTime<Utc>) {
    let mut noon = first.date_naive().and_hms_opt(12, 0, 0).expect("noon").and_utc();
    let mut batch = Vec::new();
    while noon <= until {
        if noon > first {
            let at = noon.to_rfc3339();
            batch.push(activity("ada", "logged_out").set("happened_at", at).json());
        }
        noon += Duration::days(1);
    }
    if !batch.is_empty() {
        ada.post("/v1/activities/batch", &batch).await.expect(201);
    }
}

#[apply(both_databases)]
async fn every_run_is_sent_at_its_time(server: &TestServer) {
    let ada = create_ada(server).await;
    let start = START.to_datetime();
    let end = start + Duration::days(365);
    create_activities(&ada, start - Duration::days(100), start).await;

    let plans = all_plans();
    let mut created = Vec::new();
    let mut expected: BTreeMap<DateTime<Utc>, Vec<&Plan>> = BTreeMap::new();
    for plan in &plans {
        let (report, schedule) = create_schedule(&ada, plan).await;
        let run_times = plan.run_times(start, end);
        assert_eq!(schedule["next_run_at"], rfc3339(run_times[0]), "{}", plan.name());
        for moment in run_times {
            expected.entry(moment).or_default().push(plan);
        }
        created.push((plan, report, schedule));
    }

    let outbox = Outbox::new();
    let sender = sender(server, outbox.mailer(), quick());
    let mut before = start;
    for (moment, due) in &expected {
        server.clock.set(Timestamp::from(*moment - TimeDelta::microseconds(1)));
        sender.work().await.expect("the sender succeeds");
        assert_eq!(outbox.files(), Vec::<std::path::PathBuf>::new(), "before {moment}");
        create_activities(&ada, before, *moment).await;
        before = *moment;

        server.clock.set(Timestamp::from(*moment));
        sender.work().await.expect("the sender succeeds");
        let mut received: Vec<_> = outbox.take().iter().map(|mail| describe_mail(mail, &plans)).collect();
        received.sort();
        let mut expected_mails: Vec<_> =
            due.iter().map(|plan| (file_time(*moment), plan.name(), plan.count_noons(*moment))).collect();
        expected_mails.sort();
        assert_eq!(received, expected_mails, "at {moment}");
    }

    // The lists of deliveries contain the same runs.
    for (plan, report, schedule) in &created {
        let listed: Vec<Value> = deliveries(&ada, report).await;
        let runs: Vec<_> = listed.iter().map(|one| one["run_at"].clone()).collect();
        let run_times = plan.run_times(start, end);
        assert_eq!(runs, run_times.iter().copied().map(rfc3339).collect::<Vec<_>>(), "{}", plan.name());
        assert!(listed.iter().all(|one| one["status"] == "sent" && one["attempts"] == 1));
        let after = ada.get(&path(schedule)).await.expect(200).json();
        let next = plan.run_times(end, end + Duration::days(120));
        assert_eq!(after["next_run_at"], rfc3339(next[0]), "{}", plan.name());
    }
}

#[apply(both_databases)]
async fn missed_runs_are_sent_later_in_order(server: &TestServer) {
    let ada = create_ada(server).await;
    let start = START.to_datetime();
    create_activities(&ada, start - Duration::days(40), start).await;
    let plan = all_plans()[0];
    let (report, schedule) = create_schedule(&ada, &plan).await;
    let end = start + Duration::days(40);
    server.clock.set(Timestamp::from(end));
    create_activities(&ada, start, end).await;

    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    let written =
        |path: &std::path::PathBuf| path.metadata().and_then(|data| data.modified()).expect("a time");
    let mut files = outbox.files();
    let by_name = files.clone();
    files.sort_by_key(written);
    assert_eq!(files, by_name, "the oldest goes first");
    let run_times = plan.run_times(start, end);
    let received: Vec<_> = outbox.take().iter().map(|mail| describe_mail(mail, &[plan])).collect();
    let expected_mails: Vec<_> =
        run_times.iter().map(|moment| (file_time(*moment), plan.name(), 1)).collect();
    assert_eq!(received, expected_mails);
    let ids: BTreeSet<String> =
        deliveries(&ada, &report).await.iter().map(|one| one["id"].to_string()).collect();
    assert_eq!(ids.len(), run_times.len());

    // Runs that a paused schedule misses are not sent later.
    let pause = |active: bool| json!({"active": active});
    ada.patch(&path(&schedule), &pause(false)).await.expect(200);
    let later = end + Duration::days(10);
    server.clock.set(Timestamp::from(later));
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    let resumed = ada.patch(&path(&schedule), &pause(true)).await.expect(200).json();
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    assert!(outbox.take().is_empty());
    let next = plan.run_times(later, later + Duration::days(3))[0];
    assert_eq!(resumed["next_run_at"], rfc3339(next));
}

/// The run, the plan and the number of rows of a message.
fn describe_mail(mail: &Mail, plans: &[Plan]) -> (String, String, usize) {
    let names: Vec<String> = plans.iter().map(Plan::name).collect();
    let name = names.iter().find(|name| mail.subject.contains(name.as_str()));
    let name = name.unwrap_or_else(|| panic!("{} is not the subject of a plan", mail.subject));
    (mail.run_at.clone(), name.clone(), mail.rows())
}
