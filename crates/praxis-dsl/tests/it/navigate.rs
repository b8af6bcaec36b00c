//! What an editor asks: what a name stands for, what may stand at a place.

use std::collections::BTreeSet;

use praxis_dsl::navigate::{
    Expected, Names, Target, ValueOf, expected_at, target_at, visible_names,
};
use praxis_dsl::{Code, check, parse};
use proptest::prelude::*;

use crate::catalog;

/// The program without its `|`, and where that stands.
fn cursor(marked: &str) -> (String, u32) {
    let at = marked.find('|').expect("the program has a cursor");
    (marked.replacen('|', "", 1), at as u32)
}

/// The name under the `|` has these definitions and occurrences, as lines and columns.
#[track_caller]
fn check_name(marked: &str, definitions: &[(u32, u32)], same: &[(u32, u32)]) {
    let (source, offset) = cursor(marked);
    let tree = parse(&source);
    let names = Names::of(&tree, &catalog());
    let place = |start: u32| {
        let location = tree.line_index().location(&source, start);
        (location.line, location.column)
    };
    let name = names.at(offset).expect("there is a name");
    let found: Vec<_> = names
        .definitions(name)
        .iter()
        .map(|at| place(at.start))
        .collect();
    assert_eq!(found, definitions, "{marked}");
    let found: Vec<_> = names
        .same(name)
        .iter()
        .map(|at| place(at.span.start))
        .collect();
    assert_eq!(found, same, "{marked}");
}

#[test]
fn names_lead_to_where_they_are_bound() {
    check_name("LET x = 1\nCALL probe $|x", &[(1, 5)], &[(1, 5), (2, 13)]);
    check_name("LET |x = 1\nCALL probe $x", &[(1, 5)], &[(1, 5), (2, 13)]);
    check_name(
        "INPUT x|\nCALL say \"é ${x} ${x + x}\"",
        &[(1, 7)],
        &[(1, 7), (2, 15), (2, 20), (2, 24)],
    );
    check_name(
        "FOR x IN [1]\nLET y = $|x\nEND_FOR\nFOR x IN [2]\nCALL probe $x\nEND_FOR",
        &[(1, 5)],
        &[(1, 5), (2, 10)],
    );
    check_name(
        "LET xs = [1]\nCALL probe ${x|s.map(xs1, xs1 + xs[0])}",
        &[(1, 5)],
        &[(1, 5), (2, 14), (2, 32)],
    );
    check_name(
        "TRY\nCALL ping\nCATCH e\nCALL say \"${e|.message}\"\nEND_TRY",
        &[(3, 7)],
        &[(3, 7), (4, 13)],
    );
    check_name("CALL probe $|x", &[], &[(1, 13)]);
    // A block that is left open does not hide the names before it.
    check_name(
        "LET x = 1\nIF true\nCALL probe $|x",
        &[(1, 5)],
        &[(1, 5), (3, 13)],
    );
}

#[test]
fn a_name_of_several_branches_is_one_name_after_them() {
    let branches =
        "IF true\nLET x = 1\nCALL probe $x\nELSE\nLET x = 2\nCALL probe $x\nENDIF\nCALL probe $x\n";
    let all = [(2, 5), (3, 13), (5, 5), (6, 13), (8, 13)];
    let at = |line: usize| {
        let mut lines: Vec<String> = branches.lines().map(str::to_owned).collect();
        lines[line - 1].push('|');
        lines.join("\n")
    };
    check_name(&at(3), &[(2, 5)], &all);
    check_name(&at(6), &[(5, 5)], &all);
    check_name(&at(8), &[(2, 5), (5, 5)], &all);
}

#[test]
fn what_a_name_holds_is_told_where_it_is_known() {
    #[track_caller]
    fn check(marked: &str, expect: Option<&str>) {
        let (source, offset) = cursor(marked);
        let names = Names::of(&parse(&source), &catalog());
        let name = names.at(offset).expect("there is a name");
        assert_eq!(name.value().as_deref(), expect, "{marked}");
    }
    check("LET |x = 42", Some("an integer"));
    check("LET x = 42\nLET y = $|x", Some("an integer"));
    check("FOR i IN ['a']\nCALL say $i|\nEND_FOR", None);
    check("FOR i IN '[\"a\"]'\nCALL say $i|\nEND_FOR", Some("text"));
    check("LET |x = CALL ping", None);
    check(
        "IF true\nLET x = 1\nELSE\nLET x = text\nENDIF\nCALL say $|x",
        Some("an integer or text"),
    );
}

#[track_caller]
fn check_visible(marked: &str, expect: &str) {
    let (source, offset) = cursor(marked);
    let found = visible_names(&parse(&source), &catalog(), offset);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.join(" "), expect, "{marked}");
}

