//! The language of an answer (docs/specification.md#languages).
//!
//! A handler whose answer has labels or sentences takes a [`LocalQuery`], and one that answers a file takes a [`FileQuery`].
//! Both read the parameter `language` and give the handler the other parameters. The middleware around every request names
//! the language of the answer in its headers.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::problem::{Code, Problem, ProblemError};
use super::query::QueryPairs;
use crate::base::fault::Faults;
use crate::texts::Language;

/// The parameter with the language.
const LANGUAGE: &str = "language";

/// The parameters of a request whose answer is in a language: that of `language`, else of `Accept-Language`.
#[derive(Debug)]
pub struct LocalQuery {
    /// The language of labels and sentences.
    pub language: Language,
    /// The parameters without `language`.
    pub pairs: QueryPairs,
}

/// The parameters of a request for a file. Programs read files, so a file is in English unless `language` is given.
#[derive(Debug)]
pub struct FileQuery {
    /// The language of headings and labels.
    pub language: Language,
    /// The parameters without `language`.
    pub pairs: QueryPairs,
}

/// The language of an answer, stored in the extensions of its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerLanguage {
    language: Language,
    /// Whether another `Accept-Language` can have another answer.
    is_negotiated: bool,
}

impl LocalQuery {
    /// Reads the parameters `pairs` of a request.
    ///
    /// # Errors
    ///
    /// The parameter `language` is wrong.
    pub fn read(request: &HttpRequest, pairs: QueryPairs) -> Result<Self, Problem> {
        let (given, pairs) = split_query(pairs)?;
        let language = given.unwrap_or_else(|| accepted_language(request.headers()));
        request.extensions_mut().insert(AnswerLanguage {
            language,
            is_negotiated: given.is_none(),
        });
        Ok(Self { language, pairs })
    }
}

impl FileQuery {
    /// Reads the parameters `pairs` of a request.
    ///
    /// # Errors
    ///
    /// The parameter `language` is wrong.
    pub fn read(request: &HttpRequest, pairs: QueryPairs) -> Result<Self, Problem> {
        let (given, pairs) = split_query(pairs)?;
        let language = given.unwrap_or_default();
        request.extensions_mut().insert(AnswerLanguage {
            language,
            is_negotiated: false,
        });
        Ok(Self { language, pairs })
    }
}

impl FromRequest for LocalQuery {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = QueryPairs::parse(request.query_string());
        ready(pairs.and_then(|pairs| Self::read(request, pairs)))
    }
}

impl FromRequest for FileQuery {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = QueryPairs::parse(request.query_string());
        ready(pairs.and_then(|pairs| Self::read(request, pairs)))
    }
}

/// The language of the parameter, and the other parameters.
fn split_query(pairs: QueryPairs) -> Result<(Option<Language>, QueryPairs), Problem> {
    let (given, others) = pairs.split(LANGUAGE);
    let refuse = |detail: String| {
        let fault = ProblemError::in_parameter(LANGUAGE, detail);
        Problem::with_errors(Code::BadParameter, Faults::from(fault))
    };
    let language = match given.as_slice() {
        [] => None,
        [tag] => Some(Language::parse(tag).map_err(|error| refuse(error.to_string()))?),
        _ => return Err(refuse("must be sent once".to_owned())),
    };
    Ok((language, others))
}

/// The language for the header `Accept-Language`. Several fields are one list.
fn accepted_language(headers: &HeaderMap) -> Language {
    let fields = headers.get_all(header::ACCEPT_LANGUAGE);
    let fields: Vec<&str> = fields.filter_map(|field| field.to_str().ok()).collect();
    Language::negotiate(&fields.join(","))
}

impl AnswerLanguage {
    /// The language of the answer to this request, if the answer has one.
    pub(super) fn find(request: &HttpRequest) -> Option<Self> {
        request.extensions().get().copied()
    }

    /// Names the language, so that no cache gives the answer to a reader of another language.
    pub(super) fn add_headers(self, headers: &mut HeaderMap) {
        let tag = HeaderValue::from_static(self.language.tag());
        headers.insert(header::CONTENT_LANGUAGE, tag);
        if self.is_negotiated {
            headers.append(header::VARY, HeaderValue::from_static("accept-language"));
        }
    }
}

/// The parameter `language` in the OpenAPI document.
pub struct LanguageParameter;

impl IntoParams for LanguageParameter {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description =
            "The language of labels and sentences. Without it, the header `Accept-Language` counts.";
        vec![describe_parameter(description, parameter_in())]
    }
}

/// The parameter `language` of files in the OpenAPI document.
pub struct FileLanguage;

impl IntoParams for FileLanguage {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The language of headings and labels. Default: English.";
        vec![describe_parameter(description, parameter_in())]
    }
}

fn describe_parameter(description: &str, place: Option<ParameterIn>) -> Parameter {
    let tags = Language::all().map(Language::tag);
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(tags));
    ParameterBuilder::new()
        .name(LANGUAGE)
        .parameter_in(place.unwrap_or(ParameterIn::Query))
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Schema::Object(schema.build())))
        .example(Some("de".into()))
        .build()
}
