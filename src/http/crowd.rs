//! The connections of one listener by where they come from, and who of them leaves for another. Pure.
//!
//! A connection that waits can make room: between two requests, for the rest of a head or a body, for
//! its client to take an answer. One whose request is at work never does. Who is asked to leave:
//!
//! 1. Once half of the places are taken, somebody who already has as many as one address should have
//!    gets the next one for one of his own.
//! 2. Once all are taken, whoever has most of them gives one; of those who have as many, whoever waits
//!    longest. Trusted proxies, behind whom many people stand, come last.
//! 3. Whoever has most of them already gets no further one, and is refused at once, unless one of his
//!    own is idle, or has hung for a second: coming again and again wins nothing, and holds up nobody. Trusted proxies
//!    are excepted, since those who come again through them are others, and so is who has few.
//! 4. Of one's connections it is what has hung in the middle of something for a second, else the one
//!    that is idle for longest, else what waits for longest. Behind a trusted proxy what
//!    began to wait a moment ago is left alone, since its bytes are on the way.
//!
//! Each step costs the logarithm of the number of connections, so that accepting stays cheap.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Moment;

/// How long a connection may wait in the middle of something before an idle one is the better one.
const STUCK: Duration = Duration::from_secs(1);

/// How long a connection that waits in the middle of something is left alone.
const YOUNG: Duration = Duration::from_millis(100);

/// How many connections nobody is refused for having.
const FEW: usize = 16;

/// How many connections may be open beyond the bound at most, because they were asked to leave and have
/// not left yet; an eighth of the places if that is less.
const LEAVING_MAX: usize = 64;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Bounds {
    /// From everywhere.
    pub(super) connections_max: usize,
    /// From one address, once half of the places are taken.
    pub(super) per_address: usize,
}

impl Bounds {
    /// How many may be open, those among them that were asked to leave.
    fn with_leaving(self) -> usize {
        let leaving_max = (self.connections_max / 8).clamp(1, LEAVING_MAX);
        self.connections_max.saturating_add(leaving_max)
    }
}

/// Where connections come from that are counted together.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Home {
    /// What their addresses have in common.
    pub(super) network: IpAddr,
    /// Whether many people stand behind it.
    pub(super) is_trusted: bool,
}

/// What a connection waits for, and since when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rest {
    /// For its next request.
    Idle(Moment),
    /// For the rest of something that has begun.
    Midway(Moment),
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CrowdAdmission {
    /// It has a place.
    Enter {
        /// Its number.
        id: u64,
        /// Who is to be asked to leave for it.
        asked: Option<u64>,
    },
    /// It is closed: its address has its share, and uses all of it.
    Refuse,
    /// It has to wait until something changes, at the latest until then.
    Wait {
        /// When somebody has waited for long enough to be asked.
        until: Option<Moment>,
    },
}

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct Crowd {
    bounds: Bounds,
    next: u64,
    leaving: usize,
    members: HashMap<u64, Guest>,
    households: HashMap<Home, Household>,
    /// Those households of which somebody waits, in the order in which they keep their places.
    order: BTreeSet<Rank>,
}

#[derive(Clone, Copy, Debug)]
struct Guest {
    home: Home,
    rest: Option<Rest>,
    is_leaving: bool,
}

/// Who leaves first comes last: the untrusted, who has most, who waits longest.
type Rank = (bool, usize, Reverse<Moment>, Home);

/// The connections from one home, without those that were asked to leave.
#[derive(Debug, Default)]
struct Household {
    staying: usize,
    idle: BTreeSet<(Moment, u64)>,
    midway: BTreeSet<(Moment, u64)>,
    rank: Option<Rank>,
}

