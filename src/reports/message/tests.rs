//! Messages, parsed by another library than the one that writes them.

use mailparse::{MailHeaderMap as _, ParsedMail, addrparse_header, parse_mail};
use proptest::prelude::*;

use super::*;

const RUN_AT: Timestamp = Timestamp::from_micros(1_773_829_043_000_000); // 2026-03-18T10:17:23Z

/// Names that are known to break messages.
const HOSTILE: &[&str] = &[
    "Weekly\r\nBcc: eve@example.com",
    "Weekly\nBcc: eve@example.com",
    "Weekly\rBcc: eve@example.com",
    "Weekly\r\n\r\n<h1>body</h1>",
    "nul\0nul",
    "=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?=",
    "=?utf-8?q?=0D=0ABcc:_eve=40example.com?=",
    "\u{202e}gnitrever\u{202c} \u{2066}isolated\u{2069}",
    "line\u{2028}separator\u{2029}paragraph\u{85}next",
    "😀 emoji 👩\u{200d}👩\u{200d}👧 and e\u{301}",
    "\"quotes\" \\ and 'these', (comments) <tags> & @ ; , : [x]",
    "<script>alert(1)</script><img src=x onerror='x'>",
    "....................................................................................................",
    "--=_0190a00000007000800000000000000001_3_parts--",
    "Müller, Größe: 日本語の報告書",
    "\t tabs \t and \u{b} \u{c} \u{1b}[31m escapes \u{7f}",
    "../../etc/passwd\u{0}.exe",
    "%0d%0aBcc: eve@example.com",
];

/// The names and the address of a message.
struct Names {
    to: String,
    name: Option<String>,
    report: String,
    maker: String,
    others: Vec<String>,
}

impl Names {
    /// The same text for each name.
    fn all(text: &str) -> Self {
        Self {
            to: "bo@example.com".to_owned(),
            name: Some(text.to_owned()),
            report: text.to_owned(),
            maker: text.to_owned(),
            others: vec![text.to_owned(), "cy@example.com".to_owned()],
        }
    }

    fn email<'a>(&'a self, enclosed: Enclosed<'a>) -> EmailMessage<'a> {
        EmailMessage {
            delivery: "0190a000-0000-7000-8000-000000000001".parse().unwrap(),
            place: 3,
            to: (&self.to, self.name.as_deref()),
            language: Language::ENGLISH,
            report: &self.report,
            period: Some(Period::PreviousWeek),
            window: Period::PreviousWeek.window(RUN_AT, Tz::Europe__London),
            window_zone: Tz::Europe__London,
            zone: Tz::Europe__London,
            run_at: RUN_AT,
            now: Timestamp::from_micros(RUN_AT.micros() + 5_000_000),
            rows: 1234,
            skipped_rows: 0,
            timing: "every Monday at 08:00 (Europe/London)",
            maker: &self.maker,
            shared: true,
            to_maker: false,
            others: &self.others,
            enclosed,
        }
    }
}

fn compose_bytes(email: &EmailMessage<'_>) -> Vec<u8> {
    let from = parse_mailbox("Acme Learning <learning@acme.example>").unwrap();
    compose(email, &from, &Templates::new().unwrap()).unwrap().bytes
}

