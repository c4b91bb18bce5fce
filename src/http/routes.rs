//! The table of routes: one list gives a resource its routes and its part of the OpenAPI document, so
//! that neither can drift from the other.

/// Writes a resource file's `routes`, `document` and `TABLE` from one list.
///
/// ```text
/// routes! {
///     "/v1/notes" => { get: list, post: create },
///     "/v1/notes/{id}" => { get: read, delete: remove },
/// }
/// ```
///
/// Each handler carries `#[utoipa::path(get, path = "/v1/notes", …)]` with the same method and path (a test
/// compares them). A method that is not listed answers 405 with `Allow`; HEAD is answered wherever GET is.
macro_rules! routes {
    ($($path:literal => { $($method:ident: $handler:ident),+ $(,)? }),+ $(,)?) => {
        /// Adds this file's routes.
        pub fn routes(config: &mut actix_web::web::ServiceConfig) {
            $(
                config.service(
                    actix_web::web::resource($path)$(.route(actix_web::web::$method().to($handler)))+
                );
            )+
        }

        /// This file's part of the OpenAPI document.
        pub fn document() -> utoipa::openapi::OpenApi {
            #[derive(utoipa::OpenApi)]
            #[openapi(paths($($($handler),+),+))]
            struct Part;
            <Part as utoipa::OpenApi>::openapi()
        }

        /// This file's paths with their methods in lower case.
        pub const TABLE: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];
    };
}

/// Names the resource files of a room, once: declares the modules and joins their tables.
///
/// Routes are tried in this order: a file with a fixed path (`/v1/activities/export.csv`) stands before
/// one with a parameter in the same place (`/v1/activities/{id}`). Files in a resource's own folder, which
/// declares them itself, stand behind it in braces: `agents { profile }`.
macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident $({ $($inner:ident),+ })?),+ $(,)?) => {
        $($(#[$doc])* pub mod $name;)+

        /// Adds the routes of all resource files.
        pub fn routes(config: &mut actix_web::web::ServiceConfig) {
            $($name::routes(config); $($($name::$inner::routes(config);)+)?)+
        }

        /// The parts of the OpenAPI document, in the order of the files.
        pub fn documents() -> Vec<utoipa::openapi::OpenApi> {
            vec![$($name::document() $(, $($name::$inner::document()),+)?),+]
        }

        /// All paths with their methods in lower case.
        pub fn table() -> Vec<(&'static str, &'static [&'static str])> {
            [$($name::TABLE $(, $($name::$inner::TABLE),+)?),+].concat()
        }
    };
}

pub(crate) use {resources, routes};