#[test]
fn the_names_at_a_place_are_those_bound_before_it() {
    check_visible("|LET x = 1\nLET y = 2", "");
    check_visible("LET x = 1\nLET y = |2", "x");
    check_visible("LET x = 1\nLET y =  |", "x");
    check_visible("LET x = 1\nLET y = 2\n|", "x y");
    check_visible("LET x = 1\nFOR i IN [1]\n|\nEND_FOR\n", "x i");
    check_visible("LET x = 1\nFOR i IN [1]\nLET z = 1\nEND_FOR|\n", "x z");
    check_visible("FOR i IN $|\nEND_FOR\n", "");
    check_visible("IF true\nLET a = 1\nELIF |\nLET b = 1\nENDIF\n", "");
    check_visible("IF true\nLET a = 1\nELSE\nLET b = 1\n|\nENDIF\n", "b");
    check_visible("PARALLEL\nLET a = 1\n|\nEND_PARALLEL\n", "");
    check_visible("PARALLEL\nLET a = 1\nEND_PARALLEL\n|", "a");
    check_visible("TRY\nLET a = 1\nCATCH e\n|\nEND_TRY\n", "e");
    check_visible("LET x = 1\nIF true\nCALL probe $|", "x");
}

#[track_caller]
fn check_expected(marked: &str, expect: &str) {
    let (source, offset) = cursor(marked);
    let cursor = expected_at(&source, offset);
    let what = match &cursor.expected {
        Expected::Argument(call) => {
            let value = match &call.value {
                ValueOf::Named(name) => format!("value of {name}"),
                ValueOf::Positional(index) => format!("position {index}"),
                ValueOf::Option => "option".to_owned(),
            };
            format!("{value} of {} besides {}", call.tool, call.named.join(","))
        }
        other => format!("{other:?}"),
    };
    assert_eq!(
        format!("{what}: {}", cursor.span.text(&source)),
        expect,
        "{marked}"
    );
}

#[test]
fn what_may_stand_at_a_place_is_known_from_its_line() {
    check_expected("|", "Command: ");
    check_expected("  PA|", "Command: PA");
    check_expected("\u{feff}CA|", "Command: CA");
    check_expected("# CA|", "Nothing: ");
    check_expected("CALL |", "Tool: ");
    check_expected("CALL re|ad_file", "Tool: re");
    check_expected("let x = call re|", "Tool: re");
    check_expected("LET x|", "Nothing: x");
    check_expected("LET x = |", "Value { call: true }: ");
    check_expected("LET x = CA|", "Value { call: true }: CA");
    check_expected("RETURN |", "Value { call: false }: ");
    check_expected("RETURN $na|me", "Name: na");
    check_expected("RETURN $name.k|", "Nothing: name.k");
    check_expected("CALL t --a 1 |", "position 0 of t besides a: ");
    check_expected("CALL t x --|  --b=1", "option of t besides b: --");
    check_expected("CALL t --a |", "value of a of t besides a: ");
    check_expected("CALL t --a v| --b 2", "value of a of t besides a,b: v");
    check_expected("CALL t --a=v|", "value of a of t besides : v");
    check_expected("CALL t --a=$v|", "Name: v");
    check_expected("CALL t @|", "option of t besides : @");
    check_expected("CALL t @cache=o|", "StepValue(\"cache\"): o");
    check_expected("CALL t \"te|", "Nothing: ");
    check_expected("CALL t \"a ${si|ze(x)}\"", "Expression: si");
    check_expected("CALL t \"a ${x} b|\"", "Nothing: ");
    check_expected("CALL t ${a + |", "Expression: ");
    check_expected("CALL t ${a.|", "Nothing: ");
    check_expected("CALL t ${a == 'b|", "Nothing: b");
    check_expected("CALL t '${a|'", "Nothing: ");
    check_expected("IF |", "Expression: ");
    check_expected("ELSE IF a && |b", "Expression: ");
    check_expected("ELIF $fi|", "Expression: fi");
    check_expected("FOR x |", "In: ");
    check_expected("FOR x IN |", "Value { call: false }: ");
    check_expected("PARALLEL |", "BlockOption(Parallel): ");
    check_expected("PARALLEL FOR x IN $xs --|", "BlockOption(ParallelFor): --");
    check_expected("LET x = 1\nEND_F|", "Command: END_F");
}

#[track_caller]
fn check_target(marked: &str, expect: Option<(Target, &str)>) {
    let (source, offset) = cursor(marked);
    let found = target_at(&source, offset);
    let found = found.map(|(target, span)| (target, span.text(&source).to_owned()));
    let expect = expect.map(|(target, text)| (target, text.to_owned()));
    assert_eq!(found, expect, "{marked}");
}

