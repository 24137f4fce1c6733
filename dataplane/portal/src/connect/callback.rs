//! `/connect/{origin}/callback`: the browser returns from an origin's authorization server.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_origin_auth::{ConnectCallback, ConnectError};
use portcullis_policy::CredentialSubject;

use crate::Portal;
use crate::error::PortalError;
use crate::visitor::Visitor;
use crate::{admin, page};

#[derive(Template)]
#[template(path = "connected.html")]
struct ConnectedPage<'a> {
    origin: &'a str,
}

/// `GET /connect/{origin}/callback`
pub(crate) async fn get(
    State(portal): State<Portal>,
    Path(origin): Path<String>,
    Query(callback): Query<ConnectCallback>,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    let origin = table.origin(&origin).ok_or(PortalError::NotFound)?;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    if origin.credential_subject() == CredentialSubject::SharedAccount {
        return admin::connect::finish(&portal, &table, visitor, origin, &callback).await;
    }
    let Some(browser) = visitor.browser() else {
        return Err(PortalError::connect(&ConnectError::UnknownFlow, None));
    };
    let finished = portal
        .broker
        .connect_flows
        .finish(gateway, origin, browser, &callback)
        .await
        .map_err(|error| PortalError::connect(&error, None))?;
    // The user must be the one who started the flow. Otherwise calls of one user would use the account of
    // another.
    let Some(person) = visitor.people().find(|person| person.id == finished.who) else {
        portal.broker.disconnector.disconnect(&finished.who, origin).await?;
        portal.record_denied(&table, visitor.people().next(), None, origin, "flow_of_another");
        let account = visitor.people().next().map_or("none", |person| person.label());
        return Err(PortalError::WrongAccount(account.to_owned()));
    };
    tracing::debug!(subject = %person.subject, origin = %origin.name, "account connected");
    Ok(page::see_other(&format!("{}{}", gateway.public_url, local_path(&finished.return_to))))
}

/// Returns the path if it is local to this gateway, otherwise `/`.
fn local_path(return_to: &str) -> &str {
    if return_to.starts_with('/') && !return_to.starts_with("//") { return_to } else { "/" }
}

/// `GET /connect/{origin}/done`
pub(crate) async fn done(
    State(portal): State<Portal>,
    Path(origin): Path<String>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let origin = &table.origin(&origin).ok_or(PortalError::NotFound)?.display_name;
    Ok(page::render(StatusCode::OK, &ConnectedPage { origin }))
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn given_where_to_go_on_then_it_is_a_path_of_ours_or_the_portal() {
        for ours in ["/", "/connections", "/connect/x/done?a=//b"] {
            assert_eq!(local_path(ours), ours);
        }
        // Appended to the public URL, the first three would change its host or port.
        for theirs in [".evil.example", "@evil.example/", ":1", "//evil.example", "https://evil.example", ""]
        {
            assert_eq!(local_path(theirs), "/", "{theirs}");
        }
    }
}
