//! Administration: revoking the access and connections of other users, and connecting shared accounts.
//!
//! ```text
//! require_admin.rs  checks that the user is an administrator
//! find.rs           lists and lookups of people, clients, teams and origins
//! connect.rs        connects the account that all users share at an origin
//! revoke.rs         the revocations, each with its event; for the pages and the API
//! pages.rs          /admin, /admin/clients, /admin/teams, /admin/origins
//! person.rs         /admin/people/{id}
//! forms.rs          the forms of these pages
//! ```

pub(crate) mod connect;
pub(crate) mod find;
pub(crate) mod forms;
pub(crate) mod pages;
pub(crate) mod person;
pub(crate) mod require_admin;
pub(crate) mod revoke;
