//! Arithmetic: a Pratt parser (Pratt, "Top down operator precedence", 1973) that computes as it reads.

use serde_json::{Number, Value};

use super::{Tools, invalid};
use crate::{Effects, Error, Parameter, ToolContract};

const MAX_DEPTH: usize = 64;
const MAX_CHARACTERS: usize = 10_000;
const FUNCTIONS: &str = "sqrt, abs, min, max, round, floor, ceil, pow";

pub(super) fn register(tools: &mut Tools<'_>) -> Result<(), Error> {
    let contract = ToolContract::new("calculator")
        .describe("The value of an arithmetic expression.")
        .parameter(Parameter::text("expression").rest().describe(
            "numbers, + - * / % ^, parentheses, pi, e, and the functions sqrt abs min max round floor ceil pow",
        ))
        .effects(Effects::pure());
    tools.quick(contract, |call| {
        let number = evaluate(call.text("expression")?)?;
        Ok(match number {
            Amount::Whole(value) => value.into(),
            Amount::Float(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        })
    })
}

/// Whole as long as nothing is lost by it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Whole(i64),
    Float(f64),
}

impl Amount {
    fn float(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

fn evaluate(text: &str) -> Result<Amount, Error> {
    if text.chars().count() > MAX_CHARACTERS {
        return Err(invalid(format!(
            "the expression is longer than {MAX_CHARACTERS} characters"
        )));
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let value = parser.expression(0)?;
    match parser.peek() {
        None => Ok(value),
        Some(found) => Err(parser.unexpected(found, "an operator or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    /// Reads operators that bind at least as strongly as `weakest`.
    fn expression(&mut self, weakest: u8) -> Result<Amount, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let mut left = self.operand()?;
        while let Some(operator) = self.operator() {
            let (strength, right_strength) = match operator {
                "+" | "-" => (1, 2),
                "*" | "/" | "%" => (3, 4),
                _ => (7, 6),
            };
            if strength < weakest {
                break;
            }
            let place = self.at;
            self.at += operator.len();
            let right = self.expression(right_strength)?;
            left = apply(operator, left, right).map_err(|reason| self.error_at(place, reason))?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Amount, Error> {
        const EXPECTED: &str = "a number, a name or `(`";
        let Some(first) = self.peek() else {
            return Err(self.error(format!("ends where {EXPECTED} should be")));
        };
        match first {
            '0'..='9' | '.' => self.number(),
            '(' => {
                self.at += 1;
                let value = self.expression(0)?;
                self.expect(')')?;
                Ok(value)
            }
            '-' | '+' => {
                let place = self.at;
                self.at += 1;
                let value = self.expression(5)?;
                if first == '+' {
                    return Ok(value);
                }
                apply("-", Amount::Whole(0), value).map_err(|reason| self.error_at(place, reason))
            }
            _ if first.is_ascii_alphabetic() => self.name(),
            other => Err(self.unexpected(other, EXPECTED)),
        }
    }

    fn number(&mut self) -> Result<Amount, Error> {
        let rest = &self.text[self.at..];
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = digits(rest);
        if rest[length..].starts_with('.') {
            length += 1 + digits(&rest[length + 1..]);
        }
        if let Some(exponent) = rest[length..].strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let count = digits(&exponent[sign..]);
            if count > 0 {
                length += 1 + sign + count;
            }
        }
        let literal = &rest[..length];
        let whole = literal.parse().map(Amount::Whole);
        let value = whole.or_else(|_| literal.parse().map(Amount::Float));
        let value = value.map_err(|_| self.error(format!("`{literal}` is not a number")))?;
        if !value.float().is_finite() {
            return Err(self.error(format!("`{literal}` is too large")));
        }
        self.at += length;
        Ok(value)
    }

    fn name(&mut self) -> Result<Amount, Error> {
        let place = self.at;
        let rest = &self.text[self.at..];
        let length = rest
            .find(|next: char| !next.is_ascii_alphanumeric() && next != '_')
            .unwrap_or(rest.len());
        let name = &rest[..length];
        self.at += length;
        match name {
            "pi" => return Ok(Amount::Float(std::f64::consts::PI)),
            "e" => return Ok(Amount::Float(std::f64::consts::E)),
            _ => {}
        }
        if self.peek() != Some('(') {
            let message =
                format!("`{name}` is not known; there are pi, e and the functions {FUNCTIONS}");
            return Err(self.error_at(place, message));
        }
        self.at += 1;
        let mut arguments = Vec::new();
        if self.peek() != Some(')') {
            arguments.push(self.expression(0)?);
            while self.peek() == Some(',') {
                self.at += 1;
                arguments.push(self.expression(0)?);
            }
        }
        self.expect(')')?;
        call(name, &arguments).map_err(|reason| self.error_at(place, reason))
    }

    /// The operator that comes next, if one does.
    fn operator(&mut self) -> Option<&'static str> {
        self.peek()?;
        let rest = &self.text[self.at..];
        ["**", "+", "-", "*", "/", "%", "^"]
            .into_iter()
            .find(|operator| rest.starts_with(operator))
    }

    fn expect(&mut self, wanted: char) -> Result<(), Error> {
        match self.peek() {
            Some(found) if found == wanted => {
                self.at += wanted.len_utf8();
                Ok(())
            }
            Some(found) => Err(self.unexpected(found, &format!("`{wanted}`"))),
            None => Err(self.error(format!("ends where `{wanted}` should be"))),
        }
    }

    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn unexpected(&self, found: char, wanted: &str) -> Error {
        self.error(format!("{found:?} where {wanted} should be"))
    }

    fn error(&self, reason: String) -> Error {
        self.error_at(self.at, reason)
    }

    fn error_at(&self, place: usize, reason: String) -> Error {
        let column = self.text[..place].chars().count() + 1;
        invalid(format!("expression, column {column}: {reason}"))
    }
}

fn apply(operator: &str, left: Amount, right: Amount) -> Result<Amount, String> {
    use Amount::Whole;

    if matches!(operator, "/" | "%") && right.float() == 0.0 {
        return Err("division by zero".to_owned());
    }
    if let (Whole(left), Whole(right)) = (left, right) {
        let exact = match operator {
            "+" => left.checked_add(right),
            "-" => left.checked_sub(right),
            "*" => left.checked_mul(right),
            "/" if left.checked_rem(right) == Some(0) => left.checked_div(right),
            "/" => None,
            "%" => left.checked_rem(right),
            _ => u32::try_from(right)
                .ok()
                .and_then(|power| left.checked_pow(power)),
        };
        if let Some(exact) = exact {
            return Ok(Whole(exact));
        }
    }
    let (left, right) = (left.float(), right.float());
    finite(match operator {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        "%" => left % right,
        _ => left.powf(right),
    })
}

fn call(name: &str, arguments: &[Amount]) -> Result<Amount, String> {
    let rounded = |value: Amount, round: fn(f64) -> f64| match value {
        Amount::Whole(_) => Ok(value),
        Amount::Float(float) => {
            let float = round(float);
            let fits = float.abs() <= 9_007_199_254_740_992.0;
            Ok(if fits {
                Amount::Whole(float as i64)
            } else {
                Amount::Float(float)
            })
        }
    };
    match (name, arguments) {
        ("sqrt", [value]) if value.float() < 0.0 => {
            Err("square root of a negative number".to_owned())
        }
        ("sqrt", [value]) => {
            let root = value.float().sqrt();
            match value {
                Amount::Whole(whole) if (root as i64).checked_mul(root as i64) == Some(*whole) => {
                    Ok(Amount::Whole(root as i64))
                }
                _ => finite(root),
            }
        }
        ("abs", [Amount::Whole(value)]) => Ok(value
            .checked_abs()
            .map_or(Amount::Float((*value as f64).abs()), Amount::Whole)),
        ("abs", [value]) => finite(value.float().abs()),
        ("round", [value]) => rounded(*value, f64::round),
        ("floor", [value]) => rounded(*value, f64::floor),
        ("ceil", [value]) => rounded(*value, f64::ceil),
        ("pow", [base, power]) => apply("^", *base, *power),
        ("min" | "max", [first, others @ ..]) => {
            let pick = |best: Amount, next: &Amount| {
                let better = match name {
                    "min" => next.float() < best.float(),
                    _ => next.float() > best.float(),
                };
                if better { *next } else { best }
            };
            Ok(others.iter().fold(*first, pick))
        }
        ("sqrt" | "abs" | "round" | "floor" | "ceil", _) => {
            Err(format!("`{name}` takes 1 value, not {}", arguments.len()))
        }
        ("pow", _) => Err(format!("`pow` takes 2 values, not {}", arguments.len())),
        ("min" | "max", []) => Err(format!("`{name}` takes at least 1 value")),
        _ => Err(format!(
            "there is no function `{name}`; there are {FUNCTIONS}"
        )),
    }
}

fn finite(value: f64) -> Result<Amount, String> {
    if value.is_finite() {
        return Ok(Amount::Float(value));
    }
    Err("the value is not a finite number".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values() {
        let check =
            |text: &str, expect: Amount| assert_eq!(evaluate(text).unwrap(), expect, "{text}");
        check("2+2*3", Amount::Whole(8));
        check("(1 + 2) * 3", Amount::Whole(9));
        check("-2^2", Amount::Whole(-4));
        check("2^3^2", Amount::Whole(512));
        check("2^-1", Amount::Float(0.5));
        check("2**10", Amount::Whole(1024));
        check("7/2", Amount::Float(3.5));
        check("6/2", Amount::Whole(3));
        check("7%4", Amount::Whole(3));
        check("--1", Amount::Whole(1));
        check("10-2-3", Amount::Whole(5));
        check("1.5e3", Amount::Float(1500.0));
        check(
            "9223372036854775807+1",
            Amount::Float(9_223_372_036_854_775_808.0),
        );
        check("sqrt(16)", Amount::Whole(4));
        check("sqrt(2)", Amount::Float(2.0_f64.sqrt()));
        check("max(1, 2.5, -3)", Amount::Float(2.5));
        check("round(2.5)", Amount::Whole(3));
        check("2*pi", Amount::Float(std::f64::consts::TAU));
        check("-(3)", Amount::Whole(-3));
        check(
            "abs(-9223372036854775807 - 1)",
            Amount::Float(9_223_372_036_854_775_808.0),
        );
    }

    #[test]
    fn errors_name_the_column() {
        let check = |text: &str, expect: &str| {
            assert_eq!(
                evaluate(text).unwrap_err().message(),
                format!("expression, {expect}"),
                "{text}"
            );
        };
        check("1/0", "column 2: division by zero");
        check(
            "1 +",
            "column 4: ends where a number, a name or `(` should be",
        );
        check("(1", "column 3: ends where `)` should be");
        check(
            "1 2",
            "column 3: '2' where an operator or the end should be",
        );
        check("sqrt(-1)", "column 1: square root of a negative number");
        check(
            "foo",
            &format!("column 1: `foo` is not known; there are pi, e and the functions {FUNCTIONS}"),
        );
        check("min()", "column 1: `min` takes at least 1 value");
        check("10^400", "column 3: the value is not a finite number");
        check("ä", "column 1: 'ä' where a number, a name or `(` should be");
        assert!(
            evaluate(&"(".repeat(5000))
                .unwrap_err()
                .message()
                .contains("nested deeper")
        );
        assert!(
            evaluate(&"-".repeat(5000))
                .unwrap_err()
                .message()
                .contains("nested deeper")
        );
        assert!(
            evaluate(&"1+".repeat(6000))
                .unwrap_err()
                .message()
                .contains("longer than")
        );
        assert_eq!(
            evaluate(&format!("{}1", "1+".repeat(4000))).unwrap(),
            Amount::Whole(4001)
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(any in ".{0,60}", likely in "[0-9.e+*/%^(), a-z-]{0,60}") {
            let _ = evaluate(&any);
            let _ = evaluate(&likely);
        }

        #[test]
        fn sums_are_exact(left: i32, right: i32) {
            let sum = evaluate(&format!("{left} + {right}")).unwrap();
            prop_assert_eq!(sum, Amount::Whole(i64::from(left) + i64::from(right)));
        }
    }
}
