//! The TextMate grammar, for highlighting in editors and on pages.

use serde_json::{Value, json};

use crate::argument::StepOption;
use crate::expression::{FUNCTIONS, MACROS};
use crate::keyword::{Keyword, SPELLINGS};

/// The grammar of the language for editors that read TextMate grammars, made from the same tables
/// that the parser uses; `editors/praxis.tmLanguage.json` holds it.
///
/// Its scopes are the usual ones, such as `keyword.control` and `string.quoted.double`.
pub fn textmate_grammar() -> Value {
    let of = |wanted: fn(Keyword) -> bool| alternatives(wanted);
    let blocks = of(|keyword| {
        keyword.end().is_some()
            || keyword.is_end()
            || keyword.is_clause()
            || keyword == Keyword::Return
    });
    let declarations = of(|keyword| {
        matches!(
            keyword,
            Keyword::Workflow | Keyword::Input | Keyword::Let | Keyword::Task | Keyword::Agent
        )
    });
    let call = of(|keyword| keyword == Keyword::Call);
    let name = r"[\p{L}_][\p{L}\p{N}_]*";
    json!({
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "Praxis",
        "scopeName": "source.praxis",
        "fileTypes": ["praxis"],
        "patterns": [
            {"include": "#comment"},
            {
                "name": "meta.condition.praxis",
                "begin": r"(?i)^\s*(IF|ELIF|ELSE\s+IF)\b",
                "beginCaptures": {"1": {"name": "keyword.control.praxis"}},
                "end": "$",
                "patterns": [{"include": "#comment"}, {"include": "#expression"}]
            },
            {
                "match": format!(r"(?i)^\s*(?:(PARALLEL)\s+)?(FOR)\s+({name})\s+(IN)\b"),
                "captures": {
                    "1": {"name": "keyword.control.praxis"},
                    "2": {"name": "keyword.control.praxis"},
                    "3": {"name": "variable.other.praxis"},
                    "4": {"name": "keyword.control.praxis"}
                }
            },
            {
                "match": format!(r"(?i)^\s*(LET|INPUT)\s+({name})(?:\s+(=)(?:\s+(CALL)\s+([^\s]+))?)?"),
                "captures": {
                    "1": {"name": "storage.type.praxis"},
                    "2": {"name": "variable.other.praxis"},
                    "3": {"name": "keyword.operator.assignment.praxis"},
                    "4": {"name": "keyword.other.praxis"},
                    "5": {"name": "entity.name.function.praxis"}
                }
            },
            {
                "match": format!(r"(?i)^\s*({call})\b(?:\s+([^\s]+))?"),
                "captures": {
                    "1": {"name": "keyword.other.praxis"},
                    "2": {"name": "entity.name.function.praxis"}
                }
            },
            {
                "match": format!(r"(?i)^\s*({blocks})\b"),
                "captures": {"1": {"name": "keyword.control.praxis"}}
            },
            {
                "match": format!(r"(?i)^\s*({declarations})\b"),
                "captures": {"1": {"name": "storage.type.praxis"}}
            },
            {
                "match": format!(r"(?:^|\s)(@(?:{}))=", StepOption::NAMES.join("|")),
                "captures": {"1": {"name": "entity.other.attribute-name.praxis"}}
            },
            {
                "match": r"(?:^|\s)(--[^\s=]+)",
                "captures": {"1": {"name": "variable.parameter.praxis"}}
            },
            {"include": "#interpolation"},
            {"include": "#reference"},
            {"include": "#strings"},
            {"include": "#constants"}
        ],
        "repository": {
            "comment": {
                "match": r"(?:^|\s)(#.*)$",
                "captures": {"1": {"name": "comment.line.number-sign.praxis"}}
            },
            "strings": {
                "patterns": [
                    {
                        "name": "string.quoted.double.praxis",
                        "begin": "\"",
                        "end": "\"|$",
                        "patterns": [
                            {
                                "name": "constant.character.escape.praxis",
                                "match": r#"\\(?:["\\ntr$]|u\{[0-9A-Fa-f]{1,6}\})"#
                            },
                            {"include": "#interpolation"}
                        ]
                    },
                    {
                        "name": "string.quoted.single.praxis",
                        "begin": "'",
                        "end": "'|$",
                        "patterns": [{
                            "name": "constant.character.escape.praxis",
                            "match": r"\\['\\]"
                        }]
                    }
                ]
            },
            "interpolation": {
                "name": "meta.interpolation.praxis",
                "begin": r"\$\{",
                "beginCaptures": {"0": {"name": "punctuation.section.embedded.praxis"}},
                "end": r"\}|$",
                "endCaptures": {"0": {"name": "punctuation.section.embedded.praxis"}},
                "patterns": [{"include": "#expression"}]
            },
            "reference": {
                "name": "variable.other.praxis",
                "match": format!(r"\${name}(?:\.[\p{{L}}\p{{N}}_]+|\[-?[0-9]+\])*")
            },
            "constants": {
                "patterns": [
                    {
                        "match": r"(?:^|[\s=])(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\b",
                        "captures": {"1": {"name": "constant.numeric.praxis"}}
                    },
                    {
                        "match": r"(?:^|[\s=])((?i:true|false)|null)\b",
                        "captures": {"1": {"name": "constant.language.praxis"}}
                    }
                ]
            },
            "expression": {
                "patterns": [
                    {"name": "meta.braces.praxis", "begin": r"\{", "end": r"\}|$",
                     "patterns": [{"include": "#expression"}]},
                    {"include": "#strings"},
                    {"name": "constant.language.praxis", "match": r"\b(?:true|false|null)\b"},
                    {"name": "constant.numeric.praxis", "match": r"\b[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?u?\b"},
                    {
                        "name": "support.function.praxis",
                        "match": format!(r"\b(?:{}|{})\b", FUNCTIONS.join("|"), MACROS.join("|"))
                    },
                    {"name": "keyword.operator.praxis", "match": r"==|!=|<=|>=|&&|\|\||[-+*/%<>!?:]|\bin\b"},
                    {"name": "variable.other.praxis", "match": format!(r"\$?{name}")}
                ]
            }
        }
    })
}

