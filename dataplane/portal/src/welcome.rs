//! The page for browsers without a sign-in: a button per identity provider.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use portcullis_policy::Gateway;

use crate::Portal;
use crate::error::PortalError;
use crate::page;
use crate::sign_in::start;
use crate::visitor::Visitor;

/// An identity provider at which no user of the browser is signed in.
pub(crate) struct SignInOption<'a> {
    pub(crate) provider: &'a str,
    pub(crate) return_to: &'a str,
    pub(crate) token: String,
}

impl<'a> SignInOption<'a> {
    /// All options. Each returns to the path `return_to` after the sign-in.
    pub(crate) fn available(
        portal: &Portal,
        gateway: &'a Gateway,
        visitor: &Visitor,
        return_to: &'a str,
    ) -> Result<Vec<Self>, PortalError> {
        let open = gateway.identity_providers.iter().filter(|it| visitor.signed_in(&it.name).is_none());
        open.map(|provider| {
            let token = start::form_token(portal, &provider.name, return_to)?;
            Ok(Self { provider: &provider.name, return_to, token })
        })
        .collect()
    }
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage<'a> {
    sign_ins: Vec<SignInOption<'a>>,
}

/// Renders the page. After the sign-in the browser continues to the path `return_to`.
pub(crate) fn page(
    portal: &Portal,
    gateway: &Gateway,
    visitor: &Visitor,
    return_to: &str,
) -> Result<Response, PortalError> {
    let sign_ins = SignInOption::available(portal, gateway, visitor, return_to)?;
    Ok(page::render(StatusCode::OK, &WelcomePage { sign_ins }))
}
