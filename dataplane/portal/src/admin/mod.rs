//! Ending what others have been given and have connected, and connecting what everybody shares.
//!
//! ```text
//! gate.rs       who may
//! find.rs       people, clients, teams and origins, as lists and one by one
//! connect.rs    the account that everybody shares at an origin
//! end.rs        the endings, each with its event; for the pages and the API alike
//! pages.rs      /admin, /admin/clients, /admin/teams, /admin/origins
//! person.rs     /admin/people/{id}
//! forms.rs      what the pages post
//! ```

pub(crate) mod connect;
pub(crate) mod find;
pub(crate) mod forms;
pub(crate) mod pages;
pub(crate) mod person;
pub(crate) mod require_admin;
pub(crate) mod revoke;
