//! The printed guide: the addresses, a token of each role, and requests to try.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use secrecy::SecretString;

use crate::access::{AccessError, Claims, Permissions, mint};
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::texts::Language;

use super::pages::UNIT;
use super::seed::{CastMember, Seeded};
use super::state::State;

/// The validity of the tokens, in hours.
const HOURS: i64 = 24;

/// Creates a token of a cast member.
pub(super) fn create_token(
    secret: &SecretString,
    org: &OrgId,
    part: &CastMember,
    now: Timestamp,
) -> Result<String, AccessError> {
    let expires = Timestamp::from_micros(now.micros().saturating_add(HOURS * 3_600_000_000));
    let mut claims = Claims::new(org.clone(), part.user.clone(), expires);
    claims.role = part.role;
    claims.permissions = Permissions::from_keys(part.permissions.iter().map(String::as_str));
    mint(secret, &claims)
}

/// The shell file with the variables of the guide.
pub(super) fn variables(
    address: SocketAddr,
    state: &State,
    seeded: &Seeded,
    tokens: &[(CastMember, String)],
) -> String {
    let mut text =
        String::from("# Written at each start of the demo. Read it with `.`, as the guide says.\n");
    // Writing to a String does not fail.
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
    tokens: &[(CastMember, String)],
) -> String {
    let mut text = String::new();
    let (folder, file) = (folder.display(), quote_for_shell(file));
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "\nRollbook is serving a demo: the organisation `acme` with {users} people, {contents} contents and {activities} \
         activities.\n\n  \
         API       http://{address}\n  \
         Docs      http://{address}/docs\n  \
         Example   http://{address}/example   (a frontend: sign in with a token of this guide)\n  \
         Folder    {folder}   (delete it to start again)\n  \
         Mail      {folder}/mail   (a file for each message that is sent on schedule)\n\n\
         PEOPLE   a token for each, valid for {HOURS} hours. To set all variables in your shell:  . {file}\n",
        users = seeded.users,
        contents = seeded.contents,
        activities = Language::ENGLISH.group_digits(seeded.activities as u64),
    );
    for (part, token) in tokens {
        let CastMember {
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
    let _ = write!(text, "\nTRY IT   paste this first:  . {file}\n");
    for (comment, line) in command_lines(seeded) {
        let _ = write!(text, "\n  # {comment}\n  {line}\n");
    }
    text.push_str("\nCtrl-C stops the server. Your data stays in the folder.\n\n");
    text
}

/// Requests to try: the comment, the variable of the token, and the path. `LEARNER_ID` is replaced by the learner's id.
const REQUESTS: [(&str, &str, &str); 24] = [
    (
        "A manager's log: the manager's own rows and those of all reports",
        "MANAGER",
        "/v1/activities?limit=3",
    ),
    (
        "The same without the manager: failed attempts only, with the total number of rows",
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
        "Certificates that expire within 60 days",
        "HR",
        "/v1/activities?certificate_expires_within=P60D&limit=3",
    ),
    (
        "One person's log",
        "HR",
        "/v1/users/LEARNER_ID/activities?limit=3",
    ),
    (
        "The timeline of this person: the log and the notes",
        "HR",
        "/v1/users/LEARNER_ID/timeline?limit=5",
    ),
    (
        "The notes only. The person never sees them",
        "HR",
        "/v1/users/LEARNER_ID/notes",
    ),
    (
        "Mandatory training: the reports that a manager has to remind, and the number of persons in each state",
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
        "The values for a filter bar of a manager, with counts",
        "MANAGER",
        "/v1/facets?scope=managed",
    ),
    ("The caller's own log", "LEARNER", "/v1/me/activities?limit=3"),
    (
        "A scope that a learner may not have: the problem document says why",
        "LEARNER",
        "/v1/activities?scope=company",
    ),
    (
        "The directory within the caller's reach",
        "MANAGER",
        "/v1/users?group=forklift-drivers&limit=2",
    ),
    ("The catalogue", "DESIGNER", "/v1/contents?type=certification"),
    (
        "The answers to the questions of a quiz: a line for each attempt, with a column for each question",
        "REPORTER",
        "/v1/quizzes/quiz-forklift/responses.csv?shape=wide&period=last_30_days",
    ),
    (
        "How difficult each question is, and the most chosen wrong answer",
        "DESIGNER",
        "/v1/quizzes/quiz-forklift/questions",
    ),
    (
        "The wrong answers of a manager's people",
        "MANAGER",
        "/v1/quizzes/quiz-forklift/responses?scope=managed&include_sub_managers=true&result=failed&limit=2",
    ),
    (
        "Attempts at an exercise: what was submitted, with a link to the file, and how it was graded",
        "DESIGNER",
        "/v1/exercises/exercise-risk-assessment/attempts?limit=2",
    ),
    (
        "All rows of the last 30 days as CSV",
        "REPORTER",
        "/v1/activities/export.csv?period=last_30_days",
    ),
    (
        "HR's shared report, opened by a manager: only the rows that the manager may see",
        "MANAGER",
        "/v1/reports/$TRAINING_REPORT/activities?count=exact&limit=2",
    ),
    (
        "The schedules of a manager's own report",
        "MANAGER",
        "/v1/reports/$FAILED_REPORT/schedules",
    ),
    (
        "Its deliveries: the message is in the demo's folder `mail`",
        "MANAGER",
        "/v1/reports/$FAILED_REPORT/deliveries",
    ),
];

/// The contents that can be started in a browser: the comment, the content and its standard.
const LAUNCHES: [(&str, &str, &str); 3] = [
    (
        "An LMS starts xAPI content for the learner. Open the printed address in a browser",
        "incident-drill",
        "xapi",
    ),
    (
        "The same with a SCORM package. Launched again with its `registration`, it resumes where the learner left it",
        "fire-safety",
        "scorm",
    ),
    (
        "And with a unit of cmi5. The page gets its token once, so loading it again needs a new launch",
        UNIT,
        "cmi5",
    ),
];

/// The comments and command lines of the guide.
fn command_lines(seeded: &Seeded) -> Vec<(&'static str, String)> {
    let learner = seeded.cast.iter().find(|part| part.variable == "LEARNER");
    let learner = learner.map_or("u001", |part| part.user.as_str());
    let get = |token: &str, path: &str| {
        let path = path.replace("LEARNER_ID", learner);
        format!("curl -s \"$ROLLBOOK{path}\" -H \"Authorization: Bearer ${token}\"")
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
    let mut lines: Vec<_> = REQUESTS
        .iter()
        .map(|(comment, token, path)| (*comment, get(token, path)))
        .collect();
    lines.push((
        "A key for a spreadsheet or BI tool: a password of HTTP Basic that opens this report and nothing else",
        "KEY=$(curl -s \"$ROLLBOOK/v1/reports/$FAILED_REPORT/keys\" -H \"Authorization: Bearer $MANAGER\" \\\n    \
             -H 'Content-Type: application/json' -d '{\"name\": \"Excel\"}' | sed 's/.*\"secret\":\"\\([^\"]*\\)\".*/\\1/')\n  \
             curl -s \"$ROLLBOOK/v1/reports/$FAILED_REPORT/export.csv\" -u \":$KEY\""
        .to_owned(),
    ));
    lines.push((
        "A manager marks offline training as complete. With `dry_run` nothing is stored: the answer says what would happen",
        "curl -s \"$ROLLBOOK/v1/completions\" -H \"Authorization: Bearer $MANAGER\" \\\n    \
             -H 'Content-Type: application/json' \\\n    \
             -d '{\"content\": \"event-first-aid\", \"teams\": [\"warehouse-north\"], \"note\": \"Was at the live session\", \
             \"dry_run\": true}'"
        .to_owned(),
    ));
    lines.push((
        "An integration records an activity. The answer is the row of the log",
        send("/v1/activities", "", activity),
    ));
    lines.push((
        "Content sends an xAPI statement about a person that is not in the directory",
        send(
            "/xapi/statements",
            " -H 'X-Experience-API-Version: 1.0.3'",
            statement.to_owned(),
        ),
    ));
    for (comment, content, standard) in LAUNCHES {
        let launch =
            format!("{{\"user\": \"{learner}\", \"content\": \"{content}\", \"standard\": \"{standard}\"}}");
        let address = " | sed 's/.*\"url\":\"\\([^\"]*\\)\".*/\\1/'";
        lines.push((comment, send("/v1/launches", "", launch) + address));
    }
    lines.push((
        "What the learner has done in these contents",
        get(
            "OWNER",
            "/v1/users/LEARNER_ID/activities?content=incident-drill&content=fire-safety&period=today&limit=9",
        ),
    ));
    lines.push((
        "The statement is a row of the log at once",
        get("OWNER", "/v1/activities?content=dangerous-goods&limit=1"),
    ));
    lines.push((
        "A SCORM package commits for a learner, as the player scorm-again sends it",
        "curl -s \"$ROLLBOOK/v1/scorm/manual-handling\" -H \"Authorization: Bearer $LEARNER\" \\\n    \
             -d 'cmi.suspend_data=page=3&cmi.core.lesson_status=incomplete&cmi.core.session_time=00:05:00&cmi.core.exit=suspend'"
        .to_owned(),
    ));
    lines.push((
        "The data with which the learner goes on: it is loaded into the player by loadFromJSON",
        get("LEARNER", "/v1/scorm/manual-handling"),
    ));
    lines
}

/// A path, quoted for a shell.
fn quote_for_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    // The shell would search a name without a slash in PATH.
    let text = if text.contains('/') {
        text
    } else {
        format!("./{text}")
    };
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_special_paths_are_quoted() {
        assert_eq!(
            [0, 999, 1_000, 20_000, 1_234_567].map(|number| Language::ENGLISH.group_digits(number)),
            ["0", "999", "1,000", "20,000", "1,234,567"]
        );
        assert_eq!(quote_for_shell(Path::new("demo/env.sh")), "demo/env.sh");
        assert_eq!(quote_for_shell(Path::new("env.sh")), "./env.sh");
        assert_eq!(
            quote_for_shell(Path::new("/tmp/it's here/env.sh")),
            r"'/tmp/it'\''s here/env.sh'"
        );
    }
}
