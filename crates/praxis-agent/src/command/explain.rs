//! `praxis explain`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use praxis_agent::{Toolbox, load};
use praxis_exec::EffectClass;
use praxis_workflow::{Explanation, Plan, RunOptions};
use serde_json::{Map, Value, json};

use crate::arguments::Explain;
use crate::exit::{Exit, Stop};
use crate::{durations, output};

pub(crate) fn explain(arguments: &Explain) -> Result<Exit, Stop> {
    let tools = super::placed_toolbox(
        &arguments.folders,
        false,
        &arguments.engines,
        None,
        &arguments.state,
    )?;
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
        () if arguments.json => output::json(&document(&explanation, &tools, &wanted(plan))?)?,
        () if arguments.mermaid => output::text(&explanation.to_mermaid())?,
        () if arguments.dot => output::text(&explanation.to_dot())?,
        () => output::text(
            &(explanation.to_text() + &where_they_run(&explanation, &tools, &wanted(plan))),
        )?,
    }
    Ok(Exit::Done)
}

/// Where the tool of a step runs and why, and whether its results may be remembered.
fn placed(tools: &Toolbox, name: &str, wanted: Option<&str>) -> (Where, &'static str) {
    let Some(tool) = tools.find(name) else {
        return (Err("there is no such tool".to_owned()), "no");
    };
    let contract = tool.contract();
    let remembered = match contract.effects.class {
        _ if !contract.cache.enabled => "no",
        EffectClass::Pure => "yes",
        EffectClass::Read => "until what it read changes",
        EffectClass::External if contract.cache.ttl.is_some() => "for a while",
        EffectClass::Write | EffectClass::External => "no",
    };
    let placed = tools.place(tool, wanted);
    let placed = placed.map(|placed| Engine {
        name: placed.engine.name().to_owned(),
        why: placed.why,
        passed_over: placed.passed_over,
    });
    (placed.map_err(|error| error.to_string()), remembered)
}

type Where = Result<Engine, String>;

struct Engine {
    name: String,
    why: String,
    passed_over: Vec<(String, String)>,
}

/// The engine that each step names for itself, by the step's id.
fn wanted(plan: &Plan) -> BTreeMap<&str, &str> {
    let calls = plan.described_calls();
    let named = calls.filter_map(|call| Some((call.id, call.engine?)));
    named.collect()
}

fn document(
    explanation: &Explanation,
    tools: &Toolbox,
    engines: &BTreeMap<&str, &str>,
) -> Result<Value, Stop> {
    let written = serde_json::to_value(explanation);
    let mut document = written.map_err(|error| {
        Stop::new(
            Exit::Failed,
            format!("the explanation has no JSON form: {error}"),
        )
    })?;
    let steps = document.get_mut("steps").and_then(Value::as_array_mut);
    for step in steps.into_iter().flatten() {
        let engine = engines.get(step["id"].as_str().unwrap_or_default());
        let (place, remembered) = placed(
            tools,
            step["tool"].as_str().unwrap_or_default(),
            engine.copied(),
        );
        let (name, why, passed_over) = match place {
            Ok(engine) => (Some(engine.name), engine.why, engine.passed_over),
            Err(why) => (None, why, Vec::new()),
        };
        step["engine"] = json!(name);
        step["engine_reason"] = json!(why);
        step["engines_passed_over"] = passed_over
            .into_iter()
            .map(|(engine, reason)| json!({ "engine": engine, "reason": reason }))
            .collect();
        step["remembered"] = json!(remembered);
    }
    Ok(document)
}

fn where_they_run(
    explanation: &Explanation,
    tools: &Toolbox,
    engines: &BTreeMap<&str, &str>,
) -> String {
    let calls: BTreeSet<(&str, Option<&str>)> = explanation
        .steps
        .iter()
        .map(|step| (step.tool.as_str(), engines.get(step.id.as_str()).copied()))
        .collect();
    let mut text = String::from("\nTools\n");
    for (name, wanted) in calls {
        match placed(tools, name, wanted) {
            (Ok(engine), remembered) => {
                let (on, why) = (engine.name, engine.why);
                let _ = writeln!(text, "  {name}: {on}, {why}; remembered: {remembered}");
                for (other, reason) in engine.passed_over {
                    let _ = writeln!(text, "      {other} {reason}");
                }
            }
            (Err(why), _) => {
                let _ = writeln!(text, "  {name}: cannot run: {why}");
            }
        }
    }
    text
}
