//! Tests of the mailer with a mail server. A library of another author parses the messages.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono_tz::Tz;
use mailin::AuthMechanism::{Login, Plain};
use rollbook::base::clock::Timestamp;
use rollbook::log::{Period, Window};
use rollbook::reports::mailer::{Mailer, SendError, SmtpSettings};
use rollbook::reports::message::{EmailMessage, Enclosed, file_name};
use secrecy::SecretString;

use crate::support::smtp_server::{LOGIN, Security, SmtpServer};

const FROM: &str = "Acme Learning <learning@acme.example>";
const RUN_AT: Timestamp = Timestamp::from_micros(1_773_829_043_000_000);
/// Longer than any step of these tests, and short enough to wait for.
const LIMIT: Duration = Duration::from_millis(400);
/// The limit of tests that must not fail because of time.
const LONG_LIMIT: Duration = Duration::from_secs(30);

fn email_message<'a>(to: &'a str, report: &'a str, bytes: &'a Bytes) -> EmailMessage<'a> {
    EmailMessage {
        language: rollbook::texts::Language::ENGLISH,
        delivery: "0190a000-0000-7000-8000-000000000001".parse().expect("an id"),
        place: 0,
        to: (to, Some("Bo Lee")),
        report,
        period: Some(Period::Yesterday),
        window: Window::default(),
        window_zone: Tz::UTC,
        zone: Tz::UTC,
        run_at: RUN_AT,
        now: RUN_AT,
        rows: 2,
        skipped_rows: 0,
        timing: "every day at 08:00 (UTC)",
        maker: "Ada Obi",
        shared: true,
        to_maker: false,
        others: &[],
        enclosed: Enclosed::File { name: file_name(report, RUN_AT, Tz::UTC, false), bytes, gzipped: false },
    }
}

fn settings(url: &str, timeout: Duration) -> SmtpSettings {
    SmtpSettings { url: SecretString::from(url), timeout, certificate: None }
}

/// A mailer that trusts the server.
fn mailer(server: &SmtpServer, timeout: Duration) -> Mailer {
    let settings =
        SmtpSettings { certificate: Some(server.certificate()), ..settings(&server.url(), timeout) };
    Mailer::smtp(&settings, FROM).expect("valid settings")
}

async fn send(mailer: &Mailer, to: &str) -> Result<(), SendError> {
    let bytes = Bytes::from_static(b"a,b\r\n1,2\r\n");
    mailer.send(&email_message(to, "Weekly", &bytes)).await
}

