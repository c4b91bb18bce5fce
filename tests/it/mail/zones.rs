//! Tests that a schedule reads the report's period, and writes the file's date, in its own time zone.

use chrono::{DateTime, Days, Duration, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use rollbook::base::clock::Timestamp;
use rollbook::reports::packed_export::Sizes;
use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use super::year::create_ada;
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Mail, Outbox, path, quick, report, run_now, schedule, sender};
use crate::support::{TestServer, apply, both_databases};

/// A run whose date in its zone differs from the date in UTC, or is at the end of a month.
struct Case {
    zone: Tz,
    timing: Value,
    /// The moment of the run.
    run_at: &'static str,
    period: &'static str,
    /// The date of the run in the zone.
    date: &'static str,
    /// The first and the last day of the period in the zone.
    days: (&'static str, &'static str),
    /// The dates of the subject.
    subject: &'static str,
}

/// The runs, the earliest first.
fn cases() -> Vec<Case> {
    let monthly = |at: &str, day: u32| json!({"frequency": "monthly", "at": at, "day_of_month": day});
    let daily = |at: &str| json!({"frequency": "daily", "at": at});
    vec![
        // Days on which clocks change: one of 23 hours, and one of 25.
        Case {
            zone: Tz::Europe__London,
            timing: daily("00:30"),
            run_at: "2026-03-29T23:30:00Z",
            period: "yesterday",
            date: "2026-03-30",
            days: ("2026-03-29", "2026-03-29"),
            subject: "29 March 2026",
        },
        Case {
            zone: Tz::America__New_York,
            timing: daily("23:30"),
            run_at: "2026-11-02T04:30:00Z",
            period: "today",
            date: "2026-11-01",
            days: ("2026-11-01", "2026-11-01"),
            subject: "1 November 2026",
        },
        Case {
            zone: Tz::Asia__Shanghai,
            timing: monthly("05:00", 1),
            run_at: "2026-11-30T21:00:00Z",
            period: "previous_month",
            date: "2026-12-01",
            days: ("2026-11-01", "2026-11-30"),
            subject: "1 November 2026 to 30 November 2026",
        },
        // A zone behind UTC: the run on the last day of November is in December by UTC.
        Case {
            zone: Tz::America__Los_Angeles,
            timing: monthly("20:00", 31),
            run_at: "2026-12-01T04:00:00Z",
            period: "previous_month",
            date: "2026-11-30",
            days: ("2026-10-01", "2026-10-31"),
            subject: "1 October 2026 to 31 October 2026",
        },
        Case {
            zone: Tz::Pacific__Kiritimati,
            timing: json!({"frequency": "quarterly", "at": "01:00"}),
            run_at: "2026-12-31T11:00:00Z",
            period: "previous_year",
            date: "2027-01-01",
            days: ("2026-01-01", "2026-12-31"),
            subject: "1 January 2026 to 31 December 2026",
        },
        Case {
            zone: Tz::Pacific__Pago_Pago,
            timing: json!({"frequency": "weekly", "at": "22:00", "weekday": "sunday"}),
            run_at: "2027-01-04T09:00:00Z",
            period: "previous_week",
            date: "2027-01-03",
            days: ("2026-12-21", "2026-12-27"),
            subject: "21 December 2026 to 27 December 2026",
        },
        // A leap day, seen from both sides.
        Case {
            zone: Tz::Asia__Tokyo,
            timing: monthly("06:00", 1),
            run_at: "2028-02-29T21:00:00Z",
            period: "previous_month",
            date: "2028-03-01",
            days: ("2028-02-01", "2028-02-29"),
            subject: "1 February 2028 to 29 February 2028",
        },
        Case {
            zone: Tz::Pacific__Honolulu,
            timing: monthly("22:00", 31),
            run_at: "2028-03-01T08:00:00Z",
            period: "today",
            date: "2028-02-29",
            days: ("2028-02-29", "2028-02-29"),
            subject: "29 February 2028",
        },
    ]
}

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().expect("a moment")
}

/// The first moment of a day in a zone. The zones of the tests have every midnight.
fn midnight(day: &str, zone: Tz) -> DateTime<Utc> {
    let day: NaiveDate = day.parse().expect("a day");
    let start = zone.from_local_datetime(&day.and_hms_opt(0, 0, 0).expect("midnight")).earliest();
    start.expect("the day has a midnight").to_utc()
}

