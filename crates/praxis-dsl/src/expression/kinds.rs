//! What kinds of values an expression can have, to refuse one that fails whenever it is evaluated.
//!
//! The rules are those of the interpreter, which a test holds them to for each operator and each
//! pair of kinds. Where a kind is not known, anything may be, and nothing is refused.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use serde_json::Value;

use super::Expression;
use super::budget::RANGE;
use crate::catalog::ParameterKind;

/// A set of kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

impl Kinds {
    const NONE: Self = Self(0);
    const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    const INTEGER: Self = Self(4);
    /// An integer beyond `i64`.
    const UNSIGNED: Self = Self(8);
    const FLOAT: Self = Self(16);
    const TEXT: Self = Self(32);
    pub(crate) const LIST: Self = Self(64);
    pub(crate) const MAP: Self = Self(128);
    /// What only exists inside of expressions: bytes, types.
    const OTHER: Self = Self(256);
    /// What a name can hold.
    pub(crate) const JSON: Self = Self(255);
    const ANY: Self = Self(511);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::NULL, "null"),
        (Self::BOOLEAN, "a boolean"),
        (Self::INTEGER, "an integer"),
        (Self::UNSIGNED, "an unsigned integer"),
        (Self::FLOAT, "a float"),
        (Self::TEXT, "text"),
        (Self::LIST, "a list"),
        (Self::MAP, "an object"),
        (Self::OTHER, "bytes"),
    ];

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn each(self) -> impl Iterator<Item = Self> {
        let all = Self::NAMES.into_iter().map(|(kind, _)| kind);
        all.filter(move |kind| self.meets(*kind))
    }
}

impl std::fmt::Display for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hidden = self.meets(Self::INTEGER);
        let mut before = "";
        for (kind, name) in Self::NAMES {
            if self.meets(kind) && !(hidden && kind == Self::UNSIGNED) {
                write!(f, "{before}{name}")?;
                before = " or ";
            }
        }
        Ok(())
    }
}

/// What is known of a value before the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Type {
    pub(crate) kinds: Kinds,
    /// The items of a list, and the values of an object, which are of no kind where there are
    /// none; unset, they may be anything.
    inner: Option<Arc<Self>>,
}

impl Type {
    /// Any value that a name can hold.
    pub(crate) const ANY: Self = Self::plain(Kinds::JSON);
    const UNKNOWN: Self = Self::plain(Kinds::ANY);
    pub(crate) const NULL: Self = Self::plain(Kinds::NULL);
    pub(crate) const TEXT: Self = Self::plain(Kinds::TEXT);

    const fn plain(kinds: Kinds) -> Self {
        Self { kinds, inner: None }
    }

    /// The type of a value that is known.
    pub(crate) fn of(value: &Value) -> Self {
        let holding = |kinds, values: &mut dyn Iterator<Item = &Value>| {
            Self::holding(kinds, values.map(Self::of).reduce(Self::or))
        };
        match value {
            Value::Null => Self::plain(Kinds::NULL),
            Value::Bool(_) => Self::plain(Kinds::BOOLEAN),
            Value::Number(number) if number.is_i64() => Self::plain(Kinds::INTEGER),
            Value::Number(number) if number.is_u64() => Self::plain(Kinds::UNSIGNED),
            Value::Number(_) => Self::plain(Kinds::FLOAT),
            Value::String(_) => Self::TEXT,
            Value::Array(items) => holding(Kinds::LIST, &mut items.iter()),
            Value::Object(fields) => holding(Kinds::MAP, &mut fields.values()),
        }
    }

    /// The type of what a contract declares.
    pub(crate) fn declared(kind: ParameterKind) -> Self {
        let whole = Kinds::INTEGER.or(Kinds::UNSIGNED);
        Self::plain(match kind {
            ParameterKind::Text => Kinds::TEXT,
            ParameterKind::Integer => whole,
            ParameterKind::Number => whole.or(Kinds::FLOAT),
            ParameterKind::Boolean => Kinds::BOOLEAN,
            ParameterKind::Array => Kinds::LIST,
            ParameterKind::Object => Kinds::MAP,
            ParameterKind::Any => Kinds::JSON,
        })
    }

    /// A list or an object with what is in it, if something is.
    fn holding(kinds: Kinds, inner: Option<Self>) -> Self {
        Self {
            kinds,
            inner: Some(Arc::new(inner.unwrap_or(Self::plain(Kinds::NONE)))),
        }
    }

