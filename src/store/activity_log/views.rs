//! SQL views for BI tools that read the database: `activity_log`, `users`, `user_fields`, `contents` and `progress`
//! (`docs/bi.md`).
//!
//! On PostgreSQL each organisation has a schema with its views. A role that may use one schema and nothing else reads
//! one organisation: a view reads the tables with the rights of its owner, and `security_barrier` applies the condition on
//! the organisation before any function of the reader's query. On SQLite, which has no roles, each view has all
//! organisations, with a column `organisation`, and its name begins with `bi_`.
//!
//! Labels come from the tables of the code, so a view has the labels of the release that installed it.

use crate::access::Role;
use crate::base::ids::OrgId;
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::Action;
use crate::log::progress::State;
use crate::record::Origin;
use crate::store::db::database::{Engine, Sql};
use crate::store::db::{Store, StoreError};
use crate::texts::Language;

/// The longest id that is part of the name of a schema. PostgreSQL cuts names at 63 bytes.
const MAX_ID_IN_SCHEMA: usize = 50;

/// The views of one organisation on PostgreSQL, or of all on SQLite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSet {
    /// The organisation; `None` on SQLite.
    pub organisation: Option<String>,
    /// The name of the schema, in quotation marks; `None` on SQLite.
    pub schema: Option<String>,
    /// The statements that create the views, or replace them.
    pub statements: Vec<String>,
}

impl Store {
    /// The views of the organisation, or of all organisations.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn bi_views(&self, organisation: Option<&OrgId>) -> Result<Vec<ViewSet>, StoreError> {
        if self.db().engine() == Engine::Sqlite {
            return Ok(vec![Form::sqlite().view_set(None)]);
        }
        let schema = Sql::new("SELECT current_schema()::text");
        let (base,): (String,) = self
            .db()
            .fetch_row(schema)
            .await?
            .ok_or(StoreError::Invariant("a database without a schema"))?;
        let mut sql = Sql::new("SELECT key, id FROM organisations WHERE 1 = 1");
        if let Some(organisation) = organisation {
            sql.push(" AND id = ").bind(organisation.as_str());
        }
        sql.push(" ORDER BY id");
        let organisations: Vec<(i64, String)> = self.db().fetch_rows(sql).await?;
        let sets = organisations.into_iter().map(|(key, id)| {
            let form = Form::postgres(&base, key, schema_name(key, &id));
            form.view_set(Some(id))
        });
        Ok(sets.collect())
    }

    /// Creates the views, or replaces them. Rights that roles have on them stay.
    ///
    /// # Errors
    ///
    /// The database failed, or its user may not create schemas.
    pub async fn install_bi_views(&self, set: &ViewSet) -> Result<(), StoreError> {
        for statement in &set.statements {
            self.db().execute_alone(Sql::new(statement)).await?;
        }
        Ok(())
    }
}

/// The name of an organisation's schema: its id if that is a short, simple name, and else its key.
fn schema_name(key: i64, id: &str) -> String {
    let is_simple = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if id.len() <= MAX_ID_IN_SCHEMA && id.bytes().all(is_simple) && !id.starts_with("key_") {
        format!("rollbook_{id}")
    } else {
        format!("rollbook_key_{key}")
    }
}

/// The differences between the databases, and the organisation.
struct Form {
    engine: Engine,
    /// The schema of the tables, as a prefix.
    base: String,
    /// The key of the organisation and the name of its schema.
    organisation: Option<(i64, String)>,
}

impl Form {
    fn sqlite() -> Self {
        Self {
            engine: Engine::Sqlite,
            base: String::new(),
            organisation: None,
        }
    }

    fn postgres(base: &str, key: i64, schema: String) -> Self {
        Self {
            engine: Engine::Postgres,
            base: format!("{}.", quoted_name(base)),
            organisation: Some((key, quoted_name(&schema))),
        }
    }

