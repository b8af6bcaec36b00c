//! `praxis tools`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use praxis_agent::{Agent, Tool, Toolbox};
use praxis_exec::{Error, ErrorKind, Parameter, ParameterKind};
use serde_json::{Map, Value, json};

use crate::arguments::{Place, State, Tools, ToolsCommand, typed};
use crate::exit::{Exit, Stop};
use crate::output;

pub(crate) fn tools(arguments: &Tools) -> Result<Exit, Stop> {
    match &arguments.command {
        ToolsCommand::List { folders, json } => list(&super::toolbox(folders, false)?, *json),
        ToolsCommand::Show {
            name,
            folders,
            json,
        } => show(&super::toolbox(folders, false)?, name, *json),
        ToolsCommand::Approve { names, mcp, state } => super::servers::approve(names, mcp, state),
        ToolsCommand::Call {
            name,
            arguments,
            place,
            state,
            json,
        } => call(name, arguments, place, state, *json),
    }
}

fn list(tools: &Toolbox, json: bool) -> Result<Exit, Stop> {
    if json {
        let tools: Vec<Value> = tools.tools().map(document).collect();
        output::json(&json!({ "tools": tools }))?;
        return Ok(Exit::Done);
    }
    let width = tools
        .tools()
        .map(|tool| tool.contract().name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for tool in tools.tools() {
        let contract = tool.contract();
        let first = contract.description.lines().next().unwrap_or_default();
        let _ = writeln!(
            text,
            "{:width$}  {:8}  {first}",
            contract.name,
            contract.effects.class.to_string()
        );
    }
    output::text(&text)?;
    Ok(Exit::Done)
}

fn show(tools: &Toolbox, name: &str, json: bool) -> Result<Exit, Stop> {
    let tool = find(tools, name)?;
    if json {
        output::json(&document(tool))?;
        return Ok(Exit::Done);
    }
    let contract = tool.contract();
    let mut text = format!("{}: {}\n", contract.name, contract.description);
    let effects = &contract.effects;
    let _ = write!(text, "effects: {}", effects.class);
    for (what, names) in [("reads", &effects.reads), ("writes", &effects.writes)] {
        if !names.is_empty() {
            let _ = write!(text, ", {what} {}", names.join(", "));
        }
    }
    let _ = writeln!(text, "\nengine: {}", contract.engine);
    for parameter in &contract.parameters {
        let _ = writeln!(text, "  --{} {}", parameter.name, describe(parameter));
    }
    output::text(&text)?;
    Ok(Exit::Done)
}

fn describe(parameter: &Parameter) -> String {
    let mut text = format!("({}", parameter.kind);
    if parameter.required {
        text.push_str(", required");
    }
    if let Some(default) = &parameter.default {
        let _ = write!(text, ", default {default}");
    }
    if parameter.rest {
        text.push_str(", takes the remaining words");
    }
    let _ = write!(text, ")  {}", parameter.description);
    text.trim_end().to_owned()
}

fn document(tool: &Tool) -> Value {
    let contract = &**tool.contract();
    serde_json::to_value(contract).unwrap_or_else(|_| json!({ "name": contract.name }))
}

fn find<'a>(tools: &'a Toolbox, name: &str) -> Result<&'a Tool, Stop> {
    let missing = || {
        let help = match tools.nearest(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`praxis tools list` shows the tools; `--tools DIR` adds more".to_owned(),
        };
        Error::new(ErrorKind::NotFound, "there is no tool of that name")
            .with_tool(name)
            .with_help(help)
    };
    tools.find(name).ok_or_else(|| missing().into())
}

fn call(
    name: &str,
    arguments: &[(String, String)],
    place: &Place,
    state: &State,
    as_json: bool,
) -> Result<Exit, Stop> {
    let root = super::run::root(&place.root)?;
    let tools = super::placed_toolbox(
        &place.folders,
        place.allow_network,
        &place.engines,
        Some(&root),
        state,
    )?;
    let contract = Arc::clone(find(&tools, name)?.contract());
    let mut map = Map::new();
    for (key, value) in arguments {
        let text = contract
            .find_parameter(key)
            .is_some_and(|parameter| parameter.kind == ParameterKind::Text);
        let value = if text {
            Value::String(value.clone())
        } else {
            typed(value.clone())
        };
        if map.insert(key.clone(), value).is_some() {
            return Err(Stop::new(
                Exit::Mistake,
                format!("the argument `{key}` is given twice"),
            ));
        }
    }
    let tools = Arc::new(tools);
    let agent = Agent::new(Arc::clone(&tools), Path::new(&root)).without_cache();
    let runtime = super::run::runtime()?;
    let interrupted = super::run::interrupted(&runtime);
    let outcome = runtime.block_on(async {
        let outcome = tokio::select! {
            outcome = agent.call(name, map) => Some(outcome),
            () = interrupted => None,
        };
        tools.shut_down().await;
        outcome
    });
    let Some(outcome) = outcome else {
        return Ok(Exit::Interrupted);
    };
    match outcome {
        Ok(done) if as_json => output::json(
            &json!({ "tool": name, "status": "succeeded", "value": done.value, "error": null }),
        )?,
        Ok(done) => output::text(&shown(&done.value))?,
        Err(error) => {
            if as_json {
                let failure =
                    json!({ "kind": error.kind().as_str(), "message": error.to_string() });
                output::json(
                    &json!({ "tool": name, "status": "failed", "value": null, "error": failure }),
                )?;
            }
            return Err(error.into());
        }
    }
    Ok(Exit::Done)
}

/// A result for people: text as it is, anything else as indented JSON.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.ends_with('\n') => text.clone(),
        Value::String(text) => format!("{text}\n"),
        other => format!("{other:#}\n"),
    }
}
