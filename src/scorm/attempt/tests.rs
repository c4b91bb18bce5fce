use super::*;
use crate::base::testing::parse_time;

/// Plays commits and returns the events in short words, one list for each commit.
struct Play {
    state: AttemptState,
    now: Timestamp,
}

impl Play {
    fn new() -> Self {
        Self {
            state: AttemptState::default(),
            now: parse_time("2026-03-18T10:00:00Z"),
        }
    }

    fn commit(&mut self, body: &str) -> Vec<String> {
        self.commit_in(body, None)
    }

    fn commit_in(&mut self, body: &str, session: Option<&str>) -> Vec<String> {
        self.now = Timestamp::from_micros(self.now.micros() + 1_000_000);
        let commit = Commit::parse(body, 32).expect(body);
        let before = self.state.clone();
        let Some(events) = self.state.apply(&commit, session, self.now) else {
            assert_eq!(self.state, before, "a repeated commit changes nothing");
            return vec!["repeated".to_owned()];
        };
        // What is stored is what was applied.
        let text = serde_json::to_string(&self.state).expect("JSON");
        assert_eq!(
            serde_json::from_str::<AttemptState>(&text).expect("a state"),
            self.state
        );
        events.iter().map(|event| describe(&event.kind)).collect()
    }

    fn seconds(&self) -> i64 {
        self.state.total_time() / 100
    }
}

fn describe(kind: &EventKind) -> String {
    let with = |name: &str, progress: &Progress| {
        let score = progress.score.and_then(|score| score.scaled.or(score.raw));
        let score = score.map_or_else(String::new, |score| format!(" {score}"));
        format!("{name}{score} in {}", progress.hundredths / 100)
    };
    match kind {
        EventKind::Started => "started".to_owned(),
        EventKind::Answered(answer) => format!("answered {}", answer.id),
        EventKind::Completed(progress) => with("completed", progress),
        EventKind::Passed(progress) => with("passed", progress),
        EventKind::Failed(progress) => with("failed", progress),
        EventKind::Ended(end, progress) => with(&format!("{end:?}").to_lowercase(), progress),
    }
}

fn old(status: &str, session_time: &str, more: &str) -> String {
    format!("cmi.core.lesson_status={status}&cmi.core.session_time={session_time}{more}")
}

fn new(session_time: &str, more: &str) -> String {
    format!("cmi.location=x&cmi.session_time={session_time}{more}")
}

#[test]
fn session_is_started_completed_and_ended() {
    let mut play = Play::new();
    assert_eq!(play.commit(&old("incomplete", "00:00:00", "")), ["started"]);
    assert_eq!(play.commit(&old("incomplete", "00:01:00", "")), [""; 0]);
    assert_eq!(
        play.commit(&old("incomplete", "00:02:00", "&cmi.core.score.raw=80")),
        [""; 0]
    );
    assert_eq!(
        play.commit(&old("passed", "00:03:00", "&cmi.core.score.raw=80")),
        ["passed 80 in 180"]
    );
    let last = old(
        "passed",
        "00:05:00",
        "&cmi.core.score.raw=80&cmi.core.total_time=00:05:00",
    );
    assert_eq!(play.commit(&last), ["terminated 80 in 300"]);
    assert_eq!(play.commit(&last), ["repeated"]);
    assert_eq!(play.seconds(), 300);
}

#[test]
fn first_commit_may_be_the_last() {
    let mut play = Play::new();
    let last = old("completed", "00:05:00", "&cmi.core.total_time=00:05:00");
    assert_eq!(play.commit(&last), ["started", "completed in 300"]);
}

#[test]
fn time_of_sessions_is_added_once() {
    let mut play = Play::new();
    let last = |time: &str, total: &str| format!("{}&cmi.exit=suspend&cmi.total_time={total}", new(time, ""));
    assert_eq!(play.commit(&new("PT1M", "")), ["started"]);
    assert_eq!(play.commit(&last("PT5M", "PT5M")), ["suspended in 300"]);
    // The second session has loaded the total time of the first one.
    assert_eq!(play.commit(&new("PT2M", "&cmi.entry=resume")), [""; 0]);
    assert_eq!(play.seconds(), 420);
    let second = format!("{}&cmi.entry=resume", last("PT4M", "PT9M"));
    assert_eq!(play.commit(&second), ["suspended in 540"]);
    // The third one is longer than the second one, and only its last commit arrives.
    let third = format!("{}&cmi.entry=resume", last("PT6M", "PT15M"));
    assert_eq!(play.commit(&third), ["suspended in 900"]);
    // The fourth one has the same entry and more time than the third one.
    assert_eq!(play.commit(&new("PT7M", "&cmi.entry=resume")), [""; 0]);
    assert_eq!(play.seconds(), 1_320);
    for body in [
        last("PT5M", "PT5M"),
        second,
        third,
        new("PT1M", ""),
        new("PT7M", "&cmi.entry=resume"),
    ] {
        assert_eq!(play.commit(&body), ["repeated"]);
    }
}