impl Crowd {
    /// Begins with nobody.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            next: 0,
            leaving: 0,
            members: HashMap::new(),
            households: HashMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Lets a new connection in, if there is a place or somebody can be asked for one.
    pub(super) fn admit(&mut self, home: Home, now: Moment) -> CrowdAdmission {
        let Bounds { connections_max, per_address } = self.bounds;
        let staying = self.members.len() - self.leaving;
        let own = self.households.get(&home).filter(|_| !home.is_trusted);
        let largest = self.order.last().and_then(|rank| self.households.get(&rank.3));
        let has_most = own.is_some_and(|own| {
            own.staying >= FEW && largest.is_some_and(|largest| own.staying + 1 >= largest.staying)
        });
        if self.members.len() >= self.bounds.with_leaving() {
            // Who has most already holds nobody up who stands behind.
            return if has_most {
                CrowdAdmission::Refuse
            } else {
                CrowdAdmission::Wait { until: None }
            };
        }
        let has_share =
            staying >= connections_max / 2 && own.is_some_and(|own| own.staying >= per_address);
        let mut asked = None;
        if let Some(own) = own.filter(|_| has_share) {
            asked = own.first_to_leave(now, STUCK).ok();
            if asked.is_none() && own.is_mostly_midway() {
                return CrowdAdmission::Refuse;
            }
        }
        if asked.is_none() && staying >= connections_max {
            let Some(largest) = largest else { return CrowdAdmission::Wait { until: None } };
            let least = match (has_most, home.is_trusted) {
                (true, _) => STUCK,
                (false, true) => YOUNG,
                // Who has less does not wait behind those who come again and again.
                (false, false) => Duration::ZERO,
            };
            asked = match largest.first_to_leave(now, least) {
                Ok(id) => Some(id),
                Err(_) if has_most => return CrowdAdmission::Refuse,
                Err(until) => return CrowdAdmission::Wait { until },
            };
        }
        if let Some(id) = asked {
            self.ask(id);
        }
        let id = self.next;
        self.next += 1;
        self.members.insert(id, Guest { home, rest: None, is_leaving: false });
        self.change(home, |household| household.staying += 1);
        CrowdAdmission::Enter { id, asked }
    }

    /// Notes what a connection waits for, or that it is at work; one that was asked to leave and says
    /// so stays after all.
    pub(super) fn note(&mut self, id: u64, rest: Option<Rest>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let before = std::mem::replace(&mut member.rest, rest);
        let (home, returns) = (member.home, std::mem::take(&mut member.is_leaving));
        self.leaving -= usize::from(returns);
        self.change(home, |household| {
            if returns {
                household.staying += 1;
            } else {
                household.forget(id, before);
            }
            household.remember(id, rest);
        });
    }

    /// Notes that a connection has ended.
    pub(super) fn leave(&mut self, id: u64) {
        let Some(member) = self.members.remove(&id) else { return };
        if member.is_leaving {
            self.leaving -= 1;
            return;
        }
        self.change(member.home, |household| {
            household.staying -= 1;
            household.forget(id, member.rest);
        });
    }

    fn ask(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.is_leaving = true;
        self.leaving += 1;
        let Guest { home, rest, .. } = *member;
        self.change(home, |household| {
            household.staying -= 1;
            household.forget(id, rest);
        });
    }

    /// Changes a household and puts it where it belongs then.
    fn change(&mut self, home: Home, change: impl FnOnce(&mut Household)) {
        let household = self.households.entry(home).or_default();
        change(household);
        let rank = household.rank_of(home);
        let before = std::mem::replace(&mut household.rank, rank);
        let is_empty = household.staying == 0;
        if before != rank {
            if let Some(before) = before {
                self.order.remove(&before);
            }
            if let Some(rank) = rank {
                self.order.insert(rank);
            }
        }
        if is_empty {
            self.households.remove(&home);
        }
    }
}

impl Household {
    fn remember(&mut self, id: u64, rest: Option<Rest>) {
        match rest {
            Some(Rest::Idle(since)) => self.idle.insert((since, id)),
            Some(Rest::Midway(since)) => self.midway.insert((since, id)),
            None => false,
        };
    }

    fn forget(&mut self, id: u64, rest: Option<Rest>) {
        match rest {
            Some(Rest::Idle(since)) => self.idle.remove(&(since, id)),
            Some(Rest::Midway(since)) => self.midway.remove(&(since, id)),
            None => false,
        };
    }

    fn rank_of(&self, home: Home) -> Option<Rank> {
        let firsts = self.idle.first().into_iter().chain(self.midway.first());
        let since = firsts.map(|(since, _)| *since).min()?;
        Some((!home.is_trusted, self.staying, Reverse(since), home))
    }

    /// Whether more of them hang in the middle of something than not.
    fn is_mostly_midway(&self) -> bool {
        self.midway.len() * 2 > self.staying
    }

