use portcullis_policy::{Gateway, Principal};

use crate::Portal;
use crate::error::PortalError;
use crate::sign_in::sign_out;
use crate::visitor::Visitor;

/// Where in the portal somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// What they may use.
    Servers,
    /// Their accounts at origins.
    MyConnections,
    /// Their clients.
    MyClients,
    /// Other people's.
    Administration,
}

/// What all pages of somebody who has signed in have around them: who they are, and where they can go.
pub(crate) struct Layout {
    /// Everybody who has signed in with this browser, as pages call them.
    pub(crate) people: Vec<String>,
    /// The token of the form that signs out.
    pub(crate) sign_out: String,
    here: Section,
    /// Whether the administration is shown.
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

    /// For the link to where the reader is.
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