#[test]
fn commit_that_arrives_after_the_end_of_its_session_changes_nothing() {
    let mut play = Play::new();
    play.commit(&new("PT0S", ""));
    play.commit(&new(
        "PT5M",
        "&cmi.total_time=PT5M&cmi.exit=suspend&cmi.suspend_data=x",
    ));
    assert_eq!(
        play.commit(&new("PT5M", "&cmi.suspend_data=x&cmi.exit=")),
        ["repeated"]
    );
    assert_eq!(play.seconds(), 300);
    // Another value shows that it belongs to another session.
    play.commit(&new("PT5M", "&cmi.suspend_data=y"));
    assert_eq!(play.seconds(), 600);
}

#[test]
fn session_that_loads_no_total_time_is_added_too() {
    let mut play = Play::new();
    play.commit(&new("PT5M", "&cmi.total_time=PT5M"));
    play.commit(&new("PT3M", "&cmi.total_time=PT3M"));
    assert_eq!(play.seconds(), 480);
    // This one is longer than the one before, whose end is certain.
    play.commit(&new("PT1M", ""));
    play.commit(&new("PT2M", "&cmi.total_time=PT2M"));
    play.commit(&new("PT4M", "&cmi.total_time=PT4M"));
    assert_eq!(play.seconds(), 840);
}

#[test]
fn total_time_in_every_commit_is_of_one_session() {
    let mut play = Play::new();
    for minutes in [1, 2, 3] {
        play.commit(&new(
            &format!("PT{minutes}M"),
            &format!("&cmi.total_time=PT{minutes}M"),
        ));
    }
    assert_eq!(play.seconds(), 180);
    play.commit(&new("PT1M", "&cmi.entry=resume&cmi.total_time=PT4M"));
    play.commit(&new("PT2M", "&cmi.entry=resume&cmi.total_time=PT5M"));
    assert_eq!(play.seconds(), 300);
}

#[test]
fn last_commit_with_equal_values_ends_the_session() {
    let mut play = Play::new();
    let body = new("PT20S", "&cmi.total_time=PT20S&cmi.exit=suspend");
    play.commit(&new("PT0S", "&cmi.total_time=PT0S"));
    assert_eq!(play.commit(&body), [""; 0]);
    let last = format!("{body}&final=true");
    assert_eq!(play.commit(&last), ["suspended in 20"]);
    assert_eq!(play.commit(&last), ["repeated"]);
}

#[test]
fn session_time_of_zero_adds_nothing_and_measured_time_counts() {
    let mut play = Play::new();
    assert_eq!(play.commit(&old("incomplete", "00:00:00", "")), ["started"]);
    assert_eq!(
        play.commit(&old("completed", "00:00:00", "&cmi.core.total_time=00:00:00")),
        ["completed in 0"]
    );
    assert_eq!(play.seconds(), 0);
    // `selfReportSessionTime`: the player measures the time and adds it to the total time only.
    play.commit(&old(
        "completed",
        "00:00:00",
        "&cmi.core.entry=resume&cmi.core.total_time=00:01:30.5",
    ));
    assert_eq!(play.state.total_time(), 9_050);
}

#[test]
fn sessions_with_ids_are_counted_beside_each_other() {
    let mut play = Play::new();
    for (session, time) in [
        ("a", "PT1M"),
        ("b", "PT10S"),
        ("a", "PT2M"),
        ("b", "PT30S"),
        ("a", "PT90S"),
    ] {
        play.commit_in(&new(time, ""), Some(session));
    }
    assert_eq!(play.seconds(), 150, "two minutes and half a minute");
}

#[test]
fn outdated_commit_of_a_session_with_an_id_changes_nothing() {
    let mut play = Play::new();
    let body = |time: &str, number: u8| format!("{}&commitSequence={number}", new(time, ""));
    play.commit_in(&body("PT2M", 2), Some("a"));
    assert_eq!(play.commit_in(&body("PT1M", 1), Some("a")), ["repeated"]);
    assert_eq!(play.commit_in(&body("PT0S", 1), Some("b")), [""; 0]);
}