/// The day after a day.
fn next_day(day: &str) -> String {
    let day: NaiveDate = day.parse().expect("a day");
    (day + Days::new(1)).to_string()
}

/// Creates activities of a user, a minute before and at each start and end of the period: in its own zone and in UTC.
/// Returns the times, as the CSV shows them, of those that are in the period of the zone.
async fn create_activities(ada: &Caller, learner: &str, case: &Case) -> Vec<String> {
    let end = next_day(case.days.1);
    let bounds = |zone: Tz| [midnight(case.days.0, zone), midnight(&end, zone)];
    let [from, to] = bounds(case.zone);
    let mut times: Vec<DateTime<Utc>> = Vec::new();
    for bound in bounds(case.zone).into_iter().chain(bounds(Tz::UTC)) {
        times.extend([bound - Duration::minutes(1), bound]);
    }
    times.sort();
    times.dedup();
    let batch: Vec<Value> = times
        .iter()
        .map(|at| activity(learner, "logged_out").set("happened_at", at.to_rfc3339()).json())
        .collect();
    ada.post("/v1/activities/batch", &batch).await.expect(201);
    let inside = times.into_iter().filter(|at| from <= *at && *at < to);
    inside.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)).collect()
}

fn sorted(mut times: Vec<String>) -> Vec<String> {
    times.sort();
    times.dedup();
    times
}

/// Checks rows, subject, text and file name of a message.
fn check_mail(mail: &Mail, case: &Case, expected: &[String], what: &str) {
    let zone = case.zone;
    assert_eq!(sorted(mail.column("Happened at")), expected, "{what} in {zone}");
    assert_eq!(mail.subject, format!("Report, {}", case.subject), "{what} in {zone}");
    assert_eq!(mail.file_name, Some(format!("report-{}.csv", case.date)), "{what} in {zone}");
    let period = format!(": {} ({zone})", case.subject);
    assert!(mail.text.contains(&period), "{what} in {zone}: {}", mail.text);
}

fn link_options() -> SenderOptions {
    SenderOptions { sizes: Sizes { gzip_above: 1, link_above: 1 }, ..quick() }
}

#[apply(both_databases)]
async fn period_and_file_date_are_in_the_time_zone_of_the_schedule(server: &TestServer) {
    let ada = create_ada(server).await;
    // Neither the organisation's zone nor UTC decides.
    ada.patch("/v1/organisation", &json!({"time_zone": "Asia/Kolkata"})).await.expect(200);
    let outbox = Outbox::new();
    let attached = sender(server, outbox.mailer(), quick());
    let linked = sender(server, outbox.mailer(), link_options());
    for (index, case) in cases().into_iter().enumerate() {
        let learner = format!("learner-{index}");
        ada.put(&format!("/v1/users/{learner}"), &user(&learner)).await.expect(201);
        let run_at = moment(case.run_at);
        server.clock.set(Timestamp::from(run_at - Duration::minutes(1)));
        let report = report(&ada, "Report", json!({"period": case.period, "user": learner})).await;
        let mut timing = case.timing.clone();
        timing["time_zone"] = json!(case.zone.name());
        let schedule = schedule(&ada, &report, timing, &["ada"]).await;
        assert_eq!(schedule["next_run_at"], case.run_at.replace('Z', ".000Z"), "{}", case.zone);
        let expected = sorted(create_activities(&ada, &learner, &case).await);

        server.clock.set(Timestamp::from(run_at));
        attached.work().await.expect("the sender succeeds");
        let [mail] = &outbox.take()[..] else { panic!("one message in {}", case.zone) };
        check_mail(mail, &case, &expected, "a run");

        // A run by hand, and a download of the same file.
        run_now(&ada, &schedule).await;
        attached.work().await.expect("the sender succeeds");
        let [mail] = &outbox.take()[..] else { panic!("one message in {}", case.zone) };
        check_mail(mail, &case, &expected, "a run by hand");
        run_now(&ada, &schedule).await;
        linked.work().await.expect("the sender succeeds");
        let [mail] = &outbox.take()[..] else { panic!("one message in {}", case.zone) };
        // A later change of the schedule does not change what was sent.
        ada.patch(&path(&schedule), &json!({"time_zone": "UTC"})).await.expect(200);
        let file = server.anonymous().get(&mail.link()).await.expect(200);
        assert_eq!(sorted(file.csv_column("Happened at")), expected, "{}", case.zone);
        let name = format!("attachment; filename=\"report-{}.csv\"", case.date);
        assert_eq!(file.header("content-disposition"), Some(name.as_str()));
        ada.delete(&path(&schedule)).await.expect(204);
    }
}

