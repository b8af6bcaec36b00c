//! How much work a schema can make of an argument, known before any argument comes.
//!
//! A schema whose definitions each ask the one before them twice is small and takes for ever.
//! Counted here, by dynamic programming over its subschemas, is how many of them one value and what it
//! stands in can be held against, for arguments of each depth.

use std::collections::HashMap;

use serde_json::Value;

use crate::contract::MAX_ARGUMENT_DEPTH;

/// How many subschemas one value may be held against.
const CHECKED: u64 = 1_000_000;

/// The same where the reason of a refusal is looked for, which costs more.
const EXPLAINED: u64 = 10_000;

/// How many references and combinations may stand in each other without going down into the argument.
const MAX_CHAIN: usize = 256;

/// How deep arguments may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// For them to be checked.
    pub(super) checked: usize,
    /// For the reason of a refusal to be looked for.
    pub(super) explained: usize,
}

/// How deep arguments may be for this schema, or why none can be checked.
pub(super) fn reach(schema: &Value) -> Result<Reach, String> {
    let graph = Graph::of(schema)?;
    let order = graph.order()?;
    let mut reach = Reach {
        checked: 0,
        explained: 0,
    };
    let mut before = vec![0; graph.parts.len()];
    for depth in 0..=MAX_ARGUMENT_DEPTH {
        let weights = graph.weigh(&order, &before);
        let weight = weights[0];
        if weight > CHECKED {
            // The arguments themselves are one level.
            if depth <= 1 {
                return Err(format!(
                    "holds one value against more than {CHECKED} parts of itself"
                ));
            }
            return Ok(reach);
        }
        reach.checked = depth;
        if weight <= EXPLAINED {
            reach.explained = depth;
        }
        if weights == before {
            // Nothing grows any more, so that what holds here holds for every depth.
            reach.checked = MAX_ARGUMENT_DEPTH;
            if reach.explained == depth {
                reach.explained = MAX_ARGUMENT_DEPTH;
            }
            return Ok(reach);
        }
        before = weights;
    }
    Ok(reach)
}

/// A subschema, with the places of those that it asks.
#[derive(Default)]
struct Part {
    /// About the value itself.
    here: Vec<usize>,
    /// About what is in the value.
    below: Vec<usize>,
    /// About what is in the value, one of each list at most.
    either_below: Vec<Vec<usize>>,
}

struct Graph<'a> {
    whole: &'a Value,
    places: HashMap<*const Value, usize>,
    parts: Vec<&'a Value>,
    asks: Vec<Part>,
}

impl<'a> Graph<'a> {
    fn of(whole: &'a Value) -> Result<Self, String> {
        let mut graph = Self {
            whole,
            places: HashMap::new(),
            parts: Vec::new(),
            asks: Vec::new(),
        };
        graph.place(whole);
        while let Some(schema) = graph.parts.get(graph.asks.len()) {
            let part = graph.read(schema)?;
            graph.asks.push(part);
        }
        Ok(graph)
    }

    fn place(&mut self, schema: &'a Value) -> usize {
        let next = self.parts.len();
        let place = *self.places.entry(schema).or_insert(next);
        if place == next {
            self.parts.push(schema);
        }
        place
    }

    fn places(&mut self, schemas: impl IntoIterator<Item = &'a Value>) -> Vec<usize> {
        schemas
            .into_iter()
            .map(|schema| self.place(schema))
            .collect()
    }

    fn read(&mut self, schema: &'a Value) -> Result<Part, String> {
        let mut part = Part::default();
        let Value::Object(entries) = schema else {
            return Ok(part);
        };
        for (keyword, value) in entries {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => {
                    let target = self.resolve(reference)?;
                    part.here.push(self.place(target));
                }
                ("$dynamicRef" | "$recursiveRef", _) => {
                    return Err(format!(
                        "has a `{keyword}`; references are a `$ref` of the form `#/…`"
                    ));
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(forms)) => {
                    part.here.extend(self.places(forms));
                }
                ("dependentSchemas" | "dependencies", Value::Object(forms)) => {
                    part.here.extend(self.places(forms.values()));
                }
                ("not" | "if" | "then" | "else", form) => part.here.push(self.place(form)),
                // A value stands under one name or place, so that it meets one of these schemas.
                ("properties", Value::Object(each)) => {
                    let places = self.places(each.values());
                    part.either_below.push(places);
                }
                ("prefixItems" | "items", Value::Array(each)) => {
                    let places = self.places(each);
                    part.either_below.push(places);
                }
                ("patternProperties", Value::Object(each)) => {
                    part.below.extend(self.places(each.values()));
                }
                (
                    "additionalProperties"
                    | "unevaluatedProperties"
                    | "items"
                    | "additionalItems"
                    | "unevaluatedItems"
                    | "contains"
                    | "propertyNames",
                    each,
                ) => part.below.push(self.place(each)),
                _ => {}
            }
        }
        Ok(part)
    }

    fn resolve(&self, reference: &str) -> Result<&'a Value, String> {
        let pointer = reference.strip_prefix('#');
        pointer
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
            .and_then(|pointer| self.whole.pointer(pointer))
            .ok_or_else(|| {
                let shown: String = reference.chars().take(100).collect();
                format!("refers to `{shown}`, which is not in it; references are a `$ref` of the form `#/…`")
            })
    }

    /// The places such that each comes after those that it asks about the same value.
    fn order(&self) -> Result<Vec<usize>, String> {
        let mut order = Vec::with_capacity(self.parts.len());
        let mut states = vec![State::Unseen; self.parts.len()];
        for place in 0..self.parts.len() {
            self.follow(place, 0, &mut states, &mut order)?;
        }
        Ok(order)
    }

    fn follow(
        &self,
        place: usize,
        chain: usize,
        states: &mut [State],
        order: &mut Vec<usize>,
    ) -> Result<(), String> {
        match states[place] {
            State::Done => return Ok(()),
            State::Open => {
                return Err("refers to itself without going down into the argument".to_owned());
            }
            State::Unseen if chain > MAX_CHAIN => {
                return Err(format!("has more than {MAX_CHAIN} references in a row"));
            }
            State::Unseen => states[place] = State::Open,
        }
        for &next in &self.asks[place].here {
            self.follow(next, chain + 1, states, order)?;
        }
        states[place] = State::Done;
        order.push(place);
        Ok(())
    }

    /// The weight of each part for values of one level more than those of `before`.
    fn weigh(&self, order: &[usize], before: &[u64]) -> Vec<u64> {
        let mut weights = vec![0_u64; self.parts.len()];
        for &place in order {
            let part = &self.asks[place];
            let here = part.here.iter().map(|&next| weights[next]);
            let below = part.below.iter().map(|&next| before[next]);
            let either = part.either_below.iter().map(|places| {
                let each = places.iter().map(|&next| before[next]);
                each.max().unwrap_or(0)
            });
            weights[place] = here.chain(below).chain(either).fold(1, u64::saturating_add);
        }
        weights
    }
}

#[derive(Clone, Copy)]
enum State {
    Unseen,
    Open,
    Done,
}
