//! What a step is given, without a copy of it.

use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use praxis_dsl::checked::Operand;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use smallvec::SmallVec;

use crate::plan::{Names, Slot};

/// The arguments of a call: parameter to value, each name once, in the order of the names.
///
/// The names belong to the plan, and a value is shared with the step that gave it, so handing on a
/// large result costs as much as handing on a number.
#[derive(Clone, Default)]
pub struct Arguments {
    /// As many as there are values, or more.
    names: Arc<[Box<str>]>,
    values: SmallVec<[Arc<Value>; 2]>,
}

impl Arguments {
    pub(crate) fn named(names: &Arc<[Box<str>]>) -> Self {
        Self {
            names: Arc::clone(names),
            values: SmallVec::new(),
        }
    }

    /// Adds the value of the next name.
    pub(crate) fn push(&mut self, value: Arc<Value>) {
        self.values.push(value);
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.shared(name).map(|value| &**value)
    }

    /// The value of a parameter, to be held on to without a copy.
    pub fn shared(&self, name: &str) -> Option<&Arc<Value>> {
        // A few are compared faster than they are searched.
        let at = if self.names.len() <= 8 {
            self.names.iter().position(|other| **other == *name)?
        } else {
            self.names.binary_search_by_key(&name, |other| other).ok()?
        };
        self.values.get(at)
    }

    /// Whether the parameter was given.
    pub fn contains_key(&self, name: &str) -> bool {
        self.shared(name).is_some()
    }

    /// The parameters and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.names
            .iter()
            .zip(&self.values)
            .map(|(name, value)| (&**name, &**value))
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter().map(|value| &**value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The arguments as a JSON object; copies the values that others hold, too.
    pub fn into_map(self) -> Map<String, Value> {
        let values = self.values.into_iter().map(Arc::unwrap_or_clone);
        let names = self.names.iter().map(|name| String::from(&**name));
        names.zip(values).collect()
    }
}

impl From<Map<String, Value>> for Arguments {
    fn from(map: Map<String, Value>) -> Self {
        let mut map: Vec<(String, Value)> = map.into_iter().collect();
        // A map keeps another order where `serde_json` was told to.
        map.sort_by(|one, other| one.0.cmp(&other.0));
        let (names, values): (Vec<Box<str>>, SmallVec<_>) = map
            .into_iter()
            .map(|(name, value)| (name.into_boxed_str(), Arc::new(value)))
            .unzip();
        Self {
            names: names.into(),
            values,
        }
    }
}

/// # Panics
///
/// When the parameter was not given.
impl Index<&str> for Arguments {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        self.get(name)
            .unwrap_or_else(|| panic!("no argument `{name}` was given"))
    }
}

/// As an object, with its names in order.
impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Where a step's arguments come from.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) names: Arc<[Box<str>]>,
    pub(crate) given: Vec<Given>,
}

/// Where an argument comes from.
#[derive(Debug)]
pub(crate) enum Given {
    Literal(Arc<Value>),
    /// A name as it stands.
    Name(Slot),
    /// Whatever has to be worked out: the argument of that number.
    Worked(u32),
}

impl Inputs {
    /// The names are shared with `like` where they are the same. Where one stands twice, the last
    /// counts.
    pub(crate) fn new(
        arguments: &[(String, Operand)],
        names: &mut Names,
        like: &Arc<[Box<str>]>,
    ) -> Self {
        let name = |at: &usize| arguments[*at].0.as_str();
        let mut kept: Vec<usize> = (0..arguments.len()).collect();
        kept.sort_by_key(name);
        kept.reverse();
        kept.dedup_by_key(|at| name(at));
        kept.reverse();
        let same =
            |names: &&Arc<[Box<str>]>| names.iter().map(|name| &**name).eq(kept.iter().map(name));
        let shared = Some(like).filter(same).cloned();
        let own = || kept.iter().map(|at| Box::from(name(at))).collect();
        let given = kept.iter().map(|&at| match &arguments[at].1 {
            Operand::Literal(value) => Given::Literal(Arc::new(value.clone())),
            Operand::Reference(reference) if reference.path.is_empty() => {
                Given::Name(names.intern(&reference.name))
            }
            _ => Given::Worked(at as u32),
        });
        Self {
            given: given.collect(),
            names: shared.unwrap_or_else(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_a_name_that_stands_twice_the_last_counts() {
        let literal = |name: &str, value| (name.to_owned(), Operand::Literal(value));
        let arguments = [
            literal("b", json!(1)),
            literal("a", json!(2)),
            literal("b", json!(3)),
        ];
        let inputs = Inputs::new(&arguments, &mut Names::default(), &Arc::default());
        let names: Vec<&str> = inputs.names.iter().map(|name| &**name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(matches!(&inputs.given[1], Given::Literal(value) if **value == json!(3)));
    }

    #[test]
    fn names_are_shared_where_they_are_the_same() {
        let arguments = |name: &str| [(name.to_owned(), Operand::Literal(json!(1)))];
        let mut names = Names::default();
        let first = Inputs::new(&arguments("a"), &mut names, &Arc::default());
        let check = |name: &str, shared: bool| {
            let inputs = Inputs::new(&arguments(name), &mut Names::default(), &first.names);
            assert_eq!(&*inputs.names, [Box::from(name)]);
            assert_eq!(Arc::ptr_eq(&inputs.names, &first.names), shared);
        };
        check("a", true);
        check("b", false);
    }

    #[test]
    fn one_of_many_is_found() {
        let many = (0..100).map(|number| (number.to_string(), json!(number)));
        let arguments = Arguments::from(Map::from_iter(many));
        for number in 0..100 {
            assert_eq!(arguments[&*number.to_string()], json!(number));
        }
        assert_eq!(arguments.get("100"), None);
    }

    #[test]
    fn a_map_comes_back_as_it_was() {
        let map = json!({"a": 1, "b": [2], "c": {"d": null}});
        let map = map.as_object().unwrap();
        let arguments = Arguments::from(map.clone());
        assert_eq!(arguments.len(), 3);
        assert_eq!(arguments["c"], json!({"d": null}));
        assert!(!arguments.contains_key("d"));
        assert_eq!(arguments.into_map(), *map);
    }
}
