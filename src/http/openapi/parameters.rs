//! The bounds of parameters that follow from their names, in every operation.
//!
//! A header or an IRI has the same form wherever it occurs, and a parameter of the query is left out or has a value.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, Object, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

/// A list of ETags in quotation marks, or `*`.
const ETAGS: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;
/// The characters of an IRI after its scheme and without a fragment, each as itself or as an escaped byte.
macro_rules! iri_characters {
    () => {
        concat!(
            r#"([^\s\u0000-\u0020\u007f-\u009f\ue000-\uf8ff\ufdd0-\ufdef\ufff0-\uffff<>"{}|\\^`#%\[\]]"#,
            "|%[0-9A-Fa-f]{2})"
        )
    };
}
/// An IRI with its scheme, and a fragment at most.
pub(super) const IRI: &str = concat!(
    "^[A-Za-z][A-Za-z0-9+.-]*:",
    iri_characters!(),
    "+(#",
    iri_characters!(),
    "*)?$"
);
/// A duration as in ISO 8601, for a window of time. Its numbers have few digits, since a window ends before the year 10000.
pub(super) const DURATION: &str = concat!(
    "^P([0-9]{1,5}W|(?=[0-9T])([0-9]{1,4}Y)?([0-9]{1,5}M)?([0-9]{1,5}D)?",
    r"(T(?=[0-9])([0-9]{1,6}H)?([0-9]{1,6}M)?([0-9]{1,6}(\.[0-9]{1,6})?S)?)?)$"
);
/// A day, or a moment as in RFC 3339.
pub(super) const TIME: &str = concat!(
    "^([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))",
    "|[0-9]{2}(0[48]|[2468][048]|[13579][26])-02-29)",
    r"(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$"
);
/// A version of xAPI.
const XAPI_VERSION: &str = r"^(1\.0|2\.0)(\.[0-9]+)?$";

/// The form of each parameter of this name. Its values are texts of this pattern.
const PATTERNS: [(&str, ParameterIn, &str); 13] = [
    ("If-Match", ParameterIn::Header, ETAGS),
    ("If-None-Match", ParameterIn::Header, ETAGS),
    ("X-Experience-API-Version", ParameterIn::Header, XAPI_VERSION),
    ("Content-Encoding", ParameterIn::Header, "^(gzip|identity)$"),
    ("activityId", ParameterIn::Query, IRI),
    ("activity", ParameterIn::Query, IRI),
    ("verb", ParameterIn::Query, IRI),
    ("from", ParameterIn::Query, TIME),
    ("to", ParameterIn::Query, TIME),
    ("stored_from", ParameterIn::Query, TIME),
    ("stored_to", ParameterIn::Query, TIME),
    ("expires_within", ParameterIn::Query, DURATION),
    ("certificate_expires_within", ParameterIn::Query, DURATION),
];

/// Closed sets of parameters, by operation; without one, of every operation. No schema of a type has them.
const CHOICES: [(&str, &str, &[&str]); 4] = [
    ("", "sort", &["-happened_at", "happened_at"]),
    ("read_readiness", "for", &["reads"]),
    ("read_scorm_attempt", "format", &["json", "flattened", "commit"]),
    ("read_scorm_attempt", "version", &["1.2", "2004"]),
];

/// Parameters that may be empty: a field of a search form is sent without words.
const TAKES_EMPTY: [&str; 1] = ["q"];

/// Adds the bounds to the parameters of an operation.
pub(super) fn add_bounds(operation: &mut Operation) {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            add_choices(id, parameter);
            add_bound(parameter);
        }
    }
}

fn add_choices(operation: &str, parameter: &mut Parameter) {
    let choices = CHOICES
        .iter()
        .find(|(id, name, _)| (id.is_empty() || *id == operation) && *name == parameter.name);
    if let Some((_, _, choices)) = choices
        && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
    {
        object.schema_type = SchemaType::Type(Type::String);
        object.enum_values = Some(choices.iter().map(|choice| (*choice).into()).collect());
    }
}

