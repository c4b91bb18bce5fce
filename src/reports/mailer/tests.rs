//! The folder and the settings. SMTP is tested with a server in `tests/it/mail`.

use bytes::Bytes;
use chrono_tz::Tz;

use super::*;
use crate::base::clock::Timestamp;
use crate::log::Window;
use crate::reports::message::Enclosed;

const RUN_AT: Timestamp = Timestamp::from_micros(1_773_829_043_000_000);

fn email<'a>(to: &'a str, report: &'a str, bytes: &'a Bytes) -> EmailMessage<'a> {
    EmailMessage {
        language: crate::texts::Language::ENGLISH,
        delivery: "0190a000-0000-7000-8000-000000000001".parse().unwrap(),
        place: 3,
        to: (to, None),
        report,
        period: None,
        window: Window::default(),
        window_zone: Tz::UTC,
        zone: Tz::UTC,
        run_at: RUN_AT,
        now: RUN_AT,
        rows: 1,
        skipped_rows: 0,
        timing: "every day at 08:00 (UTC)",
        maker: "Ada",
        shared: true,
        to_maker: false,
        others: &[],
        enclosed: Enclosed::File {
            name: "x.csv".to_owned(),
            bytes,
            gzipped: false,
        },
    }
}

#[tokio::test]
async fn first_message_creates_the_folder_and_each_message_is_a_file() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    let mailer = Mailer::folder(&folder, "Rollbook <rollbook@localhost>").unwrap();
    assert_eq!(mailer.address(), "rollbook@localhost");
    assert!(!folder.exists());
    let bytes = Bytes::from_static(b"a,b\n");
    // The second time, as after a crash, replaces the file.
    for _ in 0..2 {
        mailer
            .send(&email("bo@example.com", "../../etc/passwd", &bytes))
            .await
            .unwrap();
    }
    let names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names,
        ["20260318T101723Z-0190a000-0000-7000-8000-000000000001-3.eml"]
    );
    let message = std::fs::read(folder.join(&names[0])).unwrap();
    let message = mailparse::parse_mail(&message).unwrap();
    assert_eq!(message.subparts[1].get_body_raw().unwrap(), bytes);
}

#[tokio::test]
async fn error_of_the_folder_does_not_contain_its_path() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mailer = Mailer::folder(file.join("inside"), "rollbook@localhost").unwrap();
    let bytes = Bytes::new();
    let Err(SendError::Failed(reason)) = mailer.send(&email("bo@example.com", "x", &bytes)).await else {
        panic!("sent");
    };
    assert!(
        reason.starts_with("the message can't be written to the folder of messages"),
        "{reason}"
    );
    assert!(!reason.contains(parent.path().to_str().unwrap()), "{reason}");
}

#[tokio::test]
async fn invalid_address_is_refused_permanently() {
    let folder = tempfile::tempdir().unwrap();
    let mailer = Mailer::folder(folder.path(), "rollbook@localhost").unwrap();
    let bytes = Bytes::new();
    for to in [
        "bo",
        "bo@example.com\r\nBcc: eve@example.com",
        "a b@example.com",
        "",
    ] {
        let sent = mailer.send(&email(to, "x", &bytes)).await;
        assert!(matches!(sent, Err(SendError::Refused(_))), "{to}: {sent:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn invalid_sender_is_refused_with_an_example() {
    for from in ["", "Rollbook", "Rollbook <rollbook>x", "a@b\r\nBcc: c@d"] {
        let error = Mailer::folder("x", from).unwrap_err().to_string();
        assert!(
            error.contains("ROLLBOOK_MAIL_FROM") && error.contains("learning@example.org"),
            "{error}"
        );
    }
}

#[test]
fn debug_output_contains_no_password() {
    let settings = SmtpSettings {
        url: SecretString::from("smtps://me:hunter2@mail.example.org"),
        timeout: Duration::from_secs(60),
        certificate: None,
    };
    let mailer = Mailer::smtp(&settings, "rollbook@example.org").unwrap();
    assert!(!format!("{settings:?} {mailer:?}").contains("hunter2"));
}
