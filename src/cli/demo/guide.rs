//! What the demo prints: where it is, a token for each role, and what is worth trying.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use secrecy::SecretString;

use crate::access::{AccessError, Claims, Permissions, mint};
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use super::seed::{Part, Seeded};
use super::state::State;

/// How long the tokens are good, in hours.
const HOURS: i64 = 24;

/// A token for somebody of the cast.
pub(super) fn token(
    secret: &SecretString,
    org: &OrgId,
    part: &Part,
    now: Timestamp,
) -> Result<String, AccessError> {
    let expires = Timestamp::from_micros(now.micros().saturating_add(HOURS * 3_600_000_000));
    let mut claims = Claims::new(org.clone(), part.user.clone(), expires);
    claims.role = part.role;
    claims.permissions = Permissions::from_keys(part.permissions.iter().map(String::as_str));
    mint(secret, &claims)
}

/// The file that sets every name which the guide's lines use.
pub(super) fn variables(
    address: SocketAddr,
    state: &State,
    seeded: &Seeded,
    tokens: &[(Part, String)],
) -> String {
    let mut text =
        String::from("# Written anew at each start of the demo; read it with `.`, as the guide says.\n");
    // A String takes all that is written to it.
    let _ = writeln!(text, "ROLLBOOK='http://{address}'");
    let _ = writeln!(
        text,
        "CREDENTIAL='{}:{}'",
        state.credential_key, state.credential_secret
    );
    for (part, token) in tokens {
        let _ = writeln!(text, "{}='{token}'", part.variable);
    }
    for report in &seeded.reports {
        let _ = writeln!(text, "{}='{}'", report.variable, report.id);
    }
    text
}

/// The whole guide.
pub(super) fn guide(
    address: SocketAddr,
    folder: &Path,
    file: &Path,
    state: &State,
    seeded: &Seeded,
    tokens: &[(Part, String)],
) -> String {
    let mut text = String::new();
    let (folder, file) = (folder.display(), shell(file));
    // A String takes all that is written to it.
    let _ = write!(
        text,
        "\nRollbook is serving a demo: the organisation `acme` with {users} people, {contents} contents and {activities} \
         activities.\n\n  \
         API       http://{address}\n  \
         Docs      http://{address}/docs\n  \
         Kept in   {folder}   (delete the folder to begin anew)\n  \
         Mail      {folder}/mail   (what is sent on schedule, a file for each message)\n\n\
         WHO IS WHO   a token for each, good for {HOURS} hours; to set them all in your shell:  . {file}\n",
        users = seeded.users,
        contents = seeded.contents,
        activities = thousands(seeded.activities),
    );
    for (part, token) in tokens {
        let Part {
            variable,
            user,
            name,
            job,
            role,
            sees,
            ..
        } = part;
        let _ = write!(
            text,
            "\n  {variable}   {name} ({user}), {job}; role {role}: sees {sees}\n  {token}\n"
        );
    }
    let _ = write!(
        text,
        "\n  CREDENTIAL   an integration, by HTTP Basic; all scopes\n  {}:{}\n",
        state.credential_key, state.credential_secret
    );
    let _ = write!(text, "\nWORTH TRYING   paste this first:  . {file}\n");
    for (what, line) in lines(seeded) {
        let _ = write!(text, "\n  # {what}\n  {line}\n");
    }
    text.push_str("\nCtrl-C stops it; what you add is kept.\n\n");
    text
}

/// The questions that are worth trying: what for, by whom, of which path; `LEARNER_ID` stands for a user's id.
const QUESTIONS: [(&str, &str, &str); 20] = [
    (
        "A manager's log: their own and that of everybody below them",
        "MANAGER",
        "/v1/activities?limit=3",
    ),
    (
        "The same without the manager, only what was failed, with the number of all rows",
        "MANAGER",
        "/v1/activities?scope=managed&include_sub_managers=true&action=failed&count=exact&limit=3",
    ),
    (
        "Quizzes passed in the last quarter by two departments with all their teams",
        "REPORTER",
        "/v1/activities?team=operations&team=sales&include_sub_teams=true&type=quiz&result=passed\
         &period=previous_quarter&limit=3",
    ),
    (
        "By words of the title, in any case: FÜHRUNGSKRÄFTE",
        "REPORTER",
        "/v1/activities?title=F%C3%9CHRUNGSKR%C3%84FTE&limit=3",
    ),
    (
        "By a field of the organisation's own: custom[employee_type]",
        "HR",
        "/v1/activities?custom%5Bemployee_type%5D=apprentice&limit=3",
    ),
    (
        "Certificates that run out within 60 days",
        "HR",
        "/v1/activities?certificate_expires_within=P60D&limit=3",
    ),
    (
        "One person's log",
        "HR",
        "/v1/users/LEARNER_ID/activities?limit=3",
    ),
    (
        "Their timeline: the log and the notes about them",
        "HR",
        "/v1/users/LEARNER_ID/timeline?limit=5",
    ),
    (
        "Only the notes, which they never see themselves",
        "HR",
        "/v1/users/LEARNER_ID/notes",
    ),
    (
        "Mandatory training: whom a manager has to remind, and how many stand where",
        "MANAGER",
        "/v1/contents/fire-safety/progress?scope=managed&include_sub_managers=true\
         &state=not_started,in_progress,failed,expired&count=exact&limit=3",
    ),
    (
        "Counted instead of listed: completions by team and month",
        "REPORTER",
        "/v1/activities/summary?by=team,month&content=fire-safety&completed=true&period=previous_quarter",
    ),
    (
        "What a filter bar can offer a manager, with counts",
        "MANAGER",
        "/v1/facets?scope=managed",
    ),
    ("One's own log", "LEARNER", "/v1/me/activities?limit=3"),
    (
        "What a learner can't have: a problem document says why",
        "LEARNER",
        "/v1/activities?scope=company",
    ),
    (
        "The directory, within one's reach",
        "MANAGER",
        "/v1/users?group=forklift-drivers&limit=2",
    ),
    ("The catalogue", "DESIGNER", "/v1/contents?type=certification"),
    (
        "Everything of the last 30 days as a CSV",
        "REPORTER",
        "/v1/activities/export.csv?period=last_30_days",
    ),
    (
        "HR's shared report, opened by a manager: the rows that she may see, and no more",
        "MANAGER",
        "/v1/reports/$TRAINING_REPORT/activities?count=exact&limit=2",
    ),
    (
        "Who is sent a manager's own report, and when",
        "MANAGER",
        "/v1/reports/$FAILED_REPORT/schedules",
    ),
    (
        "And what became of it: the message lies in the demo's folder `mail`",
        "MANAGER",
        "/v1/reports/$FAILED_REPORT/deliveries",
    ),
];