#[test]
fn late_commit_without_an_id_adds_no_time() {
    let mut play = Play::new();
    play.commit(&new("PT1M", ""));
    play.commit(&new("PT3M", "&cmi.suspend_data=new"));
    assert_eq!(
        play.commit(&new("PT2M50S", "&cmi.suspend_data=old")),
        ["repeated"]
    );
    assert_eq!(play.state.elements["cmi.suspend_data"], "new");
    // This one could be a new session, until the total time shows that it was none.
    play.commit(&new("PT1M30S", ""));
    assert_eq!(play.seconds(), 270);
    play.commit(&new("PT4M", "&cmi.total_time=PT4M&final=true"));
    assert_eq!(play.seconds(), 240);
}

#[test]
fn commit_without_a_time_goes_on_with_its_session() {
    let mut play = Play::new();
    play.commit(&new("PT1M", ""));
    play.commit("cmi.location=y");
    play.commit(&new("PT2M", ""));
    assert_eq!(play.seconds(), 120);
}

#[test]
fn later_number_makes_the_time_shorter() {
    let mut play = Play::new();
    let body = |time: &str, number: u8| format!("{}&commitSequence={number}", new(time, ""));
    play.commit_in(&body("PT5M", 1), Some("a"));
    play.commit_in(&body("PT2M", 2), Some("a"));
    assert_eq!(play.seconds(), 120);
}

#[test]
fn answer_that_waits_for_a_result_makes_the_session_due() {
    let mut play = Play::new();
    let answer = "&cmi.interactions.0.id=q&cmi.interactions.0.learner_response=x";
    assert_eq!(play.commit(&new("PT0S", answer)), ["started"]);
    let due = play.state.due().expect("an answer");
    let events = play.state.record_idle(due).expect("an event");
    assert_eq!(
        (events.len(), describe(&events[0].kind).as_str()),
        (1, "answered q")
    );
    assert_eq!(play.state.due(), None);
}

#[test]
fn answers_beyond_the_limit_are_recorded_later() {
    let mut play = Play::new();
    let answers: Vec<String> = (0..2_500)
        .map(|number| format!("cmi.interactions.{number}.id=q&cmi.interactions.{number}.result=1"))
        .collect();
    let answers = format!("&{}", answers.join("&"));
    assert_eq!(play.commit(&new("PT1M", &answers)).len(), 1_001);
    let last = format!("{answers}&cmi.total_time=PT2M&final=true");
    assert_eq!(play.commit(&new("PT2M", &last)).len(), 1_001, "and the end");
    let due = play.state.due().expect("500 answers");
    assert_eq!(play.state.record_idle(due).map(|events| events.len()), Some(500));
    assert_eq!(play.state.due(), None);
    assert_eq!(play.commit(&new("PT3M", &answers)), [""; 0]);
}

#[test]
fn oldest_sessions_become_a_sum() {
    let mut play = Play::new();
    for session in 0..100 {
        play.commit_in(&new("PT1M", ""), Some(&session.to_string()));
    }
    assert_eq!((play.seconds(), play.state.sessions.len()), (6_000, MAX_SESSIONS));
}

#[test]
fn session_without_a_last_commit_is_recorded_by_the_next_one() {
    let mut play = Play::new();
    let answer = "&cmi.interactions.0.id=q&cmi.interactions.0.student_response=x";
    play.commit(&old(
        "incomplete",
        "00:10:00",
        &format!("&cmi.core.score.raw=5{answer}"),
    ));
    assert_eq!(
        play.commit(&old("incomplete", "00:00:10", "")),
        ["answered q", "abandoned 5 in 600"]
    );
    assert_eq!(play.seconds(), 610);
}

#[test]
fn idle_session_with_an_id_has_ended() {
    let mut play = Play::new();
    play.commit_in(&new("PT2M", ""), Some("a"));
    assert_eq!(
        play.commit_in(&new("PT1M", ""), Some("b")),
        [""; 0],
        "two windows"
    );
    play.now = Timestamp::from_micros(play.now.micros() + IDLE);
    assert_eq!(play.commit_in(&new("PT1M", ""), Some("c")), ["abandoned in 180"]);
}

#[test]
fn idle_session_is_recorded_and_can_go_on() {
    let mut play = Play::new();
    play.commit(&new("PT0S", ""));
    assert_eq!(play.state.due(), None, "there is no time to record");
    play.commit(&new("PT10M", ""));
    let due = play.state.due().expect("ten minutes");
    assert_eq!(due.micros(), play.now.micros() + IDLE);
    assert_eq!(play.state.record_idle(play.now), None);
    let events = play.state.record_idle(due).expect("an event");
    assert_eq!((events.len(), events[0].at), (1, play.now));
    assert_eq!(describe(&events[0].kind), "abandoned in 600");
    assert_eq!((play.state.due(), play.state.record_idle(due)), (None, None));
    assert_eq!(play.commit(&new("PT11M", "")), [""; 0]);
    assert_eq!(
        play.commit(&new("PT12M", "&cmi.total_time=PT12M")),
        ["terminated in 720"]
    );
    assert_eq!((play.seconds(), play.state.due()), (720, None));
}

