//! Commands and settings that add a virtual MCP to common clients, as in each client's manual.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_policy::Route;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

/// Setup instructions for one route. A slug contains no character that is special in a shell, JSON or TOML.
pub(crate) struct ClientSetup {
    pub(crate) claude_code: String,
    /// Link that opens an installed Cursor and adds the server.
    pub(crate) cursor_link: String,
    pub(crate) cursor: String,
    pub(crate) vs_code_link: String,
    pub(crate) vs_code: String,
    pub(crate) codex: String,
    pub(crate) codex_login: String,
    pub(crate) gemini: String,
    pub(crate) gemini_settings: String,
    /// For clients that support only stdio servers.
    pub(crate) stdio: String,
}

impl ClientSetup {
    pub(crate) fn new(route: &Route) -> Self {
        let (name, url) = (&*route.slug, &*route.url);
        let vs_code = json!({ "name": name, "type": "http", "url": url }).to_string();
        let cursor = STANDARD.encode(json!({ "url": url }).to_string());
        Self {
            claude_code: format!("claude mcp add --transport http {name} {url}"),
            cursor_link: format!(
                "cursor://anysphere.cursor-deeplink/mcp/install?name={name}&config={}",
                encoded(&cursor)
            ),
            cursor: pretty(&json!({ "mcpServers": { name: { "url": url } } })),
            vs_code_link: format!("vscode:mcp/install?{}", encoded(&vs_code)),
            vs_code: format!("code --add-mcp '{vs_code}'"),
            codex: format!("codex mcp add {name} --url {url}"),
            codex_login: format!("codex mcp login {name}"),
            gemini: format!("gemini mcp add --scope user --transport http {name} {url}"),
            gemini_settings: pretty(&json!({ "mcpServers": { name: { "httpUrl": url } } })),
            stdio: format!("npx mcp-remote {url}"),
        }
    }
}

fn encoded(text: &str) -> String {
    // This encodes a space as `+`, which only forms decode; neither text contains a space.
    byte_serialize(text.as_bytes()).collect()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