/// What is worth trying, and how.
fn lines(seeded: &Seeded) -> Vec<(&'static str, String)> {
    let learner = seeded.cast.iter().find(|part| part.variable == "LEARNER");
    let learner = learner.map_or("u001", |part| part.user.as_str());
    let ask = |who: &str, path: &str| {
        let path = path.replace("LEARNER_ID", learner);
        format!("curl -s \"$ROLLBOOK{path}\" -H \"Authorization: Bearer ${who}\"")
    };
    let send = |path: &str, header: &str, body: String| {
        format!(
            "curl -s \"$ROLLBOOK{path}\" -u \"$CREDENTIAL\" -H 'Content-Type: application/json'{header} \\\n    \
             -d '{body}'"
        )
    };
    let activity = format!(
        "{{\"user\": \"{learner}\", \"action\": \"completed\", \"content\": \"quiz-forklift\",\n         \
         \"result\": {{\"score\": 92, \"total_time\": \"PT5M\"}}}}"
    );
    let statement = "{\"actor\": {\"mbox\": \"mailto:new.face@partner.example\", \"name\": \"New Face\"},\n         \
         \"verb\": {\"id\": \"http://adlnet.gov/expapi/verbs/passed\"},\n         \
         \"object\": {\"id\": \"https://content.acme.example/xapi/dangerous-goods\"},\n         \
         \"result\": {\"score\": {\"scaled\": 0.9}}}";
    let mut lines: Vec<_> = QUESTIONS
        .iter()
        .map(|(what, who, path)| (*what, ask(who, path)))
        .collect();
    lines.push((
        "A key for a spreadsheet or BI tool: it opens this one report, as the password of HTTP Basic, and nothing else",
        "KEY=$(curl -s \"$ROLLBOOK/v1/reports/$FAILED_REPORT/keys\" -H \"Authorization: Bearer $MANAGER\" \\\n    \
             -H 'Content-Type: application/json' -d '{\"name\": \"Excel\"}' | sed 's/.*\"secret\":\"\\([^\"]*\\)\".*/\\1/')\n  \
             curl -s \"$ROLLBOOK/v1/reports/$FAILED_REPORT/export.csv\" -u \":$KEY\""
        .to_owned(),
    ));
    lines.push((
        "A manager marks offline training as complete: with `dry_run` nothing is kept, the answer says what would happen",
        "curl -s \"$ROLLBOOK/v1/completions\" -H \"Authorization: Bearer $MANAGER\" \\\n    \
             -H 'Content-Type: application/json' \\\n    \
             -d '{\"content\": \"event-first-aid\", \"teams\": [\"warehouse-north\"], \"note\": \"Was at the live session\", \
             \"dry_run\": true}'"
        .to_owned(),
    ));
    lines.push((
        "An integration records an activity; the answer is the row of the log",
        send("/v1/activities", "", activity),
    ));
    lines.push((
        "Content sends an xAPI statement about somebody whom nobody knows yet",
        send(
            "/xapi/statements",
            " -H 'X-Experience-API-Version: 1.0.3'",
            statement.to_owned(),
        ),
    ));
    lines.push((
        "And it is a row of the log at once",
        ask("OWNER", "/v1/activities?content=dangerous-goods&limit=1"),
    ));
    lines
}

/// A path as a shell reads it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    // A name without a slash would be looked for in PATH.
    let text = if text.contains('/') {
        text
    } else {
        format!("./{text}")
    };
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A number with commas between the thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_paths_are_quoted_where_they_must_be() {
        assert_eq!(
            [0, 999, 1_000, 20_000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "20,000", "1,234,567"]
        );
        assert_eq!(shell(Path::new("demo/env.sh")), "demo/env.sh");
        assert_eq!(shell(Path::new("env.sh")), "./env.sh");
        assert_eq!(
            shell(Path::new("/tmp/it's here/env.sh")),
            r"'/tmp/it'\''s here/env.sh'"
        );
    }
}