#[test]
fn status_is_recorded_once_and_a_downgrade_is_not() {
    let mut play = Play::new();
    play.commit(&old("incomplete", "00:00:01", ""));
    assert_eq!(play.commit(&old("completed", "00:00:02", "")), ["completed in 2"]);
    assert_eq!(play.commit(&old("incomplete", "00:00:03", "")), [""; 0]);
    assert_eq!(play.commit(&old("completed", "00:00:04", "")), [""; 0]);
    assert_eq!(
        play.commit(&old("failed", "00:00:05", "&cmi.core.score.raw=-5")),
        ["failed -5 in 5"]
    );
    assert_eq!(
        play.commit(&old("passed", "00:00:06", "&cmi.core.score.raw=90")),
        ["passed 90 in 6"]
    );
    assert_eq!(play.commit(&old("failed", "00:00:07", "")), [""; 0]);
    assert_eq!(play.commit(&old("completed", "00:00:08", "")), [""; 0]);
}

#[test]
fn completion_and_success_of_scorm_2004_are_two_statuses() {
    let mut play = Play::new();
    let body = new(
        "PT1M",
        "&cmi.completion_status=completed&cmi.success_status=unknown&cmi.score.scaled=0.5",
    );
    assert_eq!(play.commit(&body), ["started", "completed 0.5 in 60"]);
    let body = new(
        "PT2M",
        "&cmi.completion_status=incomplete&cmi.success_status=passed&cmi.score.scaled=0.9",
    );
    assert_eq!(play.commit(&body), ["passed 0.9 in 120"]);
    let rolled_up =
        r#"{"completionStatus":"completed","successStatus":"failed","runtimeData":{"cmi":{"location":"x"}}}"#;
    assert_eq!(
        Play::new().commit(rolled_up),
        ["started", "completed in 0", "failed in 0"]
    );
}

#[test]
fn score_after_the_status_is_recorded_at_the_end_of_the_session() {
    let mut play = Play::new();
    play.commit(&old("completed", "00:01:00", "&cmi.core.score.raw=0"));
    assert_eq!(
        play.commit(&old("completed", "00:01:00", "&cmi.core.score.raw=70")),
        [""; 0]
    );
    let last = old(
        "completed",
        "00:01:00",
        "&cmi.core.score.raw=70&cmi.core.total_time=00:01:00",
    );
    assert_eq!(play.commit(&last), ["terminated 70 in 60"]);
}

#[test]
fn answers_are_recorded_once_and_again_when_they_change() {
    let mut play = Play::new();
    let answer = |number: u8, result: &str| {
        format!("&cmi.interactions.{number}.id=q{number}&cmi.interactions.{number}.result={result}")
    };
    let both = [answer(1, "wrong"), answer(0, "correct")].concat();
    assert_eq!(
        play.commit(&old("incomplete", "00:00:01", &both)),
        ["started", "answered q0", "answered q1"]
    );
    assert_eq!(play.commit(&old("incomplete", "00:00:02", &both)), [""; 0]);
    let changed = [answer(0, "correct"), answer(1, "correct"), answer(2, "")].concat();
    assert_eq!(
        play.commit(&old("incomplete", "00:00:03", &changed)),
        ["answered q1"]
    );
    // A commit without the list says nothing about it.
    play.commit(&old("incomplete", "00:00:04", ""));
    assert_eq!(play.state.elements["cmi.interactions.1.result"], "correct");
    play.commit(&old("incomplete", "00:00:05", &answer(0, "correct")));
    assert!(
        !play.state.elements.contains_key("cmi.interactions.1.result"),
        "the list has one element"
    );
}

#[test]
fn commit_without_time_is_repeated_only_by_the_next_one() {
    let mut play = Play::new();
    let place = |place: &str| format!("cmi.core.lesson_location={place}");
    play.commit(&place("1"));
    assert_eq!(play.commit(&place("1")), ["repeated"]);
    assert_eq!(play.commit(&place("2")), [""; 0]);
    assert_eq!(play.commit(&place("1")), [""; 0]);
    assert_eq!(play.state.elements["cmi.core.lesson_location"], "1");
}
