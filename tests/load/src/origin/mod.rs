//! The origin: plain hyper, one pass over each request, and prepared responses that differ only in their id.

mod catalog;
mod response;
mod token;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use self::response::ResponseBody;
use self::token::TokenVerifier;

/// Options of the origin.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Address to listen on.
    #[arg(long)]
    listen: SocketAddr,
    /// Authorization server in the protected resource metadata. Without it, no token is required.
    #[arg(long)]
    issuer: Option<String>,
    /// Bearer token that is accepted without introspection. Repeatable.
    #[arg(long = "accept", requires = "issuer")]
    accepted: Vec<String>,
    /// Introspection endpoint (RFC 7662) for all other tokens. Active tokens are cached.
    #[arg(long, requires = "issuer")]
    introspection: Option<String>,
    /// Client credentials for the introspection endpoint: `id:secret`.
    #[arg(long, requires = "introspection")]
    introspection_client: Option<String>,
    /// Number of worker threads.
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// Serves until the process ends.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(options.workers).enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.listen).await?;
    let origin = Arc::new(Origin::new(&options, listener.local_addr()?)?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let origin = origin.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let origin = origin.clone();
                async move { Ok::<_, Infallible>(origin.respond(request).await) }
            });
            // A client that disconnects is not an error.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

struct Origin {
    tokens: Option<TokenVerifier>,
    /// Protected resource metadata (RFC 9728).
    metadata: Bytes,
    challenge: HeaderValue,
    /// The bytes after the id in the responses to `tools/list` and `server/discover`.
    list: Bytes,
    discover: Bytes,
}

/// The parts of a message that this origin reads.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    name: Option<&'a str>,
    #[serde(borrow)]
    arguments: Option<CallArguments<'a>>,
}

#[derive(Deserialize)]
struct CallArguments<'a> {
    id: Option<&'a str>,
}

impl Origin {
    fn new(options: &Options, address: SocketAddr) -> anyhow::Result<Self> {
        let base = format!("http://{address}");
        let metadata = json!({
            "resource": format!("{base}/mcp"),
            "authorization_servers": options.issuer.as_slice(),
            "scopes_supported": ["read"],
            "bearer_methods_supported": ["header"],
        });
        let challenge = format!(
            "Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource/mcp\", scope=\"read\""
        );
        let tokens = options.issuer.as_ref().map(|_| {
            TokenVerifier::new(
                &options.accepted,
                options.introspection.as_deref(),
                options.introspection_client.as_deref(),
            )
        });
        Ok(Self {
            tokens: tokens.transpose()?,
            metadata: metadata.to_string().into(),
            challenge: HeaderValue::try_from(challenge)?,
            list: response::response_tail(&catalog::list()),
            discover: response::response_tail(&catalog::discover()),
        })
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/mcp") => {}
            (
                &Method::GET,
                "/.well-known/oauth-protected-resource" | "/.well-known/oauth-protected-resource/mcp",
            ) => {
                return json_response(StatusCode::OK, ResponseBody::from_bytes(self.metadata.clone()));
            }
            (_, "/mcp") => {
                let mut refused = empty_response(StatusCode::METHOD_NOT_ALLOWED);
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                return refused;
            }
            _ => return empty_response(StatusCode::NOT_FOUND),
        }
        let (head, body) = request.into_parts();
        if let Some(tokens) = &self.tokens
            && !tokens.verify(head.headers.get(AUTHORIZATION)).await
        {
            let mut refused = empty_response(StatusCode::UNAUTHORIZED);
            refused.headers_mut().insert(WWW_AUTHENTICATE, self.challenge.clone());
            return refused;
        }
        let Ok(body) = body.collect().await else { return empty_response(StatusCode::BAD_REQUEST) };
        self.message(&head.headers, &body.to_bytes())
    }

    fn message(&self, headers: &HeaderMap, body: &[u8]) -> Response<ResponseBody> {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
            return empty_response(StatusCode::BAD_REQUEST);
        };
        let Some(id) = message.id.map(RawValue::get) else { return empty_response(StatusCode::ACCEPTED) };
        let mirrored =
            |header: &str, value: &str| headers.get(header).is_some_and(|mirror| *mirror == *value);
        if !mirrored("mcp-method", message.method) {
            return error_response(StatusCode::BAD_REQUEST, id, -32020, "Mcp-Method differs from the body");
        }
        match message.method {
            "tools/list" => json_response(StatusCode::OK, ResponseBody::with_id(id, self.list.clone())),
            "server/discover" => {
                json_response(StatusCode::OK, ResponseBody::with_id(id, self.discover.clone()))
            }
            "tools/call" => {
                let params = message.params.as_ref();
                let Some(name) = params.and_then(|params| params.name) else {
                    return error_response(StatusCode::BAD_REQUEST, id, -32602, "params.name is missing");
                };
                if !mirrored("mcp-name", name) {
                    return error_response(
                        StatusCode::BAD_REQUEST,
                        id,
                        -32020,
                        "Mcp-Name differs from the body",
                    );
                }
                let subject = params.and_then(|params| params.arguments.as_ref()).and_then(|given| given.id);
                let Some(subject) = subject.filter(|subject| !subject.contains(['"', '\\'])) else {
                    return error_response(
                        StatusCode::OK,
                        id,
                        -32602,
                        "arguments.id is missing or contains quotes or backslashes",
                    );
                };
                json_response(
                    StatusCode::OK,
                    ResponseBody::from_bytes(response::tool_response(id, name, subject)),
                )
            }
            _ => error_response(StatusCode::NOT_FOUND, id, -32601, "Method not found"),
        }
    }
}

fn empty_response(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from_bytes(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn json_response(status: StatusCode, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn error_response(status: StatusCode, id: &str, code: i32, message: &str) -> Response<ResponseBody> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#);
    json_response(status, ResponseBody::from_bytes(body.into()))
}
