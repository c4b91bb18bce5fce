//! `/v1`: a file for each resource, named as in its address (contract section 3).

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
