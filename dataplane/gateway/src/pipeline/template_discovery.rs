//! Loads an origin's URI templates when authorization depends on them and no list has been relayed yet. A URI
//! may be readable because it matches an offered template.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_mcp::client::{ListReply, Session};
use portcullis_mcp::method::Method;

use super::Context;
use super::audit_record::AuditRecord;
use super::authorize::{Authorization, Authorized};
use super::credential::{NoAccess, OriginAccess};
use super::error::PipelineError;
use super::headers::to_origin;
use super::origin_transport::{OriginTransport, failure};
use super::parse::Parsed;
use crate::catalog::CatalogSection;
use crate::upstream::UpstreamPool;

/// Authorizes a request that depends on unknown templates. They are requested with the user's credential.
/// Without a credential or a list they stay unknown, and the request is denied.
///
/// # Errors
/// Fails if the request is denied, or if the origin does not respond.
pub(super) async fn authorize<'r>(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    parsed: Parsed<'r>,
    client: &HeaderMap,
    record: &mut AuditRecord,
) -> Result<Authorized<'r>, PipelineError> {
    match learn_templates(context, upstreams, &parsed, client, record).await {
        Ok(()) | Err(NoAccess::ConnectRequired(_)) => {}
        Err(NoAccess::Error(error)) => return Err(error),
    }
    match Authorized::authorize(context, parsed, record)? {
        Authorization::Authorized(authorized) => Ok(authorized),
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
    let origin = &parsed.authenticated().route().origin;
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
    // A truncated list only adds to what is known.
    let items = items.iter().map(|item| item.get());
    context.catalogs.learn(origin, CatalogSection::Templates, items, !complete);
    Ok(())
}
