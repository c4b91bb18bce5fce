//! A user of the directory (`docs/specification.md#users`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaType, Type};

use crate::access::role::UnknownRole;
use crate::access::{Principal, Reach, ReachRules, Role};
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::form::{Form, parse_text, short_text};
use crate::base::ids::{GroupId, TeamId, UserId};
use crate::base::json::{self, Node};
use crate::base::keyed::{KeyedDraft, KeyedEntity, read_id, to_json};
use crate::base::merge_patch;
use crate::base::naming::check_naming;
use crate::base::sort::SortField;
use crate::base::timestamp;
use crate::record::Identifier;

use super::identity::{Agent, AgentShape, MAX_LISTED_IDENTIFIERS, read_agent};

/// The longest name, job title, location and the like, in characters.
pub const MAX_TEXT: usize = 255;
/// The longest e-mail address, in characters: 64 before the @ and 255 after it (RFC 5321, section 4.5.3).
pub const MAX_EMAIL: usize = 320;
/// The maximum number of teams, and of groups, of one user.
pub const MAX_MEMBERSHIPS: usize = 500;
/// The maximum number of custom fields of one user.
pub const MAX_CUSTOM_FIELDS: usize = 100;
/// The longest value of a custom field, in characters.
pub const MAX_CUSTOM_VALUE: usize = 2_000;

/// A user of the directory. Unknown facts are `null`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "u-17",
    "first_name": "Ada",
    "last_name": "Obi",
    "email": "ada.obi@example.org",
    "role": "manager",
    "job_title": "Head of Safety",
    "language": "en",
    "location": "Leeds",
    "joined_on": "2021-04-01",
    "manager": "u-3",
    "primary_team": "sales-north",
    "teams": ["safety", "sales-north"],
    "groups": ["first-aiders"],
    "active": true,
    "deactivated_at": null,
    "identifiers": [
        {"mbox": "mailto:ada.obi@example.org"},
        {"mbox_sha1sum": "e1b32b2f1a4c2ee9b0f1d3a0cbd9c1d28a3a8c1f"},
        {"account": {"homePage": "https://rollbook.invalid/acme", "name": "u-17"}}
    ],
    "custom": {"Cost centre": "4711"}
}))]
pub struct User {
    /// The platform's own id, 1 to 255 characters.
    #[schema(value_type = String)]
    pub id: UserId,
    /// First name.
    #[schema(required = true)]
    pub first_name: Option<String>,
    /// Last name.
    #[schema(required = true)]
    pub last_name: Option<String>,
    /// E-mail address.
    #[schema(required = true)]
    pub email: Option<String>,
    /// The role in the directory. It applies to schedules and report keys; requests have the role of their token.
    pub role: Role,
    /// Job title.
    #[schema(required = true)]
    pub job_title: Option<String>,
    /// Language, in the organisation's own words.
    #[schema(required = true)]
    pub language: Option<String>,
    /// Location.
    #[schema(required = true)]
    pub location: Option<String>,
    /// The day on which the user joined, `YYYY-MM-DD`.
    #[schema(required = true, format = Date)]
    pub joined_on: Option<String>,
    /// The manager's id.
    #[schema(value_type = Option<String>, required = true)]
    pub manager: Option<UserId>,
    /// The id of the primary team.
    #[schema(value_type = Option<String>, required = true)]
    pub primary_team: Option<TeamId>,
    /// The ids of all teams, the primary among them, by id.
    #[schema(value_type = Vec<String>)]
    pub teams: Vec<TeamId>,
    /// The ids of all groups, by id.
    #[schema(value_type = Vec<String>)]
    pub groups: Vec<GroupId>,
    /// Whether the user is active.
    pub active: bool,
    /// When the user was deactivated; `null` while active.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub deactivated_at: Option<Timestamp>,
    /// The user's present identifiers in xAPI, in the order in which they were bound.
    #[schema(value_type = Vec<AgentShape>)]
    pub identifiers: Vec<Agent>,
    /// The organisation's own fields: name and value.
    pub custom: BTreeMap<String, String>,
}

