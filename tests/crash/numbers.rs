//! A plain number on the embedded engine: kills between every two steps of a text's way, and at random
//! under load with everything going wrong that can.

use std::time::Duration;

use chimein::fault_points::Point;

use crate::child::{Dice, weather};
use crate::line::{Line, People, STEPS};

/// How often the service is killed at random.
const KILLS: u64 = 6;
/// How many texts are tried to be written in each of its lives.
const TEXTS: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_plain_number_a_kill_at_each_step_loses_nothing_and_repeats_nothing() {
    let mut line = Line::start(&[]).await;
    let commits: [&[Point]; 2] = [&[Point::BeforeCommit], &[Point::Committed]];
    for points in commits.into_iter().chain(STEPS) {
        line.survives(points).await;
    }
    line.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_plain_number_everybody_is_answered_once_whatever_breaks() {
    let mut line = Line::start(&[]).await;
    let (mut people, mut dice) = (People::new(20_261_129), Dice::new(7));
    weather::storm(&line.control);
    for _ in 0..KILLS {
        line.service.start(&[]);
        let lives = u32::try_from(dice.below(u64::from(TEXTS))).unwrap();
        for nth in 0..TEXTS {
            people.write(&line.control).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if nth == lives {
                line.service.kill().await;
            }
        }
    }
    line.service.start(&[]);
    line.control.clear_faults();
    People::expect_kept(&line.control, || line.service.log_tail()).await;
    assert_eq!(line.settled().await, Some(0), "jobs or dead letters are left");
    line.service.stop().await;
    line.emulator.shutdown().await;
}
