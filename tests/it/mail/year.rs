//! A year of schedules in seconds: the clock is moved from moment to moment, and what comes is compared with a list of
//! local times that was made without the code under test.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, TimeDelta, Utc};
use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use super::calendar::{Plan, plans};
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Mail, Outbox, deliveries, path, quick, report, schedule, sender};
use crate::support::server::START;
use crate::support::{TestServer, apply, both_databases};

/// As the names of the files in the outbox have it.
fn stamp(moment: DateTime<Utc>) -> String {
    moment.format("%Y%m%dT%H%M%SZ").to_string()
}

/// As JSON has it.
fn rfc3339(moment: DateTime<Utc>) -> Value {
    json!(moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// Somebody with an address, who makes and receives all.
pub async fn ada(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let ada = user("ada").set("email", "ada@example.org").set("role", "admin");
    admin.put("/v1/users/ada", &ada).await.expect_one_of(&[200, 201]);
    server.person("admin", "ada")
}

/// Saves a report for the plan, and schedules it.
pub async fn plan_it(ada: &Caller, plan: &Plan) -> (String, Value) {
    let filter = json!({"period": plan.period(), "tz": plan.zone.name()});
    let report = report(ada, &plan.name(), filter).await;
    let schedule = schedule(ada, &report, plan.timing(), &["ada"]).await;
    (report, schedule)
}

/// One activity at noon (UTC) of each of the days.
async fn noons(ada: &Caller, first: DateTime<Utc>, until: DateTime<Utc>) {
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
        ada.post("/v1/activities/batch", &batch).await.expect_one_of(&[200, 201]);
    }
}

#[apply(both_databases)]
async fn every_run_comes_at_its_moment(server: &TestServer) {
    let ada = ada(server).await;
    let start = START.to_datetime();
    let end = start + Duration::days(365);
    noons(&ada, start - Duration::days(100), start).await;

    let plans = plans();
    let mut created = Vec::new();
    let mut expected: BTreeMap<DateTime<Utc>, Vec<&Plan>> = BTreeMap::new();
    for plan in &plans {
        let (report, schedule) = plan_it(&ada, plan).await;
        let moments = plan.moments(start, end);
        assert_eq!(schedule["next_run_at"], rfc3339(moments[0]), "{}", plan.name());
        for moment in moments {
            expected.entry(moment).or_default().push(plan);
        }
        created.push((plan, report, schedule));
    }

    let outbox = Outbox::new();
    let sender = sender(server, outbox.mailer(), quick());
    let mut before = start;
    for (moment, due) in &expected {
        server.clock.set(Timestamp::from(*moment - TimeDelta::microseconds(1)));
        sender.work().await.expect("it works");
        assert_eq!(outbox.files(), Vec::<std::path::PathBuf>::new(), "before {moment}");
        noons(&ada, before, *moment).await;
        before = *moment;

        server.clock.set(Timestamp::from(*moment));
        sender.work().await.expect("it works");
        let mut came: Vec<_> = outbox.take().iter().map(|mail| told(mail, &plans)).collect();
        came.sort();
        let mut awaited: Vec<_> =
            due.iter().map(|plan| (stamp(*moment), plan.name(), plan.noons(*moment))).collect();
        awaited.sort();
        assert_eq!(came, awaited, "at {moment}");
    }

    // The lists say the same.
    for (plan, report, schedule) in &created {
        let listed: Vec<Value> = deliveries(&ada, report).await;
        let runs: Vec<_> = listed.iter().map(|one| one["run_at"].clone()).collect();
        let moments = plan.moments(start, end);
        assert_eq!(runs, moments.iter().copied().map(rfc3339).collect::<Vec<_>>(), "{}", plan.name());
        assert!(listed.iter().all(|one| one["status"] == "sent" && one["attempts"] == 1));
        let after = ada.get(&path(schedule)).await.expect(200).json();
        let next = plan.moments(end, end + Duration::days(120));
        assert_eq!(after["next_run_at"], rfc3339(next[0]), "{}", plan.name());
    }
}

#[apply(both_databases)]
async fn what_was_missed_is_made_up_in_its_order_and_for_its_moments(server: &TestServer) {
    let ada = ada(server).await;
    let start = START.to_datetime();
    noons(&ada, start - Duration::days(40), start).await;
    let plan = plans()[0];
    let (report, schedule) = plan_it(&ada, &plan).await;
    let end = start + Duration::days(40);
    noons(&ada, start, end).await;
    server.clock.set(Timestamp::from(end));

    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("it works");
    let written =
        |path: &std::path::PathBuf| path.metadata().and_then(|data| data.modified()).expect("a time");
    let mut files = outbox.files();
    let by_name = files.clone();
    files.sort_by_key(written);
    assert_eq!(files, by_name, "the oldest goes first");
    let moments = plan.moments(start, end);
    let came: Vec<_> = outbox.take().iter().map(|mail| told(mail, &[plan])).collect();
    let awaited: Vec<_> = moments.iter().map(|moment| (stamp(*moment), plan.name(), 1)).collect();
    assert_eq!(came, awaited);
    let ids: BTreeSet<String> =
        deliveries(&ada, &report).await.iter().map(|one| one["id"].to_string()).collect();
    assert_eq!(ids.len(), moments.len());

    // What is missed while it is paused is not.
    let pause = |active: bool| json!({"active": active});
    ada.patch(&path(&schedule), &pause(false)).await.expect(200);
    let later = end + Duration::days(10);
    server.clock.set(Timestamp::from(later));
    sender(server, outbox.mailer(), quick()).work().await.expect("it works");
    let resumed = ada.patch(&path(&schedule), &pause(true)).await.expect(200).json();
    sender(server, outbox.mailer(), quick()).work().await.expect("it works");
    assert!(outbox.take().is_empty());
    let next = plan.moments(later, later + Duration::days(3))[0];
    assert_eq!(resumed["next_run_at"], rfc3339(next));
}

/// A message, told as what was expected: its run, its plan, and how many rows it has.
fn told(mail: &Mail, plans: &[Plan]) -> (String, String, usize) {
    let names: Vec<String> = plans.iter().map(Plan::name).collect();
    let name = names.iter().find(|name| mail.subject.contains(name.as_str()));
    let name = name.unwrap_or_else(|| panic!("{} is no plan's", mail.subject));
    (mail.run_at.clone(), name.clone(), mail.rows())
}
