//! The SQL texts of the views for BI tools. Labels come from the tables of the code.

use crate::access::Role;
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::Action;
use crate::log::progress::State;
use crate::record::Origin;
use crate::store::db::database::Engine;
use crate::texts::Language;

/// A column of a view: its name and its expression.
type Column = (&'static str, String);

/// The differences between the databases, and the organisation.
pub(super) struct Queries {
    engine: Engine,
    /// The schema of the tables with a dot, or an empty text.
    base: String,
    /// The key of the organisation: a number on PostgreSQL, a column on SQLite.
    org: String,
}

impl Queries {
    /// The views of all organisations, with a column `organisation`.
    pub(super) fn sqlite() -> Self {
        Self {
            engine: Engine::Sqlite,
            base: String::new(),
            org: "g.key".to_owned(),
        }
    }

    /// The views of one organisation. `base` is the schema of the tables.
    pub(super) fn postgres(base: &str, key: i64) -> Self {
        Self {
            engine: Engine::Postgres,
            base: format!("{}.", quoted_name(base)),
            org: key.to_string(),
        }
    }

    /// The names of the views and their queries.
    pub(super) fn views(&self) -> [(&'static str, String); 6] {
        [
            ("activity_log", self.activity_log(" AND NOT p.deactivated")),
            ("activity_log_with_deactivated", self.activity_log("")),
            ("users", self.users()),
            ("user_fields", self.user_fields()),
            ("contents", self.contents()),
            ("progress", self.progress()),
        ]
    }

    /// A time in microseconds since 1970 as a time that people read. The operator is an exact match in
    /// `pg_catalog`, so that no other schema replaces it.
    pub(super) fn time(&self, micros: &str) -> String {
        match self.engine {
            Engine::Postgres => {
                format!("pg_catalog.to_timestamp({micros}::double precision / 1000000::double precision)")
            }
            Engine::Sqlite => {
                format!("strftime('%Y-%m-%dT%H:%M:%fZ', {micros} / 1000 / 1000.0, 'unixepoch')")
            }
        }
    }

    /// `SELECT` with the columns, and with the column `organisation` on SQLite.
    fn select(&self, columns: &[Column]) -> String {
        format!("SELECT {}{}", self.organisation_column(), list_columns(columns))
    }

    fn organisation_column(&self) -> &'static str {
        match self.engine {
            Engine::Postgres => "",
            Engine::Sqlite => "g.id AS organisation, ",
        }
    }

    /// `FROM` with the main table of a view. SQLite reads the organisations first, so that every index of the table can be
    /// used: each one begins with the organisation.
    fn from(&self, table: &str, alias: &str) -> String {
        let base = &self.base;
        match self.engine {
            Engine::Postgres => format!(" FROM {base}{table} {alias}"),
            Engine::Sqlite => format!(" FROM organisations g CROSS JOIN {table} {alias}"),
        }
    }

    /// The join of the row with this key.
    fn join(&self, kind: &str, table: &str, alias: &str, key: &str) -> String {
        self.join_of(&self.org, kind, table, alias, key)
    }

    /// [`Queries::join`] with an expression for the organisation.
    fn join_of(&self, org: &str, kind: &str, table: &str, alias: &str, key: &str) -> String {
        let base = &self.base;
        format!(" {kind} {base}{table} {alias} ON {alias}.org = {org} AND {alias}.key = {key}")
    }

    /// The verb `v`, the person `p` and the user `u` of the record `a`.
    ///
    /// Without statistics SQLite takes an organisation for a handful of rows, and would begin with its verbs or persons. The
    /// `+` lets it read these after the record, and the person after the user.
    fn join_record(&self) -> String {
        let (of_record, of_user) = match self.engine {
            Engine::Postgres => (self.org.as_str(), ""),
            Engine::Sqlite => ("+a.org", " AND p.org = +u.org"),
        };
        [
            self.join_of(of_record, "JOIN", "verbs", "v", "a.verb"),
            self.join_of(of_record, "JOIN", "persons", "p", "a.person"),
            self.join("LEFT JOIN", "users", "u", "p.user_key"),
            of_user.to_owned(),
        ]
        .concat()
    }

    /// The manager `m` and the primary team `t` of the user `u`.
    fn join_manager_and_team(&self) -> String {
        self.join("LEFT JOIN", "users", "m", "u.manager")
            + &self.join("LEFT JOIN", "teams", "t", "u.primary_team")
    }

    /// The time of the query in microseconds since 1970.
    fn now(&self) -> &'static str {
        match self.engine {
            Engine::Postgres => "(extract(epoch FROM now()) * 1000000)::bigint",
            Engine::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000",
        }
    }

    fn uuid(&self, id: &str) -> String {
        match self.engine {
            Engine::Postgres => id.to_owned(),
            Engine::Sqlite => format!(
                "lower(substr(hex({id}), 1, 8) || '-' || substr(hex({id}), 9, 4) || '-' || substr(hex({id}), 13, 4) \
                 || '-' || substr(hex({id}), 17, 4) || '-' || substr(hex({id}), 21))"
            ),
        }
    }

    /// The texts of a list, joined as in the CSV.
    fn list(&self, json: &str) -> String {
        match self.engine {
            Engine::Postgres => {
                format!("(SELECT string_agg(l.value, '; ') FROM json_array_elements_text({json}::json) l)")
            }
            Engine::Sqlite => format!("(SELECT group_concat(l.value, '; ') FROM json_each({json}) l)"),
        }
    }

    /// A number of hundredths.
    fn hundredths(&self, number: &str) -> String {
        match self.engine {
            Engine::Postgres => format!("{number} / 100::double precision"),
            Engine::Sqlite => format!("{number} / 100.0"),
        }
    }

    /// A member of the identifier of the person `p`, by its path in the JSON. It is only read of a person without a user.
    fn identifier(&self, path: &[&str]) -> String {
        let value = "nullif(p.value, '')";
        match self.engine {
            Engine::Postgres => format!("{value}::json #>> '{{{}}}'", path.join(",")),
            Engine::Sqlite => format!("json_extract({value}, '$.{}')", path.join(".")),
        }
    }

    /// The address of the person, if it is the identifier.
    fn identifier_email(&self) -> String {
        format!("substr({}, 8)", self.identifier(&["mbox"]))
    }

    /// The e-mail address of the user, else that of the records.
    fn email(&self) -> String {
        format!(
            "CASE WHEN u.id IS NULL THEN {} ELSE u.email END",
            self.identifier_email()
        )
    }

    /// The name of the user, else that of the records, else a short form of the identifier.
    fn person_name(&self) -> String {
        format!(
            "CASE WHEN u.id IS NULL THEN coalesce(nullif(trim(p.name), ''), {}, {}, {}, {}, p.value) ELSE {} END",
            self.identifier_email(),
            self.identifier(&["openid"]),
            self.identifier(&["account", "name"]),
            self.identifier(&["mbox_sha1sum"]),
            user_name("u"),
        )
    }

    fn activity_log(&self, condition: &str) -> String {
        let org = &self.org;
        let columns: Vec<Column> =
            [self.record_columns(), self.user_columns(), self.outcome_columns()].concat();
        [
            self.select(&columns),
            self.from("activities", "a"),
            self.join_record(),
            self.join("LEFT JOIN", "contents", "c", "a.content"),
            self.join_manager_and_team(),
            format!(
                " WHERE a.org = {org} AND a.action <> {}{condition}",
                Action::Visited.code()
            ),
        ]
        .concat()
    }

    fn record_columns(&self) -> Vec<Column> {
        vec![
            ("position", "a.seq".to_owned()),
            ("activity_id", self.uuid("a.id")),
            ("happened_at", self.time("a.happened_at")),
            ("stored_at", self.time("a.stored_at")),
        ]
    }

    /// The user or the person of a record.
    fn user_columns(&self) -> Vec<Column> {
        let text = |expression: &str| expression.to_owned();
        vec![
            ("user_id", text("u.id")),
            ("person", self.person_name()),
            ("identifier", text("CASE WHEN u.id IS NULL THEN p.value END")),
            ("email", self.email()),
            ("job_title", text("u.job_title")),
            ("manager_id", text("m.id")),
            ("manager", user_name("m")),
            ("primary_team", text("t.name")),
            ("user_is_active", text("u.active")),
        ]
    }

    /// What happened, with which content and result.
    fn outcome_columns(&self) -> Vec<Column> {
        let text = |expression: &str| expression.to_owned();
        let action_keys = Action::ALL.iter().map(|a| (a.code(), a.key()));
        let origins = Origin::ALL.iter().map(|o| (o.code(), o.key()));
        vec![
            ("action", action_label()),
            ("action_key", labels("a.action", action_keys)),
            ("verb", text("v.iri")),
            ("content_id", text("c.id")),
            ("title", text("c.title")),
            ("type", type_label()),
            ("content_type", format_label()),
            ("completed", text("a.completed")),
            (
                "result",
                text("CASE WHEN a.success THEN 'Pass' WHEN NOT a.success THEN 'Fail' END"),
            ),
            ("score_percent", self.hundredths("a.percent")),
            ("total_time_seconds", text("a.seconds")),
            ("expired_at", self.time("a.expired_at")),
            ("certificate_name", text("a.certificate_name")),
            ("certificate_expires_at", self.time("a.certificate_expires_at")),
            ("registration", self.uuid("a.registration")),
            ("origin", labels("a.origin", origins)),
            ("device_type", text("a.device_type")),
            ("recorded_by", text("a.recorded_by")),
            ("source", text("coalesce(a.source, c.source)")),
        ]
    }

    fn users(&self) -> String {
        let Self { base, org, .. } = self;
        let text = |expression: &str| expression.to_owned();
        // SQLite sorts the arguments of an aggregate since 3.44 only, and one unknown word in a view makes a file unreadable.
        let join = match self.engine {
            Engine::Postgres => "string_agg",
            Engine::Sqlite => "group_concat",
        };
        let teams = format!(
            "(SELECT {join}(n.name, '; ') FROM (SELECT s.name FROM {base}memberships x \
             JOIN {base}teams s ON s.org = x.org AND s.key = x.team \
             WHERE x.org = {org} AND x.user_key = u.key ORDER BY s.name) n)"
        );
        let columns = [
            ("user_id", text("u.id")),
            ("first_name", text("u.first_name")),
            ("last_name", text("u.last_name")),
            ("name", user_name("u")),
            ("email", text("u.email")),
            ("role", role_label()),
            ("role_key", text("u.role")),
            ("job_title", text("u.job_title")),
            ("language", text("u.language")),
            ("location", text("u.location")),
            ("joined_on", text("u.joined_on")),
            ("manager_id", text("m.id")),
            ("manager", user_name("m")),
            ("primary_team_id", text("t.id")),
            ("primary_team", text("t.name")),
            ("teams", teams),
            ("is_active", text("u.active")),
            ("deactivated_at", self.time("u.deactivated_at")),
        ];
        [
            self.select(&columns),
            self.from("users", "u"),
            self.join_manager_and_team(),
            format!(" WHERE u.org = {org}"),
        ]
        .concat()
    }

    fn user_fields(&self) -> String {
        let columns = [("user_id", "u.id"), ("field", "f.field"), ("value", "f.value")];
        let columns = columns.map(|(name, expression)| (name, expression.to_owned()));
        [
            self.select(&columns),
            self.from("user_fields", "f"),
            self.join("JOIN", "users", "u", "f.user_key"),
            format!(" WHERE f.org = {}", self.org),
        ]
        .concat()
    }

    fn contents(&self) -> String {
        let text = |expression: &str| expression.to_owned();
        let columns = [
            ("content_id", text("c.id")),
            ("iri", text("c.iri")),
            ("title", text("c.title")),
            ("type", type_label()),
            ("content_type", format_label()),
            ("tags", self.list("c.tags")),
            ("cpd_labels", self.list("c.cpd_labels")),
            ("source", text("c.source")),
            ("url", text("c.url")),
            ("is_registered", text("c.registered")),
            ("archived_at", self.time("c.archived_at")),
        ];
        [
            self.select(&columns),
            self.from("contents", "c"),
            format!(" WHERE c.org = {} AND c.listed", self.org),
        ]
        .concat()
    }

    /// The state of each person with each content of which there is an activity, by the rules of
    /// [`ProgressStatus`](crate::log::progress::ProgressStatus).
    fn progress(&self) -> String {
        let text = |expression: &str| expression.to_owned();
        let columns = [
            ("user_id", text("r.user_id")),
            ("person", self.person_name()),
            ("email", self.email()),
            ("primary_team", text("t.name")),
            ("content_id", text("r.content_id")),
            ("title", text("c.title")),
            ("state", state_labels(|state| state.label_in(Language::ENGLISH))),
            ("state_key", state_labels(State::key)),
            (
                "since",
                self.time("CASE r.state WHEN 3 THEN r.expired_at WHEN 0 THEN NULL ELSE r.happened_at END"),
            ),
            ("expires_at", self.time("r.expired_at")),
            (
                "score_percent",
                self.hundredths("CASE WHEN r.state > 1 THEN r.score END"),
            ),
            ("activity_id", self.uuid("CASE WHEN r.state > 1 THEN r.id END")),
        ];
        let (organisation, org) = match self.engine {
            Engine::Postgres => ("", self.org.as_str()),
            Engine::Sqlite => ("r.organisation AS organisation, ", "r.org"),
        };
        [
            format!("SELECT {organisation}{}", list_columns(&columns)),
            format!(" FROM ({}) r", self.ranked_outcomes()),
            self.join_of(org, "JOIN", "persons", "p", "r.person"),
            self.join_of(org, "JOIN", "contents", "c", "r.content"),
            self.join_of(org, "LEFT JOIN", "users", "u", "r.user_key"),
            self.join_of(org, "LEFT JOIN", "teams", "t", "u.primary_team"),
            " WHERE r.place = 1".to_owned(),
        ]
        .concat()
    }

    /// The rows of each person and content. The one with `place` 1 decides the state.
    ///
    /// Both windows are partitioned by the ids too, so that a condition on them is applied before the rows are sorted.
    fn ranked_outcomes(&self) -> String {
        let (completed, expired) = (State::Completed.code(), State::Expired.code());
        let started = State::InProgress.code();
        // The people of one group: the persons of a user, or one person without a user.
        let organisation = match self.engine {
            Engine::Postgres => "",
            Engine::Sqlite => "o.organisation, ",
        };
        let people =
            format!("{organisation}o.org, o.user_key, o.unclaimed, o.content, o.user_id, o.content_id");
        format!(
            "SELECT o.*, row_number() OVER (PARTITION BY {people} ORDER BY o.state DESC, \
             CASE WHEN o.state >= {expired} THEN coalesce(o.expired_at, {never}) END DESC, \
             CASE WHEN o.state = {started} THEN -o.happened_at ELSE o.happened_at END DESC, o.seq DESC) AS place, \
             first_value(o.percent) OVER (PARTITION BY {people} ORDER BY \
             CASE WHEN o.state = {completed} THEN {expired} ELSE o.state END DESC, \
             o.percent IS NULL, o.happened_at DESC, o.seq DESC) AS score FROM ({outcomes}) o",
            never = i64::MAX,
            outcomes = self.outcomes(),
        )
    }

    /// The rows that can decide a state, each with the state that it alone would give.
    fn outcomes(&self) -> String {
        let idle: Vec<String> = Action::ALL
            .iter()
            .filter(|action| !action.starts_learning())
            .map(|action| action.code().to_string())
            .collect();
        let select = format!(
            "SELECT {organisation}a.org, a.seq, a.id, a.content, a.person, a.happened_at, \
             CASE WHEN a.completed THEN a.expired_at END AS expired_at, a.percent, p.user_key, \
             CASE WHEN p.user_key IS NULL THEN p.key END AS unclaimed, u.id AS user_id, c.id AS content_id, \
             CASE WHEN a.completed AND (a.expired_at IS NULL OR a.expired_at >= {now}) THEN {completed} \
             WHEN a.completed THEN {expired} WHEN a.part IS NULL AND a.action = {failure} THEN {failed} \
             WHEN a.action NOT IN ({idle}) THEN {started} ELSE {idle_state} END AS state",
            organisation = self.organisation_column(),
            now = self.now(),
            completed = State::Completed.code(),
            expired = State::Expired.code(),
            failure = Action::Failed.code(),
            failed = State::Failed.code(),
            idle = idle.join(", "),
            started = State::InProgress.code(),
            idle_state = State::NotStarted.code(),
        );
        [
            select,
            self.from("activities", "a"),
            self.join_record(),
            self.join("JOIN", "contents", "c", "a.content"),
            format!(" WHERE a.org = {} AND NOT p.deactivated", self.org),
        ]
        .concat()
    }
}

