//! The name of a member's replication slot.
//!
//! Deliberately one way only: a slot name does not tell the member. The invariant: the name is Patroni's
//! (`slot_name_from_member_name`), so that both find each other's slots in a mixed cluster.

use std::fmt::Write as _;

/// PostgreSQL's NAMEDATALEN - 1.
const SLOT_NAME_CHARS_MAX: usize = 63;

/// Lower case; `-` and `.` become `_`; what PostgreSQL does not permit becomes `u` and its code point in four digits or more.
pub fn slot_name(member: &str) -> String {
    let mut name = String::with_capacity(member.len());
    for character in member.to_lowercase().chars() {
        match character {
            'a'..='z' | '0'..='9' | '_' => name.push(character),
            '-' | '.' => name.push('_'),
            other => {
                let _ = write!(name, "u{:04}", u32::from(other)); // a String takes everything
            }
        }
    }
    name.truncate(SLOT_NAME_CHARS_MAX); // all ASCII by now
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_patronis() {
        for (member, slot) in [
            ("postgresql0", "postgresql0"),
            ("Node-1.example.com", "node_1_example_com"),
            ("a b", "au0032b"),
            ("é", "u0233"),
            ("😀", "u128512"),
            (&"x".repeat(80), &"x".repeat(63)),
            ("", ""),
        ] {
            assert_eq!(slot_name(member), slot, "{member}");
        }
    }
}