fn file(report: &str, bytes: &'static Bytes, gzipped: bool) -> Enclosed<'static> {
    Enclosed::File {
        name: file_name(report, RUN_AT, Tz::UTC, gzipped),
        bytes,
        gzipped,
    }
}

static CSV: Bytes = Bytes::from_static(b"a,b\r\n.\n..x\r.\r\n\xff\x00--=_\n");

fn bytes_of(names: &Names, enclosed: Enclosed<'_>) -> Vec<u8> {
    compose_bytes(&names.email(enclosed))
}

/// The names of the headers in their order.
fn header_names(part: &ParsedMail<'_>) -> Vec<String> {
    part.headers.iter().map(mailparse::MailHeader::get_key).collect()
}

/// The plain text, the HTML and the file, if the message has one.
fn parts<'a, 'b>(message: &'a ParsedMail<'b>) -> (String, String, Option<&'a ParsedMail<'b>>) {
    assert_eq!(message.ctype.mimetype, "multipart/mixed");
    let (alternative, file) = match message.subparts.as_slice() {
        [alternative] => (alternative, None),
        [alternative, file] => (alternative, Some(file)),
        parts => panic!("{} parts", parts.len()),
    };
    assert_eq!(alternative.ctype.mimetype, "multipart/alternative");
    let [text, html] = alternative.subparts.as_slice() else {
        panic!("{} alternatives", alternative.subparts.len());
    };
    assert_eq!(
        (text.ctype.mimetype.as_str(), html.ctype.mimetype.as_str()),
        ("text/plain", "text/html")
    );
    assert_eq!(
        (text.ctype.charset.as_str(), html.ctype.charset.as_str()),
        ("utf-8", "utf-8")
    );
    (text.get_body().unwrap(), html.get_body().unwrap(), file)
}

/// Checks the invariants of messages.
fn check(names: &Names, bytes: &[u8]) {
    assert!(bytes.is_ascii());
    for line in bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() < 999, "a line of {} bytes", line.len());
    }
    assert!(
        !bytes.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'),
        "a bare LF"
    );
    assert!(
        !bytes.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n'),
        "a bare CR"
    );
    let message = parse_mail(bytes).unwrap();
    check_headers(&message, names);
    let (text, html, file) = parts(&message);
    assert!(text.contains(&one_line(&names.report)) && text.contains("Rows:         1,234"));
    assert_eq!(text.lines().filter(|line| line.starts_with("Report:")).count(), 1);
    check_html(&html, names);
    if let Some(file) = file {
        assert_eq!(
            header_names(file),
            ["Content-Disposition", "Content-Type", "Content-Transfer-Encoding"]
        );
        let name = file.get_content_disposition().params["filename"].clone();
        assert!(
            !name.contains(['/', '\\', '"', '\r', '\n', '\0']) && !name.starts_with('.'),
            "{name}"
        );
    }
}

fn check_headers(message: &ParsedMail<'_>, names: &Names) {
    assert_eq!(
        header_names(message),
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type"
        ]
    );
    let header = |name: &str| message.headers.get_first_value(name).unwrap();
    let subject = format!("{}, 9 March 2026 to 15 March 2026", one_line(&names.report));
    assert_eq!(normalise_spaces(&header("Subject")), normalise_spaces(&subject));
    let to = addrparse_header(message.headers.get_first_header("To").unwrap()).unwrap();
    let to = to.extract_single_info().expect("one recipient");
    assert_eq!(to.addr, names.to);
    let name = names
        .name
        .as_deref()
        .map(one_line)
        .filter(|name| !name.is_empty());
    assert_eq!(
        to.display_name.as_deref().map(normalise_spaces),
        name.as_deref().map(normalise_spaces)
    );
    assert_eq!(
        header("Message-ID"),
        "<0190a000-0000-7000-8000-000000000001.3@acme.example>"
    );
}

/// The text with single spaces: readers differ in the spaces of a folded header.
fn normalise_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Checks that the tags are those of the template and none comes from a name.
fn check_html(html: &str, names: &Names) {
    const TAGS: [&str; 14] = [
        "!DOCTYPE", "html", "head", "meta", "title", "body", "h1", "table", "tr", "th", "td", "p", "a", "x",
    ];
    let mut rest = html;
    let mut found = 0;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag ends");
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        assert!(TAGS[..13].contains(&name), "<{tag}>");
        found += 1;
        rest = after;
    }
    assert!((30..70).contains(&found), "{found} tags");
    assert_eq!(html.matches("<tr>").count(), 6);
    let escaped = one_line(&names.report)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;")
        .replace('/', "&#x2f;");
    assert!(html.contains(&format!("style=\"font-size: 20px\">{escaped}</h1>")));
}

