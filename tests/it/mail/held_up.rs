//! A mail server that hangs or fails holds up nothing but the run that speaks to it: no other run, no request, no stop.

use std::time::{Duration, Instant};

use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use super::runs::smtp;
use super::year::ada;
use crate::support::both_databases;
use crate::support::http::Caller;
use crate::support::outbox::{deliveries, path, quick, report, run_now, schedule};
use crate::support::smtp_server::SmtpServer;

/// Longer than the test takes by far.
const FOR_EVER: Duration = Duration::from_secs(600);

/// Waits until there are so many deliveries in the report's list.
async fn listed(caller: &Caller, report: &str, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let listed = deliveries(caller, report).await;
        if listed.len() >= count {
            return listed;
        }
        assert!(Instant::now() < until, "{} deliveries, not {count}", listed.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

both_databases! {
    async fn a_hanging_mail_server_holds_up_nothing_else(server: &TestServer) {
        let mails = SmtpServer::start().await;
        let options = SenderOptions {
            // Only a call wakes it, so that what comes soon is what it was woken for.
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(2),
            ..quick()
        };
        let sending = server.sending(smtp(&mails, FOR_EVER), options.clone()).await;
        let caller = ada(&sending).await;
        let report = report(&caller, "Everything", json!({})).await;
        let hanging = schedule(&caller, &report, json!({}), &["ada"]).await;
        let quick = schedule(&caller, &report, json!({}), &["ada"]).await;

        mails.behave(|manners| manners.answer = FOR_EVER);
        run_now(&caller, &hanging).await;
        let first = mails.wait_for(1).await[0].header("Message-ID");
        mails.behave(|manners| manners.answer = Duration::ZERO);
        for run in 1..=5 {
            run_now(&caller, &quick).await;
            listed(&caller, &report, run).await;
        }
        let pending = caller.get(&path(&hanging)).await.expect(200).json()["pending"].clone();
        assert_eq!(pending["attempts"], 0, "it still hangs: {pending}");

        // It is given up when the server stops, and the server waits for it no longer than it was told.
        drop(caller);
        let began = Instant::now();
        sending.stop().await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

        // Nobody knows whether that message was taken: it is sent again, and is the same message.
        let again = server.sending(smtp(&mails, FOR_EVER), options).await;
        let received = mails.wait_for(7).await;
        assert_eq!(received[6].header("Message-ID"), first);
        let caller = again.person("admin", "ada");
        assert!(listed(&caller, &report, 6).await.iter().all(|one| one["status"] == "sent"));
        drop(caller);
        again.stop().await;
    }

    async fn a_mail_server_that_is_down_costs_attempts_and_nothing_else(server: &TestServer) {
        let mails = SmtpServer::start().await;
        mails.behave(|manners| manners.down = true);
        let sending = server.sending(smtp(&mails, Duration::from_secs(5)), quick()).await;
        let caller = ada(&sending).await;
        let report = report(&caller, "Everything", json!({})).await;
        let mut schedules = Vec::new();
        for _ in 0..12 {
            let one = schedule(&caller, &report, json!({}), &["ada"]).await;
            run_now(&caller, &one).await;
            schedules.push(one);
        }
        for one in &schedules {
            let until = Instant::now() + Duration::from_secs(20);
            loop {
                let pending = caller.get(&path(one)).await.expect(200).json()["pending"].clone();
                if pending["attempts"] == 1 {
                    assert!(pending["reason"].is_string(), "{pending}");
                    break;
                }
                assert!(Instant::now() < until, "{pending}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert!(deliveries(&caller, &report).await.is_empty());
        mails.behave(|manners| manners.down = false);
        let later = server.clock.now().micros() + 60_000_000;
        server.clock.set(rollbook::clock::Timestamp::from_micros(later));
        mails.wait_for(12).await;
        assert!(listed(&caller, &report, 12).await.iter().all(|one| one["status"] == "sent" && one["attempts"] == 2));
        let metrics = caller.get("/metrics").await.expect(200);
        assert!(metrics.text().contains(r#"rollbook_deliveries_total{status="sent"}"#), "{}", metrics.text());
        assert!(!metrics.text().contains("acme"));
        drop(caller);
        sending.stop().await;
    }
}