fn add_bound(parameter: &mut Parameter) {
    let Some(RefOr::T(schema)) = &mut parameter.schema else {
        return;
    };
    let pattern = PATTERNS.iter().find(|(name, place, _)| {
        parameter.name.eq_ignore_ascii_case(name) && parameter.parameter_in == *place
    });
    match (pattern, schema) {
        (Some((_, _, pattern)), Schema::Object(object)) => {
            object.schema_type = SchemaType::Type(Type::String);
            object.pattern = Some((*pattern).to_owned());
        }
        (Some((_, _, pattern)), Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items
                && let RefOr::T(Schema::Object(object)) = items.as_mut()
            {
                object.pattern = Some((*pattern).to_owned());
            }
        }
        (_, schema)
            if parameter.parameter_in == ParameterIn::Query
                && !TAKES_EMPTY.contains(&parameter.name.as_str()) =>
        {
            require_text(schema);
        }
        _ => {}
    }
}

/// Requires one character of each text in a schema, or in the elements of a list.
pub(super) fn require_texts(schema: &mut RefOr<Schema>) {
    if let RefOr::T(schema) = schema {
        require_text(schema);
    }
}

/// Requires one character of each text. A text with a format or of a closed set has its own rule.
fn require_text(schema: &mut Schema) {
    match schema {
        Schema::Object(object) if is_free_text(object) => object.min_length = object.min_length.or(Some(1)),
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items
                && let RefOr::T(items) = items.as_mut()
            {
                require_text(items);
            }
        }
        Schema::OneOf(one) => one.items.iter_mut().for_each(require_texts),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(require_texts),
        _ => {}
    }
}

fn is_free_text(object: &Object) -> bool {
    let is_text = match &object.schema_type {
        SchemaType::Type(found) => *found == Type::String,
        SchemaType::Array(types) => types.contains(&Type::String),
        SchemaType::AnyValue => false,
    };
    is_text && object.enum_values.is_none() && object.format.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::http::openapi::document;

    fn parameter(path: &str, method: &str, name: &str) -> Value {
        let document = serde_json::to_value(document()).expect("JSON");
        let parameters = document["paths"][path][method]["parameters"]
            .as_array()
            .expect("parameters");
        let parameter = parameters.iter().find(|parameter| parameter["name"] == name);
        parameter.expect("the parameter")["schema"].clone()
    }

    #[test]
    fn texts_of_a_form_have_their_patterns() {
        for (path, method, name, examples, counterexamples) in [
            (
                "/v1/reports/{id}",
                "delete",
                "If-Match",
                &["*", "\"a1\"", "W/\"a\", \"b\""][..],
                &["", "null", "\"a"][..],
            ),
            (
                "/xapi/agents",
                "get",
                "X-Experience-API-Version",
                &["1.0", "1.0.3", "2.0.0"],
                &["", "1.1.0", "1.0."],
            ),
            (
                "/xapi/activities",
                "get",
                "activityId",
                &["https://example.com/a", "urn:x:1"],
                &["", "u001", "a:"],
            ),
            (
                "/v1/contents/{id}/progress",
                "get",
                "expires_within",
                &["P30D", "PT1H30M", "P1Y2M", "P4W"],
                &["", "P", "PT", "30", "P1W2D"],
            ),
            (
                "/v1/activities",
                "get",
                "from",
                &[
                    "2028-02-29",
                    "2026-01-31T09:00:00.5Z",
                    "2026-01-31T09:00:00-05:00",
                ],
                &["", "2026-02-29", "2026-04-31", "soon", "2026-01-31T09:00:00"],
            ),
        ] {
            let schema = parameter(path, method, name);
            assert_eq!(schema["type"], "string", "{path} {name}");
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            for example in examples {
                assert!(validator.is_valid(&Value::from(*example)), "{name} is {example}");
            }
            for counterexample in counterexamples {
                assert!(
                    !validator.is_valid(&Value::from(*counterexample)),
                    "{name} is not {counterexample}"
                );
            }
        }
    }

    #[test]
    fn parameters_of_the_query_have_a_value() {
        assert_eq!(parameter("/v1/teams", "get", "cursor")["minLength"], 1);
        assert_eq!(parameter("/v1/teams", "get", "parent")["items"]["minLength"], 1);
        assert_eq!(parameter("/v1/teams", "get", "q")["minLength"], Value::Null);
    }
}
