//! The addresses of pages to which others lead.

/// *My connections*.
pub(crate) const MY_ACCOUNTS: &str = "/connections";
/// *My clients*.
pub(crate) const MY_CLIENTS: &str = "/clients";
/// The administration's first page.
pub(crate) const PEOPLE: &str = "/admin";
pub(crate) const CLIENTS: &str = "/admin/clients";
pub(crate) const TEAMS: &str = "/admin/teams";
pub(crate) const ORIGINS: &str = "/admin/origins";