#[apply(both_databases)]
async fn time_zone_of_the_report_counts_for_dates_and_not_for_a_period(server: &TestServer) {
    let ada = create_ada(server).await;
    let outbox = Outbox::new();
    // It is the 18th, 10:17 in UTC, 19:17 in Tokyo and 03:17 in Los Angeles.
    for at in ["2026-03-16T16:00:00Z", "2026-03-17T05:00:00Z", "2026-03-17T08:00:00Z", "2026-03-18T05:00:00Z"]
    {
        let one = activity("ada", "logged_out").set("happened_at", at);
        ada.post("/v1/activities", &one).await.expect(201);
    }
    let los_angeles = "America/Los_Angeles";
    for (filter, zone, times) in [
        (
            json!({"period": "yesterday", "tz": los_angeles}),
            "Asia/Tokyo",
            ["2026-03-16T16:00:00.000Z", "2026-03-17T05:00:00.000Z", "2026-03-17T08:00:00.000Z"].as_slice(),
        ),
        (
            json!({"from": "2026-03-17", "to": "2026-03-18", "tz": los_angeles}),
            los_angeles,
            ["2026-03-17T08:00:00.000Z", "2026-03-18T05:00:00.000Z"].as_slice(),
        ),
    ] {
        let report = report(&ada, "Report", filter).await;
        let schedule = schedule(&ada, &report, json!({"time_zone": "Asia/Tokyo"}), &["ada"]).await;
        run_now(&ada, &schedule).await;
        sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
        let [mail] = &outbox.take()[..] else { panic!("one message") };
        assert_eq!(sorted(mail.column("Happened at")), times, "{zone}");
        assert_eq!(mail.subject, "Report, 17 March 2026");
        assert!(mail.text.contains(&format!("17 March 2026 ({zone})")), "{}", mail.text);
        assert!(mail.text.contains("18 March 2026, 19:17:23 (Asia/Tokyo)"), "{}", mail.text);
        assert_eq!(mail.file_name.as_deref(), Some("report-2026-03-18.csv"));
    }
}

#[apply(both_databases)]
async fn mailed_file_begins_with_a_byte_order_mark_unless_the_schedule_says_no(server: &TestServer) {
    let ada = create_ada(server).await;
    ada.post("/v1/activities", &activity("ada", "logged_out")).await.expect(201);
    let report = report(&ada, "Report", json!({})).await;
    let outbox = Outbox::new();
    let export = format!("/v1/reports/{report}/export.csv");
    let gzip = SenderOptions { sizes: Sizes { gzip_above: 1, ..Sizes::default() }, ..quick() };
    for (body, bom) in [(json!({}), true), (json!({"bom": true}), true), (json!({"bom": false}), false)] {
        let schedule = schedule(&ada, &report, body, &["ada"]).await;
        assert_eq!(schedule["bom"], bom);
        let expected = ada.get(&format!("{export}?bom={bom}")).await.expect(200).body;
        for options in [quick(), gzip.clone()] {
            run_now(&ada, &schedule).await;
            sender(server, outbox.mailer(), options).work().await.expect("the sender succeeds");
            let [mail] = &outbox.take()[..] else { panic!("one message") };
            assert_eq!(mail.csv.as_deref(), Some(expected.as_slice()), "bom is {bom}");
        }
        run_now(&ada, &schedule).await;
        sender(server, outbox.mailer(), link_options()).work().await.expect("the sender succeeds");
        let [mail] = &outbox.take()[..] else { panic!("one message") };
        // The link opens the file that was sent, also after a change of the schedule.
        let changed = ada.patch(&path(&schedule), &json!({"bom": !bom})).await.expect(200).json();
        assert_eq!(changed["bom"], !bom);
        assert_eq!(server.anonymous().get(&mail.link()).await.expect(200).body, expected);
        let reset = ada.patch(&path(&schedule), &json!({"bom": null})).await.expect(200).json();
        assert_eq!(reset["bom"], true);
    }
}