    /// Who leaves first, or when somebody could; nobody midway who has not been so for that long.
    fn first_to_leave(&self, now: Moment, least: Duration) -> Result<u64, Option<Moment>> {
        let longest = |waiting: &BTreeSet<(Moment, u64)>, least| {
            let first = waiting.first().filter(|(since, _)| now.since(*since) >= least);
            first.map(|(_, id)| *id)
        };
        longest(&self.midway, STUCK)
            .or_else(|| longest(&self.idle, Duration::ZERO))
            .or_else(|| longest(&self.midway, least))
            .ok_or_else(|| self.midway.first().map(|(since, _)| *since + least))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_idle_one_of_whoever_has_most_makes_room() {
        let mut crowd = crowd(4, 100);
        let [a, b, c] = [1, 2, 2].map(|home| enter(&mut crowd, home, at(0)));
        let d = enter(&mut crowd, 3, at(0));
        for (id, second) in [(a, 1), (c, 2), (b, 3), (d, 0)] {
            crowd.note(id, Some(Rest::Idle(at(second))));
        }
        let asked = admit(&mut crowd, 4, at(10));
        assert_eq!(asked, Some(c), "two from one address, and it is the longer idle one");
        crowd.leave(c);
        let asked = admit(&mut crowd, 5, at(10));
        assert_eq!(asked, Some(d), "all have one now");
    }

    #[test]
    fn a_trusted_proxy_keeps_its_connections_longest() {
        let mut crowd = crowd(3, 1);
        let proxy = Home { is_trusted: true, ..home(1) };
        let ids = [proxy, proxy, home(2)].map(|home| match crowd.admit(home, at(0)) {
            CrowdAdmission::Enter { id, asked: None } => id,
            other => panic!("{other:?}"),
        });
        for id in ids {
            crowd.note(id, Some(Rest::Idle(at(0))));
        }
        assert_eq!(admit(&mut crowd, 3, at(10)), Some(ids[2]));
        crowd.leave(ids[2]);
        assert_eq!(admit(&mut crowd, 4, at(10)), Some(ids[0]));
    }

    #[test]
    fn what_hangs_goes_before_what_is_idle_and_what_is_at_work_stays() {
        let mut crowd = crowd(3, 100);
        let [idle, hangs, works] = [1, 1, 1].map(|home| enter(&mut crowd, home, at(0)));
        crowd.note(idle, Some(Rest::Idle(at(0))));
        crowd.note(hangs, Some(Rest::Midway(at(9))));
        crowd.note(works, None);
        assert_eq!(admit(&mut crowd, 2, at(10)), Some(hangs), "for a second");
        crowd.leave(hangs);
        assert_eq!(admit(&mut crowd, 2, at(10)), Some(idle));
        crowd.leave(idle);
        let nobody = crowd.admit(home(2), at(10));
        assert_eq!(nobody, CrowdAdmission::Wait { until: None });
    }

    #[test]
    fn behind_a_proxy_what_began_a_moment_ago_is_left_alone_for_a_moment() {
        let mut crowd = crowd(1, 100);
        let id = enter(&mut crowd, 1, at(0));
        crowd.note(id, Some(Rest::Midway(at(5))));
        let (proxy, soon) = (Home { is_trusted: true, ..home(2) }, at(5) + YOUNG);
        assert_eq!(crowd.admit(proxy, at(5)), CrowdAdmission::Wait { until: Some(soon) });
        assert!(matches!(crowd.admit(proxy, soon), CrowdAdmission::Enter { asked: Some(_), .. }));
    }

    #[test]
    fn the_bound_of_one_address_holds_once_half_of_the_places_are_taken() {
        let mut crowd = crowd(8, 2);
        let ids = [1, 1, 1].map(|home| enter(&mut crowd, home, at(0)));
        for id in ids {
            crowd.note(id, Some(Rest::Idle(at(id))));
        }
        enter(&mut crowd, 2, at(1));
        assert_eq!(admit(&mut crowd, 1, at(2)), Some(ids[0]), "its own makes room");
        assert_eq!(admit(&mut crowd, 2, at(2)), None, "another address has its share yet");
    }

    #[test]
    fn coming_again_and_again_wins_nothing() {
        let mut crowd = crowd(4, 2);
        let ids = [1, 1, 2, 2].map(|home| enter(&mut crowd, home, at(0)));
        for id in ids {
            crowd.note(id, Some(Rest::Midway(at(0) + YOUNG * 2)));
        }
        let soon = at(0) + YOUNG * 4;
        assert_eq!(crowd.admit(home(1), soon), CrowdAdmission::Refuse);
        let proxy = Home { is_trusted: true, ..home(1) };
        assert!(matches!(crowd.admit(proxy, soon), CrowdAdmission::Enter { asked: Some(_), .. }));
        let mut crowd = self::crowd(4 * FEW, 100);
        for home in [1, 2].repeat(2 * FEW) {
            let id = enter(&mut crowd, home, at(0));
            crowd.note(id, Some(Rest::Midway(at(0) + YOUNG * 2)));
        }
        assert_eq!(crowd.admit(home(1), soon), CrowdAdmission::Refuse, "nobody has more");
        while let CrowdAdmission::Enter { asked, .. } = crowd.admit(home(3), soon) {
            assert!(asked.is_some(), "one who has none yet");
        }
        assert_eq!(crowd.admit(home(1), soon), CrowdAdmission::Refuse, "and holds up nobody");
    }

    #[test]
    fn who_was_asked_may_stay_and_the_overshoot_is_bounded() {
        let mut crowd = crowd(2, 100);
        let [first, second] = [1, 1].map(|home| enter(&mut crowd, home, at(0)));
        crowd.note(first, Some(Rest::Idle(at(0))));
        assert_eq!(admit(&mut crowd, 1, at(1)), Some(first));
        crowd.note(first, None);
        assert_eq!(crowd.admit(home(1), at(1)), CrowdAdmission::Wait { until: None });
        crowd.leave(first);
        crowd.leave(second);
        assert_eq!(admit(&mut crowd, 1, at(1)), None);
    }

    proptest! {
        /// Whatever happens, what is kept in order is what there is, and the bound holds.
        #[test]
        fn the_order_is_that_of_the_connections_there_are(
            steps in prop::collection::vec((0_u8..4, 0_u8..5, 0_u64..40), 0..200)
        ) {
            let mut crowd = crowd(8, 3);
            let mut open = Vec::new();
            for (second, (what, from, which)) in steps.into_iter().enumerate() {
                let now = at(u64::try_from(second).unwrap());
                let id = open.get(usize::try_from(which).unwrap() % open.len().max(1)).copied();
                match (what, id) {
                    (0, _) => {
                        if let CrowdAdmission::Enter { id, .. } = crowd.admit(home(from), now) {
                            open.push(id);
                        }
                    }
                    (1, Some(id)) => crowd.note(id, Some(Rest::Idle(now))),
                    (2, Some(id)) => crowd.note(id, Some(Rest::Midway(now))),
                    (3, Some(id)) if from == 0 => crowd.note(id, None),
                    (3, Some(id)) => {
                        crowd.leave(id);
                        open.retain(|one| *one != id);
                    }
                    _ => {}
                }
                check(&crowd, &open);
            }
        }
    }

    fn check(crowd: &Crowd, open: &[u64]) {
        assert_eq!(crowd.members.len(), open.len());
        assert!(open.len() <= crowd.bounds.with_leaving());
        let leaving = crowd.members.values().filter(|member| member.is_leaving).count();
        assert_eq!(crowd.leaving, leaving);
        let mut ranks = BTreeSet::new();
        for (home, household) in &crowd.households {
            let own = |member: &&Guest| member.home == *home && !member.is_leaving;
            let members: Vec<_> = crowd.members.values().filter(own).collect();
            assert_eq!(household.staying, members.len());
            let waiting = members.iter().filter(|member| member.rest.is_some()).count();
            assert_eq!(household.idle.len() + household.midway.len(), waiting);
            assert_eq!(household.rank, household.rank_of(*home));
            ranks.extend(household.rank);
        }
        assert_eq!(crowd.order, ranks);
    }

    fn crowd(connections_max: usize, per_address: usize) -> Crowd {
        Crowd::new(Bounds { connections_max, per_address })
    }

    fn home(number: u8) -> Home {
        Home { network: IpAddr::from([192, 0, 2, number]), is_trusted: false }
    }

    fn at(second: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(second)
    }

    /// Enters where there is a place.
    fn enter(crowd: &mut Crowd, from: u8, now: Moment) -> u64 {
        match crowd.admit(home(from), now) {
            CrowdAdmission::Enter { id, asked: None } => id,
            other => panic!("{other:?}"),
        }
    }

    /// Enters; gives who was asked to leave.
    fn admit(crowd: &mut Crowd, from: u8, now: Moment) -> Option<u64> {
        match crowd.admit(home(from), now) {
            CrowdAdmission::Enter { asked, .. } => asked,
            other @ (CrowdAdmission::Wait { .. } | CrowdAdmission::Refuse) => panic!("{other:?}"),
        }
    }
}