#[test]
fn message_names_its_report_its_recipients_and_how_to_stop_it() {
    let names = Names {
        name: Some("Bo Lee".to_owned()),
        maker: "Ada Obi".to_owned(),
        others: vec!["Cy Young".to_owned(), "dee@partner.example".to_owned()],
        ..Names::all("Weekly completions")
    };
    let bytes = bytes_of(&names, file("Weekly completions", &CSV, false));
    check(&names, &bytes);
    let message = parse_mail(&bytes).unwrap();
    let mailbox = |name: &str| {
        let addresses = addrparse_header(message.headers.get_first_header(name).unwrap()).unwrap();
        let address = addresses.extract_single_info().unwrap();
        (address.display_name.unwrap_or_default(), address.addr)
    };
    let header = |name: &str| message.headers.get_first_value(name).unwrap();
    assert_eq!(
        mailbox("From"),
        ("Acme Learning".to_owned(), "learning@acme.example".to_owned())
    );
    assert_eq!(mailbox("To"), ("Bo Lee".to_owned(), "bo@example.com".to_owned()));
    assert_eq!(
        header("Subject"),
        "Weekly completions, 9 March 2026 to 15 March 2026"
    );
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(
        mailparse::dateparse(&header("Date")).unwrap(),
        RUN_AT.micros() / 1_000_000 + 5
    );
    let (text, html, file) = parts(&message);
    insta::assert_snapshot!("text", text.replace("\r\n", "\n"));
    insta::assert_snapshot!("html", html.replace("\r\n", "\n"));
    assert!(!text.contains("missing") && !html.contains("missing"));
    let file = file.unwrap();
    assert_eq!(file.get_body_raw().unwrap(), CSV);
    assert_eq!(
        (file.ctype.mimetype.as_str(), file.ctype.charset.as_str()),
        ("text/csv", "utf-8")
    );
    let disposition = file.get_content_disposition();
    assert_eq!(disposition.disposition, mailparse::DispositionType::Attachment);
    assert_eq!(
        disposition.params["filename"],
        "weekly-completions-2026-03-18.csv"
    );
}

#[test]
fn same_message_gives_the_same_bytes() {
    let names = Names::all("Größe");
    assert_eq!(
        bytes_of(&names, file("x", &CSV, false)),
        bytes_of(&names, file("x", &CSV, false))
    );
}

#[test]
fn compressed_file_has_its_name_and_media_type() {
    let names = Names::all("Weekly");
    let bytes = bytes_of(&names, file("Weekly", &CSV, true));
    let message = parse_mail(&bytes).unwrap();
    let (text, _, file) = parts(&message);
    let file = file.unwrap();
    assert_eq!(file.ctype.mimetype, "application/gzip");
    assert_eq!(
        file.get_content_disposition().params["filename"],
        "weekly-2026-03-18.csv.gz"
    );
    assert_eq!(file.get_body_raw().unwrap(), CSV);
    assert!(
        text.contains("weekly-2026-03-18.csv.gz, compressed with gzip."),
        "{text}"
    );
}

#[test]
fn link_is_in_both_texts_with_its_expiry() {
    let names = Names::all("Weekly");
    let url = "https://rollbook.example/downloads/AbC-_123?x=1&y=\"2\"";
    let bytes = bytes_of(
        &names,
        Enclosed::Link {
            url,
            expires_at: Timestamp::from_micros(RUN_AT.micros() + 168 * 3_600_000_000),
        },
    );
    check(&names, &bytes);
    let message = parse_mail(&bytes).unwrap();
    let (text, html, file) = parts(&message);
    assert!(file.is_none());
    assert!(text.lines().any(|line| line == url), "{text}");
    assert!(
        text.contains("until 25 March 2026, 10:17:23 (Europe/London)"),
        "{text}"
    );
    let escaped = url
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('/', "&#x2f;");
    assert!(
        html.contains(&format!("<a href=\"{escaped}\">{escaped}</a>")),
        "{html}"
    );
}

#[test]
fn text_for_an_outside_address_names_the_makers_rights() {
    let mut names = Names::all("Weekly");
    names.name = None;
    names.others.clear();
    let bytes = bytes_of(&names, file("Weekly", &CSV, false));
    check(&names, &bytes);
    let message = parse_mail(&bytes).unwrap();
    let (text, _, _) = parts(&message);
    assert!(
        text.contains("It holds the rows that Weekly may see.") && text.contains("you alone"),
        "{text}"
    );
    assert_eq!(message.headers.get_first_value("To").unwrap(), "bo@example.com");
}

