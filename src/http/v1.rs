//! `/v1`: one file for each resource, named as in its path (`docs/specification.md#resources`).

use super::routes::resources;

pub mod log_parameters;

resources! {
    actions,
    exports,
    summary,
    activities,
    completions,
    contents,
    credentials,
    deliveries,
    facets,
    groups,
    notes,
    organisation,
    progress,
    report_keys,
    report_rows,
    reports,
    schedules,
    teams,
    timeline,
    users,
}