/// A user as a client writes it. PUT sets every member: one that is left out is empty or has its default. An empty text
/// is the same as no text.
#[derive(Debug, Clone, PartialEq, ToSchema)]
#[schema(as = UserInput, example = json!({
    "first_name": "Ada",
    "last_name": "Obi",
    "email": "ada.obi@example.org",
    "role": "manager",
    "manager": "u-3",
    "primary_team": "sales-north",
    "teams": ["safety"],
    "groups": ["first-aiders"],
    "custom": {"Cost centre": "4711"}
}))]
pub struct UserDraft {
    /// The platform's own id, 1 to 255 characters. Needed in a batch; elsewhere the address gives it.
    #[schema(value_type = Option<String>, required = false)]
    pub id: UserId,
    /// First name, at most 255 characters.
    #[schema(max_length = 255)]
    pub first_name: Option<String>,
    /// Last name, at most 255 characters.
    #[schema(max_length = 255)]
    pub last_name: Option<String>,
    /// E-mail address. It claims its mbox and its mbox_sha1sum. Those of an earlier address are given up.
    #[schema(max_length = 320)]
    pub email: Option<String>,
    /// The role in the directory. Default: `learner`.
    #[schema(value_type = Option<Role>, required = false)]
    pub role: Role,
    /// Job title, at most 255 characters.
    #[schema(max_length = 255)]
    pub job_title: Option<String>,
    /// Language, in the organisation's own words.
    #[schema(max_length = 255)]
    pub language: Option<String>,
    /// Location, at most 255 characters.
    #[schema(max_length = 255)]
    pub location: Option<String>,
    /// The day on which the user joined, `YYYY-MM-DD`.
    #[schema(format = Date)]
    pub joined_on: Option<String>,
    /// The manager's id. The manager must exist, or be in the same batch.
    #[schema(value_type = Option<String>)]
    pub manager: Option<UserId>,
    /// The id of the primary team. `teams` need not repeat it.
    #[schema(value_type = Option<String>)]
    pub primary_team: Option<TeamId>,
    /// The ids of all teams.
    #[schema(value_type = Option<Vec<String>>, max_items = 500, required = false)]
    pub teams: Vec<TeamId>,
    /// The ids of all groups.
    #[schema(value_type = Option<Vec<String>>, max_items = 500, required = false)]
    pub groups: Vec<GroupId>,
    /// Whether the user is active. Default: true, or false if `deactivated_at` is set.
    #[schema(value_type = Option<bool>, required = false)]
    pub active: bool,
    /// When the user was deactivated, not in the future. Default for a deactivated user: the stored time, or else now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deactivated_at: Option<Timestamp>,
    /// More agents that are this user. They are added to the present ones; leaving one out removes nothing. At most 100 of
    /// them may be new.
    #[schema(value_type = Option<Vec<AgentShape>>, max_items = 100_000, required = false)]
    pub identifiers: Vec<Identifier>,
    /// The organisation's own fields: at most 100, values of at most 2,000 characters.
    #[schema(schema_with = custom_schema, required = false)]
    pub custom: BTreeMap<String, String>,
}

fn custom_schema() -> RefOr<Schema> {
    let value = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .additional_properties(Some(AdditionalProperties::RefOr(value.into())))
        .description(Some(
            "The organisation's own fields: at most 100, values of at most 2,000 characters. `null` removes a field.",
        ))
        .into()
}

const MEMBERS: [&str; 17] = [
    "id",
    "first_name",
    "last_name",
    "email",
    "role",
    "job_title",
    "language",
    "location",
    "joined_on",
    "manager",
    "primary_team",
    "teams",
    "groups",
    "active",
    "deactivated_at",
    "identifiers",
    "custom",
];

impl KeyedDraft for UserDraft {
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Faults) -> Option<Self> {
        let mut form = Form::from_node(node, place, "a user", &MEMBERS, faults)?;
        let id = read_id(&mut form, id);
        let primary_team: Option<TeamId> = form.value("primary_team");
        let mut teams = form.list("teams", MAX_MEMBERSHIPS, parse_text::<TeamId>);
        teams.extend(primary_team.clone());
        let deactivated_at = form.timestamp("deactivated_at");
        let active = form.flag("active").unwrap_or(deactivated_at.is_none());
        if active && deactivated_at.is_some() {
            form.add_fault(
                "deactivated_at",
                "an active user has no time of deactivation; set `active` to false, or leave this out",
            );
        }
        let draft = Self {
            first_name: form.name("first_name", MAX_TEXT),
            last_name: form.name("last_name", MAX_TEXT),
            email: form.read("email", read_email).flatten(),
            role: form.read("role", read_role).unwrap_or_default(),
            job_title: form.text("job_title", MAX_TEXT),
            language: form.text("language", MAX_TEXT),
            location: form.text("location", MAX_TEXT),
            joined_on: form.read("joined_on", read_day).flatten(),
            manager: form.value("manager"),
            primary_team,
            teams: sorted(teams),
            groups: sorted(form.list("groups", MAX_MEMBERSHIPS, parse_text)),
            active,
            deactivated_at,
            identifiers: form.list("identifiers", MAX_LISTED_IDENTIFIERS, read_agent),
            custom: read_custom_fields(&mut form),
            id: id?,
        };
        Some(draft)
    }

    fn id_text(&self) -> &str {
        self.id.as_str()
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}