#[test]
fn text_for_the_maker_says_you() {
    let names = Names::all("Weekly");
    let email = EmailMessage {
        to_maker: true,
        ..names.email(file("Weekly", &CSV, false))
    };
    let bytes = compose_bytes(&email);
    let message = parse_mail(&bytes).unwrap();
    let (text, html, _) = parts(&message);
    for words in [normalise_spaces(&text), normalise_spaces(&html)] {
        assert!(words.contains("It holds the rows that you may see."), "{words}");
        assert!(words.contains("a schedule that you made"), "{words}");
    }
}

#[test]
fn message_says_how_many_rows_are_missing() {
    let names = Names::all("Weekly");
    let email = EmailMessage {
        skipped_rows: 1_200,
        ..names.email(file("Weekly", &CSV, false))
    };
    let bytes = compose_bytes(&email);
    let (text, html, _) = parts(&parse_mail(&bytes).unwrap());
    for words in [normalise_spaces(&text), normalise_spaces(&html)] {
        assert!(words.contains("because they cannot be read: 1,200."), "{words}");
    }
}

#[test]
fn administrator_is_named_for_a_shared_report_only() {
    let names = Names::all("Weekly");
    for (shared, help) in [
        (
            true,
            "ask Weekly or an administrator of the organisation to take you off the list",
        ),
        (false, "ask Weekly to take you off the list"),
    ] {
        let email = EmailMessage {
            shared,
            ..names.email(file("Weekly", &CSV, false))
        };
        let bytes = compose_bytes(&email);
        let (text, html, _) = parts(&parse_mail(&bytes).unwrap());
        for words in [normalise_spaces(&text), normalise_spaces(&html)] {
            assert!(words.contains(help), "{words}");
        }
    }
}

#[test]
fn hostile_names_add_nothing_to_a_message() {
    let long = "x".repeat(255);
    let wide = "日".repeat(255);
    let smileys = "😀".repeat(255);
    for name in HOSTILE
        .iter()
        .copied()
        .chain([long.as_str(), &wide, &smileys, ""])
    {
        let names = Names::all(name);
        let bytes = bytes_of(&names, file(name, &CSV, false));
        check(&names, &bytes);
        let message = parse_mail(&bytes).unwrap();
        assert_eq!(
            parts(&message).2.unwrap().get_body_raw().unwrap(),
            CSV,
            "{name:?}"
        );
    }
}

#[test]
fn file_name_is_valid_for_any_report_name() {
    for (report, name) in [
        ("Weekly completions", "weekly-completions-2026-03-18.csv"),
        ("  Q1/Q2: \"all\" ", "q1-q2-all-2026-03-18.csv"),
        ("Größe 日本", "größe-日本-2026-03-18.csv"),
        ("../..", "report-2026-03-18.csv"),
        ("😀", "report-2026-03-18.csv"),
        ("con", "con-2026-03-18.csv"),
        ("\u{202e}vsc.exe", "vsc-exe-2026-03-18.csv"),
    ] {
        assert_eq!(file_name(report, RUN_AT, Tz::UTC, false), name);
    }
    assert_eq!(
        file_name(&"x".repeat(255), RUN_AT, Tz::UTC, true).len(),
        60 + "-2026-03-18.csv.gz".len()
    );
    // The day is that of the time zone.
    let late = Timestamp::from_micros(1_773_874_800_000_000); // 2026-03-18T23:00:00Z
    assert_eq!(file_name("x", late, Tz::Asia__Tokyo, false), "x-2026-03-19.csv");
}

#[test]
fn date_outside_the_range_of_the_header_is_clamped() {
    for (micros, date) in [(-1, 0), (i64::MAX, 253_402_300_799)] {
        let since = system_time(Timestamp::from_micros(micros)).duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.unwrap().as_secs(), date);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_names_add_nothing_to_a_message(
        name in proptest::collection::vec(
            prop_oneof![
                any::<char>(),
                proptest::sample::select(vec!['\r', '\n', '\0', ' ', '"', '<', '>', '&', '=', '?', '.', ':', '@', ',']),
            ],
            0..255,
        )
    ) {
        let name: String = name.into_iter().collect();
        let names = Names::all(&name);
        let bytes = bytes_of(&names, file(&name, &CSV, false));
        check(&names, &bytes);
    }
}
