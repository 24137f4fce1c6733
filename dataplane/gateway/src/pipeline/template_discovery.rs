//! Loads the URI templates that an origin lists to the caller, when authorization depends on them and they
//! are not known. A URI may be readable because it matches an offered template.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_mcp::client::{ListReply, Session};
use portcullis_mcp::method::Method;

use super::Context;
use super::audit_record::AuditRecord;
use super::authorize::{Authorization, Authorized};
use super::connect_required::ConnectRequired;
use super::credential::{NoAccess, OriginAccess};
use super::error::PipelineError;
use super::headers::to_origin;
use super::origin_transport::{OriginTransport, failure};
use super::parse::Parsed;
use crate::upstream::UpstreamPool;

/// Result of authorization.
pub(super) enum TemplateAuthorization<'r> {
    /// The request may be relayed.
    Authorized(Authorized<'r>),
    /// The user must connect an account first. What it may read is then decided by what it is shown.
    ConnectRequired(Parsed<'r>, ConnectRequired),
}

/// Authorizes a request that depends on unknown templates. They are requested with the user's credential.
/// Without a list they stay unknown, and the request is denied.
///
/// # Errors
/// Fails if the request is denied, or if the origin does not respond.
pub(super) async fn authorize<'r>(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    parsed: Parsed<'r>,
    client: &HeaderMap,
    record: &mut AuditRecord,
) -> Result<TemplateAuthorization<'r>, PipelineError> {
    match learn_templates(context, upstreams, &parsed, client, record).await {
        Ok(()) => {}
        Err(NoAccess::ConnectRequired(lack)) => {
            return Ok(TemplateAuthorization::ConnectRequired(parsed, lack));
        }
        Err(NoAccess::Error(error)) => return Err(error),
    }
    match Authorized::authorize(context, parsed, record)? {
        Authorization::Authorized(authorized) => Ok(TemplateAuthorization::Authorized(authorized)),
        Authorization::TemplatesUnknown(_, denial) => Err(denial),
    }
}

async fn learn_templates(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    parsed: &Parsed<'_>,
    headers: &HeaderMap,
    record: &mut AuditRecord,
) -> Result<(), NoAccess> {
    let by = parsed.authenticated();
    let (origin, caller) = (&by.route().origin, &by.caller().principal.id);
    let access = OriginAccess::get(context, upstreams, parsed, record).await?;
    let (credential, session_id) = access.into_parts();
    let modern = parsed.message().filter(|message| message.modern);
    let session = match modern.and_then(|message| message.protocol_version.as_deref()) {
        Some(version) => Session::modern(version),
        None => Session::legacy().with_id(session_id),
    };
    let request = (session.with_headers(to_origin(headers)), "portcullis-templates");
    let mut client = OriginTransport::client(context, upstreams, parsed, request, credential, record);
    let reply = client.list(Method::ResourceTemplatesList).await.map_err(|error| failure(error, parsed))?;
    let (items, complete) = match reply {
        ListReply::Listed(list) => (list.items, list.complete),
        ListReply::Unsupported => (Vec::new(), true),
        ListReply::Failed(reply) => {
            let status = reply.status().as_u16();
            tracing::warn!(status, origin = &*origin.name, "failed to list resource templates of origin");
            return Ok(());
        }
    };
    let items = items.iter().map(|item| item.get());
    context.catalogs.learn_templates(origin, caller, items, complete);
    Ok(())
}