fn read_email(node: &Node<'_>, place: &Place<'_>) -> Result<Option<String>, Fault> {
    let text = short_text(node, place, MAX_EMAIL)?;
    if text.is_empty() {
        return Ok(None);
    }
    match Identifier::from_email(&text) {
        Some(_) if check_naming(&text).is_ok() => Ok(Some(text)),
        _ => Err(place.fault("write an e-mail address, for example `ada@example.org`")),
    }
}

fn read_role(node: &Node<'_>, place: &Place<'_>) -> Result<Role, Fault> {
    json::string(node, place)?
        .parse()
        .map_err(|error: UnknownRole| place.fault(error.to_string()))
}

fn read_day(node: &Node<'_>, place: &Place<'_>) -> Result<Option<String>, Fault> {
    let text = json::string(node, place)?;
    if text.is_empty() {
        return Ok(None);
    }
    match timestamp::parse_day(text) {
        Some(_) => Ok(Some(text.to_owned())),
        None => Err(place.fault("write a day, for example `2021-04-01`")),
    }
}

/// Reads the custom fields. A field with the value `null` is left out.
fn read_custom_fields(form: &mut Form<'_, '_, '_>) -> BTreeMap<String, String> {
    let Some(node) = form.get("custom") else {
        return BTreeMap::new();
    };
    let place = form.place().member("custom");
    let Some(members) = node.as_object() else {
        let fault = place.fault(format!(
            "`custom` must be an object of texts, not {}",
            node.kind()
        ));
        form.faults().push(fault);
        return BTreeMap::new();
    };
    let mut fields = BTreeMap::new();
    for member in members.iter().filter(|member| member.value != Node::Null) {
        let name = member.key.value();
        let place = place.member(name);
        let characters = name.chars().count();
        if characters == 0 || characters > MAX_TEXT {
            let detail = format!("the name of a field has 1 to {MAX_TEXT} characters");
            form.faults().push(place.fault(detail));
            continue;
        }
        if let Err(error) = check_naming(name) {
            form.faults()
                .push(place.fault(format!("the name of a field {error}")));
            continue;
        }
        match short_text(&member.value, &place, MAX_CUSTOM_VALUE) {
            Ok(value) => {
                fields.insert(name.to_owned(), value);
            }
            Err(fault) => form.faults().push(fault),
        }
    }
    if fields.len() > MAX_CUSTOM_FIELDS {
        form.add_fault(
            "custom",
            format!(
                "a user has at most {MAX_CUSTOM_FIELDS} custom fields; these are {}",
                fields.len()
            ),
        );
    }
    fields
}

impl KeyedEntity for User {
    fn id_text(&self) -> &str {
        self.id.as_str()
    }

    /// A user that becomes active again loses the time of deactivation, unless the patch sets it. Identifiers are only
    /// added, so the patch does not have to repeat the present ones. A user with another primary team leaves the former
    /// one, unless the patch sets the teams.
    fn patched(&self, patch: &Value) -> Value {
        let mut target = to_json(self);
        if let Some(members) = target.as_object_mut() {
            members.remove("identifiers");
            if let (Some(_), None, Some(former)) =
                (patch.get("primary_team"), patch.get("teams"), &self.primary_team)
            {
                let others: Vec<&TeamId> = self.teams.iter().filter(|team| *team != former).collect();
                members.insert("teams".to_owned(), to_json(&others));
            }
            if patch.get("active") == Some(&Value::Bool(true)) {
                members.remove("deactivated_at");
            }
        }
        merge_patch(target, patch)
    }
}

/// A field by which users can be ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum UserSortField {
    /// The id.
    #[default]
    Id,
    /// The first name, then the last name.
    Name,
    /// The last name, then the first name.
    LastName,
    /// The e-mail address.
    Email,
}

impl SortField for UserSortField {
    const SCHEMA: &'static str = "UserSort";
    const ALL: &'static [Self] = Self::VARIANTS;

    fn key(self) -> &'static str {
        self.into()
    }
}

/// The conditions of a list of users. An empty list is no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Folded words. A name, the e-mail address, the job title or the id contains each of them.
    pub words: Vec<String>,
    /// Users with any of these ids.
    pub ids: Vec<UserId>,
    /// Active users only, or deactivated ones only.
    pub active: Option<bool>,
    /// Members of any of these teams.
    pub teams: Vec<TeamId>,
    /// Whether members of the teams below these count too.
    pub include_sub_teams: bool,
    /// Whether only members count that have the team as their primary team.
    pub primary_team_only: bool,
    /// Members of any of these groups.
    pub groups: Vec<GroupId>,
    /// Direct reports of any of these.
    pub managers: Vec<UserId>,
    /// Users with any of these roles.
    pub roles: Vec<Role>,
}

