use askama::Template;
use axum::response::Response;
use http::StatusCode;
use portcullis_policy::Gateway;

use crate::Portal;
use crate::failure::Failure;
use crate::page;
use crate::sign_in::start;
use crate::visitor::Visitor;

/// A way to sign in that has not been used yet.
pub(crate) struct SignIn<'a> {
    pub(crate) provider: &'a str,
    pub(crate) return_to: &'a str,
    pub(crate) token: String,
}

impl<'a> SignIn<'a> {
    /// All of them, each leading to a page of ours.
    pub(crate) fn ways(
        portal: &Portal,
        gateway: &'a Gateway,
        visitor: &Visitor,
        return_to: &'a str,
    ) -> Result<Vec<Self>, Failure> {
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
    sign_ins: Vec<SignIn<'a>>,
}

/// The way to sign in, and then on to a page of the portal.
pub(crate) fn page(
    portal: &Portal,
    gateway: &Gateway,
    visitor: &Visitor,
    return_to: &str,
) -> Result<Response, Failure> {
    let sign_ins = SignIn::ways(portal, gateway, visitor, return_to)?;
    Ok(page::render(StatusCode::OK, &WelcomePage { sign_ins }))
}
