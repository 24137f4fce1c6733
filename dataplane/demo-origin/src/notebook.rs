//! The MCP server: tools, a prompt, a resource and a resource template for an account's notes.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CacheScope, CallToolResult, ContentBlock, Implementation, ListResourceTemplatesResult,
    ListResourcesResult, PaginatedRequestParams, ProgressNotificationParam, PromptMessage, ProtocolVersion,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate, Role, ServerCapabilities, ServerConfig,
};
use rmcp::schemars::JsonSchema;
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, prompt, prompt_handler, prompt_router, tool, tool_handler,
    tool_router,
};
use serde::Deserialize;

use crate::accounts::{Account, Accounts};
use crate::app_state::AppState;

const ALL_NOTES: &str = "notebook://notes";
const ONE_NOTE: &str = "notebook://notes/{id}";

/// The MCP endpoint, in both eras: with sessions for clients that initialize, without sessions for
/// 2026-07-28.
pub(crate) fn service(site: &AppState) -> StreamableHttpService<Notebook, LocalSessionManager> {
    let (accounts, tools, prompts) =
        (site.accounts.clone(), Notebook::tool_router(), Notebook::prompt_router());
    let notebook = Notebook { accounts, tools, prompts };
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts([site.authority.clone()])
        .enforce_origin_validation();
    StreamableHttpService::new(move || Ok(notebook.clone()), Arc::new(LocalSessionManager::default()), config)
}

/// The server of one session. The token of each request selects the account, never the session.
#[derive(Clone)]
pub(crate) struct Notebook {
    accounts: Arc<Accounts>,
    tools: ToolRouter<Self>,
    prompts: PromptRouter<Self>,
}