/// The columns as they are written after `SELECT`.
fn list_columns(columns: &[Column]) -> String {
    let columns = columns
        .iter()
        .map(|(name, expression)| format!("{expression} AS {name}"));
    columns.collect::<Vec<_>>().join(", ")
}

/// The name in quotation marks.
pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text for each code.
fn labels(column: &str, texts: impl Iterator<Item = (i16, &'static str)>) -> String {
    let cases = texts.map(|(code, text)| format!(" WHEN {code} THEN '{}'", text.replace('\'', "''")));
    format!("CASE {column}{} END", cases.collect::<String>())
}

/// The full name, else the id, of the user with this alias.
fn user_name(alias: &str) -> String {
    format!(
        "coalesce(nullif(trim(coalesce({alias}.first_name, '') || ' ' || coalesce({alias}.last_name, '')), ''), {alias}.id)"
    )
}

fn action_label() -> String {
    let known = labels(
        "a.action",
        Action::ALL
            .iter()
            .map(|action| (action.code(), action.label_in(Language::ENGLISH))),
    );
    let other = Action::Other.code();
    format!("CASE WHEN a.action = {other} THEN coalesce(nullif(trim(v.display), ''), v.iri) ELSE {known} END")
}

fn type_label() -> String {
    labels(
        "c.type",
        LearningType::ALL
            .iter()
            .map(|kind| (kind.code(), kind.label_in(Language::ENGLISH))),
    )
}

fn format_label() -> String {
    let formats = ContentFormat::ALL.iter();
    labels(
        "c.content_type",
        formats.map(|format| (format.code(), format.label_in(Language::ENGLISH))),
    )
}

fn role_label() -> String {
    let cases = Role::ALL.map(|role| format!(" WHEN '{role}' THEN '{}'", role.label_in(Language::ENGLISH)));
    format!("CASE u.role{} ELSE u.role END", cases.concat())
}

fn state_labels(label: fn(State) -> &'static str) -> String {
    let cases = State::ALL
        .iter()
        .map(|state| format!(" WHEN {} THEN '{}'", state.code(), label(*state)));
    format!("CASE r.state{} END", cases.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_quoted() {
        assert_eq!(quoted_name("a\"b"), "\"a\"\"b\"");
        assert_eq!(
            labels("x", [(1, "it's")].into_iter()),
            "CASE x WHEN 1 THEN 'it''s' END"
        );
    }
}
