//! A little curve, drawn as SVG. Pure.

use std::fmt::Write as _;

use maud::{Markup, html};

/// How wide the drawing is, in its own units; the page stretches it.
const WIDTH: f64 = 180.0;

/// How high it is.
const HEIGHT: f64 = 34.0;

/// Draws values from the oldest to the newest; `label` says what they are to those who do not see it.
pub(super) fn spark(values: &[f64], label: &str) -> Markup {
    let line = line(values);
    html! {
        svg.spark viewBox="0 0 180 34" preserveAspectRatio="none" role="img" aria-label=(label) {
            @if !line.is_empty() {
                path.a d={ (line) " L180 34 L0 34Z" } {}
                path.l vector-effect="non-scaling-stroke" d=(line) {}
            }
        }
    }
}

/// The path of a curve; its highest value is near the top, zero is on the ground.
fn line(values: &[f64]) -> String {
    let top = values.iter().copied().fold(1.0_f64, f64::max);
    let Some(last) = values.len().checked_sub(1).filter(|last| *last > 0) else {
        return String::new();
    };
    let step = u32::try_from(last).map_or(0.0, |last| WIDTH / f64::from(last));
    let (mut path, mut x) = (String::new(), 0.0);
    for value in values {
        let y = HEIGHT - 2.0 - (HEIGHT - 6.0) * value / top;
        let command = if path.is_empty() { "M" } else { " L" };
        // Writing to a String does not fail.
        let _ = write!(path, "{command}{x:.1} {y:.1}");
        x += step;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_from_left_to_right_and_its_highest_is_near_the_top() {
        assert_eq!(line(&[0.0, 5.0, 10.0]), "M0.0 32.0 L90.0 18.0 L180.0 4.0");
        assert_eq!(line(&[0.0, 0.0]), "M0.0 32.0 L180.0 32.0", "nothing happened");
        assert_eq!(line(&[7.0]), "");
        assert_eq!(line(&[]), "");
    }
}
