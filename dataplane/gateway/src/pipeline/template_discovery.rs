//! Loads an origin's URI templates when authorization requires them and no list has been relayed yet. A URI
//! may be readable because it matches an offered template.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method as HttpMethod, Request};
use http_body_util::Full;
use portcullis_mcp::header;
use portcullis_mcp::list::List;
use portcullis_mcp::method::Method;
use portcullis_mcp::sse::{self, Splitter};
use serde_json::json;

use super::Context;
use super::audit_record::AuditRecord;
use super::credential::origin_session;
use super::error::PipelineError;
use super::exchange::{apply_credential, collect, is_event_stream, send};
use super::headers::to_origin;
use super::parse::Parsed;
use crate::catalog::CatalogSection;
use crate::upstream::UpstreamPool;

const METHOD: &str = "resources/templates/list";

/// Requests the origin's templates with the user's credential if the message's authorization depends on them.
/// Without a credential or a valid response the templates stay unknown, and URIs that only a template allows
/// are rejected.
///
/// # Errors
/// Fails if the request to the origin fails.
pub(super) async fn discover(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    received: &Parsed<'_>,
    client: &HeaderMap,
) -> Result<(), PipelineError> {
    let by = received.authenticated();
    let (route, origin) = (by.route(), &by.route().origin);
    if !names_uri(received)
        || route.curation.resources.is_passthrough()
        || context.catalogs.items(origin, CatalogSection::Templates).is_some()
    {
        return Ok(());
    }
    Box::pin(request_templates(context, upstreams, received, client)).await
}

async fn request_templates(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    received: &Parsed<'_>,
    client: &HeaderMap,
) -> Result<(), PipelineError> {
    let by = received.authenticated();
    let origin = &by.route().origin;
    let Ok(credential) = context.vault.credential(&by.caller().principal.id, origin).await else {
        return Ok(());
    };
    let session = origin_session(context, upstreams, by, received.session(), &credential).await?;
    let mut request = Request::new(Full::new(request_body(received)));
    *request.method_mut() = HttpMethod::POST;
    *request.headers_mut() = to_origin(client);
    request.headers_mut().remove(header::NAME);
    if received.message().modern {
        request.headers_mut().insert(header::METHOD, HeaderValue::from_static(METHOD));
    }
    apply_credential(&mut request, session.as_deref(), &credential);
    let answer = send(upstreams, origin, request, None, &mut AuditRecord::disabled()).await?;
    let (head, incoming) = answer.response.into_parts();
    let body = collect(incoming, origin.limits.response_bytes, None).await?;
    answer.lease.release();
    for message in response_messages(&body, is_event_stream(&head.headers)) {
        let Some(Ok(list)) = Method::ResourceTemplatesList.list().map(|shape| List::parse(&message, shape))
        else {
            continue;
        };
        // An origin without templates returns an error. It is stored as an empty list.
        context.catalogs.learn(origin, CatalogSection::Templates, list.items().into_iter().flatten(), false);
    }
    Ok(())
}

/// Whether the message names a URI.
fn names_uri(received: &Parsed<'_>) -> bool {
    let message = received.message();
    match message.method {
        Method::ResourcesRead | Method::ResourcesSubscribe => true,
        Method::Complete => message.reference_uri.is_some(),
        Method::Listen => !message.subscriptions.is_empty(),
        _ => false,
    }
}

fn request_body(received: &Parsed<'_>) -> Bytes {
    let message = received.message();
    let mut request = json!({"jsonrpc": "2.0", "id": "portcullis-templates", "method": METHOD});
    if let (true, Some(version), Some(request)) =
        (message.modern, &message.protocol_version, request.as_object_mut())
    {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        request.insert("params".to_owned(), json!({"_meta": meta}));
    }
    request.to_string().into()
}

/// Returns the responses in a body: one JSON message, or those among the events of a stream.
fn response_messages(body: &Bytes, events: bool) -> Vec<Bytes> {
    if !events {
        return vec![body.clone()];
    }
    let mut splitter = Splitter::new(body.len());
    splitter.push(body);
    let mut found = Vec::new();
    while let Ok(Some(event)) = splitter.next_event() {
        let data = sse::data(&event);
        if portcullis_mcp::response::StreamMessage::parse(&data).is_ok_and(|message| message.is_response()) {
            found.push(data.into_owned().into());
        }
    }
    found
}
