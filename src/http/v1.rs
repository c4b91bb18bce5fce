//! `/v1`: a file for each resource, named as in its address (contract section 3).

use super::routes::resources;

pub mod log_parameters;

resources! {
    actions,
    exports,
    activities,
    contents,
    credentials,
    groups,
    organisation,
    teams,
    users,
}
