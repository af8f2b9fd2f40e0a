//! Who should hold what. Pure.
//!
//! Shares names out among members: nobody holds more than one name more than anybody else, and what
//! can stay where it is stays. A joining member takes its share and nothing else moves; what a
//! leaving one held goes to the others. Every member computes the same from the same records, so
//! nobody has to be asked; where two see different records, the compare-and-set on the lease decides.

use std::collections::{BTreeMap, BTreeSet};

use super::records::MemberId;

/// Says for each name which member should hold it; none if there are no members.
///
/// `holder_of` names the member that holds a name now; one that is no member counts as nobody.
pub(super) fn assign<'a>(
    names: &'a BTreeSet<String>,
    members: &'a BTreeSet<MemberId>,
    holder_of: impl Fn(&str) -> Option<&'a MemberId>,
) -> BTreeMap<&'a str, &'a MemberId> {
    let mut held: BTreeMap<&MemberId, Vec<&str>> =
        members.iter().map(|member| (member, Vec::new())).collect();
    let mut open = Vec::new();
    for name in names {
        match holder_of(name).and_then(|holder| held.get_mut(holder)) {
            Some(theirs) => theirs.push(name),
            None => open.push(name.as_str()),
        }
    }
    let mut rooms = quotas(names.len(), &held);
    let mut assigned = BTreeMap::new();
    for (member, mut theirs) in held {
        theirs.sort_by_key(|name| std::cmp::Reverse(score(member, name)));
        let room = rooms.get_mut(member).expect("every member has a quota");
        let kept = theirs.len().min(*room);
        *room -= kept;
        open.extend(theirs.split_off(kept));
        assigned.extend(theirs.into_iter().map(|name| (name, member)));
    }
    open.sort_unstable();
    for name in open {
        let with_room = rooms.iter_mut().filter(|(_, room)| **room > 0);
        let Some((member, room)) = with_room.max_by_key(|(member, _)| score(member, name)) else {
            break;
        };
        *room -= 1;
        assigned.insert(name, *member);
    }
    assigned
}

/// How many names each member may hold: the same for all, and one more for those that hold most now.
fn quotas<'a>(
    names: usize,
    held: &BTreeMap<&'a MemberId, Vec<&str>>,
) -> BTreeMap<&'a MemberId, usize> {
    if held.is_empty() {
        return BTreeMap::new();
    }
    let (share, left_over) = (names / held.len(), names % held.len());
    let mut members: Vec<_> = held.iter().map(|(member, theirs)| (*member, theirs.len())).collect();
    members.sort_by_key(|(member, count)| (std::cmp::Reverse(*count), *member));
    let quota = |(at, (member, _)): (usize, (&'a MemberId, usize))| {
        (member, share + usize::from(at < left_over))
    };
    members.into_iter().enumerate().map(quota).collect()
}

/// How well a name suits a member (rendezvous hashing): the same on every machine and for ever.
fn score(member: &MemberId, name: &str) -> u64 {
    let bytes = member.as_str().bytes().chain([0]).chain(name.bytes());
    // FNV-1a, then MurmurHash3's finalizer, because names often differ in their last byte alone.
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nobody_gets_anything_where_nobody_is() {
        assert!(assign(&names(3), &BTreeSet::new(), |_| None).is_empty());
    }

    #[test]
    fn one_member_gets_all_and_keeps_what_it_has() {
        let (names, members) = (names(5), members(&[1]));
        let assigned = assign(&names, &members, |_| None);
        assert_eq!(assigned.len(), 5);
        assert!(assigned.values().all(|member| **member == id(1)));
    }

    #[test]
    fn a_holder_that_is_no_member_counts_as_nobody() {
        let (names, members, stranger) = (names(4), members(&[1, 2]), id(9));
        let assigned = assign(&names, &members, |_| Some(&stranger));
        assert_eq!(assigned.len(), 4);
        assert!(assigned.values().all(|member| **member != stranger));
    }

    proptest! {
        #[test]
        fn shares_are_even_and_few_names_move(
            count in 0_usize..130,
            changes in proptest::collection::vec(1_u8..12, 1..30),
        ) {
            let names = names(count);
            let mut present = BTreeSet::new();
            let mut holders: BTreeMap<String, MemberId> = BTreeMap::new();
            for change in changes {
                // A number seen again leaves.
                if !present.remove(&id(change)) {
                    present.insert(id(change));
                }
                let assigned = assign(&names, &present, |name| holders.get(name));
                let now: BTreeMap<String, MemberId> = assigned
                    .into_iter()
                    .map(|(name, member)| (name.to_owned(), member.clone()))
                    .collect();
                if present.is_empty() {
                    prop_assert!(now.is_empty());
                } else {
                    prop_assert_eq!(now.len(), count, "every name has its member");
                    let shares = present.iter().map(|m| now.values().filter(|h| *h == m).count());
                    let (least, most) = (shares.clone().min(), shares.max());
                    prop_assert!(most.unwrap() - least.unwrap() <= 1);
                    let moved = now.iter().filter(|(name, holder)| {
                        holders.get(*name).is_some_and(|before| before != *holder)
                    });
                    prop_assert!(moved.count() <= count.div_ceil(present.len()) + 1);
                }
                holders = now;
            }
        }

        #[test]
        fn what_is_shared_out_stays(count in 0_usize..130, size in 1_u8..12) {
            let (names, members) = (names(count), members(&(1..=size).collect::<Vec<_>>()));
            let first = assign(&names, &members, |_| None);
            let second = assign(&names, &members, |name| first.get(name).copied());
            prop_assert_eq!(first, second);
        }
    }

    fn names(count: usize) -> BTreeSet<String> {
        (0..count).map(|n| n.to_string()).collect()
    }

    fn members(numbers: &[u8]) -> BTreeSet<MemberId> {
        numbers.iter().map(|n| id(*n)).collect()
    }

    fn id(n: u8) -> MemberId {
        MemberId::parse(&format!("chimein-{n}.a{n}")).unwrap()
    }
}