#[derive(Deserialize, JsonSchema)]
struct NewNote {
    /// Text of the note.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct WhichNote {
    /// Number of the note, from `list_notes`.
    id: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Cups {
    /// Number of cups, 1 to 8. Each takes half a second.
    #[schemars(range(min = 1, max = 8))]
    cups: u32,
}

#[derive(Deserialize, JsonSchema)]
struct Tone {
    /// Tone of the summary, for example brief, or like a ship's log.
    tone: Option<String>,
}

fn account(context: &RequestContext<RoleServer>) -> Result<Account, ErrorData> {
    let parts = context.extensions.get::<Parts>();
    let account = parts.and_then(|parts| parts.extensions.get::<Account>()).copied();
    account.ok_or_else(|| ErrorData::internal_error("internal error: the request has no account", None))
}

fn text_result(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn error_result(text: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}

fn format_notes(notes: &[(u64, String)]) -> String {
    if notes.is_empty() {
        return "There are no notes.".to_owned();
    }
    notes.iter().map(|(id, text)| format!("{id}. {text}")).collect::<Vec<_>>().join("\n")
}

#[tool_router]
impl Notebook {
    /// Shows which demo account is connected.
    #[tool(annotations(title = "Who am I", read_only_hint = true, open_world_hint = false))]
    async fn whoami(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let name = account(&context)?.name();
        Ok(text_result(format!("This is the {name}'s account at the demo origin.")))
    }

    /// Lists the notes of the account with their numbers.
    #[tool(annotations(title = "List notes", read_only_hint = true, open_world_hint = false))]
    async fn list_notes(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        Ok(text_result(format_notes(&self.accounts.notes(account(&context)?))))
    }

    /// Adds a note and returns its number.
    #[tool(annotations(title = "Add a note", destructive_hint = false, open_world_hint = false))]
    async fn add_note(
        &self,
        Parameters(note): Parameters<NewNote>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        Ok(match self.accounts.add(account(&context)?, &note.text) {
            Ok(id) => text_result(format!("Added note {id}.")),
            Err(not_kept) => error_result(not_kept.to_string()),
        })
    }

    /// Deletes a note permanently.
    #[tool(annotations(
        title = "Delete a note",
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn delete_note(
        &self,
        Parameters(note): Parameters<WhichNote>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        Ok(if self.accounts.delete(account(&context)?, note.id) {
            text_result(format!("Deleted note {}.", note.id))
        } else {
            error_result(format!("Note {} does not exist. Use `list_notes` to see all notes.", note.id))
        })
    }

    /// Brews tea cup by cup and reports progress.
    #[tool(annotations(title = "Brew tea", read_only_hint = true, open_world_hint = false))]
    async fn brew_tea(
        &self,
        Parameters(Cups { cups }): Parameters<Cups>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        if !(1..=8).contains(&cups) {
            return Ok(error_result("The pot holds 1 to 8 cups."));
        }
        let token = context.meta.get_progress_token();
        for cup in 1..=cups {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                () = context.ct.cancelled() => return Ok(error_result("Brewing was cancelled.")),
            }
            if let Some(token) = token.clone() {
                let progress =
                    ProgressNotificationParam::new(token, f64::from(cup)).with_total(f64::from(cups));
                // A failed notification is ignored: a disconnected client needs no progress.
                let _ =
                    context.peer.notify_progress(progress.with_message(format!("cup {cup} of {cups}"))).await;
            }
        }
        let what = if cups == 1 { "One cup of tea is".to_owned() } else { format!("{cups} cups of tea are") };
        Ok(text_result(format!("{what} ready.")))
    }
}

#[prompt_router]
impl Notebook {
    /// Asks the model to summarize the notes of the account.
    #[prompt]
    async fn summarize_notes(
        &self,
        Parameters(Tone { tone }): Parameters<Tone>,
        context: RequestContext<RoleServer>,
    ) -> Result<Vec<PromptMessage>, ErrorData> {
        let notes = format_notes(&self.accounts.notes(account(&context)?));
        let tone = tone.map(|tone| format!(" Tone: {tone}.")).unwrap_or_default();
        Ok(vec![PromptMessage::new_text(Role::User, format!("Summarize these notes.{tone}\n\n{notes}"))])
    }
}

#[tool_handler(router = self.tools)]
#[prompt_handler(router = self.prompts)]
impl ServerHandler for Notebook {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources().build();
        let about = Implementation::new("portcullis-demo-origin", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(capabilities)
            .with_server_info(about.with_title("Demo notebook"))
            .with_instructions("A notebook for trying Portcullis. Its notes are deleted when the demo ends.")
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let all = Resource::new(ALL_NOTES, "notes").with_title("All notes").with_mime_type("text/plain");
        let listed = ListResourcesResult::with_all_items(vec![all]);
        Ok(if is_modern(&context) {
            listed.with_ttl_ms(0).with_cache_scope(CacheScope::Public)
        } else {
            listed
        })
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let one = ResourceTemplate::new(ONE_NOTE, "note").with_title("One note").with_mime_type("text/plain");
        let listed = ListResourceTemplatesResult::with_all_items(vec![one]);
        Ok(if is_modern(&context) {
            listed.with_ttl_ms(0).with_cache_scope(CacheScope::Public)
        } else {
            listed
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let account = account(&context)?;
        let text = match request.uri.strip_prefix(ALL_NOTES) {
            Some("") => Some(format_notes(&self.accounts.notes(account))),
            Some(rest) => rest
                .strip_prefix('/')
                .and_then(|id| id.parse().ok())
                .and_then(|id| self.accounts.note(account, id)),
            None => None,
        };
        let Some(text) = text else {
            return Err(ErrorData::resource_not_found(format!("unknown resource {}", request.uri), None));
        };
        let read = ReadResourceResult::new(vec![
            ResourceContents::text(text, request.uri).with_mime_type("text/plain"),
        ]);
        let read = if is_modern(&context) {
            read.with_ttl_ms(0).with_cache_scope(CacheScope::Private)
        } else {
            read
        };
        Ok(read.into())
    }
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}
