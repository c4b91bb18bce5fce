//! Descriptions of the log's query parameters: name, kind of value, documentation, and rule in saved reports.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::query::Sort;
use super::value::{FilterValue, ValueKind, component};

/// One query parameter of the log.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The name in a request.
    pub name: &'static str,
    /// How many values it has, and how they are written.
    pub kind: ValueKind,
    /// The meaning, for the OpenAPI document.
    pub description: &'static str,
    /// The schema of its value in the OpenAPI document.
    pub schema: fn() -> RefOr<Schema>,
    /// What the parameter selects by, its rule in saved reports, and its example.
    pub traits: Traits,
}

impl Parameter {
    /// The description of a filter with values of type `T`.
    pub(super) const fn of_type<T: FilterValue>(
        name: &'static str,
        description: &'static str,
        traits: Traits,
    ) -> Self {
        Self {
            name,
            kind: T::KIND,
            description: description.trim_ascii(),
            schema: T::schema,
            traits,
        }
    }

    /// Whether the parameter may be repeated. A row passes if one of the values matches.
    pub const fn repeats(&self) -> bool {
        matches!(self.kind, ValueKind::Repeated)
    }

    /// Whether the parameter is refused with every value when it is added to a saved report.
    pub const fn always_widens(&self) -> bool {
        matches!(self.traits.in_report, InReport::Widens)
    }
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The user of an activity. Lists of persons have these filters too.
    Person,
    /// Persons, but only together with another filter or with the scope. It selects nothing by itself.
    PersonOption,
    /// The content of an activity.
    Content,
    /// The activity itself.
    Activity,
    /// The time of an activity.
    Time,
}

/// What a filter does when a client adds it to a saved report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InReport {
    /// It removes rows. It is allowed.
    Narrows,
    /// It could add rows. It is refused.
    Widens,
    /// It is refused with this value only.
    WidensWith(&'static str),
}

/// The properties of a parameter that do not follow from its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// What the filter looks at.
    pub subject: Subject,
    /// What the filter does when it is added to a saved report.
    pub in_report: InReport,
    /// An example for the OpenAPI document: JSON, or a plain text.
    pub example: Option<&'static str>,
}

impl Traits {
    /// A parameter that narrows a report and has no example.
    pub const fn of(subject: Subject) -> Self {
        Self {
            subject,
            in_report: InReport::Narrows,
            example: None,
        }
    }

    /// The same, but refused when it is added to a saved report.
    pub const fn widens(self) -> Self {
        Self {
            in_report: InReport::Widens,
            ..self
        }
    }

    /// The same, but `value` is refused when it is added to a saved report.
    pub const fn widens_with(self, value: &'static str) -> Self {
        Self {
            in_report: InReport::WidensWith(value),
            ..self
        }
    }

    /// The same with an example.
    pub const fn example(self, example: &'static str) -> Self {
        Self {
            example: Some(example),
            ..self
        }
    }
}

/// Which filters a resource has. `custom[<field>]` belongs to both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterSet {
    /// Every filter: for lists of activities.
    All,
    /// The filters by person: for lists of persons.
    Persons,
    /// The filters by person, by time, by result and by the way of arrival: for the records of one content.
    OneContent,
}

/// The filters by activity that the records of one content have.
const OF_ONE_CONTENT: [&str; 8] = [
    "result",
    "source",
    "device_type",
    "origin",
    "import",
    "bulk_import",
    "stored_from",
    "stored_to",
];

impl FilterSet {
    /// The parameters of the set.
    pub fn parameters(self) -> impl Iterator<Item = &'static Parameter> {
        super::FILTER_PARAMETERS
            .iter()
            .filter(move |parameter| match (self, parameter.traits.subject) {
                (Self::All, _)
                | (Self::Persons | Self::OneContent, Subject::Person | Subject::PersonOption)
                | (Self::OneContent, Subject::Time) => true,
                (Self::OneContent, Subject::Activity) => OF_ONE_CONTENT.contains(&parameter.name),
                (Self::Persons, Subject::Content | Subject::Activity | Subject::Time)
                | (Self::OneContent, Subject::Content) => false,
            })
    }
}

/// A parameter of a list that is not a filter of its rows.
const fn option(name: &'static str, description: &'static str, example: &'static str) -> Parameter {
    Parameter::of_type::<Option<String>>(
        name,
        description,
        Traits::of(Subject::PersonOption).example(example),
    )
}

/// The parameters that select a scope inside the caller's reach.
pub const SCOPE_PARAMETERS: &[Parameter] = &[
    Parameter {
        schema: || Ref::from_schema_name("AskableScope").into(),
        ..option(
            "scope",
            "`company`, `managed` (direct reports), `team`, `group` or `me`; default: the whole reach.",
            "managed",
        )
    },
    Parameter::of_type::<bool>(
        "include_sub_managers",
        "With `scope=managed`: the indirect reports too.",
        Traits::of(Subject::PersonOption).widens(),
    ),
];

/// The parameter that orders a list.
pub const SORT_PARAMETERS: &[Parameter] = &[Parameter {
    schema: component::<Sort>,
    ..option(
        "sort",
        "`-happened_at` (default) or `happened_at`.",
        "-happened_at",
    )
}];

/// The parameters of pages.
pub const PAGE_PARAMETERS: &[Parameter] = &[
    Parameter {
        schema: limit_schema,
        ..option("limit", "Rows of a page, 1 to 1000; default 50.", "50")
    },
    Parameter::of_type::<Option<String>>(
        "cursor",
        "From the last page's `next`; bound to its filter and caller.",
        Traits::of(Subject::PersonOption),
    ),
    Parameter {
        schema: CountMode::schema,
        ..option("count", "`exact`: give the total.", "exact")
    },
];

fn limit_schema() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(1))
        .maximum(Some(1_000))
        .into()
}

/// The values of the parameter `count`.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum CountMode {
    /// Give the total.
    Exact,
}