    /// A list of such values.
    pub(crate) fn list(self) -> Self {
        Self::holding(Kinds::LIST, Some(self))
    }

    /// What is in a list or an object of the type.
    pub(crate) fn item(&self) -> Self {
        match &self.inner {
            // What is done with the items of an empty list is never done.
            Some(inner) if inner.kinds != Kinds::NONE => Self::clone(inner),
            _ if self.kinds.meets(Kinds::OTHER) => Self::UNKNOWN,
            _ => Self::ANY,
        }
    }

    /// What is a value of either.
    pub(crate) fn or(self, other: Self) -> Self {
        let holds = |side: &Self| {
            side.kinds
                .meets(Kinds::LIST.or(Kinds::MAP).or(Kinds::OTHER))
        };
        let inner = match (holds(&self), holds(&other)) {
            (true, true) => match (self.inner, other.inner) {
                (Some(one), Some(two)) => Some(Arc::new(Self::clone(&one).or(Self::clone(&two)))),
                _ => None,
            },
            (true, false) => self.inner,
            (false, _) => other.inner,
        };
        Self {
            kinds: self.kinds.or(other.kinds),
            inner,
        }
    }

    /// The same where a name holds it, which can be JSON only.
    pub(crate) fn bound(self) -> Self {
        match Kinds(self.kinds.0 & Kinds::JSON.0) {
            Kinds::NONE => Self::ANY,
            kinds => Self { kinds, ..self },
        }
    }
}

/// Why an expression fails whenever it is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake(pub(crate) String);

impl Expression {
    /// The type of its value where `lookup` gives the types of [`Expression::names`].
    ///
    /// # Errors
    ///
    /// Says why every evaluation with values of these types fails.
    pub(crate) fn kinds(&self, lookup: &dyn Fn(&str) -> Type) -> Result<Type, Mistake> {
        let mut inference = Inference {
            lookup,
            bound: Vec::new(),
        };
        inference.infer(&self.inner.tree)
    }
}

struct Inference<'e> {
    lookup: &'e dyn Fn(&str) -> Type,
    /// The names that comprehensions bind, the innermost last.
    bound: Vec<(&'e str, Type)>,
}

