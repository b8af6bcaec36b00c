//! Random programs without mistakes.

/// SplitMix64, so that the programs are the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("it is below a usize")
    }

    fn text(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.below(texts.len())]
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Writes valid programs.
pub(crate) struct Writer<'r> {
    random: &'r mut Random,
    lines: Vec<String>,
    /// The names that can be used, those of lists apart.
    names: Vec<String>,
    count: usize,
    /// Blanks for each level; some people write none.
    step: usize,
}

impl Writer<'_> {
    pub(crate) fn program(random: &mut Random) -> Vec<String> {
        let step = *random.pick(&[2, 2, 4, 0]);
        let mut writer = Writer {
            random,
            lines: vec![
                "WORKFLOW nightly_report --version 2".to_owned(),
                "INPUT directory = \"docs\"".to_owned(),
                "INPUT attempts = 3".to_owned(),
                "TASK \"look around\"".to_owned(),
                "LET listing = CALL list_files --directory $directory --pattern \"*.md\"".to_owned(),
                "LET summary = CALL word_count --text \"in ${directory} there are ${size(listing)}\" @timeout=5s"
                    .to_owned(),
            ],
            names: ["directory", "attempts", "listing", "summary"]
                .map(str::to_owned)
                .to_vec(),
            count: 0,
            step,
        };
        for _ in 0..3 + writer.random.below(4) {
            writer.block(0);
        }
        writer
            .lines
            .push("RETURN ${ {'files': size(listing), 'words': summary} }".to_owned());
        writer.lines
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.lines
            .push(format!("{}{text}", " ".repeat(depth * self.step)));
    }

    fn fresh(&mut self) -> String {
        const STEMS: [&str; 5] = ["result", "content", "report", "outcome", "measure"];
        self.count += 1;
        format!("{}_{}", self.random.pick(&STEMS), self.count)
    }

    fn step(&mut self, depth: usize) {
        let known = self.random.pick(&self.names).clone();
        let text = match self.random.below(8) {
            0 => format!("CALL say \"about ${{{known}}}\""),
            1 => "CALL copy_file source.txt target.txt @retries=2".to_owned(),
            2 => format!("CALL typed --count 3 --ratio 0.5 --flag true --value ${known}"),
            3 => "CALL write_file out/notes.txt \"some text\" @cache=off".to_owned(),
            4 => "CALL read_file notes.txt --encoding utf-8".to_owned(),
            5 => format!("CALL probe ${known} @timeout=500ms"),
            6 => {
                let name = self.fresh();
                let text = format!("LET {name} = CALL read_file \"my notes.txt\"");
                self.line(depth, &text);
                self.names.push(name);
                return;
            }
            _ => {
                let name = self.fresh();
                let text = format!("LET {name} = ${{size(listing) + attempts}}");
                self.line(depth, &text);
                self.names.push(name);
                return;
            }
        };
        self.line(depth, &text);
    }

    fn steps(&mut self, depth: usize) {
        for _ in 0..1 + self.random.below(3) {
            self.step(depth);
        }
        if depth < 3 && self.random.below(3) == 0 {
            self.block(depth);
        }
    }

    /// A block, whose names are forgotten after it.
    fn block(&mut self, depth: usize) {
        let before = self.names.len();
        let inner = depth + 1;
        match self.random.below(7) {
            0 => self.step(depth),
            1 => {
                self.line(depth, "PARALLEL --limit 2");
                for _ in 0..2 + self.random.below(2) {
                    self.step(inner);
                    self.names.truncate(before);
                }
                if depth < 3 && self.random.below(2) == 0 {
                    self.block(inner);
                }
                self.line(depth, "END_PARALLEL");
            }
            2 => {
                self.line(depth, "SEQUENCE");
                self.steps(inner);
                self.line(depth, "END_SEQUENCE");
            }
            3 => {
                self.line(depth, "IF size(listing) > attempts");
                self.steps(inner);
                self.names.truncate(before);
                if self.random.below(2) == 0 {
                    self.line(depth, "ELIF attempts == 2");
                    self.steps(inner);
                    self.names.truncate(before);
                }
                if self.random.below(2) == 0 {
                    self.line(depth, "ELSE");
                    self.steps(inner);
                }
                let end = *self.random.pick(&["ENDIF", "END_IF"]);
                self.line(depth, end);
            }
            kind @ (4 | 5) => {
                let name = self.fresh();
                let head = if kind == 4 {
                    format!("FOR {name} IN $listing")
                } else {
                    format!("PARALLEL FOR {name} IN $listing --limit 4")
                };
                self.line(depth, &head);
                self.names.push(name);
                self.steps(inner);
                self.line(depth, "END_FOR");
            }
            _ => {
                let name = self.fresh();
                self.line(depth, "TRY");
                self.steps(inner);
                self.names.truncate(before);
                self.line(depth, &format!("CATCH {name}"));
                self.names.push(name);
                self.steps(inner);
                self.line(depth, "END_TRY");
            }
        }
        self.names.truncate(before);
    }
}

/// A valid program in a layout that nobody would choose: blanks, empty lines, comments, cases of
/// keywords, spellings of end words and line ends at random.
pub(crate) fn untidy(random: &mut Random) -> String {
    let line_end = *random.pick(&["\n", "\r\n"]);
    let mut out = String::from(*random.pick(&["", "\u{feff}", "\n\n", "# first\n"]));
    for line in Writer::program(random) {
        let text = line.trim_start();
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        let first = match random.below(4) {
            0 => first.to_lowercase(),
            1 => first.replace("END_", "END"),
            _ => first.to_owned(),
        };
        let blank = *random.pick(&["  ", "\t", "\u{b}", "   \t "]);
        out.push_str(random.text(&["", "", " ", "\t\t", "      "]));
        out.push_str(&first);
        if !rest.is_empty() {
            out.push_str(blank);
            out.push_str(rest);
        }
        out.push_str(random.text(&["", "", " ", " # why", "\t#", "  #  \u{1f980} \t"]));
        out.push_str(line_end);
        out.push_str(random.text(&["", "", "\n", " \r\n\n", "# own\n", "\t # \"own\n\n\n"]));
    }
    out
}
