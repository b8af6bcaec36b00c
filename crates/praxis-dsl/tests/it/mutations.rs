//! Programs with one injected mistake each: the mistake gives one error, at its place.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::checked;
use crate::writer::{Random, Writer};

/// How many programs each kind of mistake is put into.
const ROUNDS: usize = 40;

/// A program with a mistake, and where the mistake may be pointed at.
struct Mutant {
    source: String,
    spans: Vec<Range<usize>>,
}

/// A valid program and ways to spoil it.
struct Program {
    lines: Vec<String>,
}

impl Program {
    fn offset(&self, line: usize) -> usize {
        self.lines[..line].iter().map(|line| line.len() + 1).sum()
    }

    fn source(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The lines that `accept` takes.
    fn find(&self, accept: impl Fn(&str) -> bool) -> Vec<usize> {
        (0..self.lines.len())
            .filter(|&line| accept(self.lines[line].trim_start()))
            .collect()
    }

    /// One of the lines that `accept` takes.
    fn any(&self, random: &mut Random, accept: impl Fn(&str) -> bool) -> Option<usize> {
        let found = self.find(accept);
        (!found.is_empty()).then(|| *random.pick(&found))
    }

    /// The line with `range` in it replaced by `text`, which is the mistake.
    fn replace(&self, line: usize, range: Range<usize>, text: &str) -> Mutant {
        let start = self.offset(line) + range.start;
        let mut source = self.source();
        source.replace_range(start..start + range.len(), text);
        let span = start..start + text.len().max(1);
        let spans = vec![span];
        Mutant { source, spans }
    }

    /// The same, with any place on the line right.
    fn rewrite(&self, line: usize, text: &str) -> Mutant {
        let indent = self.indent(line);
        let end = self.lines[line].len();
        self.replace(line, indent..end, text)
    }

    fn indent(&self, line: usize) -> usize {
        self.lines[line].len() - self.lines[line].trim_start().len()
    }

    /// The first word of the line, as a range in it.
    fn first(&self, line: usize) -> Range<usize> {
        let start = self.indent(line);
        let length = self.lines[line][start..]
            .find(' ')
            .unwrap_or(self.lines[line].len() - start);
        start..start + length
    }

    /// Where `part` stands in the line.
    fn part(&self, line: usize, part: &str) -> Option<Range<usize>> {
        let start = self.lines[line].find(part)?;
        Some(start..start + part.len())
    }

    /// The opening line of the block that the line `end` closes.
    fn opener(&self, end: usize) -> usize {
        let mut depth = 0;
        for line in (0..=end).rev() {
            let text = self.lines[line].trim_start();
            if is_end(text) {
                depth += 1;
            } else if is_opener(text) {
                depth -= 1;
                if depth == 0 {
                    return line;
                }
            }
        }
        panic!("an end has an opening line");
    }

    fn whole(&self, line: usize) -> Range<usize> {
        let start = self.offset(line);
        start..start + self.lines[line].len()
    }
}

fn is_end(line: &str) -> bool {
    line.starts_with("END")
}

fn is_opener(line: &str) -> bool {
    ["PARALLEL", "SEQUENCE", "IF ", "FOR ", "TRY"]
        .iter()
        .any(|word| line.starts_with(word))
}

/// A word with one slip of the fingers in it.
fn misspell(random: &mut Random, word: &str) -> String {
    loop {
        let mut letters: Vec<char> = word.chars().collect();
        let at = random.below(letters.len());
        match random.below(4) {
            0 if at + 1 < letters.len() => letters.swap(at, at + 1),
            1 if letters.len() > 2 => {
                letters.remove(at);
            }
            2 => letters.insert(at, letters[at]),
            3 => {
                let near = char::from(b'a' + u8::try_from(random.below(26)).expect("a letter"));
                letters[at] = if letters[at].is_ascii_uppercase() {
                    near.to_ascii_uppercase()
                } else {
                    near
                };
            }
            _ => {}
        }
        let spelled: String = letters.into_iter().collect();
        let keyword = praxis_dsl::Keyword::parse(&spelled).is_some();
        if spelled != word && !keyword {
            return spelled;
        }
    }
}

type Injection = fn(&Program, &mut Random) -> Option<Mutant>;

/// The kinds of mistakes.
const KINDS: &[(&str, Injection)] = &[
    ("misspelt command", |program, random| {
        let line = program.any(random, |line| !is_end(line) && !is_opener(line))?;
        let range = program.first(line);
        let word = misspell(random, &program.lines[line][range.clone()]);
        Some(program.replace(line, range, &word))
    }),
    ("misspelt opening", |program, random| {
        let line = program.any(random, is_opener)?;
        let range = program.first(line);
        let word = misspell(random, &program.lines[line][range.clone()]);
        Some(program.replace(line, range, &word))
    }),
    ("misspelt FOR of PARALLEL FOR", |program, random| {
        let line = program.any(random, |line| line.starts_with("PARALLEL FOR"))?;
        let range = program.part(line, "FOR")?;
        let word = misspell(random, "FOR");
        Some(program.replace(line, range, &word))
    }),
    ("misspelt end word", |program, random| {
        let line = program.any(random, is_end)?;
        let range = program.first(line);
        let word = misspell(random, &program.lines[line][range.clone()]);
        Some(program.replace(line, range, &word))
    }),
    ("wrong end word", |program, random| {
        let line = program.any(random, is_end)?;
        let range = program.first(line);
        let right = &program.lines[line][range.clone()];
        let ends = [
            "END_PARALLEL",
            "END_SEQUENCE",
            "END_IF",
            "END_FOR",
            "END_TRY",
        ];
        let wrong = *random.pick(&ends);
        let same = wrong.replace('_', "") == right.replace('_', "");
        (!same).then(|| program.replace(line, range, wrong))
    }),
    ("dropped end word", |program, random| {
        let line = program.any(random, is_end)?;
        let opener = program.whole(program.opener(line));
        let place = program.offset(line);
        let mut lines = program.lines.clone();
        lines.remove(line);
        Some(Mutant {
            source: Program { lines }.source(),
            spans: vec![opener, place..place + 1],
        })
    }),
    ("misspelt tool", |program, random| {
        let line = program.any(random, |line| line.contains("CALL "))?;
        let text = &program.lines[line];
        let start = text.find("CALL ")? + 5;
        let end = text[start..].find(' ').map_or(text.len(), |at| start + at);
        let word = misspell(random, &text[start..end]);
        Some(program.replace(line, start..end, &word))
    }),
    ("misspelt parameter", |program, random| {
        let line = program.any(random, |line| {
            line.contains("CALL ") && line.contains(" --")
        })?;
        let text = &program.lines[line];
        let places: Vec<usize> = text.match_indices(" --").map(|(at, _)| at + 3).collect();
        let start = *random.pick(&places);
        let end = start + text[start..].find(' ')?;
        let word = misspell(random, &text[start..end]);
        Some(program.replace(line, start..end, &word))
    }),
    ("misspelt block option", |program, random| {
        let line = program.any(random, |line| line.contains("--limit"))?;
        let range = program.part(line, "--limit")?;
        let word = misspell(random, "limit");
        Some(program.replace(line, range, &format!("--{word}")))
    }),
    ("misspelt name", |program, random| {
        let line = program.any(random, |line| line.contains('$') && !line.contains("${ {"))?;
        let text = &program.lines[line];
        let dollars: Vec<usize> = text.match_indices('$').map(|(at, _)| at + 1).collect();
        let mut start = *random.pick(&dollars);
        start += usize::from(text[start..].starts_with('{'));
        start += if text[start..].starts_with("size(") {
            5
        } else {
            0
        };
        let length = text[start..].find(|c: char| c != '_' && !c.is_alphanumeric());
        let range = start..start + length.unwrap_or(text.len() - start);
        let name = &text[range.clone()];
        let word = loop {
            let word = misspell(random, name);
            let digits = |c: char| c.is_ascii_digit();
            // Another number would be another name.
            if word.trim_end_matches(digits) != name.trim_end_matches(digits)
                && !word.starts_with(digits)
            {
                break word;
            }
        };
        Some(program.replace(line, range, &word))
    }),
    ("dropped quote", |program, random| {
        let line = program.any(random, |line| line.contains('"'))?;
        let text = &program.lines[line];
        let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
        let at = random.below(quotes.len());
        let pair = at - at % 2;
        let offset = program.offset(line);
        let mut mutant = program.replace(line, quotes[at]..quotes[at] + 1, "");
        let quoted = offset + quotes[pair]..offset + quotes[pair + 1];
        mutant.spans[0] = quoted;
        Some(mutant)
    }),
    ("missing argument", |program, random| {
        let line = program.any(random, |line| line.starts_with("CALL"))?;
        let call = *random.pick(&["CALL read_file", "CALL copy_file a.txt", "CALL word_count"]);
        Some(program.rewrite(line, call))
    }),
    ("surplus argument", |program, random| {
        let line = program.any(random, |line| {
            ["CALL copy_file", "CALL read_file", "CALL probe"]
                .iter()
                .any(|call| line.starts_with(call))
        })?;
        let end = program.lines[line].len();
        let words = if program.lines[line].contains("encoding") {
            " one two"
        } else {
            " surplus"
        };
        Some(program.replace(line, end..end, words))
    }),
    ("ill-typed literal", |program, random| {
        let line = program.any(random, |line| line.contains("--count 3"))?;
        let (part, wrong) = *random.pick(&[
            ("--count 3", "--count three"),
            ("--count 3", "--count 3.5"),
            ("--ratio 0.5", "--ratio half"),
            ("--flag true", "--flag yes"),
        ]);
        Some(program.replace(line, program.part(line, part)?, wrong))
    }),
    ("name bound twice", |program, random| {
        let line = program.any(random, |line| line.starts_with("LET summary"))?;
        let name = *random.pick(&["directory", "listing", "attempts"]);
        let mut lines = program.lines.clone();
        let text = format!("LET {name} = CALL ping");
        lines.insert(line + 1, text);
        let spoilt = Program { lines };
        let spans = vec![spoilt.whole(line + 1)];
        let source = spoilt.source();
        Some(Mutant { source, spans })
    }),
    ("stray clause", |program, random| {
        let line = program.any(random, |line| {
            line.starts_with("FOR") || line.starts_with("SEQUENCE") || line.starts_with("WORKFLOW")
        })?;
        let word = *random.pick(&["ELSE", "ELIF attempts > 1", "CATCH problem"]);
        let mut lines = program.lines.clone();
        let indent = lines[line + 1].len() - lines[line + 1].trim_start().len();
        lines.insert(line + 1, format!("{}{word}", " ".repeat(indent)));
        let spoilt = Program { lines };
        let spans = vec![spoilt.whole(line + 1)];
        let source = spoilt.source();
        Some(Mutant { source, spans })
    }),
    ("second ELSE", |program, random| {
        let line = program.any(random, |line| line == "ELSE")?;
        let end = (line..program.lines.len())
            .find(|&end| is_end(program.lines[end].trim_start()) && program.opener(end) < line)?;
        let mut lines = program.lines.clone();
        lines.insert(end, lines[line].clone());
        let spoilt = Program { lines };
        let spans = vec![spoilt.whole(end)];
        let source = spoilt.source();
        Some(Mutant { source, spans })
    }),
    ("stray end word", |program, random| {
        let line = program.any(random, |line| {
            line.starts_with("TASK") || line.starts_with("INPUT")
        })?;
        let word = *random.pick(&["END_IF", "END_FOR", "END_PARALLEL"]);
        let mut lines = program.lines.clone();
        lines.insert(line + 1, word.to_owned());
        let spoilt = Program { lines };
        let spans = vec![spoilt.whole(line + 1)];
        let source = spoilt.source();
        Some(Mutant { source, spans })
    }),
    ("unknown step option", |program, random| {
        let line = program.any(random, |line| line.contains(" @"))?;
        let text = &program.lines[line];
        let start = text.find(" @")? + 2;
        let end = start + text[start..].find('=')?;
        let word = misspell(random, &text[start..end]);
        Some(program.replace(line, start..end, &word))
    }),
    ("bad value of a step option", |program, random| {
        let line = program.any(random, |line| line.contains(" @"))?;
        let text = &program.lines[line];
        let range = text.find(" @")? + 1..text.len();
        let wrong = *random.pick(&[
            "@timeout=soon",
            "@timeout=5d",
            "@retries=many",
            "@retries=-1",
            "@cache=maybe",
        ]);
        Some(program.replace(line, range, wrong))
    }),
    ("doubled argument", |program, random| {
        let (line, again) = match random.below(2) {
            0 => (
                program.any(random, |line| line.contains("--count 3"))?,
                " --count 4",
            ),
            _ => (
                program.any(random, |line| line.contains("--encoding"))?,
                " --encoding latin-1",
            ),
        };
        let end = program.lines[line].len();
        Some(program.replace(line, end..end, again))
    }),
    ("LET without its sign", |program, random| {
        let line = program.any(random, |line| {
            line.starts_with("LET") && line.contains(" = ")
        })?;
        let range = program.part(line, " = ")?;
        let mut mutant = program.replace(line, range, " ");
        mutant.spans = vec![program.whole(line)];
        Some(mutant)
    }),
    ("FOR without IN", |program, random| {
        let line = program.any(random, |line| {
            line.contains("FOR ") && line.contains(" IN ")
        })?;
        let range = program.part(line, " IN ")?;
        let mut mutant = program.replace(line, range, " ");
        mutant.spans = vec![program.whole(line)];
        Some(mutant)
    }),
    ("broken expression", |program, random| {
        let line = program.any(random, |line| line.starts_with("IF"))?;
        let wrong = *random.pick(&[
            "IF size(listing > attempts",
            "IF size(listing) >> attempts",
            "IF size(listing) > ",
            "IF size(listing) attempts",
        ]);
        Some(program.rewrite(line, wrong))
    }),
    ("interpolation without its end", |program, random| {
        let line = program.any(random, |line| line.contains("${size(listing) + attempts}"))?;
        let range = program.part(line, "${size(listing) + attempts}")?;
        Some(program.replace(line, range, "${size(listing)+attempts"))
    }),
    ("expression without its braces", |program, random| {
        let line = program.any(random, |line| line.contains("${size(listing) + attempts}"))?;
        let range = program.part(line, "${size(listing) + attempts}")?;
        Some(program.replace(line, range, "size(listing) + attempts"))
    }),
    ("block without steps", |program, random| {
        let line = program.any(random, |line| line.starts_with("TASK"))?;
        let (open, close) =
            *random.pick(&[("PARALLEL", "END_PARALLEL"), ("SEQUENCE", "END_SEQUENCE")]);
        let mut lines = program.lines.clone();
        lines.splice(line..line, [open.to_owned(), close.to_owned()]);
        let spoilt = Program { lines };
        let spans = vec![spoilt.whole(line), spoilt.whole(line + 1)];
        let source = spoilt.source();
        Some(Mutant { source, spans })
    }),
];

#[test]
fn one_mistake_gives_one_error_at_its_place() {
    let mut random = Random(2026);
    let mut tally: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    // Of all errors, those at the place of the mistake; and the mistakes with such an error.
    let (mut errors_there, mut errors_given, mut mistakes_seen) = (0, 0, 0);
    for (kind, inject) in KINDS {
        let mut done = 0;
        while done < ROUNDS {
            let program = Program {
                lines: Writer::program(&mut random),
            };
            let source = program.source();
            let found = checked(&source).diagnostics;
            assert!(found.is_empty(), "{source}{found:#?}");
            let Some(mutant) = inject(&program, &mut random) else {
                continue;
            };
            done += 1;
            let errors: Vec<_> = checked(&mutant.source)
                .diagnostics
                .into_iter()
                .filter(|found| found.is_error())
                .collect();
            let there = |error: &praxis_dsl::Diagnostic| {
                let found = error.span.range();
                let mut spans = mutant.spans.iter();
                spans.any(|span| found.start < span.end && span.start < found.end)
            };
            let hits = errors.iter().filter(|error| there(error)).count();
            errors_there += hits;
            errors_given += errors.len();
            mistakes_seen += usize::from(hits > 0);
            let right = errors.len() == 1 && hits == 1;
            let entry = tally.entry(kind).or_default();
            entry.0 += usize::from(right);
            entry.1 += 1;
            if !right {
                let lines: Vec<String> = errors
                    .iter()
                    .map(|error| error.render("mutant", &mutant.source, false))
                    .collect();
                wrong.push(format!("--- {kind}\n{}{}", mutant.source, lines.join("\n")));
            }
        }
    }
    let right: usize = tally.values().map(|(right, _)| right).sum();
    let all: usize = tally.values().map(|(_, all)| all).sum();
    for (kind, (right, all)) in &tally {
        println!("{right:3}/{all:3} {kind}");
    }
    println!("{right}/{all} mistakes give one error, at their place");
    println!("precision: {errors_there} of {errors_given} errors are at the mistake");
    println!("recall: {mistakes_seen} of {all} mistakes have an error at their place");
    assert!(errors_there * 100 >= errors_given * 99, "precision");
    assert!(mistakes_seen * 100 >= all * 99, "recall");
    if let Ok(shown) = std::env::var("SHOW_MUTANTS") {
        for wrong in wrong.iter().filter(|wrong| wrong.contains(&shown)) {
            println!("{wrong}");
        }
    }
    assert!(
        right * 100 >= all * 99,
        "{right} of {all}; the first that is wrong:\n{}",
        wrong.first().map_or("", String::as_str)
    );
}

/// Programs with one mistake each, of every kind, from `seed`.
pub(crate) fn mutants(seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let mut mutants = Vec::new();
    for (_, inject) in KINDS {
        let lines = Writer::program(&mut random);
        mutants.extend(inject(&Program { lines }, &mut random).map(|mutant| mutant.source));
    }
    mutants
}