impl<'e> Inference<'e> {
    /// The recursion goes no deeper than the expression, whose depth is limited.
    fn infer(&mut self, expression: &'e IdedExpr) -> Result<Type, Mistake> {
        match &expression.expr {
            Expr::Literal(literal) => Ok(Type::plain(match literal {
                LiteralValue::Boolean(_) => Kinds::BOOLEAN,
                LiteralValue::Bytes(_) => Kinds::OTHER,
                LiteralValue::Double(_) => Kinds::FLOAT,
                LiteralValue::Int(_) => Kinds::INTEGER,
                LiteralValue::Null => Kinds::NULL,
                LiteralValue::String(_) => Kinds::TEXT,
                LiteralValue::UInt(_) => Kinds::UNSIGNED,
            })),
            Expr::Ident(name) => {
                let bound = self.bound.iter().rev().find(|(bound, _)| bound == name);
                Ok(bound.map_or_else(|| (self.lookup)(name), |(_, found)| found.clone()))
            }
            Expr::Select(select) => {
                let operand = self.infer(&select.operand)?;
                if !operand.kinds.meets(Kinds::MAP.or(Kinds::OTHER)) {
                    return Err(Mistake(format!(
                        "{} has no key `{}`",
                        operand.kinds, select.field
                    )));
                }
                Ok(if select.test {
                    Type::plain(Kinds::BOOLEAN)
                } else {
                    operand.item()
                })
            }
            Expr::List(list) => {
                let mut items: Option<Type> = None;
                for element in &list.elements {
                    let item = self.infer(element)?;
                    items = Some(items.map_or(item.clone(), |items| items.or(item)));
                }
                Ok(Type::holding(Kinds::LIST, items))
            }
            Expr::Map(map) => {
                let mut values: Option<Type> = None;
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Ok(Type::UNKNOWN);
                    };
                    self.infer(&entry.key)?;
                    let value = self.infer(&entry.value)?;
                    values = Some(values.map_or(value.clone(), |values| values.or(value)));
                }
                Ok(Type::holding(Kinds::MAP, values))
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Unspecified | Expr::Struct(_) => Ok(Type::UNKNOWN),
        }
    }

    fn call(&mut self, call: &'e CallExpr) -> Result<Type, Mistake> {
        let boolean = Type::plain(Kinds::BOOLEAN);
        match (call.func_name.as_str(), &call.target, call.args.as_slice()) {
            (RANGE, None, [range]) => {
                let range = self.infer(range)?;
                if range.kinds.meets(Kinds::LIST.or(Kinds::OTHER)) {
                    return Ok(range);
                }
                // A comprehension over an object goes over its keys.
                Ok(if range.kinds == Kinds::MAP {
                    Type::TEXT.list()
                } else {
                    range
                })
            }
            (operators::CONDITIONAL, None, [condition, one, other]) => {
                let condition = self.infer(condition)?;
                if !condition.kinds.meets(Kinds::BOOLEAN) {
                    return Err(Mistake(format!(
                        "the condition before `?` is {}, not true or false",
                        condition.kinds
                    )));
                }
                match (self.infer(one), self.infer(other)) {
                    (Ok(one), Ok(other)) => Ok(one.or(other)),
                    (Err(_), Ok(sound)) | (Ok(sound), Err(_)) => Ok(sound),
                    (Err(mistake), Err(_)) => Err(mistake),
                }
            }
            // One side that holds, or does not, decides whatever is wrong with the other.
            (name @ (operators::LOGICAL_OR | operators::LOGICAL_AND), None, [left, right]) => {
                let is_boolean = |side: &Result<Type, Mistake>| {
                    side.as_ref()
                        .is_ok_and(|side| side.kinds.meets(Kinds::BOOLEAN))
                };
                let (left, right) = (self.infer(left), self.infer(right));
                if is_boolean(&left) || is_boolean(&right) {
                    return Ok(boolean);
                }
                Err(unfit(name, &[left?.kinds, right?.kinds]))
            }
            (operators::NOT_STRICTLY_FALSE, ..) => Ok(boolean),
            (name, target, arguments) => {
                let mut given = Vec::with_capacity(arguments.len() + 1);
                for argument in target.as_deref().into_iter().chain(arguments) {
                    given.push(self.infer(argument)?);
                }
                let kinds: Vec<Kinds> = given.iter().map(|given| given.kinds).collect();
                let result = result(name, &kinds)?;
                let inner = match (name, &*given) {
                    (operators::INDEX, [container, _]) => return Ok(container.item()),
                    (operators::ADD, [one, other])
                        if one.kinds == Kinds::LIST && other.kinds == Kinds::LIST =>
                    {
                        one.clone().or(other.clone()).inner
                    }
                    _ => None,
                };
                Ok(Type {
                    kinds: result,
                    inner,
                })
            }
        }
    }

    /// What its rounds do is not certain, since there may be none.
    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) -> Result<Type, Mistake> {
        let range = self.infer(&comprehension.iter_range)?;
        if !range
            .kinds
            .meets(Kinds::LIST.or(Kinds::MAP).or(Kinds::OTHER))
        {
            return Err(Mistake(format!("{} has no items", range.kinds)));
        }
        let mut accumulated = self.infer(&comprehension.accu_init)?;
        let depth = self.bound.len();
        let item = if range.kinds == Kinds::LIST {
            range.item()
        } else {
            Type::UNKNOWN
        };
        self.bound.push((&comprehension.iter_var, item));
        if let Some(second) = &comprehension.iter_var2 {
            self.bound.push((second, Type::UNKNOWN));
        }
        self.bound
            .push((&comprehension.accu_var, accumulated.clone()));
        let last = self.bound.len() - 1;
        // Two rounds are enough for what the macros expand to.
        let mut stable = false;
        for _ in 0..3 {
            let Ok(next) = self.infer(&comprehension.loop_step) else {
                stable = true;
                break;
            };
            let kinds = accumulated.kinds;
            accumulated = accumulated.or(next);
            self.bound[last].1 = accumulated.clone();
            if accumulated.kinds == kinds {
                stable = true;
                break;
            }
        }
        if !stable {
            self.bound[last].1 = Type::UNKNOWN;
        }
        let result = self.infer(&comprehension.result);
        self.bound.truncate(depth);
        result
    }
}

