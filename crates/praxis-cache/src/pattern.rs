use std::fmt;

/// A pattern over names: `*` stands for any text, `?` for one character, anything else for itself.
///
/// Used to forget by name: [`ToolCache::invalidate_matching`](crate::ToolCache::invalidate_matching) takes any condition on a key.
///
/// ```
/// use praxis_cache::Pattern;
///
/// assert!(Pattern::new("read_*").matches("read_file"));
/// assert!(!Pattern::new("read_?").matches("read_file"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
}

impl Pattern {
    /// The pattern that `text` says.
    pub fn new(text: &str) -> Self {
        Self { text: text.into() }
    }

    /// Whether all of `name` is as the pattern says; takes time in the product of their lengths at worst, and no memory.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut name) = (self.text.chars(), name.chars());
        // Behind the last star: what is left of the pattern, and the name from where the star's text may grow.
        let mut star = None;
        loop {
            let wanted = pattern.next();
            if wanted == Some('*') {
                star = Some((pattern.clone(), name.clone()));
                continue;
            }
            let found = name.next();
            match (wanted, found) {
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
                _ => {
                    let Some((behind, grown)) = &mut star else {
                        return false;
                    };
                    if grown.next().is_none() {
                        return false;
                    }
                    (pattern, name) = (behind.clone(), grown.clone());
                }
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
