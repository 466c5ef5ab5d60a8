//! Redis's patterns: `*`, `?`, `[a-z]`, `[^a]` and a backslash before a character that is meant as it is.

/// Does the whole text match the pattern?
pub fn matches(pattern: &str, text: &str, ignore_case: bool) -> bool {
    let fold = |text: &str| {
        let text = if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
        text.chars().collect::<Vec<char>>()
    };
    let (pattern, text) = (fold(pattern), fold(text));
    let (mut at, mut here) = (0, 0);
    // Where the last star stands, and how much of the text it has taken: all that is ever taken back, so no pattern takes
    // more than its length times the text's.
    let mut star: Option<(usize, usize)> = None;
    while here < text.len() {
        match step(&pattern, at, text[here]) {
            Step::Star => {
                star = Some((at, here));
                at += 1;
            }
            Step::One(next) => {
                at = next;
                here += 1;
            }
            Step::No => match star {
                Some((position, taken)) => {
                    star = Some((position, taken + 1));
                    at = position + 1;
                    here = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&left| left == '*')
}

enum Step {
    Star,
    /// One character matched; the pattern goes on there.
    One(usize),
    No,
}

fn step(pattern: &[char], at: usize, wanted: char) -> Step {
    match pattern.get(at) {
        None => Step::No,
        Some('*') => Step::Star,
        Some('?') => Step::One(at + 1),
        Some('[') => {
            let (found, next) = class(pattern, at + 1, wanted);
            if found { Step::One(next) } else { Step::No }
        }
        Some('\\') if at + 1 < pattern.len() => {
            if pattern[at + 1] == wanted {
                Step::One(at + 2)
            } else {
                Step::No
            }
        }
        Some(&other) => {
            if other == wanted {
                Step::One(at + 1)
            } else {
                Step::No
            }
        }
    }
}

/// After the opening bracket: whether the character is in the class, and where the pattern goes on.
fn class(pattern: &[char], mut at: usize, wanted: char) -> (bool, usize) {
    let negated = pattern.get(at) == Some(&'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    loop {
        match pattern.get(at) {
            // A class that is never closed ends with the pattern.
            None => return (found != negated, at),
            Some(']') => return (found != negated, at + 1),
            Some('\\') if at + 1 < pattern.len() => {
                found |= pattern[at + 1] == wanted;
                at += 2;
            }
            Some(&low) if pattern.get(at + 1) == Some(&'-') && at + 2 < pattern.len() => {
                let high = pattern[at + 2];
                found |= (low.min(high)..=low.max(high)).contains(&wanted);
                at += 3;
            }
            Some(&one) => {
                found |= one == wanted;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_redis_matches_them() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "mymaster", true),
            ("my*", "mymaster", true),
            ("*ster", "mymaster", true),
            ("m*s*r", "mymaster", true),
            ("m?master", "mymaster", true),
            ("m?master", "mmaster", false),
            ("db[0-9]", "db7", true),
            ("db[^0-9]", "db7", false),
            ("db[12]", "db2", true),
            ("db\\*", "db*", true),
            ("db\\*", "dbx", false),
            ("", "x", false),
            ("", "", true),
            ("a*a*a*a*b", &"a".repeat(60), false),
        ] {
            assert_eq!(matches(pattern, text, false), expected, "{pattern} {text}");
        }
        assert!(matches("ANNOUNCE-*", "announce-ip", true));
        assert!(!matches("ANNOUNCE-*", "announce-ip", false));
    }
}
