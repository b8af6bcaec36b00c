//! `praxis explain`.

use std::fmt::Write;

use praxis_agent::{Toolbox, load};
use praxis_exec::EffectClass;
use praxis_workflow::{Explanation, RunOptions};
use serde_json::{Map, Value, json};

use crate::arguments::Explain;
use crate::exit::{Exit, Stop};
use crate::{durations, output};

pub(crate) fn explain(arguments: &Explain) -> Result<Exit, Stop> {
    let tools = super::toolbox(&arguments.folders, false)?;
    let loaded = load(&arguments.file, &tools)?;
    for diagnostic in &loaded.diagnostics {
        output::note(&loaded.render(diagnostic, output::colour_errors()));
    }
    let Some(plan) = &loaded.plan else {
        return Ok(Exit::Mistake);
    };
    let mut inputs = Map::new();
    for (name, value) in &arguments.params {
        if !plan.inputs().any(|input| input == name) {
            let known: Vec<&str> = plan.inputs().collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let message = format!("the program has no input `{name}`; its inputs are: {known}");
            return Err(Stop::new(Exit::Mistake, message));
        }
        inputs.insert(name.clone(), value.clone());
    }
    let jobs = arguments.jobs.unwrap_or(RunOptions::default().jobs);
    let costs = durations::read(&arguments.state);
    let explanation = plan.explain(&inputs, &costs, jobs);
    match () {
        () if arguments.json => output::json(&document(&explanation, &tools)?)?,
        () if arguments.mermaid => output::text(&explanation.to_mermaid())?,
        () if arguments.dot => output::text(&explanation.to_dot())?,
        () => output::text(&(explanation.to_text() + &where_they_run(&explanation, &tools)))?,
    }
    Ok(Exit::Done)
}

/// The engine of a tool, and whether its results may be remembered.
fn placed(tools: &Toolbox, name: &str) -> (Option<String>, &'static str) {
    let Some(tool) = tools.find(name) else {
        return (None, "no");
    };
    let contract = tool.contract();
    let engine = tools.engine(tool, None).ok();
    let remembered = match contract.effects.class {
        _ if !contract.cache.enabled => "no",
        EffectClass::Pure => "yes",
        EffectClass::Read => "until it is written",
        EffectClass::External if contract.cache.ttl.is_some() => "for a while",
        EffectClass::Write | EffectClass::External => "no",
    };
    (engine.map(|engine| engine.name().to_owned()), remembered)
}

fn document(explanation: &Explanation, tools: &Toolbox) -> Result<Value, Stop> {
    let written = serde_json::to_value(explanation);
    let mut document = written.map_err(|error| {
        Stop::new(
            Exit::Failed,
            format!("the explanation has no JSON form: {error}"),
        )
    })?;
    let steps = document.get_mut("steps").and_then(Value::as_array_mut);
    for step in steps.into_iter().flatten() {
        let (engine, remembered) = placed(tools, step["tool"].as_str().unwrap_or_default());
        step["engine"] = json!(engine);
        step["remembered"] = json!(remembered);
    }
    Ok(document)
}

fn where_they_run(explanation: &Explanation, tools: &Toolbox) -> String {
    let mut names: Vec<&str> = explanation
        .steps
        .iter()
        .map(|step| step.tool.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut text = String::from("\nTools\n");
    for name in names {
        let (engine, remembered) = placed(tools, name);
        let engine = engine.unwrap_or_else(|| "no engine at hand".to_owned());
        let _ = writeln!(text, "  {name}: {engine}; remembered: {remembered}");
    }
    text
}
