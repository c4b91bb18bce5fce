//! `/v1`: one file for each resource, named as in its path (`docs/specification.md#resources`).

pub mod actions;
pub mod activities;
pub mod changes;
pub mod completions;
mod content_query;
pub mod contents;
pub mod courses;
pub mod credentials;
pub mod deliveries;
pub mod downloads;
pub mod exercises;
mod export_table;
pub mod exports;
pub mod facets;
pub mod groups;
pub mod imports;
pub mod launches;
pub mod log_parameters;
pub mod me;
pub mod notes;
pub mod organisation;
#[cfg(feature = "parquet")]
pub mod parquet_exports;
pub mod progress;
pub mod quizzes;
pub mod report_keys;
mod report_resource;
pub mod report_rows;
pub mod reports;
pub mod schedules;
pub mod scorm;
pub mod stream;
pub mod subscription_deliveries;
pub mod subscriptions;
pub mod summary;
pub mod teams;
pub mod timeline;
pub mod users;

use super::routes::resources;

resources! {
    actions,
    exports,
    #[cfg(feature = "parquet")]
    parquet_exports,
    stream,
    summary,
    changes,
    activities,
    completions,
    contents,
    courses,
    credentials,
    deliveries,
    downloads,
    exercises,
    facets,
    groups,
    imports,
    launches,
    me,
    notes,
    organisation,
    progress,
    quizzes,
    report_keys,
    report_rows,
    reports,
    schedules,
    scorm,
    subscription_deliveries,
    subscriptions,
    teams,
    timeline,
    users,
}