#[test]
fn words_are_known_for_what_they_are() {
    use praxis_dsl::Keyword;
    let parameter = || Target::Parameter {
        tool: "t".to_owned(),
        parameter: "key".to_owned(),
    };
    check_target("CA|LL t", Some((Target::Keyword(Keyword::Call), "CALL")));
    check_target(
        "|parallel for x",
        Some((Target::Keyword(Keyword::ParallelFor), "parallel")),
    );
    check_target(
        "LET x = |CALL t",
        Some((Target::Keyword(Keyword::Call), "CALL")),
    );
    check_target("LET x = CALL |t", Some((Target::Tool("t".to_owned()), "t")));
    check_target("CALL t |--key v", Some((parameter(), "--key")));
    check_target("CALL t a --ke|y=v", Some((parameter(), "--key")));
    check_target("CALL t --key |v", None);
    check_target(
        "CALL t @tim|eout=5s",
        Some((Target::StepOption("timeout"), "@timeout")),
    );
    check_target("LET |x = 1", None);
    check_target("# CALL |t", None);
    check_target("nonsense| x", None);
}

/// A program made of the bytes: names are bound and used at random, some of them in vain.
struct Writer<'b> {
    bytes: std::slice::Iter<'b, u8>,
    text: String,
    indent: usize,
}

impl Writer<'_> {
    fn pick<'c>(&mut self, of: &[&'c str]) -> &'c str {
        of[usize::from(*self.bytes.next().unwrap_or(&0)) % of.len()]
    }

    fn name(&mut self) -> &'static str {
        self.pick(&["a", "b", "c", "ab", "größe"])
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(&"  ".repeat(self.indent));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn block(&mut self) {
        self.indent += 1;
        while self.bytes.len() > 0 && self.statement() {}
        self.line("CALL ping");
        self.indent -= 1;
    }

    /// Writes a statement, or says that the block ends.
    fn statement(&mut self) -> bool {
        let deep = self.indent > 4;
        let (one, other) = (self.name(), self.name());
        match self.pick(&["let", "use", "if", "for", "try", "par", "mix", "let", "end", "call"]) {
            "let" => self.line(&format!("LET {one} = 1")),
            "call" => self.line(&format!("LET {one} = CALL probe ${other}")),
            "use" => self.line(&format!("CALL probe ${one}")),
            "mix" => self.line(&format!(
                "CALL say \"{one} ${{{one}}} ${{size({other}) + {one}.map({other}, {other} + {one})[0]}}\""
            )),
            "if" if !deep => {
                self.line(&format!("IF {one} > 1"));
                self.block();
                if self.pick(&["yes", "no"]) == "yes" {
                    self.line(&format!("ELIF ${other} > 1"));
                    self.block();
                }
                if self.pick(&["yes", "no"]) == "yes" {
                    self.line("ELSE");
                    self.block();
                }
                self.line("ENDIF");
            }
            "for" if !deep => {
                let kind = self.pick(&["FOR", "PARALLEL FOR"]);
                self.line(&format!("{kind} {one} IN ${other}"));
                self.block();
                self.line("END_FOR");
            }
            "try" if !deep => {
                self.line("TRY");
                self.block();
                self.line(&format!("CATCH {one}"));
                self.block();
                self.line("END_TRY");
            }
            "par" if !deep => {
                let head = self.pick(&["PARALLEL", "PARALLEL --any", "SEQUENCE"]);
                self.line(head);
                self.block();
                self.line(if head == "SEQUENCE" { "END_SEQUENCE" } else { "END_PARALLEL" });
            }
            _ => return false,
        }
        true
    }
}

fn programs() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<u8>(), 0..160).prop_map(|bytes| {
        let mut writer = Writer {
            bytes: bytes.iter(),
            text: String::new(),
            indent: 0,
        };
        while writer.bytes.len() > 0 {
            writer.statement();
        }
        writer.text
    })
}

/// The program with each line that has an error made harmless.
fn mended(source: String) -> String {
    let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
    for round in 0.. {
        let source = lines.join("\n");
        let tree = parse(&source);
        let checked = check(&tree, &catalog());
        let Some(error) = checked.diagnostics.iter().find(|found| found.is_error()) else {
            return source;
        };
        let at = tree.line_index().location(&source, error.span.start).line as usize - 1;
        let head = lines[at]
            .split_whitespace()
            .next()
            .expect("an error is in a word");
        lines[at] = match head {
            "IF" | "ELIF" => format!("{head} true"),
            "FOR" | "PARALLEL" => format!("FOR item{round} IN [1]"),
            "CATCH" => "CATCH".to_owned(),
            _ => "CALL ping".to_owned(),
        };
    }
    unreachable!("a line is mended once")
}

