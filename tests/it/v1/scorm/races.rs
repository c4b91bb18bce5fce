//! Commits at the same time.

use std::time::Duration;

use futures_util::future::join_all;
use rollbook::base::clock::Timestamp;

use super::*;
use crate::support::{apply, both_databases};

#[apply(both_databases)]
async fn commits_at_once_are_one_attempt(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    let replica = server.start_replica().await;
    let other = replica.person("learner", "bo");
    let commits = (0..40_u32).map(|number| {
        let (caller, body) =
            (if number % 2 == 0 { bo.clone() } else { other.clone() }, old("completed", "00:01:00", ""));
        let answer =
            format!("&cmi.interactions.{number}.id=q{number}&cmi.interactions.{number}.result=correct");
        async move { commit(&caller, &format!("?session=tab{number}"), &(body + &answer)).await }
    });
    let answers = join_all(commits).await;
    assert!(answers.iter().all(|answer| answer["registration"] == answers[0]["registration"]));
    let mut found = rows(&admin).await;
    found.sort_unstable();
    assert_eq!(found.iter().filter(|row| *row == "Started").count(), 1);
    assert_eq!(found.iter().filter(|row| row.starts_with("Completed")).count(), 1);
    assert_eq!(found.iter().filter(|row| row.starts_with("Answered")).count(), 40, "{found:?}");
    assert_eq!(found.len(), 42);
    let recorded: usize =
        answers.iter().map(|answer| answer["activities"].as_array().expect("activities").len()).sum();
    assert_eq!(recorded, 42, "each row belongs to one commit");
    // Forty sessions of a minute.
    let resumed = bo.get(PATH).await.expect(200).json();
    assert_eq!(resumed["cmi"]["core"]["total_time"], "0000:40:00.00");
    replica.stop().await;
}

#[apply(both_databases)]
async fn two_windows_do_not_add_the_time_of_each_other(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    for minute in 1..=5 {
        for (window, time) in [("a", format!("00:0{minute}:00")), ("b", format!("00:00:{}0", minute))] {
            commit(&bo, &format!("?session={window}"), &old("incomplete", &time, "")).await;
        }
    }
    commit(&bo, "?session=a&final=true", &old("completed", "00:05:00", "&cmi.core.exit=suspend")).await;
    assert_eq!(rows(&admin).await.last().map(String::as_str), Some("Completed 350"));
    assert_eq!(total_seconds(&admin).await, 350);
}

#[apply(both_databases)]
async fn idle_session_is_recorded_once_by_several_replicas(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    commit(&bo, "", &old("incomplete", "00:10:00", "")).await;
    let now = server.clock.now().micros();
    server.clock.set(Timestamp::from_micros(now + 31 * 60 * 1_000_000));
    // A replica looks for idle sessions when it starts.
    let (one, two) = (server.start_replica().await, server.start_replica().await);
    while rows(&admin).await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    one.stop().await;
    two.stop().await;
    assert_eq!(rows(&admin).await, ["Started", "Abandoned 600"]);
    // The learner had only paused.
    commit(&bo, "?final=true", &old("completed", "00:12:00", "")).await;
    assert_eq!(rows(&admin).await, ["Started", "Abandoned 600", "Completed 720"]);
    assert_eq!(total_seconds(&admin).await, 720);
}
