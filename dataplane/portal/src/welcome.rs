use askama::Template;
use axum::response::Response;
use http::StatusCode;
use portcullis_policy::Gateway;

use crate::Portal;
use crate::error::PortalError;
use crate::page;
use crate::sign_in::start;
use crate::visitor::Visitor;

/// A way to sign in that has not been used yet.
pub(crate) struct SignInOption<'a> {
    pub(crate) provider: &'a str,
    pub(crate) return_to: &'a str,
    pub(crate) token: String,
}

impl<'a> SignInOption<'a> {
    /// All of them, each leading to a page of ours.
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

/// For whoever has not signed in.
#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage<'a> {
    sign_ins: Vec<SignInOption<'a>>,
}

/// The way to sign in, and then on to a page of the portal.
pub(crate) fn page(
    portal: &Portal,
    gateway: &Gateway,
    visitor: &Visitor,
    return_to: &str,
) -> Result<Response, PortalError> {
    let sign_ins = SignInOption::available(portal, gateway, visitor, return_to)?;
    Ok(page::render(StatusCode::OK, &WelcomePage { sign_ins }))
}