proptest! {
    /// What the checker reports and what the names say is one.
    #[test]
    fn names_agree_with_the_checker(source in programs()) {
        let tree = parse(&source);
        let catalog = catalog();
        let names = Names::of(&tree, &catalog);
        let diagnostics = check(&tree, &catalog).diagnostics;
        prop_assume!(diagnostics.len() < 100);
        // A name is reported once, whatever is wrong with it first.
        let mut first: BTreeSet<String> = BTreeSet::new();
        let reported = |code: Code| -> BTreeSet<(u32, String)> {
            let of = diagnostics.iter().filter(|found| found.code == code);
            of.map(|found| (found.span.end, found.span.text(&source).trim_start_matches('$').to_owned()))
                .collect()
        };
        let unbound = reported(Code::UnboundName);
        for occurrence in names.occurrences() {
            prop_assert_eq!(occurrence.span.text(&source), &occurrence.name);
            let definitions = names.definitions(occurrence);
            prop_assert_eq!(definitions.is_empty(), !occurrence.is_bound());
            for definition in &definitions {
                prop_assert_eq!(definition.text(&source), &occurrence.name);
                prop_assert!(occurrence.binds || definition.end < occurrence.span.start, "{}", source);
                let there = names.at(definition.start).expect("a definition is an occurrence");
                prop_assert!(there.binds && names.same(occurrence).contains(&there));
            }
            prop_assert!(names.same(occurrence).contains(&occurrence));
            let key = (occurrence.span.end, occurrence.name.clone());
            if unbound.contains(&key) {
                prop_assert!(!occurrence.is_bound(), "{} {:?}", source, occurrence);
            } else if !occurrence.is_bound() {
                // It was reported for an earlier use.
                prop_assert!(first.contains(&occurrence.name), "{} {:?}", source, occurrence);
            }
            if diagnostics.iter().any(|found| found.span.end == key.0) {
                first.insert(occurrence.name.clone());
            }
        }
        for (end, name) in unbound {
            let there = names.at(end).expect("what is not bound is an occurrence");
            prop_assert_eq!(&there.name, &name);
        }
    }

    /// The names offered at a line are those that can be used on it.
    #[test]
    fn visible_names_can_be_used(source in programs()) {
        let catalog = catalog();
        let lines: Vec<&str> = source.lines().collect();
        prop_assume!(!lines.is_empty());
        let at = source.len() % lines.len();
        let offset: usize = lines[..at].iter().map(|line| line.len() + 1).sum();
        let visible: BTreeSet<String> = visible_names(&parse(&source), &catalog, offset as u32)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for name in ["a", "b", "c", "ab", "größe"] {
            let probe = format!("CALL probe ${name}\n");
            let end = offset + probe.len() - 1;
            let asked = format!("{}{probe}{}", &source[..offset], &source[offset..]);
            let tree = parse(&asked);
            let names = Names::of(&tree, &catalog);
            let there = names.at(end as u32).expect("the probe uses a name");
            if there.is_bound() != visible.contains(name) {
                // One that another child of a PARALLEL binds is bound, and cannot be used;
                // it is reported here or was before.
                let reported = check(&tree, &catalog)
                    .diagnostics
                    .iter()
                    .any(|found| found.span.text(&asked).ends_with(name));
                prop_assert!(there.is_bound() && reported, "{} in {}", name, asked);
            }
        }
    }

    /// A program in which every occurrence of a name is renamed means the same.
    #[test]
    fn renaming_changes_nothing_else(source in programs().prop_map(mended), pick in any::<prop::sample::Index>()) {
        let catalog = catalog();
        let tree = parse(&source);
        let names = Names::of(&tree, &catalog);
        if names.occurrences().is_empty() {
            return Ok(());
        }
        let codes = |source: &str| -> Vec<Code> {
            check(&parse(source), &catalog).diagnostics.iter().map(|found| found.code).collect()
        };
        let before = codes(&source);
        let chosen = pick.get(names.occurrences());
        let mut renamed = source.clone();
        for occurrence in names.same(chosen).iter().rev() {
            renamed.replace_range(occurrence.span.range(), "fresh_name");
        }
        prop_assert_eq!(codes(&renamed), before, "{} became {}", source, renamed);
    }

    #[test]
    fn every_place_of_every_text_is_answered(source in "[A-Za-z$ {}\"'\\\\#=\n@.é🦀-]{0,60}", offset in 0_u32..260) {
        let tree = parse(&source);
        let catalog = catalog();
        let cursor = expected_at(&source, offset);
        prop_assert!(source.get(cursor.span.range()).is_some());
        if let Some((_, span)) = target_at(&source, offset) {
            prop_assert!(source.get(span.range()).is_some());
        }
        visible_names(&tree, &catalog, offset);
        Names::of(&tree, &catalog).at(offset);
    }
}
