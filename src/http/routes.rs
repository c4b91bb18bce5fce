//! Macros for the table of routes. One list generates the routes of a resource and its part of the OpenAPI document, so
//! the two always agree.

/// Generates the `routes`, `document` and `TABLE` of a resource file from one list.
///
/// ```text
/// routes! {
///     "/v1/notes" => { get: list, post: create },
///     "/v1/notes/{id}" => { get: read, delete: remove },
/// }
/// ```
///
/// Each handler has `#[utoipa::path(get, path = "/v1/notes", …)]` with the same method and path; a test compares them.
/// A method that is not in the list answers 405 with `Allow`. HEAD works for every path with GET.
macro_rules! routes {
    ($($path:literal => { $($method:ident: $handler:ident),+ $(,)? }),+ $(,)?) => {
        /// Adds the routes of this file.
        pub fn routes(config: &mut actix_web::web::ServiceConfig) {
            $(
                config.service(
                    actix_web::web::resource($path)$(.route(actix_web::web::$method().to($handler)))+
                );
            )+
        }

        /// Returns this file's part of the OpenAPI document.
        pub fn document() -> utoipa::openapi::OpenApi {
            #[derive(utoipa::OpenApi)]
            #[openapi(paths($($($handler),+),+))]
            struct Part;
            <Part as utoipa::OpenApi>::openapi()
        }

        /// The paths of this file with their methods in lower case.
        pub const TABLE: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];
    };
}

/// Joins the routes, documents and tables of the resource files of `/v1` or `/xapi`.
///
/// Routes are tried in this order. A file with a fixed path (`/v1/activities/export.csv`) must come before a file with
/// a parameter in its place (`/v1/activities/{id}`). A resource that declares modules of its own lists them in braces:
/// `agents { profile }`. A resource of a feature has its condition before it: `#[cfg(feature = "parquet")]`.
macro_rules! resources {
    ($($(#[$condition:meta])* $name:ident $({ $($inner:ident),+ })?),+ $(,)?) => {
        /// Adds the routes of all resource files.
        pub fn routes(config: &mut actix_web::web::ServiceConfig) {
            $($(#[$condition])* { $name::routes(config); $($($name::$inner::routes(config);)+)? })+
        }

        /// Returns the parts of the OpenAPI document, in the order of the files.
        pub fn documents() -> Vec<utoipa::openapi::OpenApi> {
            let mut documents = Vec::new();
            $($(#[$condition])* {
                documents.push($name::document());
                $($(documents.push($name::$inner::document());)+)?
            })+
            documents
        }

        /// Returns all paths with their methods in lower case.
        pub fn table() -> Vec<(&'static str, &'static [&'static str])> {
            let mut table = Vec::new();
            $($(#[$condition])* {
                table.extend_from_slice($name::TABLE);
                $($(table.extend_from_slice($name::$inner::TABLE);)+)?
            })+
            table
        }
    };
}

pub(crate) use {resources, routes};
