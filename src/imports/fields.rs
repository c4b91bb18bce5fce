//! The fields of a CSV: the members of the short form with dotted names, and how a cell becomes the value of a member.

use serde_json::{Map, Number, Value, json};

/// A row as the members of a short form.
pub(super) type Members = Map<String, Value>;

/// The values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    Text,
    /// A text, or an object as JSON.
    TextOrJson,
    Json,
    Flag,
    Number,
    /// A time. A mapping says how it is written.
    Time,
    /// A duration as the short form takes it.
    Duration,
}

/// The fields in the order of the template.
pub(super) const FIELDS: &[(&str, FieldKind)] = &[
    ("id", FieldKind::Text),
    ("user", FieldKind::TextOrJson),
    ("user.email", FieldKind::Text),
    ("user.name", FieldKind::Text),
    ("user.mbox", FieldKind::Text),
    ("user.mbox_sha1sum", FieldKind::Text),
    ("user.openid", FieldKind::Text),
    ("user.account.homePage", FieldKind::Text),
    ("user.account.name", FieldKind::Text),
    ("action", FieldKind::Text),
    ("verb", FieldKind::Text),
    ("content", FieldKind::TextOrJson),
    ("content.id", FieldKind::Text),
    ("content.iri", FieldKind::Text),
    ("content.title", FieldKind::Text),
    ("content.type", FieldKind::Text),
    ("content.content_type", FieldKind::Text),
    ("happened_at", FieldKind::Time),
    ("result.success", FieldKind::Flag),
    ("result.completion", FieldKind::Flag),
    ("result.score", FieldKind::Number),
    ("result.score.scaled", FieldKind::Number),
    ("result.score.raw", FieldKind::Number),
    ("result.score.min", FieldKind::Number),
    ("result.score.max", FieldKind::Number),
    ("result.total_time", FieldKind::Duration),
    ("result.response", FieldKind::Text),
    ("responses", FieldKind::Json),
    ("certificate.name", FieldKind::Text),
    ("certificate.expires_at", FieldKind::Time),
    ("expired_at", FieldKind::Time),
    ("device_type", FieldKind::Text),
    ("source", FieldKind::Text),
    ("registration", FieldKind::Text),
    ("recorded_by", FieldKind::Text),
    ("comment", FieldKind::Text),
];

/// The field of a mapping whose cell is a whole xAPI statement.
pub(super) const STATEMENT: &str = "statement";

/// The kind of a field, if it exists.
pub(super) fn find_field(name: &str) -> Option<FieldKind> {
    let field = FIELDS.iter().find(|(field, _)| *field == name);
    field.map(|(_, kind)| *kind)
}

/// The value of a cell that is not empty.
///
/// # Errors
///
/// What is wrong with it. The parser of the short form checks what remains.
pub(super) fn to_value(kind: FieldKind, cell: &str) -> Result<Value, String> {
    Ok(match kind {
        FieldKind::TextOrJson if cell.starts_with('{') => parse_json(cell)?,
        FieldKind::Text | FieldKind::TextOrJson | FieldKind::Time => json!(cell),
        FieldKind::Duration => json!(cell.trim()),
        FieldKind::Json => parse_json(cell)?,
        FieldKind::Flag => match cell.trim().to_ascii_lowercase().as_str() {
            "true" => json!(true),
            "false" => json!(false),
            _ => return Err(format!("`{cell}` is not `true` or `false`")),
        },
        FieldKind::Number => Value::Number(parse_number(cell.trim())?),
    })
}

fn parse_json(cell: &str) -> Result<Value, String> {
    serde_json::from_str(cell).map_err(|error| format!("this is not JSON: {error}"))
}

fn parse_number(cell: &str) -> Result<Number, String> {
    let fault = || format!("`{cell}` is not a number such as `87.5`");
    // Rust also parses `inf` and `+1`; JSON's form is required.
    serde_json::from_str::<Number>(cell).map_err(|_| fault())
}

/// Sets the member with a dotted name. An object that is replaced, or a value in the way of an object, is an error.
pub(super) fn set_member(members: &mut Members, name: &str, value: Value) -> Result<(), String> {
    let Some((first, rest)) = name.split_once('.') else {
        return match members.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(format!(
                "`{name}` is set by more than one column; leave one of them empty"
            )),
        };
    };
    let inner = members.entry(first).or_insert_with(|| json!({}));
    match inner {
        Value::Object(inner) => set_member(inner, rest, value),
        _ => Err(format!(
            "`{first}` and `{name}` are both set; leave one of them empty"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_members() {
        let mut members = Members::new();
        for (name, cell) in [
            ("user.account.name", "7"),
            ("result.score", " 87.50 "),
            ("result.success", "TRUE"),
            ("responses", "[{\"question\":\"1\"}]"),
        ] {
            let value = to_value(find_field(name).unwrap(), cell).unwrap();
            set_member(&mut members, name, value).unwrap();
        }
        let expected = json!({"user": {"account": {"name": "7"}}, "result": {"score": 87.5, "success": true},
            "responses": [{"question": "1"}]});
        assert_eq!(Value::Object(members.clone()), expected);
        assert!(set_member(&mut members, "result.score.raw", json!(1)).is_err());
        assert!(set_member(&mut members, "user", json!("u")).is_err());
    }

    #[test]
    fn wrong_cells_are_refused() {
        for (kind, cell) in [
            (FieldKind::Flag, "yes"),
            (FieldKind::Number, "87,5"),
            (FieldKind::Number, "+1"),
            (FieldKind::Number, "NaN"),
            (FieldKind::Json, "{"),
            (FieldKind::TextOrJson, "{"),
        ] {
            assert!(to_value(kind, cell).is_err(), "{cell}");
        }
    }
}
