fn main() {
    let mut all = String::new();
    std::io::Read::read_to_string(&mut std::io::stdin(), &mut all).unwrap();
    for line in all.lines() {
        let src: String = match serde_json::from_str(line) { Ok(s) => s, Err(e) => { println!("BAD {line} {e}"); continue } };
        let tree = praxis_dsl::parse(&src);
        match (praxis_dsl::compat_tokens(&tree), praxis_dsl::compat_ast(&tree)) {
            (Ok(t), Ok(a)) => {
              println!("{src:?}\n   T {}\n   A {}", t.replace("\"type\":\"command\",", ""), a.replace("\"tool_name\":null,","").replace("\"children\":[],",""));
            }
            _ => println!("{src:?}\n   REFUSED {:?}", tree.diagnostics().iter().map(|d| (d.code.id(), d.message.clone(), {let r=d.to_row(&src, tree.line_index()); (r.line,r.column)})).collect::<Vec<_>>()),
        }
    }
}
