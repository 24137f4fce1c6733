//! Header and navigation of the pages for signed-in users.

use portcullis_policy::{Gateway, Principal};

use crate::Portal;
use crate::error::PortalError;
use crate::sign_in::sign_out;
use crate::visitor::Visitor;

/// A section of the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Servers,
    MyConnections,
    MyClients,
    Administration,
}

/// The data of header and navigation.
pub(crate) struct Layout {
    /// Labels of all users who are signed in with this browser.
    pub(crate) people: Vec<String>,
    /// The token of the form that signs out.
    pub(crate) sign_out: String,
    here: Section,
    /// Whether the link to the administration is shown.
    pub(crate) is_admin: bool,
}

impl Layout {
    pub(crate) fn new(
        portal: &Portal,
        gateway: &Gateway,
        visitor: &Visitor,
        here: Section,
    ) -> Result<Self, PortalError> {
        Ok(Self {
            people: visitor.people().map(Principal::label).map(ToOwned::to_owned).collect(),
            sign_out: portal.form_token(sign_out::FORM, "", &visitor.binding())?,
            here,
            is_admin: visitor.people().any(|person| gateway.is_admin(person)),
        })
    }

    /// Whether a link leads to the current section.
    pub(crate) fn current(&self, place: &str) -> bool {
        place
            == match self.here {
                Section::Servers => "servers",
                Section::MyConnections => "accounts",
                Section::MyClients => "apps",
                Section::Administration => "administration",
            }
    }
}
