//! Counting votes: who leads the failover of this epoch.
//!
//! Deliberately pessimistic about voters: all sentinels ever seen for this master count, also those that are gone. The
//! invariant: a leader has the votes of a majority, so two of one epoch cannot be.

use super::core::Core;
use super::master::Master;
use super::vote::vote;
use std::collections::BTreeMap;

/// The winner among these votes, ours included, or nobody.
fn winner<'a>(votes: &[&'a str], known: usize, quorum: usize) -> Option<&'a str> {
    let (leader, count) = most_voted(votes)?;
    (count > known / 2 && count >= quorum).then_some(leader)
}

/// Of candidates with the same number of votes the first by name.
fn most_voted<'a>(votes: &[&'a str]) -> Option<(&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for vote in votes {
        *counts.entry(vote).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count)
}

/// Did this sentinel win the election of this epoch? Votes first if it has not: for whoever has most votes, else for itself.
/// Sentinel counts votes of whatever epoch is the newest; two leaders of one epoch can come of that.
pub(super) fn is_won(core: &mut Core, master: &mut Master, epoch: u64) -> bool {
    let choice = |peer: &super::peer::Peer| if peer.leader_epoch == epoch { peer.leader.clone() } else { None };
    let others: Vec<Box<str>> = master.peers.iter().filter_map(choice).collect();
    let mut votes: Vec<&str> = others.iter().map(AsRef::as_ref).collect();
    let preferred = most_voted(&votes).map_or_else(|| core.my_id.to_string(), |(leader, _)| leader.to_owned());
    vote(core, master, epoch, &preferred);
    // Our own vote counts as others' do: when it is on the disk.
    let own =
        master.vote.leader.as_deref().filter(|_| master.vote.epoch == epoch && core.saves.is_done(master.vote.save));
    votes.extend(own);
    let elected = winner(&votes, master.peers.len() + 1, master.settings.quorum as usize);
    elected.is_some_and(|leader| leader.eq_ignore_ascii_case(&core.my_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_winner_has_a_majority_of_all_known_sentinels_and_the_quorum() {
        for (votes, voters, quorum, expected) in [
            (vec![], 1, 1, None),
            (vec!["a"], 1, 1, Some("a")),
            (vec!["a"], 2, 1, None),
            (vec!["a", "a"], 3, 2, Some("a")),
            (vec!["a", "b"], 3, 1, None),
            (vec!["a", "a", "b"], 3, 2, Some("a")),
            (vec!["a", "a", "b"], 3, 3, None),
            (vec!["a", "a"], 4, 2, None),
            (vec!["a", "a"], 5, 2, None),
            (vec!["b", "a", "b", "b"], 5, 2, Some("b")),
        ] {
            assert_eq!(winner(&votes, voters, quorum), expected, "{votes:?} of {voters}, quorum {quorum}");
        }
    }

    /// All ways in which up to five sentinels can vote for up to three candidates or not at all.
    #[test]
    fn two_candidates_never_both_win() {
        const CANDIDATES: [&str; 3] = ["a", "b", "c"];
        for voters in 1..=5u32 {
            for ballot in 0..4u32.pow(voters) {
                let votes: Vec<&str> = (0..voters)
                    .filter_map(|voter| CANDIDATES.get((ballot / 4u32.pow(voter) % 4) as usize).copied())
                    .collect();
                let winners = CANDIDATES
                    .iter()
                    .filter(|candidate| votes.iter().filter(|vote| vote == candidate).count() > voters as usize / 2)
                    .count();
                assert!(winners <= 1);
                assert_eq!(winner(&votes, voters as usize, 1).is_some(), winners == 1, "{votes:?} of {voters}");
            }
        }
    }
}
