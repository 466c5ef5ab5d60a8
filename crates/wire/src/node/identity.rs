//! Numbers for clusters and members, made from their names: the same on every member, without anybody handing them out.

/// Of a member's name within a cluster. Never 0.
pub fn member_id(cluster_token: &str, name: &str) -> u64 {
    hash([cluster_token.as_bytes(), name.as_bytes()])
}

/// Of a set of members. Never 0.
pub fn cluster_id(cluster_token: &str, members: impl IntoIterator<Item = u64>) -> u64 {
    let mut members: Vec<u64> = members.into_iter().collect();
    members.sort_unstable();
    let members: Vec<u8> = members.into_iter().flat_map(u64::to_be_bytes).collect();
    hash([cluster_token.as_bytes(), &members])
}

/// FNV-1a with a stirred end. Written on disks: it must never change.
fn hash(parts: [&[u8]; 2]) -> u64 {
    let mut hash: u64 = 0xCBF2_9CE4_8422_2325;
    for part in parts {
        // The length first, so that the parts cannot run into each other.
        let length = (part.len() as u64).to_be_bytes();
        for byte in length.iter().chain(part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^= hash >> 32;
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_different() {
        assert_eq!(member_id("quorate", "pg1"), 0x9ee6_b0af_8557_5aee, "it is on disks");
        assert_ne!(member_id("quorate", "pg1"), member_id("quorate", "pg2"));
        assert_ne!(member_id("quorate", "pg1"), member_id("quoratep", "g1"));
        assert_eq!(cluster_id("t", [1, 2, 3]), cluster_id("t", [3, 1, 2]));
        assert_ne!(cluster_id("t", [1, 2, 3]), cluster_id("t", [1, 2]));
    }
}