/// The kinds of a call's value, where `given` are those of its target and its arguments.
fn result(name: &str, given: &[Kinds]) -> Result<Kinds, Mistake> {
    let found = match given {
        [one] => one
            .each()
            .filter_map(|one| unary(name, one))
            .reduce(Kinds::or),
        [left, right] => left
            .each()
            .flat_map(|left| right.each().map(move |right| (left, right)))
            .filter_map(|(left, right)| binary(name, left, right))
            .reduce(Kinds::or),
        _ => Some(Kinds::ANY),
    };
    found.ok_or_else(|| unfit(name, given))
}

/// The kind of `name(kind)`; none where that is an error.
fn unary(name: &str, kind: Kinds) -> Option<Kinds> {
    if kind == Kinds::OTHER {
        return Some(Kinds::ANY);
    }
    let among = |kinds: Kinds, result| kinds.meets(kind).then_some(result);
    let number = Kinds::INTEGER.or(Kinds::UNSIGNED).or(Kinds::FLOAT);
    match name {
        operators::LOGICAL_NOT => among(Kinds::BOOLEAN, Kinds::BOOLEAN),
        operators::NEGATE => among(Kinds::INTEGER.or(Kinds::FLOAT), kind),
        "size" => among(Kinds::TEXT.or(Kinds::LIST).or(Kinds::MAP), Kinds::INTEGER),
        "int" => among(number.or(Kinds::TEXT), Kinds::INTEGER),
        "uint" => among(number.or(Kinds::TEXT), Kinds::UNSIGNED),
        "double" => among(number.or(Kinds::TEXT), Kinds::FLOAT),
        "string" => among(number.or(Kinds::TEXT).or(Kinds::BOOLEAN), Kinds::TEXT),
        "bool" => among(Kinds::TEXT.or(Kinds::BOOLEAN), Kinds::BOOLEAN),
        "dyn" => Some(kind),
        _ => Some(Kinds::ANY),
    }
}

/// The kind of `left name right`; none where that is an error.
fn binary(name: &str, left: Kinds, right: Kinds) -> Option<Kinds> {
    if name == operators::EQUALS || name == operators::NOT_EQUALS {
        return Some(Kinds::BOOLEAN);
    }
    if left == Kinds::OTHER || right == Kinds::OTHER {
        return Some(Kinds::ANY);
    }
    let whole = Kinds::INTEGER.or(Kinds::UNSIGNED);
    let number = whole.or(Kinds::FLOAT);
    let key = number.or(Kinds::TEXT).or(Kinds::BOOLEAN);
    let same = |kinds: Kinds| (left == right && kinds.meets(left)).then_some(left);
    match name {
        operators::ADD if left == Kinds::LIST => Kinds::LIST
            .or(Kinds::MAP)
            .meets(right)
            .then_some(Kinds::LIST),
        operators::ADD => same(number.or(Kinds::TEXT)),
        operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE => same(number),
        operators::MODULO => same(whole),
        operators::LESS
        | operators::LESS_EQUALS
        | operators::GREATER
        | operators::GREATER_EQUALS => {
            let both = number.meets(left) && number.meets(right);
            let alike = left == right && Kinds::TEXT.or(Kinds::BOOLEAN).meets(left);
            (both || alike).then_some(Kinds::BOOLEAN)
        }
        operators::IN => match right {
            Kinds::LIST => Some(Kinds::BOOLEAN),
            Kinds::MAP => key.meets(left).then_some(Kinds::BOOLEAN),
            _ => None,
        },
        operators::INDEX => match left {
            Kinds::LIST => number.meets(right).then_some(Kinds::ANY),
            Kinds::MAP => key.meets(right).then_some(Kinds::ANY),
            _ => None,
        },
        "contains" | "startsWith" | "endsWith" | "matches" => {
            same(Kinds::TEXT).map(|_| Kinds::BOOLEAN)
        }
        _ => Some(Kinds::ANY),
    }
}

fn unfit(name: &str, given: &[Kinds]) -> Mistake {
    let sign = match name {
        operators::IN => "in",
        operators::INDEX => "[]",
        name => name.trim_matches('_'),
    };
    let kinds: Vec<String> = given.iter().map(ToString::to_string).collect();
    Mistake(format!("`{sign}` does not go with {}", kinds.join(" and ")))
}