    fn view_set(&self, organisation: Option<String>) -> ViewSet {
        let schema = self.organisation.as_ref().map(|(_, schema)| schema.clone());
        let mut statements = Vec::new();
        if let Some(schema) = &schema {
            statements.push(format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
        }
        let views = [
            ("activity_log", self.activity_log()),
            ("users", self.users()),
            ("user_fields", self.user_fields()),
            ("contents", self.contents()),
            ("progress", self.progress()),
        ];
        for (name, query) in views {
            match &schema {
                Some(schema) => statements.push(format!(
                    "CREATE OR REPLACE VIEW {schema}.{name} WITH (security_barrier = true) AS {query}"
                )),
                None => {
                    statements.push(format!("DROP VIEW IF EXISTS bi_{name}"));
                    statements.push(format!("CREATE VIEW bi_{name} AS {query}"));
                }
            }
        }
        ViewSet {
            organisation,
            schema,
            statements,
        }
    }

    /// `SELECT` with the column `organisation` on SQLite. `row` is the alias of the view's main table.
    fn select(&self, row: &str, columns: &[(&str, String)]) -> String {
        let organisation = match self.engine {
            Engine::Postgres => None,
            Engine::Sqlite => Some(format!(
                "(SELECT o.id FROM organisations o WHERE o.key = {row}.org) AS organisation"
            )),
        };
        let columns = columns
            .iter()
            .map(|(name, expression)| format!("{expression} AS {name}"));
        let columns: Vec<String> = organisation.into_iter().chain(columns).collect();
        format!("SELECT {}", columns.join(", "))
    }

    /// The condition on the organisation.
    fn within(&self, row: &str) -> String {
        match &self.organisation {
            Some((key, _)) => format!("{row}.org = {key}"),
            None => "1 = 1".to_owned(),
        }
    }

    fn time(&self, micros: &str) -> String {
        match self.engine {
            Engine::Postgres => format!("to_timestamp({micros} / 1000000.0)"),
            Engine::Sqlite => {
                format!("strftime('%Y-%m-%dT%H:%M:%fZ', {micros} / 1000 / 1000.0, 'unixepoch')")
            }
        }
    }

    /// The time of the query in microseconds since 1970.
    fn now(&self) -> &'static str {
        match self.engine {
            Engine::Postgres => "(extract(epoch FROM now()) * 1000000)::bigint",
            Engine::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
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

    /// The joins of the user `u` of a person or user key, with the manager `m` and the primary team `t`.
    fn join_user(&self, org: &str, key: &str) -> String {
        let base = &self.base;
        format!(
            " LEFT JOIN {base}users u ON u.org = {org} AND u.key = {key} \
             LEFT JOIN {base}users m ON m.org = u.org AND m.key = u.manager \
             LEFT JOIN {base}teams t ON t.org = u.org AND t.key = u.primary_team"
        )
    }

    fn activity_log(&self) -> String {
        let base = &self.base;
        let text = |expression: &str| expression.to_owned();
        let columns = [
            ("position", text("a.seq")),
            ("activity_id", self.uuid("a.id")),
            ("happened_at", self.time("a.happened_at")),
            ("stored_at", self.time("a.stored_at")),
            ("user_id", text("u.id")),
            ("person", person_name()),
            ("identifier", text("CASE WHEN u.id IS NULL THEN p.value END")),
            ("email", text("u.email")),
            ("job_title", text("u.job_title")),
            ("manager_id", text("m.id")),
            ("manager", user_name("m")),
            ("primary_team", text("t.name")),
            ("user_is_active", text("u.active")),
            ("action", action_label()),
            (
                "action_key",
                labels("a.action", Action::ALL.iter().map(|a| (a.code(), a.key()))),
            ),
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
            ("score_percent", text("a.percent / 100.0")),
            ("total_time_seconds", text("a.seconds")),
            ("expired_at", self.time("a.expired_at")),
            ("certificate_name", text("a.certificate_name")),
            ("certificate_expires_at", self.time("a.certificate_expires_at")),
            ("registration", self.uuid("a.registration")),
            (
                "origin",
                labels("a.origin", Origin::ALL.iter().map(|o| (o.code(), o.key()))),
            ),
            ("device_type", text("a.device_type")),
            ("recorded_by", text("a.recorded_by")),
            ("source", text("coalesce(a.source, c.source)")),
        ];
        format!(
            "{} FROM {base}activities a JOIN {base}persons p ON p.org = a.org AND p.key = a.person \
             JOIN {base}verbs v ON v.org = a.org AND v.key = a.verb \
             LEFT JOIN {base}contents c ON c.org = a.org AND c.key = a.content{} \
             WHERE {} AND a.action <> {}",
            self.select("a", &columns),
            self.join_user("p.org", "p.user_key"),
            self.within("a"),
            Action::Visited.code()
        )
    }

    fn users(&self) -> String {
        let base = &self.base;
        let text = |expression: &str| expression.to_owned();
        // SQLite sorts the arguments of an aggregate since 3.44 only, and one unknown word in a view makes a file unreadable.
        let join = match self.engine {
            Engine::Postgres => "string_agg",
            Engine::Sqlite => "group_concat",
        };
        let teams = format!(
            "(SELECT {join}(n.name, '; ') FROM (SELECT s.name FROM {base}memberships x \
             JOIN {base}teams s ON s.org = x.org AND s.key = x.team \
             WHERE x.org = w.org AND x.user_key = w.key ORDER BY s.name) n)"
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
        format!(
            "{} FROM {base}users w{} WHERE {}",
            self.select("w", &columns),
            self.join_user("w.org", "w.key"),
            self.within("w")
        )
    }

    fn user_fields(&self) -> String {
        let base = &self.base;
        let columns = ["u.id", "f.field", "f.value"].map(str::to_owned);
        let columns: Vec<(&str, String)> = ["user_id", "field", "value"].into_iter().zip(columns).collect();
        format!(
            "{} FROM {base}user_fields f JOIN {base}users u ON u.org = f.org AND u.key = f.user_key WHERE {}",
            self.select("f", &columns),
            self.within("f")
        )
    }

    fn contents(&self) -> String {
        let base = &self.base;
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
        let select = self.select("c", &columns);
        format!(
            "{select} FROM {base}contents c WHERE {} AND c.listed",
            self.within("c")
        )
    }

    /// The state of each person with each content of which there is an activity, by the rules of
    /// [`ProgressStatus`](crate::log::progress::ProgressStatus).
    fn progress(&self) -> String {
        let base = &self.base;
        let text = |expression: &str| expression.to_owned();
        let columns = [
            ("user_id", text("u.id")),
            ("person", person_name()),
            ("email", text("u.email")),
            ("primary_team", text("t.name")),
            ("user_is_active", text("u.active")),
            ("content_id", text("c.id")),
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
                text("CASE WHEN r.state > 1 THEN r.score / 100.0 END"),
            ),
            ("activity_id", self.uuid("CASE WHEN r.state > 1 THEN r.id END")),
        ];
        format!(
            "{} FROM ({}) r JOIN {base}persons p ON p.org = r.org AND p.key = r.person \
             JOIN {base}contents c ON c.org = r.org AND c.key = r.content{} WHERE r.place = 1",
            self.select("r", &columns),
            self.ranked_outcomes(),
            self.join_user("p.org", "p.user_key")
        )
    }

    /// The rows of each person and content. The one with `place` 1 decides the state.
    fn ranked_outcomes(&self) -> String {
        let base = &self.base;
        let idle: Vec<String> = Action::ALL
            .iter()
            .filter(|action| !action.starts_learning())
            .map(|action| action.code().to_string())
            .collect();
        let (completed, expired) = (State::Completed.code(), State::Expired.code());
        let (failed, started) = (State::Failed.code(), State::InProgress.code());
        let idle = idle.join(", ");
        let failure = Action::Failed.code();
        // The people of one group: the persons of a user, or one person without a user.
        let people = "o.org, o.user_key, o.unclaimed, o.content";
        format!(
            "SELECT o.*, row_number() OVER (PARTITION BY {people} ORDER BY o.state DESC, \
             CASE WHEN o.state >= {expired} THEN coalesce(o.expired_at, {never}) END DESC, \
             CASE WHEN o.state = {started} THEN -o.happened_at ELSE o.happened_at END DESC, o.seq DESC) AS place, \
             first_value(o.percent) OVER (PARTITION BY {people}, CASE WHEN o.state > {expired} THEN {expired} \
             ELSE o.state END ORDER BY o.percent IS NULL, o.happened_at DESC, o.seq DESC) AS score \
             FROM (SELECT a.org, a.seq, a.id, a.content, a.person, a.happened_at, \
             CASE WHEN a.completed THEN a.expired_at END AS expired_at, a.percent, \
             p.user_key, CASE WHEN p.user_key IS NULL THEN p.key END AS unclaimed, \
             CASE WHEN a.completed AND (a.expired_at IS NULL OR a.expired_at >= {now}) THEN {completed} \
             WHEN a.completed THEN {expired} WHEN a.part IS NULL AND a.action = {failure} THEN {failed} \
             WHEN a.action NOT IN ({idle}) THEN {started} ELSE 0 END AS state \
             FROM {base}activities a JOIN {base}persons p ON p.org = a.org AND p.key = a.person \
             WHERE {within} AND a.content IS NOT NULL) o",
            never = i64::MAX,
            now = self.now(),
            within = self.within("a"),
        )
    }
}

fn quoted_name(name: &str) -> String {
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

/// The name of the user, else that of the records, else the identifier.
fn person_name() -> String {
    format!("coalesce({}, nullif(trim(p.name), ''), p.value)", user_name("u"))
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
    fn schema_is_named_by_a_simple_id_and_else_by_the_key() {
        let long = "a".repeat(MAX_ID_IN_SCHEMA + 1);
        for (id, expected) in [
            ("acme", "rollbook_acme"),
            ("acme-2_b", "rollbook_acme-2_b"),
            ("Acme", "rollbook_key_7"),
            ("a\"; DROP TABLE users; --", "rollbook_key_7"),
            ("key_8", "rollbook_key_7"),
            (long.as_str(), "rollbook_key_7"),
        ] {
            assert_eq!(schema_name(7, id), expected, "{id}");
        }
    }

    #[test]
    fn names_and_labels_are_quoted() {
        assert_eq!(quoted_name("a\"b"), "\"a\"\"b\"");
        assert_eq!(
            labels("x", [(1, "it's")].into_iter()),
            "CASE x WHEN 1 THEN 'it''s' END"
        );
    }
}