/// The reason of a temporary failure.
#[track_caller]
fn expect_failed(outcome: Result<(), SendError>) -> String {
    match outcome {
        Err(SendError::Failed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// The reason of a permanent failure.
#[track_caller]
fn expect_refused(outcome: Result<(), SendError>) -> String {
    match outcome {
        Err(SendError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_arrive_with_each_encryption_and_login() {
    for security in [Security::Plain, Security::StartTls, Security::Tls] {
        for logins in [&[][..], &[Plain], &[Login], &[Login, Plain]] {
            let server = SmtpServer::start_with(security, logins).await;
            let bytes = Bytes::from_static(b"a,b\r\n\xff\x00.\r\n.\r\n");
            let sent =
                mailer(&server, LONG_LIMIT).send(&email_message("bo@example.com", "Weekly", &bytes)).await;
            assert_eq!(sent, Ok(()), "{security:?} {logins:?}");
            let [message] = server.received().try_into().expect("one message");
            assert_eq!(
                (message.from.as_str(), message.to),
                ("learning@acme.example", vec!["bo@example.com".to_owned()])
            );
            assert_eq!(message.encrypted, security != Security::Plain);
            assert_eq!(message.user.as_deref(), (!logins.is_empty()).then_some(LOGIN.0));
        }
    }
}

#[tokio::test]
async fn message_arrives_unchanged() {
    // Lines that begin with dots, also after folding, and parts that look like the end of a message.
    let bytes: Bytes = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for report in ["Weekly", &".".repeat(255), "\r\n.\r\nQUIT\r\n", "日本語 😀 \u{202e}x", "=?utf-8?b?DQo=?="]
    {
        let server = SmtpServer::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let message = email_message("bo@example.com", report, &bytes);
        mailer(&server, LONG_LIMIT).send(&message).await.expect("sent");
        let folder_mailer = Mailer::folder(folder.path(), FROM).expect("a folder");
        folder_mailer.send(&message).await.expect("written");
        let file =
            std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file").expect("a file");
        let [message] = server.received().try_into().expect("one message");
        let written = std::fs::read(file.path()).expect("a message");
        // The line end before the closing dot belongs to the message (RFC 5321, section 4.1.1.4).
        assert!(message.bytes == [&written, b"\r\n".as_slice()].concat(), "{report}");
        let (name, kind, received) = message.file();
        assert_eq!((name, kind.as_str()), (file_name(report, RUN_AT, Tz::UTC, false), "text/csv"));
        assert!(received == bytes);
        assert_eq!(message.header("Message-ID"), "<0190a000-0000-7000-8000-000000000001.0@acme.example>");
    }
}

#[tokio::test]
async fn server_is_trusted_only_by_its_certificate() {
    for security in [Security::StartTls, Security::Tls] {
        let server = SmtpServer::start_with(security, &[Plain]).await;
        let other_server = SmtpServer::start().await;
        for certificate in [None, Some(other_server.certificate())] {
            let settings = SmtpSettings { certificate, ..settings(&server.url(), LONG_LIMIT) };
            let mailer = Mailer::smtp(&settings, FROM).expect("valid settings");
            let reason = expect_failed(send(&mailer, "bo@example.com").await);
            assert!(reason.contains("certificate"), "{reason}");
        }
        assert!(server.received().is_empty());
    }
}

#[tokio::test]
async fn required_tls_is_never_skipped() {
    let server = SmtpServer::start().await;
    let with = |tls: &str| {
        Mailer::smtp(&settings(&format!("{}?tls={tls}", server.url()), LONG_LIMIT), FROM).expect("good")
    };
    let reason = expect_failed(send(&with("required"), "bo@example.com").await);
    assert!(reason.contains("STARTTLS"), "{reason}");
    assert!(server.received().is_empty());
    assert_eq!(send(&with("opportunistic"), "bo@example.com").await, Ok(()));

    let server = SmtpServer::start_with(Security::StartTls, &[]).await;
    let url = server.url().replace("required", "opportunistic");
    let trusting = SmtpSettings { certificate: Some(server.certificate()), ..settings(&url, LONG_LIMIT) };
    let mailer = Mailer::smtp(&trusting, FROM).expect("valid settings");
    assert_eq!(send(&mailer, "bo@example.com").await, Ok(()));
    assert!(server.received()[0].encrypted, "TLS is used where it is offered");
    // An attacker with another certificate cannot disable TLS.
    let mailer = Mailer::smtp(&settings(&url, LONG_LIMIT), FROM).expect("valid settings");
    expect_failed(send(&mailer, "bo@example.com").await);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn refused_login_is_temporary_and_does_not_reveal_the_password() {
    let server = SmtpServer::start_with(Security::StartTls, &[Plain]).await;
    let with = |password: &str| {
        let settings = SmtpSettings {
            certificate: Some(server.certificate()),
            ..settings(&server.url_with(password), LONG_LIMIT)
        };
        Mailer::smtp(&settings, FROM).expect("valid settings")
    };
    let reason = expect_failed(send(&with("hunter2"), "bo@example.com").await);
    assert!(reason.contains("535") && reason.contains("at the login"), "{reason}");
    for code in [535, 534, 454, 421, 550] {
        server.change_behaviour(|behaviour| {
            behaviour.refuses_login = Some(code);
            behaviour.repeats_text = true;
        });
        let reason = expect_failed(send(&with("hunter2"), "bo@example.com").await);
        assert!(reason.contains(&code.to_string()) && !reason.contains("hunter2"), "{reason}");
    }
    // A server without login.
    let open = SmtpServer::start().await;
    let url = open.url().replace("smtp://", "smtp://me:hunter2@");
    let mailer = Mailer::smtp(&settings(&url, LONG_LIMIT), FROM).expect("valid settings");
    let reason = expect_failed(send(&mailer, "bo@example.com").await);
    assert!(reason.contains("authentication") && !reason.contains("hunter2"), "{reason}");
    assert!(server.received().is_empty() && open.received().is_empty());
}

#[tokio::test]
async fn permanent_and_temporary_refusals_differ() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, LONG_LIMIT);
    for (code, is_permanent) in
        [(550, true), (553, true), (554, true), (450, false), (452, false), (421, false), (530, false)]
    {
        server.change_behaviour(|behaviour| {
            behaviour.refused_recipients = [("bo@example.com".to_owned(), code)].into()
        });
        let outcome = send(&mailer, "bo@example.com").await;
        let reason = if is_permanent { expect_refused(outcome) } else { expect_failed(outcome) };
        assert!(reason.contains(&format!("to the recipient's address with {code}")), "{reason}");
        // Other recipients are not affected.
        assert_eq!(send(&mailer, "cy@example.com").await, Ok(()));
    }
    assert!(server.received().iter().all(|message| message.to == ["cy@example.com"]));
    let before = server.received().len();

    server.change_behaviour(|behaviour| {
        behaviour.refused_recipients.clear();
        behaviour.refuses_message = Some(552);
    });
    assert!(expect_refused(send(&mailer, "bo@example.com").await).contains("to the message with 552"));
    server.change_behaviour(|behaviour| behaviour.refuses_message = Some(451));
    assert!(expect_failed(send(&mailer, "bo@example.com").await).contains("to the message with 451"));
    // If the server refuses the sender, the settings are wrong, not the recipient.
    for code in [550, 451] {
        server.change_behaviour(|behaviour| {
            behaviour.refuses_message = None;
            behaviour.refuses_sender = Some(code);
        });
        assert!(expect_failed(send(&mailer, "bo@example.com").await).contains("to the sender's address"));
    }
    assert_eq!(server.received().len(), before);
}

#[tokio::test]
async fn unreachable_server_is_a_temporary_failure() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, LONG_LIMIT);
    server.change_behaviour(|behaviour| behaviour.down = true);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let reason = expect_failed(send(&mailer, "bo@example.com").await);
    assert!(reason.contains("can't be reached"), "{reason}");
    server.change_behaviour(|behaviour| behaviour.down = false);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(send(&mailer, "bo@example.com").await, Ok(()));

    let unknown_host =
        Mailer::smtp(&settings("smtp://mail.rollbook.invalid", LONG_LIMIT), FROM).expect("valid settings");
    let reason = expect_failed(send(&unknown_host, "bo@example.com").await);
    assert!(reason.contains("can't be reached"), "{reason}");
}

#[tokio::test]
async fn hanging_server_times_out_at_every_step() {
    let day = Duration::from_secs(86_400);
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, LIMIT);
    let large: Bytes = vec![b'x'; 12 << 20].into();
    let began = Instant::now();

    server.change_behaviour(|behaviour| behaviour.greeting = day);
    let reason = expect_failed(send(&mailer, "bo@example.com").await);
    assert_eq!(reason, "the mail server did not answer while being connected to within 0.4 seconds");

    server.change_behaviour(|behaviour| {
        behaviour.greeting = Duration::ZERO;
        behaviour.stops_reading_after = Some(100_000);
    });
    let reason = expect_failed(mailer.send(&email_message("bo@example.com", "Weekly", &large)).await);
    assert_eq!(reason, "the mail server gave no answer to the message within 0.4 seconds");
    assert!(server.received().is_empty());

    server.change_behaviour(|behaviour| {
        behaviour.stops_reading_after = None;
        behaviour.answer = day;
    });
    let reason = expect_failed(send(&mailer, "bo@example.com").await);
    assert_eq!(reason, "the mail server gave no answer to the message within 0.4 seconds");
    // The end of the connection has a limit too.
    assert!(began.elapsed() < 8 * LIMIT + Duration::from_secs(3), "{:?}", began.elapsed());
    // The server has received the message, but the mailer cannot know that.
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn slow_connection_is_accepted_while_it_makes_progress() {
    let server = SmtpServer::start().await;
    let large: Bytes = vec![b'x'; 16 << 20].into();
    // Each pause is much shorter than the limit, all pauses together are longer. The server reads the
    // buffered megabytes at the end within the limit.
    let limit = Duration::from_secs(4);
    server.change_behaviour(|behaviour| behaviour.pause = Duration::from_millis(40));
    let began = Instant::now();
    let sent = mailer(&server, limit).send(&email_message("bo@example.com", "Weekly", &large)).await;
    assert_eq!(sent, Ok(()));
    assert!(began.elapsed() > limit, "{:?}", began.elapsed());
    assert!(server.received()[0].file().2 == large);

    // The server pauses a minute after each part, which is over the limit of a part and of the message.
    server.change_behaviour(|behaviour| behaviour.pause = Duration::from_secs(60));
    let began = Instant::now();
    expect_failed(mailer(&server, LIMIT).send(&email_message("bo@example.com", "Weekly", &large)).await);
    assert!(began.elapsed() < 15 * LIMIT, "{:?}", began.elapsed());
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn dropped_message_is_a_temporary_failure() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, LONG_LIMIT);
    server.change_behaviour(|behaviour| behaviour.drops_message = true);
    let reason = expect_failed(send(&mailer, "bo@example.com").await);
    assert!(reason.contains("failed to the message"), "{reason}");
    server.change_behaviour(|behaviour| behaviour.drops_message = false);
    assert_eq!(send(&mailer, "bo@example.com").await, Ok(()));
    // Both messages have the same id.
    let [first, second] = server.received().try_into().expect("two messages");
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
}

#[tokio::test]
async fn international_domain_is_converted_and_local_part_refused() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, LONG_LIMIT);
    assert_eq!(send(&mailer, "bo@bücher.example").await, Ok(()));
    assert_eq!(server.received()[0].to, ["bo@xn--bcher-kva.example"]);
    let reason = expect_refused(send(&mailer, "bücher@example.com").await);
    assert!(reason.contains("ASCII"), "{reason}");
    for to in ["bo@example.com>\r\nRCPT TO:<eve@example.com", "bo@example.com\r\nDATA"] {
        expect_refused(send(&mailer, to).await);
    }
    assert_eq!(server.received().len(), 1);
}