/// The users that a caller may read: a person reads those within the reach, a credential with the scope `directory`
/// reads all, a report's key and a launch read none.
pub fn visible_users(principal: &Principal, rules: &ReachRules) -> Option<Reach> {
    match principal {
        Principal::Person(person) => Some(person.reach(rules)),
        Principal::Credential(_) => Some(Reach::Organisation),
        Principal::ReportKey(_) | Principal::Launch(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::keyed::parse_one;

    fn read(text: &str) -> UserDraft {
        parse_one(text, 8, "u").unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
    }

    fn pointers(text: &str) -> Vec<String> {
        match parse_one::<UserDraft>(text, 8, "u") {
            Err(faults) => faults.into_iter().map(|fault| fault.pointer).collect(),
            Ok(draft) => panic!("{text}: {draft:?}"),
        }
    }

    #[test]
    fn empty_body_is_an_active_learner() {
        let user = read("{}");
        assert_eq!(
            (user.role, user.active, user.deactivated_at),
            (Role::Learner, true, None)
        );
        assert!(user.teams.is_empty() && user.custom.is_empty() && user.email.is_none());
        assert_eq!(read(r#"{"first_name":"","email":"","joined_on":""}"#), user);
    }

    #[test]
    fn teams_contain_the_primary_team() {
        let user = read(r#"{"primary_team":"b","teams":["c","a","c"]}"#);
        let teams: Vec<_> = user.teams.iter().map(TeamId::as_str).collect();
        assert_eq!(teams, ["a", "b", "c"]);
    }

    #[test]
    fn time_of_deactivation_deactivates() {
        let user = read(r#"{"deactivated_at":"2026-01-31T09:30:00.123456Z"}"#);
        assert!(!user.active);
        assert_eq!(
            user.deactivated_at.unwrap().to_string(),
            "2026-01-31T09:30:00.123Z"
        );
        assert_eq!(user.deactivated_at.unwrap().micros() % 1000, 0);
        assert_eq!(
            pointers(r#"{"active":true,"deactivated_at":"2026-01-31T09:30:00Z"}"#),
            ["/deactivated_at"]
        );
    }

    #[test]
    fn every_fault_has_its_pointer() {
        let text = r#"{"email":"ada","role":"boss","joined_on":"2021-4-1","manager":"","teams":"a","active":1,
            "identifiers":[{"mbox":"x"}],"custom":{"a":1,"":"x"},"nick":"a","language":5}"#;
        let mut found = pointers(text);
        found.sort_unstable();
        let expected = [
            "/active",
            "/custom/",
            "/custom/a",
            "/email",
            "/identifiers/0/mbox",
            "/joined_on",
            "/language",
            "/manager",
            "/nick",
            "/role",
            "/teams",
        ];
        assert_eq!(found, expected);
        assert_eq!(pointers(r#"{"joined_on":"2021-02-30"}"#), ["/joined_on"]);
        assert_eq!(pointers(r#"{"custom":[]}"#), ["/custom"]);
    }

    #[test]
    fn custom_fields_that_are_null_are_left_out() {
        let user = read(r#"{"custom":{"Cost centre":"4711","Old":null}}"#);
        assert_eq!(
            user.custom,
            BTreeMap::from([("Cost centre".to_owned(), "4711".to_owned())])
        );
    }

    #[test]
    fn user_who_becomes_active_again_loses_the_time_of_deactivation() {
        let away = User {
            id: UserId::new("u").unwrap(),
            first_name: None,
            last_name: None,
            email: None,
            role: Role::Learner,
            job_title: None,
            language: None,
            location: None,
            joined_on: None,
            manager: None,
            primary_team: None,
            teams: Vec::new(),
            groups: Vec::new(),
            active: false,
            deactivated_at: Some(Timestamp::from_micros(0)),
            identifiers: vec![Agent(Identifier::Mbox("mailto:a@b.example".to_owned()))],
            custom: BTreeMap::new(),
        };
        let back = read(&away.patched(&serde_json::json!({"active": true})).to_string());
        assert!(back.active && back.deactivated_at.is_none());
        let same = read(&away.patched(&serde_json::json!({})).to_string());
        assert_eq!((same.active, same.deactivated_at), (false, away.deactivated_at));
        assert!(
            same.identifiers.is_empty(),
            "the patch does not repeat present identifiers"
        );
    }
}