/// The spellings of the keywords that `wanted` takes, the longest first, with and without `_`.
fn alternatives(wanted: fn(Keyword) -> bool) -> String {
    let mut spellings: Vec<String> = SPELLINGS
        .iter()
        .filter(|(_, keyword)| wanted(*keyword))
        .map(|(spelling, _)| spelling.replace('_', "_?"))
        .collect();
    spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    spellings.dedup();
    spellings.join("|")
}

#[cfg(test)]
mod tests {
    use regex::Regex;
    use serde_json::Value;

    use super::textmate_grammar;
    use crate::keyword::{Keyword, SPELLINGS};

    /// The rules of the grammar, with their regular expressions.
    fn rules(value: &Value, found: &mut Vec<(Regex, Value)>) {
        match value {
            Value::Object(fields) => {
                for key in ["match", "begin", "end"] {
                    if let Some(Value::String(pattern)) = fields.get(key) {
                        let regex = Regex::new(pattern).expect(pattern);
                        found.push((regex, value.clone()));
                    }
                }
                fields.values().for_each(|value| rules(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| rules(value, found)),
            _ => {}
        }
    }

    /// The text that the first rule for the start of `line` gives a scope that begins with `scope`.
    fn scoped(rules: &[(Regex, Value)], line: &str, scope: &str) -> Option<String> {
        rules.iter().find_map(|(regex, rule)| {
            let captures = regex
                .captures(line)
                .filter(|found| found.get(0).is_some_and(|whole| whole.start() == 0))?;
            let names = [&rule["captures"], &rule["beginCaptures"]];
            let (number, _) = names
                .iter()
                .filter_map(|names| names.as_object())
                .flatten()
                .find(|(_, name)| {
                    name["name"]
                        .as_str()
                        .is_some_and(|name| name.starts_with(scope))
                })?;
            let number: usize = number.parse().expect("a number");
            captures.get(number).map(|found| found.as_str().to_owned())
        })
    }

    #[test]
    fn every_keyword_is_one() {
        let grammar = textmate_grammar();
        let mut all = Vec::new();
        rules(&grammar["patterns"], &mut all);
        rules(&grammar["repository"], &mut all);
        let scoped = |line: &str, scope: &str| scoped(&all, line, scope);
        assert!(all.len() > 20, "{} rules", all.len());
        for (spelling, keyword) in SPELLINGS {
            let scope = match keyword {
                Keyword::Call => "keyword.other",
                Keyword::Workflow
                | Keyword::Input
                | Keyword::Let
                | Keyword::Task
                | Keyword::Agent => "storage.type",
                _ => "keyword.control",
            };
            for written in [
                (*spelling).to_owned(),
                spelling.to_lowercase(),
                spelling.replace('_', ""),
            ] {
                let line = format!("  {written} x");
                assert_eq!(scoped(&line, scope).as_deref(), Some(&*written), "{line}");
                let longer = format!("{written}S x");
                assert_eq!(scoped(&longer, scope), None, "{longer}");
            }
        }
        let check = |line, scope, expected: &str| {
            assert_eq!(scoped(line, scope).as_deref(), Some(expected), "{line}");
        };
        check("ELSE IF a > 1", "keyword.control", "ELSE IF");
        check("PARALLEL FOR x IN $xs", "keyword.control", "PARALLEL");
        check(
            "LET text = CALL read_file a",
            "entity.name.function",
            "read_file",
        );
        check("CALL read_file a", "entity.name.function", "read_file");
        check("# why", "comment.line", "# why");
        check(" --name x", "variable.parameter", "--name");
        check(" @timeout=5s", "entity.other.attribute-name", "@timeout");
    }

    #[test]
    fn the_file_for_editors_is_the_grammar() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../editors/praxis.tmLanguage.json"
        );
        let grammar = textmate_grammar();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = serde_json::to_string_pretty(&grammar).expect("it is JSON");
            std::fs::write(path, text + "\n").expect("the file can be written");
        } else {
            let written = std::fs::read_to_string(path).expect("the file is there");
            let written: Value = serde_json::from_str(&written).expect("it is JSON");
            assert_eq!(written, grammar, "UPDATE_DOCS=1 writes the file");
        }
    }
}
