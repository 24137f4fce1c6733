//! Paths of pages that other pages link to.

/// *My connections*.
pub(crate) const MY_ACCOUNTS: &str = "/connections";
/// *My clients*.
pub(crate) const MY_CLIENTS: &str = "/clients";
/// The start page of the administration.
pub(crate) const PEOPLE: &str = "/admin";
pub(crate) const CLIENTS: &str = "/admin/clients";
pub(crate) const TEAMS: &str = "/admin/teams";
pub(crate) const ORIGINS: &str = "/admin/origins";

/// Where a sign-in that starts on a page returns to: that page, or the list to which it belongs.
pub(crate) fn return_to(path: &str) -> &str {
    if path.starts_with("/admin/people/") { PEOPLE } else { path }
}
