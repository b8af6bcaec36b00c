//! What a server says of a tool, and the contract that comes of it.

use std::sync::Arc;

use rmcp::model::Tool;
use serde_json::{Map, Value, json};

use super::McpServerConfig;
use crate::{Effects, Error, ErrorKind, ToolContract};

/// How many characters of a description are kept.
const DESCRIPTION: usize = 8 * 1024;

/// A tool of an MCP server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct McpTool {
    /// The server's name.
    pub server: String,
    /// What the server calls the tool.
    pub name: String,
    /// The contract; its name is the server's and the tool's, joined by `_`.
    pub contract: Arc<ToolContract>,
    /// What the server said: name, title, description, schemas and annotations.
    pub definition: Arc<Value>,
}

impl McpTool {
    pub(super) fn new(server: &str, config: &McpServerConfig, tool: &Tool) -> Result<Self, Error> {
        let name = legal(&format!("{server}_{}", tool.name));
        let refused = |error: Error| {
            let called: String = tool.name.chars().take(100).collect();
            let message = format!(
                "tool {called:?} of MCP server `{server}`: {}",
                error.message()
            );
            let refused = Error::new(ErrorKind::InvalidContract, message);
            match error.help() {
                Some(help) => refused.with_help(help),
                None => refused,
            }
        };
        let description: String = tool
            .description
            .as_deref()
            .unwrap_or_default()
            .chars()
            .take(DESCRIPTION)
            .collect();
        let mut contract = ToolContract::new(name)
            .describe(description)
            .with_schema(Value::Object((*tool.input_schema).clone()))
            .map_err(refused)?;
        contract.engine = super::engine::NAME.to_owned();
        contract.address = Some(format!("mcp:{server}/{}", tool.name));
        contract.effects = effects(config, tool);
        contract.check().map_err(refused)?;
        Ok(Self {
            server: server.to_owned(),
            name: tool.name.to_string(),
            contract: Arc::new(contract),
            definition: Arc::new(definition(tool)),
        })
    }

    /// The name under which approvals know it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }
}

/// What decides how a tool is understood and called; icons and metadata do not.
pub(super) fn definition(tool: &Tool) -> Value {
    let mut definition = Map::new();
    let annotations = serde_json::to_value(&tool.annotations).unwrap_or_default();
    for (key, value) in [
        ("name", json!(tool.name)),
        ("title", json!(tool.title)),
        ("description", json!(tool.description)),
        ("inputSchema", json!(tool.input_schema)),
        ("outputSchema", json!(tool.output_schema)),
        ("annotations", annotations),
    ] {
        if !value.is_null() {
            definition.insert(key.to_owned(), value);
        }
    }
    Value::Object(definition)
}

fn effects(config: &McpServerConfig, tool: &Tool) -> Effects {
    let Some(annotations) = tool
        .annotations
        .as_ref()
        .filter(|_| config.trust_annotations)
    else {
        return Effects::external();
    };
    if annotations.read_only_hint == Some(true) && annotations.open_world_hint == Some(false) {
        return Effects::read(&[]);
    }
    let effects = Effects::external();
    match annotations.read_only_hint == Some(true) || annotations.idempotent_hint == Some(true) {
        true => effects.idempotent(),
        false => effects,
    }
}

/// The name with `_` for every character that a tool's name may not have.
fn legal(name: &str) -> String {
    let legal = |next: char| next.is_ascii_alphanumeric() || matches!(next, '_' | '-' | '.');
    let named = name
        .chars()
        .map(|next| if legal(next) { next } else { '_' });
    named.take(128).collect()
}

/// Where two definitions differ, as paths, at most five.
pub(super) fn differences(old: &Value, new: &Value) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut found = Vec::new();
    let mut open = vec![(String::new(), Some(old), Some(new))];
    while let Some((path, old, new)) = open.pop() {
        match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
                keys.sort_unstable();
                keys.dedup();
                for key in keys.into_iter().rev() {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path: String = format!("{path}{dot}{key}").chars().take(200).collect();
                    open.push((path, old.get(key), new.get(key)));
                }
            }
            (old, new) if old == new => {}
            _ if found.len() == SHOWN => {
                found.push("…".to_owned());
                break;
            }
            (None, _) => found.push(format!("{path} (added)")),
            (_, None) => found.push(format!("{path} (gone)")),
            _ => found.push(path),
        }
    }
    found
}
