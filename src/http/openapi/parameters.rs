//! The bounds of parameters that follow from their names, in every operation.
//!
//! A header or an IRI has the same form wherever it occurs, and a parameter of the query is left out or has a value.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, Object, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

/// A list of ETags in quotation marks, or `*`.
const ETAGS: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;
/// An IRI with its scheme, and a fragment at most.
const IRI: &str = concat!(
    r"^[A-Za-z][A-Za-z0-9+.-]*:",
    r#"([^\s<>"{}|\\^`#%\[\]]|%[0-9A-Fa-f]{2})+"#,
    r#"(#([^\s<>"{}|\\^`#%\[\]]|%[0-9A-Fa-f]{2})*)?$"#
);
/// A version of xAPI.
const XAPI_VERSION: &str = r"^(1\.0|2\.0)(\.[0-9]+)?$";

/// The form of each parameter of this name. Its values are texts of this pattern.
const PATTERNS: [(&str, ParameterIn, &str); 7] = [
    ("If-Match", ParameterIn::Header, ETAGS),
    ("If-None-Match", ParameterIn::Header, ETAGS),
    ("X-Experience-API-Version", ParameterIn::Header, XAPI_VERSION),
    ("Content-Encoding", ParameterIn::Header, "^(gzip|identity)$"),
    ("activityId", ParameterIn::Query, IRI),
    ("activity", ParameterIn::Query, IRI),
    ("verb", ParameterIn::Query, IRI),
];

/// Parameters that may be empty: a field of a search form is sent without words.
const TAKES_EMPTY: [&str; 1] = ["q"];

/// Adds the bounds to the parameters of an operation.
pub(super) fn add_bounds(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            add_bound(parameter);
        }
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
        (_, schema) if parameter.parameter_in == ParameterIn::Query => {
            if !TAKES_EMPTY.contains(&parameter.name.as_str()) {
                require_text(schema);
            }
        }
        _ => {}
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
    fn etags_iris_and_versions_have_their_patterns() {
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
